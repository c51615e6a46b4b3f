"""The finished tiles of a run that is under way: a hidden folder next to the result, one file a tile.

A file appears when it is whole, so whatever stops a run, what lies there is right, and the run goes on with the rest.
`call.json` holds what the run was asked for; tiles of another call are never mixed in.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hypersharp.errors import CallError, OutputError
from hypersharp.stored import Pixels
from hypersharp.system.atomic import check_parent, make_folder, output_error
from hypersharp.tiles.plan import Tiling

CALL, JOB = "call.json", "job.pickle"
Kind = Literal["sharp", "half-width"]


def folder_for(out: Path) -> Path:
    """Where the tiles of a result lie until it is whole."""
    return out.parent / f".{out.name}.tiles"


def tile_path(folder: Path, number: int, kind: Kind = "sharp") -> Path:
    """Of a tile of the result, or of its half-widths, which is written before it."""
    return folder / f"{number:06d}{'' if kind == 'sharp' else '-' + kind}.npy"


def write_whole(path: Path, content: bytes | np.ndarray) -> None:
    """The file appears when it is whole; OSError where it cannot be written, and nothing is left then."""
    partial = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.partial")
    try:
        with partial.open("wb") as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                np.save(file, content)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        if error.errno is None:  # numpy reports how much it could not write, not why
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise


def open_store(out: Path, call: dict[str, Any], *, resume: bool) -> Path:
    """The folder for a result's tiles: new, or that of the interrupted run of the same call.

    Raises: CallError where tiles of an earlier run are there and it is not to be resumed, or was another call.
    OutputError where it cannot be made.
    """
    check_parent(out)
    folder, asked = folder_for(out), json.dumps(call, indent=1, sort_keys=True)
    stored = folder / CALL
    if not (folder / JOB).exists():  # nothing was learned yet, so nothing is lost
        shutil.rmtree(folder, ignore_errors=True)
        make_folder(folder)
        write_whole(stored, asked.encode())
    elif not resume:
        found = f"the tiles of an unfinished run in {folder}"
        raise CallError(found, "a fresh start", "add --resume to go on with them, or remove that folder")
    elif stored.read_text() != asked:
        before = json.loads(stored.read_text())
        differs = ", ".join(sorted(name for name in before | call if before.get(name) != call.get(name)))
        found = f"tiles of a run that differs in {differs}"
        raise CallError(found, "the same call with the same files", f"repeat that call, or remove {folder}")
    return folder


class FinishedTiles(Pixels):
    """The result, or another `kind` of image made with it, (band, y, x) as far as it is asked for.

    Reading waits for tiles that are not finished yet.
    """

    def __init__(
        self, folder: Path, tiling: Tiling, bands: int, dtype: Any, progress: TileProgress, kind: Kind = "sharp"
    ) -> None:
        height, width = (size * tiling.ratio for size in tiling.shape_yx)
        super().__init__((bands, height, width), dtype)
        self.folder, self.tiling, self.progress, self.kind = folder, tiling, progress, kind

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        wanted = np.empty((len(bands), rows.stop - rows.start, columns.stop - columns.start), self.dtype)
        for number in self.tiling.over(rows, columns):
            self.progress.wait_for(number)
            y, x, height, width = (length * self.tiling.ratio for length in self.tiling[number].core)
            y0, y1 = max(y, rows.start), min(y + height, rows.stop)
            x0, x1 = max(x, columns.start), min(x + width, columns.stop)
            tile = np.load(tile_path(self.folder, number, self.kind), mmap_mode="r")
            part = tile[:, y0 - y : y1 - y, x0 - x : x1 - x]
            place = slice(y0 - rows.start, y1 - rows.start), slice(x0 - columns.start, x1 - columns.start)
            wanted[(slice(None), *place)] = part if len(bands) == len(tile) else part[bands]
        return wanted


class TileProgress:
    """Which of `count` tiles are finished; whoever needs one waits, or gets its error."""

    failure: BaseException | None = None

    def __init__(self, out: Path, finished: set[int], count: int, report: Callable[[float], None]) -> None:
        self.out, self.finished, self.count, self.report = out, finished, count, report
        self.changed = threading.Condition()
        self.kept: list[object] = []  # as long as the run goes on

    def finish(self, number: int) -> None:
        with self.changed:
            self.finished.add(number)
            self.changed.notify_all()
        self.report(len(self.finished) / self.count)

    def fail(self, error: BaseException) -> None:
        with self.changed:
            if isinstance(error, OSError):  # a disk that is full, or cannot be written
                error = resumable(output_error(self.out, error))
            self.failure = self.failure or error
            self.changed.notify_all()

    def wait_for(self, number: int) -> None:
        with self.changed:
            self.changed.wait_for(lambda: number in self.finished or self.failure is not None)
            if number not in self.finished and self.failure is not None:
                raise self.failure


def resumable(error: OutputError) -> OutputError:
    """The error with what is kept and how to go on."""
    again = "then repeat the call with --resume"
    if again in error.do:
        return error
    do = error.do.removesuffix(", or write elsewhere")
    return OutputError(error.found, f"{error.expected}; the finished tiles are kept", f"{do}, {again}")


def finished_tiles(folder: Path, count: int) -> set[int]:
    """Numbers of the tiles that are there."""
    return {number for number in range(count) if tile_path(folder, number).exists()}
