"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest


def missing(reason: str):
    """Skip with a reason; on a continuous-integration machine (CI=true) a missing piece is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason} (a skip under CI=true is a failure)")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the measured data, ``$SPICEMIX_DATA``."""
    folder = os.environ.get("SPICEMIX_DATA")
    if not folder or not Path(folder).is_dir():
        missing("SPICEMIX_DATA does not name the folder of the measured data")
    return Path(folder)
