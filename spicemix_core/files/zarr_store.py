"""Zarr stores that lead to other files, ask for pickles or claim too much; they are refused before they are read."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spicemix_core.files.outside import check_folder

CHUNKS, BYTES = 100_000, 2**31  # that an array may claim in any case: a chunk of one repeated value needs no file
CHUNKS_PER_FILE, COMPRESSION = 100, 2000  # otherwise, at most so many times what the store has


def check_zarr(folder: Path) -> None:
    """Refuse a zarr store that it would be harmful to read.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    ValueError
        A part of the store is a link or no file, its metadata cannot be parsed or ask for pickled objects, or an array
        claims so many chunks or numbers that the files of the store cannot hold them.
    """
    n_files, n_bytes = check_folder(folder)
    for name in (".zarray", ".zmetadata", "zarr.json"):
        for path in folder.rglob(name):
            for part in _objects(_parsed(path)):
                if any(str(part.get(key)).lower().rpartition(".")[2] == "pickle" for key in ("id", "name")):
                    raise ValueError(f"{path} asks for pickled objects, which are never loaded; write the data again "
                                     "with write_zarr.")
                n_chunks, claimed = _claims(part)
                if n_chunks > max(CHUNKS, CHUNKS_PER_FILE * n_files):
                    raise ValueError(f"{path} claims {n_chunks} chunks, but the store has {n_files} files; copy or "
                                     "write it again, with larger chunks.")
                if claimed > max(BYTES, COMPRESSION * n_bytes):
                    raise ValueError(f"{path} claims more numbers than the store can hold; copy or write it again.")


def _parsed(path):
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged, it is not metadata in JSON ({error}); copy or write it again.") from error


def _objects(value: Any) -> Iterator[dict]:
    """All objects in parsed JSON."""
    todo = [value]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            yield value
            todo += value.values()
        elif isinstance(value, list):
            todo += value


def _claims(part):
    """Numbers of chunks and of bytes of an array; zeros for metadata that describe no array, or an impossible one."""
    grid = part.get("chunk_grid")  # of version 3
    inside = grid.get("configuration") if isinstance(grid, dict) else None
    shape, chunks = part.get("shape"), inside.get("chunk_shape") if isinstance(inside, dict) else part.get("chunks")
    if not (_are_sizes(shape) and _are_sizes(chunks)) or len(shape) != len(chunks) or 0 in chunks:
        return 0, 0
    return math.prod(-(-n // size) for n, size in zip(shape, chunks, strict=True)), math.prod(shape) * _item_size(part)


def _are_sizes(value):
    return isinstance(value, list) and all(isinstance(n, int) and n >= 0 for n in value)


def _item_size(part):
    """Bytes of an entry; types of no stated length count as numbers in double precision."""
    kind = part.get("data_type", part.get("dtype"))
    if isinstance(kind, dict):
        length = (kind.get("configuration") or {}).get("length_bytes")
        return length if isinstance(length, int) else 8
    stated = re.fullmatch(r"[<>|=]?([A-Za-z])(\d+)", str(kind))  # "<f8", "<U30", ...
    return int(stated[2]) * (4 if stated[1] == "U" else 1) if stated else 8
