"""Reading and converting the files of other programs."""
