"""Requirements of a test that a machine may lack."""

import os
from typing import NoReturn

import pytest


def missing(reason: str) -> NoReturn:
    """Skip the test with a reason; under ``CI=true``, where everything should be there, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason} (a skip under CI=true is a failure)")
    pytest.skip(reason)
