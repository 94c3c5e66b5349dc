"""Many fits: consensus, selection, cross-validation, stored results."""
