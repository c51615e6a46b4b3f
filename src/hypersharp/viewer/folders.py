"""The folders that a viewer may read and write, and nothing outside of them, whatever a path or a link says.

Downloads come from them, uploads go whole into the first; both as files, in pieces.
"""

import os
import re
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Self

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, stream_request_body

from hypersharp.errors import CallError, HypersharpError, InputError
from hypersharp.io.format import BY_SUFFIX, suffixes
from hypersharp.products.files import split_part
from hypersharp.products.table import seems_product
from hypersharp.system.atomic import locked_folder
from hypersharp.system.elsewhere import ADDRESS, check_allowed, is_on_network, name_elsewhere
from hypersharp.system.lock import Lock
from hypersharp.system.read_errors import reading
from hypersharp.viewer.bounds import PIECE, TransferHandler

PLAIN_NAME = re.compile(r"[\w][\w .()+-]{0,150}")
LONGEST_NAME, MOST_LISTED = 255, 500
BUSY = "too many files are on their way: wait a little"
FULL = "no space left on the disk of the viewer"


@dataclass(frozen=True)
class Folders:
    """Resolved folders; the first takes uploads and results."""

    roots: tuple[Path, ...]

    @classmethod
    def of(cls, folders: Iterable[Path]) -> Self:
        """The folders named. Raises: InputError for one that is not there."""
        found = []
        for folder in folders:
            if not folder.is_dir():
                raise InputError(f"no folder {folder}", "a folder that exists", "check --folder")
            found.append(folder.resolve())
        return cls(tuple(dict.fromkeys(found)))

    def inside(self, path: Path) -> Path:
        """The path, links followed, if in a folder. Raises: InputError, with nothing about what is there."""
        try:
            real = path.resolve()
        except (OSError, ValueError, RuntimeError) as exc:  # a loop of links, a null byte
            raise refused() from exc
        if not any(real == root or root in real.parents for root in self.roots):
            raise refused()
        return real

    def existing(self, name: str) -> Path:
        """An image that `images` lists, or one at an address of an allowed host.

        Raises: InputError for a name that leads out, is hidden, or nothing.
        """
        address = name_elsewhere(name)
        if address is not None and is_on_network(address) and ADDRESS.fullmatch(name):
            check_allowed(address)
            return Path(name)
        parts = Path(name).parts
        if Path(name).is_absolute() or any(part.startswith(".") or len(part) > LONGEST_NAME for part in parts):
            raise refused()
        for root in self.roots:
            path = self.inside(root / name)
            real, _ = split_part(path)
            if real.exists() and real != root and (real.suffix.lower() in BY_SUFFIX or seems_product(path)):
                # what is read with an image lies in it, if it is a folder, else beside it by a name like its own
                stem = real.name.partition(".")[0].lower()
                within = (Path(folder) / name for folder, *names in os.walk(real) for name in chain(*names))
                beside = (other for other in real.parent.iterdir() if other.name.lower().startswith(stem))
                for other in within if real.is_dir() else beside:
                    if other.is_symlink():
                        self.inside(other)
                return path
        raise refused()

    def new(self, name: str, allowed: Sequence[str] = suffixes(written=True)) -> Path:
        """Where a file of that name may go. Raises: CallError for one with folders, of an unknown format, or taken."""
        if not PLAIN_NAME.fullmatch(name) or Path(name).suffix.lower() not in allowed:
            found = f"the name {name[:60]!r}"
            raise CallError(found, f"letters, digits, spaces and one of {', '.join(allowed)}", "change it")
        path = self.inside(self.roots[0] / name)
        if path.exists():
            raise CallError(f"{name}, which is there already", "a new name", "change it")
        return path

    def images(self) -> list[str]:
        """What can be opened: images and products directly in the folders, by name, links that lead out left out."""
        names: dict[str, None] = {}
        for root in self.roots:
            with reading(root, "a folder that can be read", OSError):
                entries = sorted(root.iterdir())
            for path in entries:
                if path.name.startswith("."):
                    continue
                with suppress(InputError):
                    real = self.inside(path)
                    if path.suffix.lower() in suffixes() or seems_product(real):
                        names[path.name] = None
        return list(names)[:MOST_LISTED]


