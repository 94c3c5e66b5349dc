"""Where a data set's files are: found in a folder, or downloaded, and always checked against their checksums."""

import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path

import pooch
import requests

CONNECT_SECONDS, READ_SECONDS = 4, 60  # short, so that a page built without a network fails at once


class DataNotFoundError(FileNotFoundError):
    """A data set is in none of the folders searched and could not be downloaded."""


def registry_path() -> Path:
    """The registry beside this module (installed package) or in the checkout's ``data`` folder."""
    installed = Path(__file__).with_name("registry.json")
    return installed if installed.exists() else Path(__file__).parents[2] / "data" / "registry.json"


@lru_cache
def read_registry() -> dict:
    """The registry: per data set its citation, licence, file names, checksums and addresses."""
    return json.loads(registry_path().read_text(encoding="utf-8"))


def entry(name: str) -> dict:
    """The registry's entry of one data set; ValueError for an unknown name."""
    if name not in read_registry():
        raise ValueError(f"There is no data set {name!r}; the registry has {', '.join(read_registry())}.")
    return read_registry()[name]


def search_path() -> list[Path]:
    """Folders searched, in order: ``$SPICEMIX_DATA``, then the user's cache."""
    own = os.environ.get("SPICEMIX_DATA")
    return [*([Path(own)] if own else []), Path(pooch.os_cache("spicemix"))]


def available(name: str) -> bool:
    """Whether all files of a data set are in one of the folders searched; never touches the network."""
    return find(name) is not None


def locate(name: str, download: bool = True) -> tuple[str, Path]:
    """Find a data set, download it if allowed, and check every file.

    Parameters
    ----------
    name : str
        Name in the registry.
    download : bool
        Whether a download into the user's cache may be tried; never tried where the environment variable
        ``SPICEMIX_OFFLINE`` is set to anything but 0.

    Returns
    -------
    layout : {"compact", "original"}
        Which of the registry's layouts was found.
    folder : Path
        The folder that holds its files.

    Raises
    ------
    DataNotFoundError
        If the files are nowhere and cannot be had.
    ValueError
        If a file is truncated or its checksum differs.
    """
    found = find(name)
    if found is None:
        found = _download(name, download)
    layout, folder = found
    for file, facts in entry(name)["layouts"][layout]["files"].items():
        check_file(folder / file, facts)
    return layout, folder


def source(name: str, layout: str) -> dict:
    """What ``adata.uns["source"]`` says about a data set (strings and booleans only, so that it can be written)."""
    facts = entry(name)
    checksums = {file: known["sha256"] or "unknown" for file, known in facts["layouts"][layout]["files"].items()}
    told = {key: facts[key] for key in ("title", "measured", "citation", "licence", "origin", "found")}
    return {"name": name, **told, "layout": layout, "sha256": checksums}


def check_file(path: Path, facts: dict) -> None:
    """Compare a file with the registry's size and SHA-256; ValueError in one sentence if it differs."""
    content = Path(path).read_bytes()
    size = facts.get("bytes")
    if size and len(content) < size:
        raise ValueError(f"{path} is truncated ({len(content):,} of {size:,} bytes): delete it and fetch it again.")
    if facts["sha256"] and hashlib.sha256(content).hexdigest() != facts["sha256"]:
        raise ValueError(f"{path} is not the file that was published (its SHA-256 differs from the registry's "
                         f"{facts['sha256'][:12]}...): delete it and fetch it again.")


def find(name: str) -> tuple[str, Path] | None:
    """Layout and folder of the first complete copy of a data set in the folders searched; None if there is none."""
    for root in search_path():
        for layout, facts in entry(name)["layouts"].items():
            folder = root / facts["folder"]
            if all((folder / file).is_file() for file in facts["files"]):
                return layout, folder
    return None


def lacking(name: str) -> list[str]:
    """The files that are missing where one of the folders searched comes closest to being complete; [] if none is."""
    folders = [(root / facts["folder"], facts["files"]) for root in search_path()
               for facts in entry(name)["layouts"].values()]
    return min(([str(folder / file) for file in files if not (folder / file).is_file()] for folder, files in folders),
               key=len)


def _download(name: str, allowed: bool) -> tuple[str, Path]:
    offline = os.environ.get("SPICEMIX_OFFLINE", "0") not in ("", "0")
    if not entry(name)["downloads"]:
        raise _not_found(name, "it has no address to download from")
    if offline or not allowed:
        raise _not_found(name, "SPICEMIX_OFFLINE is set" if offline else "download=False")
    folder = search_path()[-1] / entry(name)["layouts"]["original"]["folder"]
    fetch = pooch.HTTPDownloader(timeout=(CONNECT_SECONDS, READ_SECONDS))
    for item in entry(name)["downloads"]:
        file = item["url"].rsplit("/", 1)[-1].split("?")[0]
        unpack = pooch.Unzip() if item.get("unpack") else None
        try:
            got = pooch.retrieve(item["url"], item["sha256"] and f"sha256:{item['sha256']}", file, folder,
                                 processor=unpack, downloader=fetch)
        except (requests.RequestException, OSError) as error:
            raise _not_found(name, f"{item['url']} gave {type(error).__name__}") from error
        except ValueError as error:  # pooch: the checksum differs; nothing was kept
            raise ValueError(f"{item['url']} no longer serves the file that was published (its SHA-256 differs from "
                             "the registry's), so it was not kept; place the files by hand.") from error
        if unpack:
            _keep_members(got, folder, entry(name)["layouts"]["original"]["files"])
        elif Path(got).read_bytes()[:200].lstrip().startswith(b"<"):
            os.remove(got)
            raise _not_found(name, f"{item['url']} gave a web page instead of the file")
    found = find(name)
    if found is None:
        raise _not_found(name, "the download did not hold all files")
    return found


def _keep_members(members: list[str], folder: Path, wanted: dict) -> None:
    for member in map(Path, members):
        if member.name in wanted:
            os.replace(member, folder / member.name)


def _not_found(name: str, reason: str) -> DataNotFoundError:
    layouts = entry(name)["layouts"].values()
    files = " or ".join(f"{facts['folder']}/{{{', '.join(_shorten(list(facts['files'])))}}}" for facts in layouts)
    missing = lacking(name)
    partly = f" (only {missing[0]} is missing)" if len(missing) == 1 else ""
    return DataNotFoundError(
        f"Data set {name!r} is in none of {', '.join(map(str, search_path()))}{partly} and was not downloaded "
        f"({reason}): set SPICEMIX_DATA to a folder that holds {files}, from {entry(name)['origin']}; data/README.md "
        "says how.")


def _shorten(files: list[str]) -> list[str]:
    return files if len(files) <= 4 else [*files[:2], "...", files[-1]]
