"""Output of each platform is read with the right counts, positions and names; what is missing is named."""

import gzip
import importlib.util
import json

import numpy as np
import pandas as pd
import platforms
import pytest
import scipy.sparse as sp

from spicemix_core import convert, read_data


def assert_equal(read, written, places=None):
    assert list(read.obs_names) == list(written.obs_names) and list(read.var_names) == list(written.var_names)
    np.testing.assert_array_equal(read.X.toarray(), written.X.toarray())
    np.testing.assert_allclose(read.obsm["spatial"], written.obsm["spatial"] if places is None else places)
    assert sp.issparse(read.X) and read.X.dtype == np.float32


@pytest.mark.parametrize(("version", "matrix"), [(1, "hdf5"), (2, "hdf5"), (2, "market")])
def test_visium_is_read_with_the_spots_under_tissue(tmp_path, version, matrix):
    written = platforms.write_visium(tmp_path / "outs", version, matrix)
    for place in (tmp_path, tmp_path / "outs"):
        read = read_data(place)
        assert_equal(read, written)  # x is the column of pixels, y the row
        np.testing.assert_array_equal(read.obs["array_row"], platforms.hexagonal()[0])
        assert set(read.var["feature_types"]) == {"Gene Expression"} and read.var["gene_ids"].iloc[1] == "ENSG00001"


def test_spots_outside_the_tissue_of_a_raw_matrix_are_left_out(tmp_path):
    written = platforms.write_visium(tmp_path)
    (tmp_path / "filtered_feature_bc_matrix.h5").rename(tmp_path / "raw_feature_bc_matrix.h5")
    path = tmp_path / "spatial" / "tissue_positions.csv"
    table = pd.read_csv(path)
    table.loc[table["barcode"].isin(written.obs_names[:5]), "in_tissue"] = 0
    table.to_csv(path, index=False)
    assert_equal(read_data(tmp_path), written[5:])


def test_visium_hd_is_read_for_one_size_of_bins(tmp_path):
    written = platforms.write_visium_hd(tmp_path)
    for place in (tmp_path, tmp_path / "binned_outputs"):
        with pytest.raises(ValueError, match=r"bins of 3 sizes of Visium HD; give the folder of one: .*_016um\. B"):
            read_data(place)
    assert_equal(read_data(tmp_path / "binned_outputs" / "square_016um"), written)


def test_segmented_cells_of_visium_hd_are_read_at_the_centres_of_their_outlines(tmp_path):
    written = platforms.write_segmented(tmp_path / "segmented_outputs")
    for place in (tmp_path, tmp_path / "segmented_outputs"):
        assert_equal(read_data(place), written)
    platforms.write_visium_hd(tmp_path)
    with pytest.raises(ValueError, match=r"bins of 3 sizes of Visium HD, and cells; give .*_016um or .*segmented_out"):
        read_data(tmp_path)
    path = tmp_path / "segmented_outputs" / "cell_segmentations.geojson"
    outlines = json.loads(path.read_text())
    outlines["features"] = [one for one in outlines["features"] if one["properties"]["cell_id"] != 2]
    path.write_text(json.dumps(outlines))
    with pytest.warns(UserWarning, match=r"without an outline in .*\.geojson are left out: 1 of 120, the first is 'c"):
        read = read_data(tmp_path / "segmented_outputs")
    assert_equal(read, written[written.obs_names != "cellid_000000002-1"])


def test_xenium_is_read_with_the_types_of_its_features(tmp_path):
    written = platforms.write_xenium(tmp_path / "outs")
    read = read_data(tmp_path / "outs")
    assert_equal(read, written)
    assert read.var["feature_types"]["UnassignedCodeword_0003"] == "Unassigned Codeword"
    assert (read.obs["cell_area"] == 50.5).all() and "x_centroid" not in read.obs


