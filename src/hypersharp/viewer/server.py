"""The web server of the viewer: Bokeh's, behind the gate, with downloads and uploads; everything it sends is local."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hypersharp.errors import CallError, InputError, needs
from hypersharp.viewer.folders import Folders

with needs("the viewer", "view"):
    from bokeh.application import Application
    from bokeh.application.handlers.function import FunctionHandler
    from bokeh.document import Document
    from bokeh.server.server import Server
    from tornado.routing import Rule

from hypersharp.viewer.gate import ArrivalHandler, Arrives, Gate, RefusalHandler, Refused, is_loopback, names_of
from hypersharp.viewer.job import Fusion
from hypersharp.viewer.scene import Named, Scene
from hypersharp.viewer.session import Session, Shared
from hypersharp.viewer.transfers import routes

MESSAGE_BYTES = 2**22  # what a browser may send in one message


@dataclass(frozen=True)
class Options:
    """Where the viewer listens, to whom, and what it may touch; `folders` empty: those of the files."""

    address: str = "127.0.0.1"
    port: int = 0
    folders: tuple[Path, ...] = ()
    allow_hosts: tuple[str, ...] = ()
    ask_for_token: bool = False
    most_upload_bytes: int = 2**29


class Viewer:
    """A running viewer; `url` is what to open."""

    def __init__(self, files: Sequence[Named], options: Options | None = None) -> None:
        """Open the files and bind the address.

        Raises: InputError for files or folders that cannot be used, CallError for an address that cannot be bound.
        """
        options = options or Options()
        if not files:
            raise InputError("no file", "one at least", "name one")
        os.environ["BOKEH_RESOURCES"] = "server"  # never from another host
        scene = Scene()
        scene.open(files)
        self.folders = Folders.of(options.folders or dict.fromkeys(path.parent for path, *_ in files))
        self.fusion = Fusion()
        title = f"{files[0][0].name} - hypersharp view"
        self.shared = Shared(scene, self.folders, self.fusion, title)
        self.token = secrets.token_urlsafe(24) if options.ask_for_token or not is_loopback(options.address) else None
        self.server = self._server(options)
        self.port = int(self.server.port or 0)
        self._guard(options)
        name = options.address if options.address not in ("0.0.0.0", "::", "") else names_of(options.address)[3]
        self.url = f"http://{name}:{self.port}/" + (f"?token={self.token}" if self.token else "")

    def _server(self, options: Options) -> Server:
        """Bokeh's server for the page, and our routes."""
        logging.getLogger("bokeh").setLevel(logging.ERROR)
        page = Application(FunctionHandler(self._page))
        try:
            return Server(
                {"/": page},
                port=options.port,
                address=options.address,
                allow_websocket_origin=["*"],  # the gate asks for the same origin, whatever port a tunnel has
                extra_patterns=routes(self.folders, options.most_upload_bytes),
                websocket_max_message_size=MESSAGE_BYTES,
                http_server_kwargs={"max_body_size": MESSAGE_BYTES},
            )
        except OSError as exc:
            found = f"{options.address}:{options.port}, which cannot be bound ({exc.strerror})"
            raise CallError(found, "a free address of this machine", "choose another --port or --host") from exc

    def _guard(self, options: Options) -> None:
        """Put the gate before all other routes."""
        gate = Gate(names_of(options.address, options.allow_hosts), self.token, f"hypersharp-{self.port}")
        rules = [Rule(Refused(gate), RefusalHandler), Rule(Arrives(), ArrivalHandler, {"gate": gate})]
        self.server._tornado.default_router.rules[:0] = rules

    def stop(self) -> None:
        """Leave `run`; to be called in its loop."""
        self.server.io_loop.stop()

    def _page(self, doc: Document) -> None:
        Session(doc, self.shared)

    def run(self) -> None:
        """Serve until interrupted, or until the system ends the process."""
        self.server.start()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: self.server.io_loop.add_callback_from_signal(self.stop))
        try:
            self.server.io_loop.start()
        except KeyboardInterrupt:
            pass
        finally:
            self.fusion.close()
            self.server.stop()
            self.shared.threads.shutdown(wait=False, cancel_futures=True)
