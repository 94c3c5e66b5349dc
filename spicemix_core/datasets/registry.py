"""Where the files of a data set are: found in a folder or downloaded, and always compared with their checksums."""

import json
import os
import zipfile
from functools import lru_cache
from pathlib import Path

import pooch

CONNECT_SECONDS, READ_SECONDS = 4, 60  # short, so that a page that is built without a network fails at once


class DataNotFoundError(FileNotFoundError):
    """A data set is in none of the folders searched and could not be downloaded.

    Examples
    --------
    >>> from spicemix_core import datasets
    >>> try:
    ...     adata = datasets.load_starmap(download=False)
    ... except datasets.DataNotFoundError:
    ...     adata = datasets.load_or_simulate_starmap(download=False)
    """


def registry_path() -> Path:
    """The registry next to this module (installed package) or in the checkout's ``data`` folder."""
    installed = Path(__file__).with_name("registry.json")
    return installed if installed.exists() else Path(__file__).parents[2] / "data" / "registry.json"


@lru_cache
def read_registry() -> dict:
    """The registry: citation, licence, file names, checksums and addresses of each data set."""
    return json.loads(registry_path().read_text(encoding="utf-8"))


def entry(name: str) -> dict:
    """The registry's entry of one data set; ValueError for an unknown name."""
    if name not in read_registry():
        raise ValueError(f"There is no data set {name!r}; choose one of {', '.join(read_registry())}.")
    return read_registry()[name]


def search_path() -> list[Path]:
    """Folders that are searched, in this order: ``$SPICEMIX_DATA``, the user's cache."""
    own = os.environ.get("SPICEMIX_DATA")
    return [*([Path(own)] if own else []), Path(pooch.os_cache("spicemix"))]


def available(name: str) -> bool:
    """Whether all files of a data set are in one of the folders searched. Nothing is downloaded.

    Parameters
    ----------
    name : {"seqfish_plus", "starmap", "synthetic_cortex", "synthetic_cortex_nmf", "synthetic_truth",
        "visium_dlpfc"}

    Returns
    -------
    bool

    Raises
    ------
    ValueError
        If there is no data set of this name.

    Examples
    --------
    >>> from spicemix_core import datasets
    >>> datasets.available("starmap") in (True, False)
    True
    """
    return find(name) is not None


def locate(name: str, download: bool = True) -> tuple[str, Path]:
    """Find a data set, download it if allowed, and check every file.

    Parameters
    ----------
    name : str
        Name in the registry.
    download : bool
        Whether the data set may be downloaded into the user's cache. It never is if the environment variable
        ``SPICEMIX_OFFLINE`` is set to anything but 0.

    Returns
    -------
    layout : {"compact", "original"}
        Which of the registry's layouts was found.
    folder : Path
        Folder with the files.

    Raises
    ------
    DataNotFoundError
        If the files are in none of the folders and cannot be downloaded.
    ValueError
        If a file is truncated or its checksum differs.
    """
    layout, folder = find(name) or _download(name, download)
    for file, facts in entry(name)["layouts"][layout]["files"].items():
        check_file(folder / file, facts)
    return layout, folder


def source(name: str, layout: str) -> dict:
    """What ``adata.uns["source"]`` says about a data set; text and booleans only, so that it can be written."""
    facts = entry(name)
    checksums = {file: known["sha256"] for file, known in facts["layouts"][layout]["files"].items()}
    kept = {key: facts[key] for key in ("title", "measured", "citation", "licence", "origin", "found")}
    return {"name": name, **kept, "layout": layout, "sha256": checksums}


def check_file(path: Path, facts: dict) -> None:
    """Compare a file with the registry's size and SHA-256; ValueError if it differs."""
    size, expected = Path(path).stat().st_size, facts.get("bytes")
    if expected and size < expected:
        raise ValueError(f"{path} is truncated ({size:,} of {expected:,} bytes); delete it and fetch it again.")
    if pooch.file_hash(path) != facts["sha256"]:
        raise ValueError(f"{path} is not the file that was published (its SHA-256 differs from the registry's "
                         f"{facts['sha256'][:12]}...); delete it and fetch it again.")


