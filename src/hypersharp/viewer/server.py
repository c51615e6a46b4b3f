"""The web server of the viewer: Bokeh's, behind the gate, with downloads and uploads; everything it sends is local."""

import asyncio
import logging
import os
import secrets
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb
from typing import Any

from hypersharp.errors import CallError, InputError, needs

with needs("the viewer", "view"):
    from bokeh.application import Application
    from bokeh.application.handlers.function import FunctionHandler
    from bokeh.document import Document
    from bokeh.server.server import BaseServer
    from bokeh.server.tornado import BokehTornado
    from bokeh.server.util import bind_sockets, create_hosts_allowlist
    from tornado.ioloop import IOLoop
    from tornado.routing import Rule
    from tornado.web import StaticFileHandler

from hypersharp.system.elsewhere import HOSTS, name_elsewhere
from hypersharp.viewer.bounds import UNUSED_PAGE_MS, BoundedServer, Bounds, Headers, RefusalHandler
from hypersharp.viewer.folders import DownloadHandler, Folders, UploadHandler
from hypersharp.viewer.gate import Gate, GateHandler, names_of
from hypersharp.viewer.job import Fusion
from hypersharp.viewer.page import HERE, Shared
from hypersharp.viewer.scene import Named, Scene
from hypersharp.viewer.view import View

MESSAGE_BYTES = 2**22  # what a browser may send in one message


@dataclass(frozen=True)
class Options:
    """Where the viewer listens, to whom, and what it may touch.

    `folders` empty: those of the files; `read_hosts`: those at whose addresses images are read.
    """

    address: str = "127.0.0.1"
    port: int = 0
    folders: tuple[Path, ...] = ()
    allow_hosts: tuple[str, ...] = ()
    ask_for_token: bool = False
    most_upload_bytes: int = 2**29
    read_hosts: tuple[str, ...] = ()


class PageMaker(FunctionHandler):
    """Makes a page, once all requests that have come were looked at: those beyond the bounds are refused before."""

    async def on_session_created(self, session_context: Any) -> None:
        await asyncio.sleep(0)


def in_a_line(record: logging.LogRecord) -> bool:
    """What Bokeh and tornado refuse of a visitor's in one line; the traceback of our own faults alone."""
    error = record.exc_info[1] if record.exc_info else None
    if error is not None and not any(str(HERE) in frame.filename for frame in extract_tb(error.__traceback__)):
        record.msg, record.args = "refused: %s: %.200s", (type(error).__name__, " ".join(str(error).split()))
        record.exc_info = None
    return True


class Viewer:
    """A running viewer; `url` is what to open."""

    def __init__(self, files: Sequence[Named], options: Options | None = None) -> None:
        """Raises: InputError for files or folders that cannot be used, CallError where the address cannot be bound."""
        options = options or Options()
        if not files:
            raise InputError("no file", "one at least", "name one")
        os.environ["BOKEH_RESOURCES"] = "server"  # never from another host
        os.environ[HOSTS] = ",".join(options.read_hosts)
        scene = Scene()
        scene.open(files)
        here = [path for path, *_ in files if name_elsewhere(path) is None]
        self.folders = Folders.of(options.folders or dict.fromkeys(path.parent for path in here) or [Path()])
        self.fusion = Fusion()
        title = f"{files[0][0].name} - hypersharp view"
        self.shared = Shared(scene, self.folders, self.fusion, title, bool(options.read_hosts))
        local = options.address in ("localhost", "::1") or options.address.startswith("127.")
        self.token = secrets.token_urlsafe(24) if options.ask_for_token or not local else None
        self.server, self.port = self._serve(options)
        name = options.address if options.address not in ("0.0.0.0", "::", "") else names_of(options.address)[3]
        self.url = f"http://{name}:{self.port}/" + (f"?token={self.token}" if self.token else "")

    def _serve(self, options: Options) -> tuple[BaseServer, int]:
        """Bokeh's server for the page with our routes, the gate before all of them; and its port."""
        logging.getLogger("bokeh").setLevel(logging.ERROR)
        for name in ("bokeh.server.protocol_handler", "bokeh.server.views.ws", "tornado.application"):
            logging.getLogger(name).addFilter(in_a_line)
        try:
            sockets, port = bind_sockets(options.address, options.port)
        except OSError as exc:
            found = f"{options.address}:{options.port}, which cannot be bound ({exc.strerror})"
            raise CallError(found, "a free address of this machine", "choose another --port or --host") from exc
        application = BokehTornado(
            {"/": Application(PageMaker(self._open_page))},
            extra_patterns=[
                ("/download", DownloadHandler, {"folders": self.folders}),
                ("/upload", UploadHandler, {"folders": self.folders, "most_bytes": options.most_upload_bytes}),
                (r"/(page\.(?:js|css))", StaticFileHandler, {"path": HERE}),
            ],
            secret_key=secrets.token_bytes(32),
            sign_sessions=True,  # or a visitor could open pages past the bounds
            unused_session_lifetime_milliseconds=UNUSED_PAGE_MS,
            check_unused_sessions_milliseconds=UNUSED_PAGE_MS // 5,
            # the gate asks for the same origin, whatever port a tunnel has
            extra_websocket_origins=create_hosts_allowlist(["*"], port),
            websocket_max_message_size_bytes=MESSAGE_BYTES,
        )
        gate = Gate(names_of(options.address, options.allow_hosts), self.token, f"hypersharp-{port}")
        application.add_handlers(".*", [Rule(gate, GateHandler), Rule(Bounds(application), RefusalHandler)])
        application.add_transform(Headers)
        http = BoundedServer(application, max_body_size=MESSAGE_BYTES)
        http.add_sockets(sockets)
        return BaseServer(IOLoop.current(), application, http), port

    def _open_page(self, doc: Document) -> None:
        View(doc, self.shared)

    def stop(self) -> None:
        """Leave `run`; to be called in its loop."""
        self.server.io_loop.stop()

    def run(self) -> None:
        """Serve until interrupted, or until the system ends the process."""
        self.server.start()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: self.server.io_loop.add_callback_from_signal(self.stop))
        try:
            self.server.io_loop.start()
        except KeyboardInterrupt:
            pass
        finally:
            self.fusion.close()
            self.server.stop()
            self.shared.threads.shutdown(wait=False, cancel_futures=True)
