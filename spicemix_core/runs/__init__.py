"""Many fits: consensus of several seeds, selection of parameters, cross-validation, stored results."""
