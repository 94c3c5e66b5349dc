"""Files of this package: fitted models, checkpoints, and how they are written and opened."""
