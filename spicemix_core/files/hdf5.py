"""Writing HDF5 files so that a full disk is an error of this process, and not of the HDF5 library."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py


@contextmanager
def hdf5_in_memory(path: Path, **options: Any) -> Iterator[h5py.File]:
    """A new HDF5 file in memory, written to ``path`` at the end of the block.

    The HDF5 library keeps a file that it cannot write, and prints errors or crashes when it tries again later.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as target:
    ...     with hdf5_in_memory(Path(target.name)) as file:
    ...         file["numbers"] = [1, 2]
    ...     with h5py.File(target.name) as file:
    ...         file["numbers"][:].tolist()
    [1, 2]
    """
    with h5py.File("in memory", "w", driver="core", backing_store=False, **options) as file:
        yield file
        file.flush()
        path.write_bytes(file.id.get_file_image())
