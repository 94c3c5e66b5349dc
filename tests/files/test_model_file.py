"""Saving a fitted model and loading it: equal in every bit, or refused."""

import json

import h5py
import numpy as np
import pytest
from models import assert_same_model, small_adata, small_samples
from sklearn.exceptions import NotFittedError

from spicemix_core import SpiceMix
from spicemix_core.files import model_file as storage


@pytest.fixture(scope="module")
def model():
    return SpiceMix(4, max_iter=40, tol=1e-2, random_state=3).fit(small_adata(), "slide")


def test_a_loaded_model_is_equal_in_every_bit(model, tmp_path):
    model.save(tmp_path / "model.h5")
    assert_same_model(SpiceMix.load(tmp_path / "model.h5"), model)
    assert list(tmp_path.iterdir()) == [tmp_path / "model.h5"]


def test_a_model_of_arrays_has_no_names_and_loads_equal(tmp_path):
    expressions, graphs = small_samples(0)
    fitted = SpiceMix(3, spatial=False, max_iter=30, tol=1e-1).fit_arrays(expressions, graphs)
    fitted.save(tmp_path / "model.h5")
    loaded = SpiceMix.load(tmp_path / "model.h5")
    assert_same_model(loaded, fitted)
    assert loaded.random_state is None and not hasattr(loaded, "feature_names_in_")


def test_names_of_any_script_and_length_are_restored(tmp_path):
    adata = small_adata()
    adata.var_names = ["H2-K1", "µ-Gen", "基因", "x" * 300, " ", *adata.var_names[5:]]
    adata.obs["slide"] = adata.obs["slide"].cat.rename_categories({"left": "Schnitt ä", "right": "2"})
    fitted = SpiceMix(4, max_iter=30, tol=1.0, random_state=0).fit(adata, "slide")
    fitted.save(tmp_path / "model.h5")
    loaded = SpiceMix.load(tmp_path / "model.h5")
    assert list(loaded.feature_names_in_) == list(adata.var_names) and loaded.sample_names_ == ["Schnitt ä", "2"]
    assert [list(c) for c in loaded.cell_names_] == [list(adata.obs_names[:80]), list(adata.obs_names[80:])]


def test_a_generator_is_stored_as_none_and_the_loaded_model_fits_again(tmp_path):
    expressions, graphs = small_samples(0)
    fitted = SpiceMix(3, max_iter=30, tol=1e-1, random_state=np.random.default_rng(0)).fit_arrays(expressions, graphs)
    fitted.save(tmp_path / "model.h5")
    loaded = SpiceMix.load(tmp_path / "model.h5")
    assert loaded.random_state is None
    assert loaded.set_params(random_state=0).fit_arrays(expressions, graphs).metagenes_.shape == (30, 3)


def test_a_fit_to_arrays_forgets_the_names_of_an_earlier_fit(model, tmp_path):
    fitted = SpiceMix(4, max_iter=30, tol=1.0, random_state=0).fit(small_adata(), "slide")
    fitted.fit_arrays(*small_samples(1))
    assert not any(hasattr(fitted, name) for name in ("feature_names_in_", "sample_names_", "cell_names_"))


def test_a_model_that_cannot_be_stored_leaves_the_old_file_unchanged(model, tmp_path):
    path = tmp_path / "model.h5"
    model.save(path)
    before = path.read_bytes()
    with pytest.raises(NotFittedError, match=r"not fitted\. Call fit before save"):
        SpiceMix().save(path)
    odd = SpiceMix.load(path).set_params(device=object())
    with pytest.raises(ValueError, match=r"The parameter device=.* cannot be stored"):
        odd.save(path)
    odd = SpiceMix.load(path)
    odd.feature_names_in_[0] = "a\0b"
    with pytest.raises(ValueError, match="NUL"):
        odd.save(path)
    with pytest.raises(ValueError, match="is a folder"):
        model.save(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"The folder .*none of model\.h5 does not exist"):
        model.save(tmp_path / "none" / "model.h5")
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def change(file, name, value):
    del file[name]
    file[name] = value


