"""Where the positions of the cells are: in ``obsm``, or in columns of ``obs``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from spicemix_core.inputs.anndata import coordinates_of
from spicemix_core.inputs.errors import ArgumentError, MissingDataError
from spicemix_core.inputs.memory import preparation_of

if TYPE_CHECKING:
    from anndata import AnnData

SPATIAL_KEY = "spatial"  # where squidpy keeps the positions
PAIRS = (("x_centroid", "y_centroid"), ("center_x", "center_y"), ("CenterX_global_px", "CenterY_global_px"),
         ("pxl_col_in_fullres", "pxl_row_in_fullres"), ("CenterX_local_px", "CenterY_local_px"),
         ("x_location", "y_location"), ("xcoord", "ycoord"), ("x_coord", "y_coord"), ("coord_x", "coord_y"),
         ("x_um", "y_um"), ("x", "y"), ("imagecol", "imagerow"), ("spatial_1", "spatial_2"), ("xc", "yc"))


def position_columns(table: pd.DataFrame) -> tuple[str, ...] | None:
    """The columns of a table that hold positions by their usual names, in any case; None without such columns.

    Examples
    --------
    >>> import pandas as pd
    >>> position_columns(pd.DataFrame({"cell": ["a"], "X_centroid": [1.0], "Y_centroid": [2.0]}))
    ('X_centroid', 'Y_centroid')
    """
    names = {str(name).lower(): name for name in table.columns}
    for pair in PAIRS:
        if all(name.lower() in names for name in pair):
            third = ("z",) if pair == ("x", "y") and "z" in names else ()
            return tuple(names[name.lower()] for name in (*pair, *third))
    return None


def has_positions(adata: AnnData, spatial_key: str = SPATIAL_KEY) -> bool:
    """Whether there are positions under a key of ``obsm``, or in columns of ``obs`` that a text separates by commas."""
    columns = spatial_key.split(",")
    return spatial_key in adata.obsm or (len(columns) > 1 and all(name in adata.obs for name in columns))


def spatial_key_of(adata: AnnData) -> str:
    """Where the positions are that the data were prepared with; ``"spatial"`` by default.

    Examples
    --------
    >>> from spicemix_core import datasets, prepare
    >>> adata = datasets.simulate_cortex(n_cells=50, n_genes=20, random_state=0)
    >>> adata.obsm["um"] = 10 * adata.obsm["spatial"]
    >>> spatial_key_of(adata), spatial_key_of(prepare(adata, spatial_key="um"))
    ('spatial', 'um')
    """
    key = preparation_of(adata).get("spatial_key", SPATIAL_KEY)
    return key if has_positions(adata, key) else SPATIAL_KEY


def place_of(spatial_key: str) -> str:
    """How messages name the place of the positions."""
    columns = spatial_key.split(",")
    return f"obsm[{spatial_key!r}]" if len(columns) == 1 else f"the columns {' and '.join(map(repr, columns))} of obs"


def positions_of(adata: AnnData, spatial_key: str | Sequence[str] = SPATIAL_KEY) -> np.ndarray:
    """Positions of the cells, (N, 2) or (N, 3).

    Parameters
    ----------
    adata : AnnData
    spatial_key : str or sequence of str
        Key of ``obsm``, or two or three columns of ``obs``, which a text separates by commas.

    Returns
    -------
    array of float
        NaN for dissociated cells.

    Raises
    ------
    KeyError
        If they do not exist; the message says where positions may be.
    ValueError
        If they are not numbers.

    Examples
    --------
    >>> from spicemix_core import datasets
    >>> adata = datasets.simulate_cortex(n_cells=50, n_genes=20, random_state=0)
    >>> adata.obs["x"], adata.obs["y"] = adata.obsm["spatial"].T
    >>> positions_of(adata, "x,y").shape, bool((positions_of(adata, "x,y") == positions_of(adata)).all())
    ((50, 2), True)
    """
    columns = spatial_key.split(",") if isinstance(spatial_key, str) else list(spatial_key)
    if isinstance(spatial_key, str) and (spatial_key in adata.obsm or len(columns) == 1):
        return coordinates_of(adata, spatial_key, where_positions_may_be(adata))
    if len(columns) not in (2, 3):
        raise ArgumentError(f"spatial_key names {len(columns)} columns of obs, but positions have two or three "
                            "coordinates.", parameter="spatial_key")
    missing = [key for key in columns if key not in adata.obs]
    if missing:
        raise MissingDataError(f"There is no column {missing[0]!r} of positions in obs.", where_positions_may_be(adata))
    points = adata.obs[columns].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    if (np.isnan(points) & ~adata.obs[columns].isna().to_numpy()).any():
        raise ArgumentError(f"The columns {' and '.join(map(repr, columns))} of obs must hold numbers.")
    return points


def where_positions_may_be(adata: AnnData) -> str:
    """What to do without positions, as a text that names the keys and columns that may hold some."""
    keys = [key for key, value in adata.obsm.items() if len(np.shape(value)) == 2 and np.shape(value)[1] in (2, 3)
            and not str(key).lower().endswith(("umap", "tsne", "pca"))]
    columns = position_columns(adata.obs) if isinstance(adata.obs, pd.DataFrame) else None
    places = [f"obsm[{key!r}]" for key in keys] + (
        [f"the columns {' and '.join(map(repr, columns))} of obs"] if columns else [])
    if not places:
        return "put the positions of the cells there, read them from a table with {positions}, or pass {graph=None}"
    return (f"positions may be in {' or '.join(places)}: name them with {{spatial_key}}, for instance "
            f"{keys[0] if keys else ','.join(columns)}, or pass {{graph=None}}")