def find(name: str) -> tuple[str, Path] | None:
    """Layout and folder of the first complete copy of a data set in the folders searched; None if there is none."""
    for root in search_path():
        for layout, facts in entry(name)["layouts"].items():
            folder = root / facts["folder"]
            if all((folder / file).is_file() for file in facts["files"]):
                return layout, folder
    return None


def lacking(name: str) -> list[str]:
    """The files that are missing from the most complete copy in the folders searched; [] if a copy is complete."""
    folders = [(root / facts["folder"], facts["files"]) for root in search_path()
               for facts in entry(name)["layouts"].values()]
    return min(([str(folder / file) for file in files if not (folder / file).is_file()] for folder, files in folders),
               key=len)


def offline() -> bool:
    """Whether the environment variable ``SPICEMIX_OFFLINE`` forbids downloads."""
    return os.environ.get("SPICEMIX_OFFLINE", "0") not in ("", "0")


def shipped(name: str, file: str) -> Path:
    """A file of a data set that is shipped with the package, checked; ValueError if it was changed."""
    path = registry_path().with_name(file)
    check_file(path, entry(name)["shipped"][file])
    return path


def _download(name: str, allowed: bool) -> tuple[str, Path]:
    items = {item["url"].rsplit("/", 1)[-1]: item for item in entry(name)["downloads"]}
    if not items:
        raise _not_found(name, "it has no address to download from")
    if offline() or not allowed:
        raise _not_found(name, "SPICEMIX_OFFLINE is set" if offline() else "download=False")
    original = entry(name)["layouts"]["original"]
    store = pooch.create(search_path()[-1] / original["folder"], base_url="",
                         registry={file: item["sha256"] for file, item in items.items()},
                         urls={file: item["url"] for file, item in items.items()})
    for file, item in items.items():
        got = _fetch(name, store, file)
        if item.get("unpack"):
            _unpack(got, set(original["files"]))
    found = find(name)
    if found is None:
        raise _not_found(name, "the download did not contain all files")
    return found


def _fetch(name: str, store: pooch.Pooch, file: str) -> Path:
    """Download one file into the cache, unless it is there; a file takes its name only when its checksum is right."""
    url = store.urls[file]
    try:
        return Path(store.fetch(file, downloader=pooch.HTTPDownloader(timeout=(CONNECT_SECONDS, READ_SECONDS))))
    except OSError as error:  # errors of requests included
        answer = getattr(error, "response", None)
        reason = type(error).__name__ if answer is None else f"{answer.status_code} {answer.reason}"
        raise _not_found(name, f"{url} gave {reason}") from error
    except ValueError as error:  # the checksum differs, and pooch has removed the file
        raise ValueError(f"{url} no longer serves the file that was published, or its download was cut short (the "
                         "SHA-256 differs from the registry's), so it was not kept. Try again, or put the files in "
                         "place by hand.") from error


def _unpack(archive: Path, wanted: set[str]) -> None:
    """Write the wanted members of an archive next to it; each takes its name only when it is complete."""
    with zipfile.ZipFile(archive) as content:
        for member in content.infolist():
            if (name := Path(member.filename).name) in wanted:
                partial = archive.with_name(f"{name}.{os.getpid()}.partial")
                try:
                    partial.write_bytes(content.read(member))
                    partial.replace(archive.with_name(name))
                finally:
                    partial.unlink(missing_ok=True)


def _not_found(name: str, reason: str) -> DataNotFoundError:
    layouts = entry(name)["layouts"].values()
    files = " or ".join(f"{facts['folder']}/{{{', '.join(_shorten(list(facts['files'])))}}}" for facts in layouts)
    missing = lacking(name)
    partly = f" (only {missing[0]} is missing)" if len(missing) == 1 else ""
    return DataNotFoundError(
        f"Data set {name!r} is in none of {', '.join(map(str, search_path()))}{partly} and was not downloaded "
        f"({reason}); set SPICEMIX_DATA to a folder that holds {files}, from {entry(name)['origin']}. See "
        "data/README.md.")


def _shorten(files: list[str]) -> list[str]:
    return files if len(files) <= 4 else [*files[:2], "...", files[-1]]