def resealed(path):
    """Write the digest that fits the content, as a program would that makes wrong files on purpose."""
    with h5py.File(path, "r+") as file:
        attributes = {name: storage._plain(file.attrs[name]) for name in file.attrs}
        file.attrs["digest"] = storage._digest(storage._read_all(file), attributes)


@pytest.mark.parametrize(("damage", "message"), [
    (lambda f: f.attrs.__setitem__("format", "other"), "is not a SpiceMix model: it is an HDF5 file of another kind"),
    (lambda f: f.attrs.__setitem__("version", 2), r"version 2 of the format, but .* up to 1\. Update"),
    (lambda f: f.attrs.__setitem__("version", "one"), "its version of the format is 'one'"),
    (lambda f: f.attrs.__setitem__("parameters", "{"), "Expecting property name"),
    (lambda f: f.attrs.__setitem__("parameters", "[]"), "parameters are not a table"),
    (lambda f: f.attrs.__setitem__("parameters", json.dumps({"n_metagenes": 4, "weight": 1})),
     r"parameters weight are unknown\. Update"),
    (lambda f: f.attrs.__setitem__("parameters", json.dumps({"n_metagenes": 5})),
     r"shape \(30, 4\), but n_metagenes is 5"),
    (lambda f: f.attrs.__delitem__("n_iter"), "is an incomplete model .n_iter"),
    (lambda f: f.__delitem__("affinity"), "it lacks affinity"),
    (lambda f: f.__delitem__("latent_states/0"), "is an incomplete model .latent_states/0"),
    (lambda f: f.__delitem__("latent_states/1"), r"states of 1 samples, but the scaling has shape \(2,\)"),
    (lambda f: f.__delitem__("cells/1"), "names 2 samples and the cells of 1 samples, but holds states of 2"),
    (lambda f: f.__delitem__("history/Q"), "is an incomplete model .history/Q"),
    (lambda f: change(f, "history/Q", np.zeros(1)), "columns of its history differ in length"),
    (lambda f: change(f, "affinity", np.zeros((4, 3))), r"affinity has shape \(4, 3\) instead of \(4, 4\)"),
    (lambda f: change(f, "latent_states/0", np.zeros((80, 3))), r"states of a sample have shape \(80, 3\) instead of"),
    (lambda f: change(f, "metagenes", np.full((30, 4), np.nan)), "dataset metagenes holds values that are not finite"),
    (lambda f: change(f, "metagenes", np.ones((30, 4), int)), "dataset metagenes holds values that are not finite"),
    (lambda f: change(f, "latent_states/0", np.full((80, 4), -1.0)), "latent_states/0 holds negative"),
    (lambda f: change(f, "noise", [0.0]), "Noise and scaling must be positive"),
    (lambda f: change(f, "scaling", [1.0, np.inf]), "dataset scaling holds values that are not finite"),
    (lambda f: change(f, "genes", np.array([b"a"])), "names 1 genes, but its metagenes have 30 rows"),
    (lambda f: change(f, "genes", np.array([b"\xff"] * 30)), "can't decode byte"),
    (lambda f: change(f, "metagenes", ["text"]), "The dataset metagenes has type object"),
    (lambda f: f.create_dataset("huge", (10**12,), "f8"), "huge claims more numbers than the file can hold"),
])
def test_a_file_whose_parts_do_not_fit_is_refused(model, tmp_path, damage, message):
    path = tmp_path / "model.h5"
    model.save(path)
    with h5py.File(path, "r+") as file:
        damage(file)
    if "huge" not in message and "object" not in message:
        resealed(path)
    with pytest.raises(ValueError, match=message) as caught:
        SpiceMix.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_changed_numbers_are_detected(model, tmp_path):
    path = tmp_path / "model.h5"
    model.save(path)
    with h5py.File(path, "r+") as file:
        file["affinity"][0, 0] += 1e-9
    with pytest.raises(ValueError, match=r"is corrupt: its content does not match its checksum"):
        SpiceMix.load(path)
