"""Files that lie elsewhere: `https://`, `s3://`, `gs://` and GDAL's own `/vsi...` names, which GDAL reads by pieces.

The environment variable HYPERSHARP_HOSTS limits them to the hosts and buckets that it lists, separated by commas; to
none where it is empty. The viewer sets it, for itself and for the processes that it starts.

A Zarr store is many objects, which fsspec reads and writes. Object storage moves nothing in one step: a store is
written under a hidden prefix beside its own, then copied within the storage, the objects that make it a store last; so
what is not whole does not open.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from hypersharp.errors import HypersharpError, InputError, OutputError, first_line, needs
from hypersharp.system.atomic import hidden_name

PREFIXES = {"https": "/vsicurl/https://", "http": "/vsicurl/http://", "s3": "/vsis3/", "gs": "/vsigs/", "az": "/vsiaz/"}
ADDRESS = re.compile(r"(https?|s3|gs|az):/+(.+)")  # one slash is what a Path leaves of two
NETWORK = re.compile(r"/vsi(curl|s3|gs|az|adls|oss|swift|hdfs|webhdfs)")
HOST = re.compile(r"[a-z0-9._-]+(:\d+)?")
HOSTS = "HYPERSHARP_HOSTS"
WRITTEN = ("s3", "gs", "az")  # object storage
ENDPOINT = "AWS_ENDPOINT_URL"  # of an S3 that is not Amazon's, as its own tools and libraries read it
WAIT_S = 30
PROVIDERS = {"botocore", "aiobotocore", "aiohttp", "gcsfs", "google", "azure", "adlfs"}  # whose errors come through
LAST_LOOKS, LOOK_S = 3, 0.5
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

    settings = dict(SETTINGS)
    if found := re.fullmatch(r"(https?)://([^/]+)/?", os.environ.get(ENDPOINT, "")):  # which GDAL does not read
        settings |= {"AWS_S3_ENDPOINT": found[2], "AWS_HTTPS": "YES" if found[1] == "https" else "NO"}
        settings["AWS_VIRTUAL_HOSTING"] = "FALSE"
    with Env(**settings):
        yield


def address_of(path: str | Path) -> str | None:
    """The address of a path in object storage; None for any other.

    >>> address_of(Path("s3://bucket/a.zarr")), address_of("https://host/a.tif"), address_of(Path("a.zarr"))
    ('s3://bucket/a.zarr', None, None)
    """
    found = ADDRESS.fullmatch(str(path))
    return f"{found[1]}://{found[2]}" if found and found[1] in WRITTEN else None


@contextmanager
def storage(path: Path, kind: type[InputError] | type[OutputError] = InputError) -> Iterator[tuple[Any, str]]:
    """fsspec's file system for an address, and the name there; its errors become ours, of that kind.

    Raises: MissingExtraError; InputError or OutputError where the storage does not answer, or refuses.
    """
    with needs("object storage", "cloud"):
        import fsspec

        check_allowed(name_elsewhere(path) or "")
        files, name = fsspec.core.url_to_fs(address_of(path))
    files.invalidate_cache()
    try:
        yield files, name
    except HypersharpError:
        raise
    except Exception as error:  # of OSError and of each provider's own library
        if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] not in PROVIDERS:
            raise
        found = f"{address_of(path)} out of reach ({first_line(error)[:120]})"
        do = f"check its name, your credentials and {ENDPOINT}"
        raise kind(found, "a bucket that you may use", do) from error


def check_writable(path: Path) -> None:
    """Raise an OutputError where nothing can be written beside an address: an empty object is, and is taken away."""
    with storage(path, OutputError) as (files, name):
        probe = hidden(name)
        files.pipe_file(probe, b"")
        files.rm_file(probe)


def hidden(name: str) -> str:
    """A new name beside another, for what is not whole yet."""
    parent, _, own = name.rpartition("/")
    return f"{parent}/{hidden_name(own)}.{uuid4().hex[:8]}.partial"


@contextmanager
def staged_elsewhere(path: Path, marks: Collection[str]) -> Iterator[Path]:
    """A hidden address at which to write a store that is copied to `path` when the block ends well, its `marks` last.

    marks: names of the objects right in the store without which it is none.

    Raises: OutputError as `storage`; what stood there stays as long as the block runs.
    """
    with storage(path, OutputError) as (files, name):
        staging, whole = hidden(name), False
        try:
            yield Path(f"{path.parts[0]}//{staging}")
            files.invalidate_cache()
            made = [key.removeprefix(f"{staging}/") for key in files.find(staging)]
            if files.exists(name):
                for mark in marks:
                    with suppress(FileNotFoundError):
                        files.rm_file(f"{name}/{mark}")
                files.rm(name, recursive=True)
            for part in ([key for key in made if key not in marks], [key for key in made if key in marks]):
                files.copy([f"{staging}/{key}" for key in part], [f"{name}/{key}" for key in part])
            whole = True
        finally:
            for _ in range(1 if whole else LAST_LOOKS):  # threads that had begun to write go on when one has failed
                files.invalidate_cache()
                with suppress(Exception):  # nothing was written yet, or the storage is gone
                    files.rm(staging, recursive=True)
                if not whole:
                    time.sleep(LOOK_S)


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
