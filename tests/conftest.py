"""Fixtures shared by all tests, and the markers that follow from a test's place or fixtures."""

import os
from pathlib import Path

import pytest
from required import missing

TESTS = Path(__file__).parent
MARKER_OF = {"browser": "browser", "backends/test_dask_cells.py": "subprocess",
             "book/test_book_runner.py": "subprocess", "project/test_wheel.py": "subprocess"}

# Modules that take more than ten seconds of a processor. They begin first, so that at the end no process is left alone
# with one of them (make test gives each module to one process).
LONG = ("cli/test_stopped.py", "book/test_book_runner.py", "cli/test_command_line.py", "report/test_report.py",
        "paper/test_study.py", "datasets/test_twin.py", "pl/test_pl.py", "pl/test_names.py", "book/test_exercises.py",
        "cli/test_memory.py", "backends/test_torch_cells.py", "inputs/test_blocks.py", "datasets/test_datasets.py",
        "project/test_wheel.py", "cli/test_remembered.py", "runs/test_selection.py", "core/test_scale.py",
        "book/test_platforms_page.py")


def pytest_collection_modifyitems(items):
    """Mark tests of these folders and files, and those that read the measured data; put long modules first."""
    order = {TESTS / name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path, len(LONG)))
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
