"""Names of clusters by markers and depth, on expression drawn from the marker sets themselves."""

import anndata
import numpy as np
import pandas as pd
import pytest
from paper.shared.annotation import (
    FEW,
    LAYER_DEPTHS,
    all_markers,
    major_class,
    name_by_reference,
    name_clusters,
)
from paper.shared.markers import MAJOR_MARKERS, SUBTYPE_MARKERS
from scipy import sparse

from spicemix_core.inputs.anndata import expression_frame

TYPES = {"eL2/3": "Excitatory", "eL4": "Excitatory", "eL6": "Excitatory", "VIP": "Inhibitory", "SST": "Inhibitory",
         "Astro": "Astro", "Oligo": "Oligo", "OPC": "OPC"}


def tissue(types, n_each, random_state=0):
    """Cells that express the markers of their major type and subtype above a noisy background."""
    rng = np.random.default_rng(random_state)
    genes = all_markers()
    labels = np.repeat(np.arange(len(types)), n_each)
    expression = pd.DataFrame(rng.exponential(0.3, size=(len(labels), len(genes))), columns=genes)
    for cluster, kind in enumerate(types):
        major = TYPES.get(kind, kind)
        own = [*MAJOR_MARKERS[major], *SUBTYPE_MARKERS.get(major, {}).get(kind, ())]
        expression.loc[labels == cluster, own] += rng.exponential(1.0, size=((labels == cluster).sum(), len(own)))
    depth = np.array([LAYER_DEPTHS.get(kind, 0.5) for kind in types])[labels]
    return expression, labels, depth


def test_clusters_get_the_names_of_their_markers():
    types = list(TYPES)
    expression, labels, depth = tissue(types, [80, 80, 40, 20, 20, 30, 15, 8])
    naming = name_clusters(expression, labels, depth)
    assert naming["name"].to_dict() == dict(enumerate(types))
    assert naming["major"].to_dict() == {i: TYPES[kind] for i, kind in enumerate(types)}
    assert naming["cells"].sum() == len(labels)


def test_names_do_not_depend_on_withheld_genes():
    expression, labels, depth = tissue(["eL4", "eL6", "Astro", "OPC"], 30)
    gene = MAJOR_MARKERS["Astro"][0]
    misleading = expression.copy()
    misleading.loc[labels == 1, gene] = 50.0
    pd.testing.assert_frame_equal(name_clusters(expression, labels, depth, withheld=[gene]),
                                  name_clusters(misleading, labels, depth, withheld=[gene]))


def test_a_common_type_is_not_mistaken_for_a_rare_one():
    expression, labels, depth = tissue(["eL4", "eL6", "Astro"], [400, 400, 20])
    assert set(name_clusters(expression, labels, depth)["name"]) == {"eL4", "eL6", "Astro"}


def test_small_clusters_are_pooled_and_equal_types_numbered_by_size():
    expression, labels, depth = tissue(["Astro", "Astro", "eL4", "eL6", "Oligo", "OPC"], [20, 30, 30, 30, 4, 2])
    naming = name_clusters(expression, labels, depth)
    assert naming["name"].to_dict() == {0: "Astro-2", 1: "Astro-1", 2: "eL4", 3: "eL6", 4: FEW, 5: FEW}
    assert naming["name"].tolist() == ["eL4", "eL6", "Astro-1", "Astro-2", FEW, FEW]


def test_depth_decides_between_layers_that_markers_leave_open():
    expression, labels, depth = tissue(["eL4", "eL6", "Astro"], 40)
    open_, rng = labels == 0, np.random.default_rng(0)
    for layer, level in {"eL4": 0.0, "eL5a": 2.0, "eL5b": 2.0}.items():
        genes = list(SUBTYPE_MARKERS["Excitatory"][layer])
        expression.loc[open_, genes] = rng.normal(level, 1.0, size=(open_.sum(), len(genes)))
    for place, expected in ((0.4, "eL5a"), (0.8, "eL5b")):
        depth[open_] = place
        naming = name_clusters(expression, labels, depth)
        assert naming.loc[0, "name"] == expected and naming.loc[0, "decided_by"] == "depth"


def test_two_major_types_without_a_clear_lead_share_the_name():
    expression, labels, depth = tissue(["eL4", "eL6", "Astro", "Oligo"], 30)
    mixed, rng = labels == 3, np.random.default_rng(0)
    for major in ("Astro", "Oligo"):
        genes = list(MAJOR_MARKERS[major])
        expression.loc[mixed, genes] = rng.normal(1.0, 2.0, size=(mixed.sum(), len(genes)))
    assert name_clusters(expression, labels, depth).loc[3, "name"] == "Astro/Oligo"


@pytest.mark.parametrize(("major", "expected"), [
    ("Excitatory", "excitatory"), ("Inhibitory", "inhibitory"), ("Astro", "glia"), ("Astro/Oligo", "glia"),
    ("Excitatory/Inhibitory", "mixed"), ("Astro/Excitatory", "mixed")])
def test_classes_of_major_types(major, expected):
    assert major_class(major) == expected


def test_reference_labels_name_clusters_where_markers_are_missing():
    with pytest.raises(ValueError, match="name_by_reference"):
        name_clusters(pd.DataFrame({"gene0": np.ones(10)}), np.zeros(10), np.zeros(10))
    naming = name_by_reference([0] * 10 + [1] * 6 + [2], ["a"] * 9 + ["b"] * 8, ["x"] * 9 + ["y"] * 8)
    assert naming["name"].to_dict() == {0: "a", 1: "b", 2: FEW}
    assert naming.loc[0, "score"] == 0.9 and naming.loc[1, "major"] == "y"


def test_the_expression_frame_keeps_the_order_and_leaves_out_what_was_not_measured():
    adata = anndata.AnnData(sparse.csr_matrix(np.array([[1.0, 0.0, 2.0]])), var=pd.DataFrame(index=["a", "b", "c"]))
    frame = expression_frame(adata, ["c", "missing", "a", "c"])
    assert frame.columns.tolist() == ["c", "a"] and frame.to_numpy().tolist() == [[2.0, 1.0]]
