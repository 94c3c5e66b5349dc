"""From an AnnData object to the arrays of a fit: look-ups, graphs, normalisation."""
