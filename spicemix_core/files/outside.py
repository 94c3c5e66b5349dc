"""Files and folders that lead to other files; they are refused before anything is read.

An HDF5 file can name other files in its links, in datasets with external storage and in virtual datasets, and a folder
can hold symbolic links. A reader that followed them would copy files of its user into the output, or wait for a pipe
without an end.
"""

import os
import stat
from pathlib import Path

import h5py


def check_part(path: Path) -> None:
    """Refuse a part of a folder that is a symbolic link, or neither a file nor a folder; nothing there passes.

    Raises
    ------
    ValueError
        The part is a link, a pipe, a device or a socket.
    """
    if not os.path.lexists(path):
        return
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        raise ValueError(f"{path} is a symbolic link, which is never read; put the file or folder itself there.")
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ValueError(f"{path} is a pipe, a device or a socket, which is never read; put a file there.")


def check_folder(folder: Path) -> tuple[int, int]:
    """Apply :func:`check_part` to everything in a folder, which may be a link itself.

    Returns
    -------
    n_files, n_bytes : int
        Number and total size of the files.
    """
    n_files = n_bytes = 0
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            check_part(Path(place, name))
        n_files += len(files)
        n_bytes += sum(os.path.getsize(Path(place, name)) for name in files)
    return n_files, n_bytes


def leads_outside(file: h5py.File) -> str | None:
    """What in an HDF5 file leads to another file, or could; None if it holds all of its content.

    Nothing is opened that is reached by a link. AnnData and this package write no soft links, which are refused too.
    """
    def of_link(name, info):
        kind = f"{name.decode(errors='replace')} is a soft or external link"
        return None if info.type == h5py.h5l.TYPE_HARD else kind

    def of_item(name, item):
        if not isinstance(item, h5py.Dataset):
            return None
        storage = item.id.get_create_plist()
        outside = storage.get_layout() == h5py.h5d.VIRTUAL or storage.get_external_count()
        return f"the content of {name} lies elsewhere" if outside else None

    return file.id.links.visit(of_link, info=True) or file.visititems(of_item)
