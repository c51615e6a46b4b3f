"""Other libraries' errors, and what they say on stderr besides, turned into one error of ours."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypersharp.errors import InputError


@contextmanager
def foreign(path: Path, expected: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn the named errors of another library into an InputError about the file."""
    with _quiet():
        try:
            yield
        except MemoryError as error:
            found, do = f"{path} too large for memory", "read a window of it, or open it with lazy=True"
            raise InputError(found, expected, do) from error
        except errors as error:
            _drop_locals(error)
            lines = str(error).strip().splitlines()
            reason = lines[0][:120] if lines else type(error).__name__
            raise InputError(f"{path} unreadable ({reason})", expected, "check that the file is whole") from error


def _drop_locals(error: BaseException) -> None:
    """Let go of half-made objects now: h5netcdf's complain on stderr when they go, which is kept quiet here."""
    link: BaseException | None = error
    while link is not None:
        traceback.clear_frames(link.__traceback__)
        link = link.__context__


class _Hook:
    """How many blocks want quiet, and the hooks to return to."""

    lock = threading.Lock()
    depth = 0
    before: Any = None


@contextmanager
def _quiet() -> Iterator[None]:
    """No 'Exception ignored in ...' on stderr: rasterio and h5netcdf print it for broken files."""
    with _Hook.lock:
        if _Hook.depth == 0:
            _Hook.before = sys.unraisablehook, sys.excepthook
            sys.unraisablehook, sys.excepthook = (lambda _: None, lambda *_: None)  # rasterio prints through both
        _Hook.depth += 1
    try:
        yield
    finally:
        with _Hook.lock:
            _Hook.depth -= 1
            if _Hook.depth == 0:
                sys.unraisablehook, sys.excepthook = _Hook.before
