"""Other libraries' errors on broken files, and what they print on stderr, turned into one error of ours."""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import sys
import threading
import tokenize
import traceback
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from hypersharp.errors import InputError, first_line

# What the readers of numpy, scipy, h5py, h5netcdf, xarray, zarr and pillow raise on bytes that they do not expect.
READ_ERRORS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
LOCK, HOOKS = threading.Lock(), list[Any]()  # of the blocks that are being read


def check_regular(path: Path) -> None:
    """Raise an InputError where something else than a file or a folder is there: a pipe or a device may never end.

    Raises: OSError where nothing is there, or nothing that can be looked at.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(f"{path}, which is no regular file", "a file or a folder", "save it to a file first")


def real_path(path: Path) -> Path:
    """The absolute path with its links followed, where they do not go round in a circle."""
    return Path(os.path.realpath(path))


def check_within(folder: Path, beginning: str = "", *, deep: bool = True) -> None:
    """`check_regular` for all in a folder, or for what has a name that begins so: libraries open what they find there.

    Raises: InputError.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.lower().startswith(beginning.lower()):
                continue
            if not entry.is_file() and not entry.is_dir():
                with suppress(OSError):  # a link to nothing
                    check_regular(Path(entry))
            elif deep and entry.is_dir(follow_symlinks=False):
                check_within(Path(entry))


@contextmanager
def reading(path: Path, expected: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn the named errors of another library into an InputError about the file; pipes and devices are refused.

    No 'Exception ignored in ...' on stderr: rasterio and h5netcdf print it for broken files, through both hooks.
    """
    with suppress(OSError, ValueError):  # which the library words better
        check_regular(path)
    with LOCK:
        HOOKS.append((sys.unraisablehook, sys.excepthook))
        sys.unraisablehook, sys.excepthook = (lambda _: None, lambda *_: None)
    try:
        yield
    except MemoryError as error:
        found, do = f"{path} too large for memory", "read a window of it, or open it with lazy=True"
        raise InputError(found, expected, do) from error
    except errors as error:
        link: BaseException | None = error
        while link is not None:  # h5netcdf's half-made objects complain on stderr as they go: let them go in here
            traceback.clear_frames(link.__traceback__)
            link = link.__context__
        raise InputError(
            f"{path} unreadable ({first_line(error)[:120]})", expected, "check that the file is whole"
        ) from error
    finally:
        with LOCK:  # blocks of several threads may end in any order: the last one brings back the first one's hooks
            before = HOOKS.pop()
            if not HOOKS:
                sys.unraisablehook, sys.excepthook = before


@contextmanager
def quiet_libtiff() -> Iterator[None]:
    """Without the line that libtiff prints, past GDAL, for each block that a full disk does not take (Linux)."""
    with ExitStack() as stack:
        loaded = set[str]()
        with suppress(OSError):
            maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
            loaded = {line.split(maxsplit=5)[-1] for line in maps.splitlines() if "/libtiff" in line}
        for name in loaded:
            try:
                library = ctypes.CDLL(name)
            except OSError:  # replaced on disk meanwhile
                continue
            library.TIFFSetErrorHandler.restype = ctypes.c_void_p
            before = ctypes.c_void_p(library.TIFFSetErrorHandler(None))
            stack.callback(library.TIFFSetErrorHandler, before)
        yield
