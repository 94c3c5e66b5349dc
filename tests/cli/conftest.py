"""Small files that the commands themselves wrote, and a working folder with them."""

import os
import shutil
from pathlib import Path

import pytest

from spicemix_core.command_line import main


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A tissue of 120 cells and 20 genes, a model of it with 3 metagenes, and the annotated data."""
    folder = tmp_path_factory.mktemp("made")
    sizes = ("--n-samples", "2", "--n-cells", "60", "--n-genes", "20")
    steps = [("simulate", "-o", "tissue.h5ad", *sizes),
             ("fit", "tissue.h5ad", "-o", "model.h5", "-a", "fitted.h5ad", "--sample-key", "sample", "--max-iter", "4",
              "--n-metagenes", "3")]
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert [main(step) for step in steps] == [0, 0]
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """A fresh working folder with the small files."""
    for path in made.iterdir():
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path