def refused() -> InputError:
    """The one answer to all that leads out, so that nothing can be learned from it."""
    return InputError("a path that is not offered here", "an image in one of the viewer's folders", "see --folder")


class DownloadHandler(TransferHandler):
    """GET /download?name=FILE, in pieces."""

    def initialize(self, folders: Folders) -> None:
        self.folders = folders

    async def get(self) -> None:
        name = self.get_query_argument("name")
        if len(name) > LONGEST_NAME:
            raise HTTPError(400, reason="a name too long")
        try:
            path = self.folders.existing(name)
        except HypersharpError as exc:
            raise HTTPError(404, reason="no such image") from exc
        if not path.is_file():
            raise HTTPError(404, reason="a folder cannot be downloaded")
        if not self.begin():
            raise HTTPError(503, reason=BUSY)
        self.set_header("Content-Type", "application/octet-stream")
        safe = "".join(c if c.isascii() and (c.isalnum() or c in "._- ()") else "_" for c in path.name)
        self.set_header("Content-Disposition", f'attachment; filename="{safe}"')
        self.set_header("Content-Length", str(path.stat().st_size))
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                self.write(piece)
                try:
                    await self.flush()
                except StreamClosedError:
                    return
                self.moved += len(piece)


@stream_request_body
class UploadHandler(TransferHandler):
    """POST /upload?name=FILE with the file as body: it appears in the first folder whole or not at all."""

    file: IO[bytes] | None = None
    lock: Lock | None = None

    def initialize(self, folders: Folders, most_bytes: int) -> None:
        self.folders, self.most_bytes = folders, most_bytes

    def prepare(self) -> None:
        try:
            self.target = self.folders.new(self.get_query_argument("name"), suffixes(upload=True))
        except HypersharpError as exc:
            return self.answer(400, str(exc))
        if self.request.method != "POST":
            return self.answer(405, "an upload is a POST")
        length = self.request.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit()):
            return self.answer(400, "a Content-Length that is no number")
        if int(length) > self.most_bytes:
            return self.too_large()
        if not self.begin():
            return self.answer(503, BUSY)
        self.request.connection.set_max_body_size(self.most_bytes)  # type: ignore[union-attr]
        self.staging, self.lock = locked_folder(self.target)
        self.file = (self.staging / self.target.name).open("wb")

    def data_received(self, chunk: bytes) -> None:
        self.moved += len(chunk)
        if self.file is None or self.moved > self.most_bytes:
            return self.too_large() if not self._finished else None
        try:
            self.file.write(chunk)
        except OSError:
            self.answer(507, FULL)

    def post(self) -> None:
        if self.file is None:
            return None
        if self.target.exists():
            return self.answer(409, f"{self.target.name} is there already")
        try:
            self.file.close()
            os.replace(self.file.name, self.target)
        except OSError:
            return self.answer(507, FULL)
        self.on_finish()
        self.write({"name": self.target.name})

    def too_large(self) -> None:
        self.answer(413, f"the file is larger than {self.most_bytes / 2**20:g} MiB: start with a larger --max-upload")

    def answer(self, status: int, text: str) -> None:
        """Say what is wrong; what is left of the body is not read."""
        self.on_finish()
        self.set_status(status)
        self.set_header("Connection", "close")
        self.finish({"error": text})

    def on_finish(self) -> None:
        """Take away what has come so far, unless it is whole."""
        super().on_finish()
        if self.file is not None:
            with suppress(OSError):  # what a full disk does not take
                self.file.close()
            self.file = None
        if self.lock is not None:
            shutil.rmtree(self.staging, ignore_errors=True)
            self.lock.release()
            self.lock = None