@pytest.mark.parametrize("write", [platforms.write_xenium, platforms.write_visium_hd])
def test_parquet_is_read_or_the_package_for_it_named(tmp_path, write):
    has_pyarrow = importlib.util.find_spec("pyarrow") is not None
    written = write(tmp_path / "outs", parquet=has_pyarrow)
    if not has_pyarrow:
        for path in [*tmp_path.rglob("cells.csv.gz"), *tmp_path.rglob("tissue_positions.csv")]:
            path.rename(path.with_name(path.name.split(".")[0] + ".parquet"))
    place = next(iter(tmp_path.rglob("square_016um")), tmp_path / "outs")
    if has_pyarrow:
        assert_equal(read_data(place), written)
        return
    with pytest.raises(ImportError, match=r"parquet is a file of Parquet, which needs the package pyarrow\. I"):
        read_data(place)


def test_cosmx_is_read_with_the_fields_of_view(tmp_path):
    written = platforms.write_cosmx(tmp_path / "flat")
    read = read_data(tmp_path / "flat")
    assert_equal(read, written)
    assert list(read.obs["fov"].cat.categories) == ["1", "2"] and (read.obs["fov"].value_counts() == 60).all()
    for path in (tmp_path / "flat").iterdir():
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert_equal(read_data(tmp_path / "flat"), written)


def test_merscope_is_read_with_its_long_numbers_as_names(tmp_path):
    written = platforms.write_merscope(tmp_path / "region_0")
    assert written.obs_names[1] == "2000000000000001001"  # a double cannot hold it
    assert_equal(read_data(tmp_path / "region_0"), written)


@pytest.mark.parametrize(("write", "matrix", "positions"), [
    (platforms.write_seqfish, "Roi1_CellxGene.csv", "Roi1_CellCoordinates.csv"),
    (platforms.write_starmap, "counts.csv", "positions.csv")])
def test_a_bare_matrix_is_read_with_a_table_of_positions(tmp_path, write, matrix, positions):
    written = write(tmp_path / "data")
    assert_equal(read_data(tmp_path / "data" / matrix, positions=tmp_path / "data" / positions), written)
    shuffled = pd.read_csv(tmp_path / "data" / positions).sample(frac=1, random_state=0)
    shuffled.to_csv(tmp_path / "shuffled.tsv.gz", sep="\t", index=False)
    assert_equal(read_data(tmp_path / "data" / matrix, positions=tmp_path / "shuffled.tsv.gz"), written)
    assert "spatial" not in read_data(tmp_path / "data" / matrix).obsm


def test_genes_x_beads_are_turned_and_beads_without_a_position_left_out(tmp_path):
    written = platforms.write_slide_seq(tmp_path / "puck")
    with pytest.warns(UserWarning, match=r"without a position in .*\.csv are left out: 2 of 120, the first is 'cell0'"):
        read = read_data(tmp_path / "puck" / "MappedDGEForR.csv",
                         positions=tmp_path / "puck" / "BeadLocationsForR.csv")
    assert_equal(read, written)


def test_transcripts_of_stereo_seq_are_summed_per_cell(tmp_path):
    written = platforms.write_stereo_seq(tmp_path / "chip")
    written = written[:, np.asarray(written.X.sum(axis=0)).ravel() > 0]
    read = read_data(tmp_path / "chip" / "tissue.cellbin.gem.gz")
    order = read.var_names.get_indexer(written.var_names)
    np.testing.assert_array_equal(read.X.toarray()[:, order], written.X.toarray())
    assert list(read.obs_names) == list(written.obs_names)
    np.testing.assert_allclose(read.obsm["spatial"], written.obsm["spatial"], atol=1.6)  # rounded to spots


def test_matrix_market_is_read_with_and_without_a_prefix(tmp_path):
    written = platforms.tissue()
    platforms.write_matrix_market(tmp_path / "plain", written, features="genes.tsv")
    (tmp_path / "prefixed").mkdir()
    for path in (tmp_path / "plain").iterdir():
        (tmp_path / "prefixed" / f"GSM1_{path.name}").write_bytes(path.read_bytes())
    pd.DataFrame(written.obsm["spatial"], written.obs_names).to_csv(tmp_path / "places.csv", header=False)
    for place in ("plain", "plain/matrix.mtx.gz", "prefixed"):
        assert_equal(read_data(tmp_path / place, positions=tmp_path / "places.csv"), written)


def test_genes_of_one_name_are_distinguished_by_their_identifiers(tmp_path):
    written = platforms.tissue()
    written.var_names = ["TBCE", "TBCE", *written.var_names[2:]]
    platforms.write_tenx_hdf5(tmp_path / "matrix.h5", written)
    assert list(read_data(tmp_path / "matrix.h5").var_names[:3]) == ["TBCE_ENSG00000", "TBCE_ENSG00001", "Gene2"]


