"""The finished tiles of a run that is under way: a hidden folder next to the result, one file a tile.

A file appears when it is whole, so whatever stops a run, what lies there is right, and the run goes on with the rest.
The folder is the user's own (mode 0700) and locked for as long as a run works in it. What was learned of the scene lies
in `job.safetensors`, whose header holds what the run was asked for; every tile has the checksum of that file in its
name, so that tiles of another call are never mixed in.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hypersharp.errors import CallError, InputError, OutputError
from hypersharp.pair.tiling import Tiling
from hypersharp.stored import Pixels
from hypersharp.system.atomic import check_parent, hidden_name, output_error
from hypersharp.system.elsewhere import address_of
from hypersharp.system.lock import FILE, Lock, holder, take_lock
from hypersharp.tiles.values import read_metadata

JOB = "job.safetensors"
Kind = Literal["sharp", "half-width"]


def folder_for(out: Path) -> Path:
    """Where the tiles of a result lie until it is whole: beside it; here, if it is to lie in object storage."""
    return (out.parent if address_of(out) is None else Path()) / f"{hidden_name(out.name)}.tiles"


@dataclass(frozen=True)
class Tiles:
    """The tiles of one job in a folder; `identity`: the checksum of the file that the job lies in."""

    folder: Path
    identity: str

    @classmethod
    def of(cls, folder: Path) -> Tiles:
        return cls(folder, sha256((folder / JOB).read_bytes()).hexdigest()[:16])

    @property
    def job(self) -> Path:
        return self.folder / JOB

    def path(self, number: int, kind: Kind = "sharp") -> Path:
        """Of a tile of the result, or of its half-widths, which is written before it."""
        return self.folder / f"{number:06d}{'' if kind == 'sharp' else '-' + kind}.{self.identity}.npy"

    def finished(self, count: int) -> set[int]:
        """Numbers of the tiles that are there."""
        return {number for number in range(count) if self.path(number).exists()}


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


class Store:
    """The locked folder of a run; `is_learned`: whether what an interrupted run learned lies there.

    Raises, as it is opened: CallError while another run works there, where tiles of an earlier run are there and it is
    not to be resumed, or was another call; OutputError where the folder cannot be made or is not the user's own.
    """

    def __init__(self, out: Path, call: dict[str, Any], *, resume: bool) -> None:
        self.folder, self.call = folder_for(out), json.dumps(call, indent=1, sort_keys=True)
        check_parent(self.folder)
        self.lock = lock_folder(self.folder, out)
        self.is_learned = (self.folder / JOB).exists()
        try:
            if self.is_learned:
                if not resume:
                    found = f"the tiles of an unfinished run in {self.folder}"
                    raise CallError(found, "a fresh start", "add --resume to go on with them, or remove that folder")
                asked, before = json.loads(self.call), json.loads(read_metadata(self.folder / JOB).get("call", "{}"))
                if before != asked:
                    differs = ", ".join(sorted(name for name in before | call if before.get(name) != asked.get(name)))
                    found = f"tiles of a run that differs in {differs}"
                    do = f"repeat that call, or remove {self.folder}"
                    raise CallError(found, "the same call with the same files", do)
        except BaseException:
            self.lock.release()
            raise
        for path in self.folder.iterdir():  # of a dead run: all of it, or what it was just writing
            if path.name != FILE and (not self.is_learned or path.suffix == ".partial"):
                path.unlink()

    def give_up(self) -> None:
        """Let others begin; what was learned stays, if anything was."""
        if (self.folder / JOB).exists():
            self.lock.release()
        else:
            self.clear()

    def clear(self) -> None:
        """Remove the folder, and let others begin."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.lock.release()


def lock_folder(folder: Path, out: Path) -> Lock:
    """The lock of the folder, which is made if it is missing. Raises: CallError, OutputError as `Store`."""
    while True:
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            check_own(folder)
            lock = take_lock(folder / FILE)
        except FileNotFoundError:  # another run ended, and removed it
            continue
        except OSError as error:
            raise output_error(folder, error) from error
        if lock is None:
            found = f"another run that writes {out} ({holder(folder / FILE)})"
            raise CallError(found, "one run at a time for an output", "wait until it has ended, or write elsewhere")
        return lock


def check_own(folder: Path) -> None:
    """Raise an OutputError where others than this user may write into a folder, or own what lies there."""
    if not hasattr(os, "getuid"):  # Windows
        return
    for path in (folder, *folder.iterdir()):
        found = path.lstat()
        is_folder = path == folder
        right_kind = stat.S_ISDIR(found.st_mode) if is_folder else stat.S_ISREG(found.st_mode)
        open_to_others = is_folder and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if found.st_uid != os.getuid() or open_to_others or not right_kind:
            what = f"{path}, which another user owns or may change"
            raise OutputError(what, "a folder of this user alone (mode 0700)", f"remove {folder}, or write elsewhere")


class FinishedTiles(Pixels):
    """The result, or another `kind` of image made with it, (band, y, x) as far as it is asked for.

    Reading waits for tiles that are not finished yet.
    """

    def __init__(
        self, tiles: Tiles, tiling: Tiling, bands: int, dtype: Any, progress: TileProgress, kind: Kind = "sharp"
    ) -> None:
        height, width = (size * tiling.ratio for size in tiling.shape_yx)
        super().__init__((bands, height, width), dtype)
        self.tiles, self.tiling, self.progress, self.kind = tiles, tiling, progress, kind

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        wanted = np.empty((len(bands), rows.stop - rows.start, columns.stop - columns.start), self.dtype)
        for number in self.tiling.over(rows, columns):
            self.progress.wait_for(number)
            y, x, height, width = (length * self.tiling.ratio for length in self.tiling[number].core)
            y0, y1 = max(y, rows.start), min(y + height, rows.stop)
            x0, x1 = max(x, columns.start), min(x + width, columns.stop)
            tile = self.tile(number, (self.shape[0], height, width))
            part = tile[:, y0 - y : y1 - y, x0 - x : x1 - x]
            place = slice(y0 - rows.start, y1 - rows.start), slice(x0 - columns.start, x1 - columns.start)
            wanted[(slice(None), *place)] = part if len(bands) == len(tile) else part[bands]
        return wanted

    def tile(self, number: int, shape: tuple[int, ...]) -> np.ndarray:
        """A finished tile. Raises: InputError for a file that is not what this run wrote."""
        path = self.tiles.path(number, self.kind)
        try:
            tile: np.ndarray = np.load(path, mmap_mode="r")  # which unpickles nothing
        except (OSError, ValueError) as exc:
            raise InputError(f"{path} unreadable ({exc})", "the tile that was written", f"remove {path}") from exc
        if tile.shape != shape or tile.dtype != self.dtype:
            found = f"{path} of {tile.dtype} {tile.shape}"
            raise InputError(found, f"{self.dtype} {shape}", f"remove {path}, then repeat the call with --resume")
        return tile


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
        with self.ended_by_errors():
            self.report(len(self.finished) / self.count)

    def fail(self, error: BaseException) -> None:
        with self.changed:
            if isinstance(error, OSError):  # a disk that is full, or cannot be written
                error = resumable(output_error(self.out, error))
            self.failure = self.failure or error
            self.changed.notify_all()

    @contextmanager
    def ended_by_errors(self) -> Iterator[None]:
        """What ends the block ends the waiting of other threads too."""
        try:
            yield
        except BaseException as error:
            self.fail(error)
            raise

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
