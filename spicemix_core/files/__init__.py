"""The package's own files: models, checkpoints, and how a file is written."""
