"""Every command of the page on platforms runs, unchanged, on synthetic data in the layout of its platform."""

import importlib.util
import re
import shlex
from pathlib import Path

import anndata
import platforms
import pytest

from spicemix_core.command_line import main
from spicemix_core.model import SpiceMix

PAGE = Path(__file__).resolve().parents[2] / "book" / "platforms.md"
COMMANDS = [command for block in re.findall(r"(?s)```bash\n(.*?)```", PAGE.read_text("utf-8"))
            for command in block.replace("\\\n", " ").splitlines()]
N_GENES = 2500  # more than the commands choose


def write_elsewhere(path):
    adata = platforms.tissue()
    adata.obs["x_centroid"], adata.obs["y_centroid"] = adata.obsm.pop("spatial").T
    adata.write_h5ad(path)
    return adata


WRITE = {
    "visium": lambda folder: platforms.write_visium(folder / "outs", n_genes=N_GENES),
    "visium_hd": lambda folder: platforms.write_visium_hd(
        folder / "outs", n_genes=N_GENES, parquet=importlib.util.find_spec("pyarrow") is not None),
    "segmented_outputs": lambda folder: platforms.write_segmented(folder / "outs/segmented_outputs", n_genes=N_GENES),
    "xenium": platforms.write_xenium, "cosmx": platforms.write_cosmx,
    "merscope": lambda folder: platforms.write_merscope(folder / "region_0"), "seqfish": platforms.write_seqfish,
    "starmap": platforms.write_starmap, "elsewhere": lambda folder: write_elsewhere(folder.with_suffix(".h5ad")),
    "slideseq": lambda folder: platforms.write_slide_seq(folder, n_genes=N_GENES),
    "stereoseq": lambda folder: platforms.write_stereo_seq(folder, n_genes=N_GENES),
}


def name_of(place):
    """The name of a platform: the first folder, or the last one for the second kind of output of Space Ranger."""
    return "segmented_outputs" if place.endswith("segmented_outputs") else re.match(r"\w+", place)[0]


def test_the_page_has_a_command_for_each_platform():
    assert [name_of(shlex.split(command)[2]) for command in COMMANDS] == list(WRITE)


@pytest.mark.parametrize("command", COMMANDS, ids=list(WRITE))
def test_a_command_of_the_page_fits_the_output_of_its_platform(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    program, *words = shlex.split(command)
    name = name_of(words[1])
    written = WRITE[name](tmp_path / re.match(r"\w+", words[1])[0])
    assert program == "spicemix" and main(words) == 0, capsys.readouterr().err
    model = SpiceMix.load(words[words.index("-o") + 1])
    fitted = anndata.read_h5ad(words[words.index("-a") + 1])
    assert model.metagenes_.shape == (fitted.n_vars, int(words[words.index("-k") + 1]))
    assert set(fitted.obs_names) <= set(written.obs_names) and set(fitted.var_names) <= set(written.var_names)
    assert fitted.n_obs >= 0.9 * written.n_obs and fitted.n_vars in (30, 1000)
    degree = fitted.obsp["spatial_connectivities"].sum(axis=1).mean()
    assert {"visium": 5.2, "visium_hd": 3.5}.get(name, 5.0) < degree < {"visium": 6, "visium_hd": 4}.get(name, 13)
