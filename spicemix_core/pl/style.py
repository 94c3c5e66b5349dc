"""The look of all figures: style and colours."""

import matplotlib as mpl
import seaborn as sns

from spicemix_core.pl.svg import PIXELS_PER_INCH

# Okabe and Ito's colours for colour-blind readers, indigo and grey for yellow and black; see `palette` for the rest.
_COLORS = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#332288", "#7f7f7f",
    "#69002d", "#784bff", "#78ff87", "#694b00", "#f0e100", "#960078", "#003c5a", "#002dd2",
    "#c34bf0", "#96c378", "#ffa5ff", "#2d694b", "#d21eb4", "#c32d3c", "#780fb4", "#b4875a",
    "#96f0b4", "#c3a5d2", "#692d87", "#ff6996", "#964b78", "#2dc33c", "#695ad2", "#691e00",
    "#a5e13c", "#96f0f0", "#b487ff", "#5a2d4b", "#6987d2", "#5a6996", "#1e00a5", "#e15ac3",
)


BASE_COLORS = _COLORS[:8]
N_COLORS = len(_COLORS)


def use_style():
    """Set the one look of all figures: sans-serif, thin axes, SVG that is the same from run to run."""
    sns.set_theme(context="notebook", style="ticks", font_scale=0.85)
    mpl.rcParams.update({
        "figure.constrained_layout.use": True,
        "figure.dpi": 100,
        "savefig.dpi": PIXELS_PER_INCH["png"],
        "svg.hashsalt": "spicemix",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": "medium",
        "legend.frameon": False,
        "axes.prop_cycle": mpl.cycler(color=BASE_COLORS),
        "image.cmap": "viridis",
    })


def palette(names):
    """A colour for each name, in order, the same wherever it is asked for: dict of name to hex colour.

    Up to `N_COLORS` (40): eight told apart with any colour vision, then, one after the other, the colour farthest from
    all before it and from black, white and light grey in the Oklab space, be it seen with normal vision or without the
    receptor of green.

    Source: B. Ottosson, "A perceptual color space for image processing" (2020); G. Machado, M. Oliveira and L.
    Fernandes, IEEE Transactions on Visualization and Computer Graphics 15 (2009) 1291-1298, for deuteranopes.
    """
    names = list(names)
    if len(names) > N_COLORS:
        raise ValueError(f"there are {len(names)} names but only {N_COLORS} colours; group the rarest ones")
    return dict(zip(names, _COLORS, strict=False))
