"""Download the data that chapters need, once and before any chapter runs."""

import logging
import os
from urllib.parse import urlsplit

from _tools.inputs import registry


def fetch_data(data_sets: list[str]) -> None:
    """Download into the user's cache the data sets that are in no folder, with a line for each.

    Then chapters run without downloads: they find the data or use a twin, all of them alike, and their digests are of
    the files that they find. One address without a connection ends the downloads, because the others would make the
    reader wait as well. A file that is not the published one is a ValueError.
    """
    logging.getLogger("pooch").setLevel(logging.WARNING)
    for name in data_sets:
        if registry.offline() or registry.available(name) or not registry.entry(name)["downloads"]:
            continue
        print(f"{name}: downloading {described(registry.entry(name)['downloads'])}", flush=True)
        try:
            registry.locate(name)
        except registry.DataNotFoundError as failure:
            print(failure, flush=True)
            if getattr(failure.__cause__, "response", None) is None:
                break
    os.environ["SPICEMIX_OFFLINE"] = "1"


def described(downloads: list[dict]) -> str:
    """Size and place of some files: ``2.0 MB from github.com/xzhoulab/SRTsim-Analysis``."""
    size = sum(item.get("bytes", 0) for item in downloads) / 1e6
    places = dict.fromkeys("/".join([urlsplit(item["url"]).netloc, *urlsplit(item["url"]).path.split("/")[1:3]])
                           for item in downloads)
    return f"{size:.1f} MB from {' and '.join(places)}"
