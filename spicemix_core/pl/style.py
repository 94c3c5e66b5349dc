"""The look of all figures: the style and the colours."""

from collections.abc import Hashable, Iterable

import matplotlib as mpl
import seaborn as sns

from spicemix_core.pl.svg import PIXELS_PER_INCH

# The first eight are those of Okabe and Ito, with indigo and grey in place of yellow and black. The others follow from
# the rule that `palette` states.
COLORS = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#332288", "#7f7f7f",
    "#69002d", "#784bff", "#78ff87", "#694b00", "#f0e100", "#960078", "#003c5a", "#002dd2",
    "#c34bf0", "#96c378", "#ffa5ff", "#2d694b", "#d21eb4", "#c32d3c", "#780fb4", "#b4875a",
    "#96f0b4", "#c3a5d2", "#692d87", "#ff6996", "#964b78", "#2dc33c", "#695ad2", "#691e00",
    "#a5e13c", "#96f0f0", "#b487ff", "#5a2d4b", "#6987d2", "#5a6996", "#1e00a5", "#e15ac3",
)
N_COLORS = len(COLORS)
BLUE, ORANGE, GREEN, VERMILION, _, SKY_BLUE, _, DARK_GREY = BASE_COLORS = COLORS[:8]
GREY = "#c8c8c8"  # cells or categories that are not the subject of a figure


def use_style() -> None:
    """Set matplotlib's parameters to the style of this package, for all figures that follow.

    The functions that draw an AnnData object use this style whether or not it is set, and restore the
    parameters.

    Examples
    --------
    >>> import matplotlib as mpl
    >>> from spicemix_core import pl
    >>> with mpl.rc_context():  # or without, to keep the style
    ...     pl.use_style()
    ...     mpl.rcParams["axes.spines.top"]
    False
    """
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
        "axes.prop_cycle": mpl.cycler(color=BASE_COLORS),  # type: ignore[attr-defined]
        "image.cmap": "viridis",
    })


def palette(names: Iterable[Hashable]) -> dict[Hashable, str]:
    """Assign a colour to each name, in order.

    The first eight colours are those of Okabe and Ito, with indigo and grey in place of yellow and black. Readers with
    any colour vision can distinguish the first seven; to a deuteranope the eighth, grey, resembles the third, green.

    Each further colour is the one farthest from all colours before it and from black, white and the light grey of
    cells that are not the subject. The distance is that in Oklab (Ottosson 2020), with differences of hue and chroma
    weighted 1.7 times; it is the smaller of the distance in normal vision and 1.5 times the distance for a deuteranope
    (Machado et al. 2009). The candidates are the sRGB colours whose channels are multiples of 15, with a lightness from
    1/3 to 0.9 and a chroma of at most 0.25. The module ``tests/pl/palette_rule.py`` of the repository computes the
    colours by this rule.

    Parameters
    ----------
    names : iterable
        At most 40 different names.

    Returns
    -------
    dict of name to str
        Hexadecimal colour of each name.

    Raises
    ------
    ValueError
        If there are more than 40 names.

    References
    ----------
    B. Ottosson, "A perceptual color space for image processing" (2020).

    G. Machado, M. Oliveira and L. Fernandes, "A physiologically-based model for simulation of color vision deficiency",
    IEEE Transactions on Visualization and Computer Graphics 15 (2009) 1291-1298.

    Examples
    --------
    >>> from spicemix_core import pl
    >>> pl.palette(["neuron", "glia"])
    {'neuron': '#0072b2', 'glia': '#e69f00'}
    """
    names = list(names)
    if len(names) > N_COLORS:
        raise ValueError(f"There are {len(names)} names but only {N_COLORS} colours: group the rarest names.")
    return dict(zip(names, COLORS, strict=False))
