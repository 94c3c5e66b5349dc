"""The option --memory: whether the expression of a file fits into it, or how large the blocks can be."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spicemix_core.inputs.blocks import BYTES, bytes_per_cell, is_in_blocks
from spicemix_core.inputs.errors import ArgumentError

if TYPE_CHECKING:
    from anndata import AnnData

GIB, MIB = 2**30, 2**20
PROCESS = 450 * MIB  # libraries, compiled code, sums, and the sample of cells of k-means
STATES, PER_CELL = 10, 1500  # arrays of cells x K in double precision; bytes for names, positions and neighbours
COPIES = 3  # of the expression in memory, while it is prepared
BLOCKS = 12  # block-sized pieces at a time: two blocks, and each one's parts while it is normalised
FEWEST = 1024  # cells of a block


@dataclass(frozen=True)
class Plan:
    """Number of cells of a block, or None for expression that is read into memory, and what to print."""

    cells_per_block: int | None
    sentence: str


@dataclass(frozen=True)
class Budget:
    """Bytes that a step with K metagenes may use."""

    n_bytes: int
    n_metagenes: int

    def plan(self, adata: "AnnData", path: Path) -> Plan:
        """How to hold the expression of ``adata``, which was opened and not read.

        Raises ArgumentError if the budget is too small for the rest of the data.
        """
        arrays = [array for array in (adata.X, *adata.layers.values(), None if adata.raw is None else adata.raw.X)
                  if is_in_blocks(array)]
        other = PROCESS + adata.n_obs * (8 * STATES * self.n_metagenes + PER_CELL)
        if not arrays:
            return Plan(None, f"memory: {path.name} cannot be read in blocks of cells, so it is read into memory; use "
                              " CSR or dense expression in .h5ad or .zarr")
        size = adata.n_obs * sum(map(bytes_per_cell, arrays))
        if other + COPIES * size <= self.n_bytes:
            return Plan(None, f"memory: the expression takes {_text(size)} and is read into memory")
        per_cell = max(map(bytes_per_cell, arrays))
        cells = int(min(BYTES, (self.n_bytes - other) / BLOCKS) / max(per_cell, 1.0))
        if cells < min(FEWEST, adata.n_obs):
            least = other + BLOCKS * FEWEST * per_cell
            raise ArgumentError(f"{adata.n_obs:,} cells with {self.n_metagenes} metagenes take about {_text(least)}, "
                                f"even if the expression stays in {path.name}, but {_text(self.n_bytes)} are allowed.",
                                "Give more with {memory}, or fit fewer metagenes.")
        return Plan(cells, f"memory: {_text(self.n_bytes)}, of which states, names and neighbours take about "
                           f"{_text(other)}; the expression ({_text(size)}) stays in {path.name} and is read in blocks "
                           f"of {min(cells, adata.n_obs):,} cells")


def _text(n_bytes):
    return f"{n_bytes / GIB:.1f} GiB" if n_bytes >= GIB else f"{n_bytes / MIB:.0f} MiB"
