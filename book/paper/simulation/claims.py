"""The numbers for the ledger's claims about the simulated cortex (Fig. 2), from the table of the study."""

import pandas as pd

from paper.ledger import Measurement
from paper.simulation.methods import PUBLISHED
from paper.simulation.study import RELEASED, compare
from spicemix_core.tl import DEFAULT_NORMALIZATION

# The normalisation with which Fig. 2d shows each method: that of the paper, and for a consensus its own.
SHOWN = {PUBLISHED: "zscore", "SpiceMix consensus": DEFAULT_NORMALIZATION, "SpiceMix": "zscore",
         "NMF consensus": DEFAULT_NORMALIZATION, "NMF*": "zscore", "NMF": "zscore",
         "HMRF, 10 PCs": "zscore of genes, then cells", "HMRF": "zscore"}


OURS = "SpiceMix consensus"
OTHERS = ("NMF", "NMF*", "HMRF")
OF_MODEL = ["metagene_correlation", "state_correlation", "layer_correlation", "scattered_correlation",
            "affinity_correlation", "layer_morans_i", "silhouette_gain", "n_iter", "converged"]
_ONLY_PAPER = "methods and normalisations as in the paper; "


def rows_shown(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the study (`paper.simulation.study.run_study`) at the normalisation of `SHOWN`.

    The study gives the scores of a model in the model's first row only; here they are in the row that is shown.
    """
    shown = table["method"].map(SHOWN) == table["normalization"]
    of_model = table.groupby(["scenario", "replicate", "method"])[OF_MODEL].transform("first")
    return table.assign(**of_model)[shown]


def strongest_baselines(tests: pd.DataFrame) -> pd.DataFrame:
    """Each baseline at the normalisation of its highest mean index, by scenario; SpiceMix is not a baseline.

    Parameters
    ----------
    tests : DataFrame
        From `paper.simulation.study.compare`.
    """
    rows = tests.reset_index()
    rows = rows[~rows["method"].str.startswith("SpiceMix")]
    return rows.loc[rows.groupby(["scenario", "method"], sort=False)["ari"].idxmax()]


def scenarios_ahead(strongest: pd.DataFrame) -> int:
    """Number of scenarios in which the tested method has a higher mean than all `strongest_baselines`."""
    return int((strongest.groupby("scenario")["difference"].min() > 0).sum())


def measure(table: pd.DataFrame, spicemix: str = OURS, *, released: str = RELEASED.name) -> dict[str, Measurement]:
    """Every claim of the chapter, by the ledger's id; replicates take the place of seeds.

    Parameters
    ----------
    table : DataFrame
        From `paper.simulation.study.run_study`.
    spicemix : str
        Method that stands for SpiceMix: the consensus, or the paper's procedure
        (`paper.simulation.methods.PUBLISHED`).
    released : str
        Name of the scenario of the claims about one scenario.
    """
    shown = rows_shown(table)
    wide = shown.pivot(index=["scenario", "replicate"], columns="method", values="ari")
    means = wide.groupby("scenario").mean()
    ratio = means["NMF"] / means[spicemix]
    return {
        "sim-spicemix-ari": _extreme(wide, means[spicemix].idxmin(), spicemix,
                                     f"; mean of single fits at worst {means['SpiceMix'].min():.2f}"),
        "sim-nmf-ari": _extreme(wide, means["NMF"].idxmax(), "NMF"),
        "sim-nmf-half": Measurement(ratio.max(), comment=f"{_ONLY_PAPER}in {ratio.idxmax()}"),
        "sim-nmf-star-range": Measurement(int(means["NMF*"].between(0.5, 0.65).sum())),
        "sim-hmrf-ari": _extreme(wide, means["HMRF"].idxmax(), "HMRF"),
        "sim-variance": Measurement(sum(_falls(shown[shown["method"] == method], scale)
                                        for method in (spicemix, *OTHERS) for scale in ("sigma_x", "sigma_y"))),
        **_against_baselines(table, means, spicemix),
        **_in_one_scenario(shown[shown["scenario"] == released], spicemix),
    }


def _extreme(wide, scenario, method, comment=""):
    values = wide.loc[scenario, method]
    return Measurement(values.mean(), values.tolist(), f"{scenario}; seeds are its replicates{comment}")


def _falls(rows, scale):
    """Whether the mean index is lower at the larger value of the scale."""
    means = rows.groupby(scale)["ari"].mean()
    return int(means.iloc[-1] < means.iloc[0])


def _against_baselines(table, means, spicemix):
    """The claims that compare SpiceMix with the other methods over all scenarios."""
    tests, single = compare(table, spicemix, SHOWN[spicemix]), compare(table, "SpiceMix", "zscore")
    strongest = strongest_baselines(tests)
    best, single_best = ((means[list(methods)].idxmax(axis=1) == methods[0]).sum()
                         for methods in ((spicemix, *OTHERS), ("SpiceMix", *OTHERS)))
    found = {"sim-spicemix-best": Measurement(
        int(best), comment=f"{_ONLY_PAPER}{scenarios_ahead(strongest)} of {len(means)} against every baseline at its "
        f"best, HMRF on principal components included; single fits: {single_best}")}
    if 0.5 ** table["replicate"].nunique() >= 0.05:
        return found | {"sim-nmf-star-worse": Measurement(None, comment="too few replicates for p < 0.05")}
    worse, single_worse = ((each.xs(("NMF*", "zscore"), level=("method", "normalization"))["p"] < 0.05).sum()
                           for each in (tests, single))
    at_best = (strongest.loc[strongest["method"] == "NMF*", "p"] < 0.05).sum()
    return found | {"sim-nmf-star-worse": Measurement(
        int(worse), comment=f"{_ONLY_PAPER}{at_best} at the best normalisation of NMF*; single fits: {single_worse}")}


def _in_one_scenario(rows, spicemix):
    """The claims on metagenes, layers and scattered types, as means over the replicates of one scenario."""
    wide = rows.pivot(index="replicate", columns="method")
    ours, nmf, hmrf = (wide.xs(method, axis=1, level="method") for method in (spicemix, "NMF", "HMRF"))
    found = {
        "sim-layer-metagene": ours["layer_correlation"],
        "sim-diffuse-metagene": ours["scattered_correlation"],
        "sim-nmf-incoherent": ours["layer_morans_i"] - nmf["layer_morans_i"],
        "sim-layers-delineated": ours["excitatory_share"],
        "sim-nmf-layers": ours["excitatory_share"] - nmf["excitatory_share"],
        "sim-hmrf-smooths": hmrf["scattered_share"],
        "sim-hmrf-layers": ours["excitatory_share"] - hmrf["excitatory_share"],
        "sim-umap": ours["silhouette_gain"],
    }
    comments = {"sim-hmrf-smooths": "smoothing parameter chosen with the truth"}
    return {name: Measurement(values.mean(), values.tolist(), comments.get(name, ""))
            for name, values in found.items()}
