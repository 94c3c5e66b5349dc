"""Fixtures shared by all tests, and the markers that follow from a test's place or fixtures."""

import os
from pathlib import Path

import pytest
from required import missing

TESTS = Path(__file__).parent
MARKER_OF = {"browser": "browser", "backends/test_dask_cells.py": "subprocess",
             "book/test_book_runner.py": "subprocess", "project/test_wheel.py": "subprocess"}


def pytest_collection_modifyitems(items):
    """Mark tests of these folders and files, and those that read the measured data."""
    for item in items:
        if not item.path.is_relative_to(TESTS):
            continue
        place = item.path.relative_to(TESTS)
        for name in (place.parts[0], place.as_posix()):
            if name in MARKER_OF:
                item.add_marker(MARKER_OF[name])
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker("data")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the measured data, ``$SPICEMIX_DATA``."""
    folder = os.environ.get("SPICEMIX_DATA")
    if not folder or not Path(folder).is_dir():
        missing("SPICEMIX_DATA does not name the folder of the measured data")
    return Path(folder)
