"""Output files appear whole or not at all.

A writer works in a hidden folder next to the target (so on the same disk) and may make several files
there; they are moved into place at the end, and if one move fails the earlier ones are taken back. It holds a lock
meanwhile: what a killed process left is known by that, and taken away by the next one that writes the same target.

A link is written through: what it leads to is replaced, and the hidden folder lies there. What GDAL keeps beside an
image by its name (statistics, overviews, a mask, maybe a CRS) would be read with the new one: it goes with the old.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from hypersharp.errors import OutputError, first_line
from hypersharp.system.lock import FILE, Lock, take_lock
from hypersharp.system.read_errors import real_path

LONGEST_NAME = 200  # bytes: beyond, a hidden name beside a file has to be shorter than the file's own
NEXT_TO_NOTHING_BYTES = 2**18
BESIDE = (".aux.xml", ".ovr", ".msk", ".msk.ovr")  # after the name of an image, what GDAL keeps of it


def make_folder(folder: Path) -> Path:
    """The folder, made with its parents if it is missing.

    Raises: OutputError where that cannot be done.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        found = f"{folder}, which cannot be made ({exc.strerror})"
        raise OutputError(found, "a writable folder", "choose another") from exc
    return folder


def check_parent(path: Path) -> None:
    """Raise an OutputError if nothing can be made in the folder that is to hold `path`."""
    parent = through(path).parent
    if not parent.is_dir():
        raise OutputError(f"no folder {parent}", "a folder that exists", f"mkdir -p {parent}, or write elsewhere")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {parent}, which is read-only", "a writable folder", "write elsewhere")


def through(path: Path) -> Path:
    """What a link leads to, whether it is there or not; any other path as it is."""
    return real_path(path) if path.is_symlink() else path


@contextmanager
def staged(path: Path, *, first_stays: bool = False, gone: Collection[Path] = ()) -> Iterator[Path]:
    """A place to write `path` (and siblings of it) that is moved onto it when the block ends well.

    first_stays: `path` is a folder that several processes make alike; the first one's is never moved, others read it.
    gone: files that describe what stood there, and are taken away with it.

    Raises:
        OutputError: the disk is full or the folder cannot be written; what stood there is as it was.
    """
    check_parent(path)
    staging = lock = None
    try:
        staging, lock = locked_folder(through(path).with_name(path.name))
        yield staging / path.name
        if not first_stays:
            made = _move_all(staging, path.parent)
            _clear(made, gone)
        else:
            try:
                (staging / path.name).rename(path)  # in one step, and never over a folder that holds something
            except OSError:
                if not path.is_dir():
                    raise
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        if staging is not None and lock is not None:
            shutil.rmtree(staging, ignore_errors=True)
            lock.release()


def hidden_name(name: str) -> str:
    """The beginning of hidden names beside a file of that name; short enough for a file system, whatever the name.

    >>> hidden_name("sharp.tif"), len(hidden_name("x" * 255))
    ('.sharp.tif', 201)
    """
    if len(os.fsencode(name)) <= LONGEST_NAME:
        return f".{name}"
    whole = sha256(os.fsencode(name)).hexdigest()[:16]
    return f".{os.fsdecode(os.fsencode(name)[: LONGEST_NAME - 17])}-{whole}"


def locked_folder(path: Path) -> tuple[Path, Lock]:
    """A new hidden folder beside `path`, for this process alone, and the lock that says that it lives.

    Those in which a process worked that is no more are taken away.
    """
    beginning = f"{hidden_name(path.name)}."
    left = (entry for entry in path.parent.iterdir() if entry.name.startswith(beginning) and entry.suffix == ".partial")
    for folder in left:
        with suppress(OSError):  # another user's, or gone
            lock = take_lock(folder / FILE)
            if lock is not None:
                if not lock.unsure:
                    shutil.rmtree(folder, ignore_errors=True)
                lock.release()
    while True:
        folder = Path(tempfile.mkdtemp(prefix=beginning, suffix=".partial", dir=path.parent))
        with suppress(FileNotFoundError):  # somebody took it for a dead process's before it was locked
            if lock := take_lock(folder / FILE):
                return folder, lock


