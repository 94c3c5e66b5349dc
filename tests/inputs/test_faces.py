"""The public faces ``inputs`` and ``datasets``: what they contain, and what they import."""

import subprocess
import sys

import pytest

from spicemix_core import datasets, inputs
from spicemix_core.runs.sources import sources_of_code


@pytest.mark.parametrize("face", [inputs, datasets])
def test_a_face_shows_its_public_names_and_each_has_an_example(face):
    assert dir(face) == sorted(face.__all__) and not any(name.startswith("_") for name in dir(face))
    assert all("Examples\n" in getattr(face, name).__doc__ for name in dir(face) if callable(getattr(face, name)))
    with pytest.raises(AttributeError, match="has no public name 'nothing'"):
        _ = face.nothing


def test_importing_the_faces_imports_no_large_package():
    code = ("import sys, spicemix_core.inputs, spicemix_core.datasets; "
            "print([name for name in ('numpy', 'pandas', 'scipy', 'anndata') if name in sys.modules])")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_code_that_uses_a_face_depends_on_its_modules():
    names = {path.stem for path in sources_of_code("from spicemix_core import inputs, datasets")}
    assert {"graphs", "normalize", "dissociated", "registry", "simulation", "gibbs", "seqfish_plus"} <= names
