"""Files that lie elsewhere: `https://`, `s3://`, `gs://` and GDAL's own `/vsi...` names, which GDAL reads by pieces.

The environment variable HYPERSHARP_HOSTS limits them to the hosts and buckets that it lists, separated by commas; to
none where it is empty. The viewer sets it, for itself and for the processes that it starts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypersharp.errors import InputError

PREFIXES = {"https": "/vsicurl/https://", "http": "/vsicurl/http://", "s3": "/vsis3/", "gs": "/vsigs/", "az": "/vsiaz/"}
ADDRESS = re.compile(r"(https?|s3|gs|az):/+(.+)")  # one slash is what a Path leaves of two
NETWORK = re.compile(r"/vsi(curl|s3|gs|az|adls|oss|swift|hdfs|webhdfs)")
HOST = re.compile(r"[a-z0-9._-]+(:\d+)?")
HOSTS = "HYPERSHARP_HOSTS"
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


def is_on_network(name: str) -> bool:
    """Whether a name of GDAL's is that of an address."""
    return name.startswith(tuple(PREFIXES.values()))


def check_allowed(name: str) -> None:
    """Raise an InputError for a name of GDAL's at a host, or in a bucket, that HYPERSHARP_HOSTS leaves out.

    What GDAL and Python might take for different hosts is none that is allowed.
    """
    listed = os.environ.get(HOSTS)
    if listed is None or not NETWORK.search(name):
        return
    allowed = [host.strip().lower() for host in listed.split(",") if host.strip()]
    prefix = next((prefix for prefix in PREFIXES.values() if name.startswith(prefix)), name)
    host = re.split(r"[/?#]", name.removeprefix(prefix), maxsplit=1)[0].lower()
    if not HOST.fullmatch(host) or host not in allowed:
        expected = f"one at {', '.join(allowed)}" if allowed else "an image on this machine"
        raise InputError(f"an address at {host[:60] or name[:60]!r}", expected, "allow that host, or download the file")


@contextmanager
def reaching(name: str) -> Iterator[None]:
    """GDAL's settings for a file that may lie elsewhere, so that it neither lists folders there nor waits for ever."""
    check_allowed(name)
    if not is_on_network(name):
        yield
        return
    from rasterio import Env

    with Env(**SETTINGS):
        yield


def fetched(path: Path, most_bytes: int) -> bytes:
    """The content of a small file at an address. Raises: InputError for one that is no address of the web; OSError."""
    from urllib.request import HTTPRedirectHandler, build_opener

    class Allowed(HTTPRedirectHandler):
        def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
            check_allowed(f"/vsicurl/{newurl}")
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    found = ADDRESS.fullmatch(str(path))
    if found is None or found[1] not in ("http", "https"):
        raise InputError(f"{path} elsewhere", "an https:// address for metadata", "download the file")
    check_allowed(PREFIXES[found[1]] + found[2])
    with build_opener(Allowed).open(f"{found[1]}://{found[2]}", timeout=WAIT_S) as answer:
        content: bytes = answer.read(most_bytes + 1)
        return content
