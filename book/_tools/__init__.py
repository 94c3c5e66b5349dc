"""What `book/build.py` is made of: reading chapters, executing them, and turning the results into pages."""

from pathlib import Path

BOOK = Path(__file__).resolve().parents[1]
ROOT = BOOK.parent