def _move_all(staging: Path, parent: Path) -> list[Path]:
    """Move all that lies in `staging` into `parent`, or nothing: one file in one step, several with a way back.

    Returns: where each has gone, by the name it has there, and where a link of that name leads.
    """
    made = sorted(entry for entry in staging.iterdir() if entry.name != FILE)
    targets = {entry: through(parent / entry.name) for entry in made}
    places = list(dict.fromkeys(place for entry in made for place in (parent / entry.name, targets[entry])))
    if len(made) == 1 and not made[0].is_dir():
        os.replace(made[0], targets[made[0]])
        return places
    backup = Path(tempfile.mkdtemp(prefix=".", suffix=".replaced", dir=staging.parent))
    touched: list[Path] = []
    try:
        for entry in made:
            touched.append(entry)
            if os.path.lexists(targets[entry]):
                os.replace(targets[entry], backup / entry.name)
            os.replace(entry, targets[entry])
    except OSError:
        for entry in reversed(touched):
            if not entry.exists():  # it had been moved into place
                os.replace(targets[entry], entry)
            if os.path.lexists(backup / entry.name):
                os.replace(backup / entry.name, targets[entry])
        backup.rmdir()  # fails, and so keeps the old files, unless all of them are back
        raise
    shutil.rmtree(backup, ignore_errors=True)
    return places


def _clear(made: Collection[Path], gone: Collection[Path]) -> None:
    """Take away what describes the images that stood where files were made: `gone`, and what GDAL keeps by their names.

    Raises: OutputError for one that cannot be.
    """
    names = {(place.parent, f"{place.name}{end}".lower()) for place in made for end in BESIDE}
    found = [*gone]
    for folder in {folder for folder, _ in names}:
        found += (Path(entry) for entry in os.scandir(folder) if (folder, entry.name.lower()) in names)
    for file in found:
        if not file.is_file() or any(file.samefile(place) for place in made if place.exists()):
            continue
        try:
            file.unlink()
        except OSError as error:
            what = f"{file}, which describes the image that was here before"
            raise OutputError(what, "it gone with that image", "remove it") from error


def check_room(path: Path, wanted_bytes: int) -> None:
    """Raise ENOSPC where a file may not fit: not every library survives a disk that fills up."""
    if shutil.disk_usage(path.parent).free < wanted_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def take_room(path: Path, wanted_bytes: int) -> None:
    """Let a file take its room on the disk now: one that fills up under a memory map ends the process.

    Raises: OSError where it does not fit.
    """
    with path.open("ab") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, wanted_bytes)
        else:  # macOS, Windows
            check_room(path, wanted_bytes)
            file.truncate(wanted_bytes)


def output_error(path: Path, error: OSError) -> OutputError:
    """What went wrong on writing, in this package's words."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    if error.errno is None:  # GDAL and numpy do not say why a write failed
        with suppress(OSError):
            full = shutil.disk_usage(path.parent).free < NEXT_TO_NOTHING_BYTES
    if error.errno == errno.ENOENT and error.filename and hidden_name(path.name) not in str(error.filename):
        found = f"{error.filename}, which {path} is made from, is not there any more"
        return OutputError(found, "the image it was opened as", "bring it back, or open another")
    if error.errno == errno.EXDEV:
        found = f"{path} that is written to two disks, for a link leads to another"
        return OutputError(found, "one folder, or links into one", "name what the link leads to")
    if full:
        return OutputError(f"no space left on the disk of {path}", "room for it", "free some, or write elsewhere")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"no permission to write {path}", "a writable folder", "write elsewhere")
    return OutputError(
        f"{path} unwritable ({error.strerror or first_line(error)})",
        "a disk that takes it",
        "free space, or write elsewhere",
    )
