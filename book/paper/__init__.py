"""Code of the chapters: what reproduces the paper, claim by claim. Imported as ``paper``; not part of the package."""