def test_output_of_a_platform_is_converted_to_anndata(tmp_path):
    written = platforms.write_xenium(tmp_path / "outs")
    convert(tmp_path / "outs", tmp_path / "xenium.h5ad")
    assert_equal(read_data(tmp_path / "xenium.h5ad"), written)


def drop(name):
    return lambda folder: next(folder.rglob(name)).unlink()


def rewrite(name, **changes):
    def change(folder):
        path = next(folder.rglob(name))
        pd.read_csv(path).assign(**changes).to_csv(path, index=False)
    return change


def rename_column(name, old, new):
    def change(folder):
        path = next(folder.rglob(name))
        pd.read_csv(path).rename(columns={old: new}).to_csv(path, index=False)
    return change


@pytest.mark.parametrize(("write", "change", "sentence"), [
    (platforms.write_visium, drop("*.h5"), "There is no filtered_feature_bc_matrix.h5 and no folder"),
    (platforms.write_visium, drop("tissue_positions.csv"), "There are no tissue_positions (.parquet or .csv) in"),
    (platforms.write_segmented, drop("*.geojson"), "There is no cell_segmentations.geojson in"),
    (platforms.write_segmented, drop("*.h5"), "There is no filtered_feature_cell_matrix.h5 and no folder"),
    (platforms.write_segmented, lambda folder: next(folder.rglob("*.geojson")).write_text('{"features": [{"type": '),
     "cannot be read, because it is incomplete or was changed"),
    (platforms.write_xenium, drop("cells.csv.gz"), "There is no cells.csv.gz or cells.parquet in"),
    (platforms.write_xenium, drop("*.h5"), "There is no cell_feature_matrix.h5 and no folder"),
    (platforms.write_cosmx, drop("*metadata*"), "must hold both files of CosMx"),
    (platforms.write_merscope, drop("cell_metadata.csv"), "must hold both files of MERSCOPE"),
    (platforms.write_merscope, rewrite("cell_metadata.csv", EntityID=range(120)),
     "cell_metadata.csv does not name the cell '2000000000000000001' of the matrix; give files of one run."),
    (platforms.write_xenium, rewrite("cells.csv.gz", cell_id="a"), "cells.csv.gz names the cell 'a' again"),
    (platforms.write_xenium, rename_column("cells.csv.gz", "x_centroid", "x"), "has no column 'x_centroid'; give"),
    (platforms.write_merscope, rewrite("cell_by_gene.csv", Gene3="many"),
     "cell_by_gene.csv is not a table of counts: the column 'Gene3' holds text."),
])
def test_a_folder_that_lacks_something_is_refused_by_its_name(tmp_path, write, change, sentence):
    write(tmp_path / "outs")
    change(tmp_path / "outs")
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        read_data(tmp_path / "outs")
    assert sentence in str(caught.value) and str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("table", "sentence"), [
    (pd.DataFrame({"cell": ["other"], "x": [1], "y": [2]}), "has positions of none of the cells, whose names are such"),
    (pd.DataFrame({"cell": ["cell0", "cell0"], "x": [1, 1], "y": [2, 2]}), "names the cell 'cell0' again; give each"),
    (pd.DataFrame({"cell": ["cell0"], "left": [1]}), "has no columns with positions, such as x and y, among 'cell', "),
])
def test_a_table_of_positions_that_does_not_fit_is_refused(tmp_path, table, sentence):
    platforms.write_starmap(tmp_path / "data")
    table.to_csv(tmp_path / "places.csv", index=False)
    with pytest.raises(ValueError) as caught:
        read_data(tmp_path / "data" / "counts.csv", positions=tmp_path / "places.csv")
    assert sentence in str(caught.value)


def test_transcripts_without_cells_are_refused(tmp_path):
    (tmp_path / "raw.gem").write_text("geneID\tx\ty\tMIDCount\nSst\t1\t2\t3\n")
    with pytest.raises(ValueError, match=r"raw\.gem lists transcripts without the cells"):
        read_data(tmp_path / "raw.gem")
