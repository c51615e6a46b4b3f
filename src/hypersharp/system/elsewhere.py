"""Files that lie elsewhere: `https://`, `s3://`, `gs://` and GDAL's own `/vsi...` names, which GDAL reads by pieces."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypersharp.errors import InputError

PREFIXES = {"https": "/vsicurl/https://", "http": "/vsicurl/http://", "s3": "/vsis3/", "gs": "/vsigs/", "az": "/vsiaz/"}
ADDRESS = re.compile(r"(https?|s3|gs|az):/+(.+)")  # one slash is what a Path leaves of two
WAIT_S = 30
SETTINGS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_TIMEOUT": str(WAIT_S),
    "GDAL_HTTP_MAX_RETRY": "2",
}


def name_elsewhere(path: str | Path) -> str | None:
    """GDAL's name of a file that lies elsewhere; None for a path on this machine.

    >>> name_elsewhere(Path("https://host/a.tif")), name_elsewhere("s3://bucket/a.tif"), name_elsewhere(Path("a.tif"))
    ('/vsicurl/https://host/a.tif', '/vsis3/bucket/a.tif', None)
    """
    text = str(path)
    if found := ADDRESS.fullmatch(text):
        return PREFIXES[found[1]] + found[2]
    if text.startswith("/vsi") and not Path(text).exists():
        return re.sub(r"(?<=/)(https?):/+", r"\1://", text)
    return None


@contextmanager
def reaching(name: str) -> Iterator[None]:
    """GDAL's settings for a file that may lie elsewhere, so that it neither lists folders there nor waits for ever."""
    if not name.startswith(tuple(PREFIXES.values())):
        yield
        return
    from rasterio import Env

    with Env(**SETTINGS):
        yield


def fetched(path: Path, most_bytes: int) -> bytes:
    """The content of a small file at an address. Raises: InputError for one that is no address of the web; OSError."""
    from urllib.request import urlopen

    found = ADDRESS.fullmatch(str(path))
    if found is None or found[1] not in ("http", "https"):
        raise InputError(f"{path} elsewhere", "an https:// address for metadata", "download the file")
    with urlopen(f"{found[1]}://{found[2]}", timeout=WAIT_S) as answer:
        content: bytes = answer.read(most_bytes + 1)
        return content
