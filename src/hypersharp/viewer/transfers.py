"""Files to and from the browser: downloads from the viewer's folders, uploads into the first, bounded."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import IO, Any

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler, stream_request_body

from hypersharp.errors import HypersharpError
from hypersharp.io.format import suffixes
from hypersharp.viewer.folders import Folders

PIECE = 2**18


class DownloadHandler(RequestHandler):
    """GET /download?name=FILE, in pieces."""

    def initialize(self, folders: Folders) -> None:
        self.folders = folders

    async def get(self) -> None:
        try:
            path = self.folders.existing(self.get_query_argument("name"))
        except HypersharpError as exc:
            raise HTTPError(404, reason="no such image") from exc
        if not path.is_file():
            raise HTTPError(404, reason="a folder cannot be downloaded")
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Content-Disposition", f'attachment; filename="{ascii_name(path.name)}"')
        self.set_header("Content-Length", str(path.stat().st_size))
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                self.write(piece)
                try:
                    await self.flush()
                except StreamClosedError:
                    return


def ascii_name(name: str) -> str:
    """A file name that is safe in a header."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "._- ()") else "_" for c in name)


@stream_request_body
class UploadHandler(RequestHandler):
    """POST /upload?name=FILE with the file as body: it appears in the first folder whole or not at all."""

    file: IO[bytes] | None = None
    received = 0

    def initialize(self, folders: Folders, most_bytes: int) -> None:
        self.folders, self.most_bytes = folders, most_bytes

    def prepare(self) -> None:
        try:
            self.target = self.folders.new(self.get_query_argument("name"), suffixes(upload=True))
        except HypersharpError as exc:
            return self.answer(400, str(exc))
        if self.request.method != "POST":
            return self.answer(405, "an upload is a POST")
        if int(self.request.headers.get("Content-Length", 0)) > self.most_bytes:
            return self.too_large()
        self.request.connection.set_max_body_size(self.most_bytes)  # type: ignore[union-attr]
        self.file = tempfile.NamedTemporaryFile(  # noqa: SIM115 - closed in on_finish or post
            dir=self.target.parent, prefix=".upload.", delete=False
        )

    def data_received(self, chunk: bytes) -> None:
        self.received += len(chunk)
        if self.file is None or self.received > self.most_bytes:
            return self.too_large() if not self._finished else None
        self.file.write(chunk)

    def post(self) -> None:
        if self.file is None:
            return None
        self.file.close()
        if self.target.exists():
            return self.answer(409, f"{self.target.name} is there already")
        os.replace(self.file.name, self.target)
        self.file = None
        self.write({"name": self.target.name})

    def too_large(self) -> None:
        self.answer(413, f"the file is larger than {self.most_bytes / 2**20:g} MiB: start with a larger --max-upload")

    def answer(self, status: int, text: str) -> None:
        """Say what is wrong; what is left of the body is not read."""
        self.set_status(status)
        self.set_header("Connection", "close")
        self.finish({"error": text})

    def on_finish(self) -> None:
        self._drop()

    def on_connection_close(self) -> None:
        self._drop()

    def _drop(self) -> None:
        """Take away what has come so far."""
        if self.file is not None:
            self.file.close()
            Path(self.file.name).unlink(missing_ok=True)
            self.file = None


def routes(folders: Folders, most_bytes: int) -> list[tuple[str, type[RequestHandler], dict[str, Any]]]:
    """The addresses of this file."""
    return [
        (r"/download", DownloadHandler, {"folders": folders}),
        (r"/upload", UploadHandler, {"folders": folders, "most_bytes": most_bytes}),
    ]
