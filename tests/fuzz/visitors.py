"""Damaged requests and messages for a running viewer: what a hostile browser, or none, sends to its port."""

import asyncio
import json
import logging
import random
import socket
import threading
from pathlib import Path
from typing import Any

from bokeh.util.serialization import make_id
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect

from hypersharp.viewer import bounds
from hypersharp.viewer.server import Options, Viewer

from .mutate import damaged

PATIENCE_S = 60.0
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1e308,
    2**70,
    "",
    "nan",
    "x" * 5000,
    "../../secret/a.tif",
    "sharp.tif",
    [],
    {},
    [1, 2],
)
VALUES += (
    [0.5, 0.1],
    [[]],
    {"type": "number", "value": "nan"},
    {"type": "map", "entries": [["x", [1, None, "a"]]]},
    {"id": "p1"},
)
COLUMNS: tuple[Any, ...] = (
    [],
    [0],
    [5, 5],
    ["a"],
    [None],
    [1e308],
    [-1, 2**40],
    [[1]],
    ["band"],
    ["uploaded"],
    ["../../secret/a.tif"],
)
EVENTS = ("button_click", "tap", "pan", "wheel", "rangesupdate", "document_ready", "nonesuch")
REQUESTS = (
    "GET / HTTP/1.1\r\n{own}\r\n",
    "GET /download?name=a.tif HTTP/1.1\r\n{own}\r\n",
    "GET /download?name=../secret/a.tif HTTP/1.1\r\n{own}\r\n",
    'GET /page.css HTTP/1.1\r\n{own}If-None-Match: "x"\r\nRange: bytes=0-10\r\n\r\n',
    "GET /static/js/bokeh.min.js HTTP/1.1\r\n{own}\r\n",
    "POST /upload?name=new.tif HTTP/1.1\r\n{own}Content-Length: 12\r\n\r\nII*\0notatiff",
    "POST /upload?name=b.npy HTTP/1.1\r\n{own}Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
    "GET /ws HTTP/1.1\r\n{own}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: bokeh, x\r\n\r\n",
)


class Tracebacks(logging.Handler):
    """The tracebacks that the server logs: each is a fault of ours, for what is refused is a line."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen = list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if "Traceback" in text:
            self.seen.append(" | ".join(text.strip().splitlines()[-3:]))


class Visited:
    """A viewer in a thread, and a page of it that is open in a browser that is none."""

    def __init__(self, folder: Path) -> None:
        bounds.MOST_OPENED = bounds.MOST_PAGES = bounds.MOST_PAGES_EACH = bounds.MOST_SHARE = bounds.MOST_AT_ONCE = (
            10**6
        )  # this visitor opens pages all the time
        self.log, self.loop = Tracebacks(), asyncio.new_event_loop()
        logging.getLogger().addHandler(self.log)
        logging.getLogger().setLevel(logging.CRITICAL)
        for name in ("tornado.application", "tornado.general", "asyncio", "bokeh"):
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = [self.log], False
            logger.setLevel(logging.WARNING)
        ready, made = threading.Event(), list[Viewer]()

        def serve() -> None:
            asyncio.set_event_loop(asyncio.new_event_loop())
            made.append(
                Viewer([(folder / "a.tif", "image", None)], Options(folders=(folder,), most_upload_bytes=2**20))
            )
            logging.getLogger("bokeh").setLevel(logging.WARNING)
            ready.set()
            made[0].run()

        self.thread = threading.Thread(target=serve, daemon=True)
        self.thread.start()
        assert ready.wait(60)
        self.viewer, self.page = made[0], None
        self.own = f"Host: 127.0.0.1:{self.viewer.port}\r\nOrigin: http://127.0.0.1:{self.viewer.port}\r\n"

    def close(self) -> None:
        self.viewer.server.io_loop.add_callback(self.viewer.stop)
        self.thread.join(20)

    def request(self, seed: int) -> str:
        """Send a damaged request; how it was answered, in a word. Raises: AssertionError for a fault."""
        rng = random.Random(f"request {seed}")
        content = damaged(rng, rng.choice(REQUESTS).format(own=self.own).encode(), text=True)
        found = exchanged(self.viewer.port, content[:200_000], 0.3)
        assert not found or found.startswith(b"HTTP/1.1 "), found[:60]
        assert b" 500 " not in found[:16], found[:60]
        return self.still_well(found[9:12].decode() or "no answer")

    def still_well(self, word: str) -> str:
        """Whether the viewer goes on as if nothing had happened."""
        said = exchanged(
            self.viewer.port, f"GET /page.css HTTP/1.1\r\n{self.own}Connection: close\r\n\r\n".encode(), PATIENCE_S
        )
        assert said.startswith(b"HTTP/1.1 200"), f"the viewer answers no more ({said[:40]!r})"
        seen, self.log.seen = self.log.seen, []
        assert not seen, seen[0][:300]
        return word

    def message(self, seed: int) -> str:
        """Send a damaged message of a page; how it was answered. Raises: AssertionError for a fault."""
        rng = random.Random(f"message {seed}")
        return self.still_well(self.loop.run_until_complete(asyncio.wait_for(self._message(rng), PATIENCE_S)))

    async def _message(self, rng: random.Random) -> str:
        socket = self.page = self.page or await self._opened()
        parts = [json.dumps({"msgid": make_id(), "msgtype": "PATCH-DOC"}), "{}", json.dumps(self._patch(rng))]
        if rng.random() < 0.3:
            number = rng.randrange(3)
            parts[number] = damaged(rng, parts[number].encode(), text=True).decode("latin-1")[:1_000_000]
        try:
            for part in parts:
                await socket.write_message(part)
            while (answer := await asyncio.wait_for(socket.read_message(), 5)) is not None:
                said = json.loads(answer) if isinstance(answer, str) and answer.startswith("{") else {}
                if said.get("msgtype") in ("OK", "ERROR"):
                    return str(said["msgtype"])
        except (WebSocketClosedError, TimeoutError):  # the server waits for the rest of a message
            pass
        socket.close()
        self.page = None
        return "closed"

    async def _opened(self) -> WebSocketClientConnection:
        """A new page, through the address and the websocket as browsers open it."""
        content = exchanged(
            self.viewer.port, f"GET / HTTP/1.1\r\n{self.own}Connection: close\r\n\r\n".encode(), PATIENCE_S
        )
        token = content.split(b'"token": "', 1)[1].split(b'"', 1)[0].decode()
        request = HTTPRequest(
            f"ws://127.0.0.1:{self.viewer.port}/ws",
            headers={"Origin": f"http://127.0.0.1:{self.viewer.port}", "Sec-WebSocket-Protocol": f"bokeh, {token}"},
        )
        opened = await websocket_connect(request)
        await opened.read_message()
        return opened

    def _patch(self, rng: random.Random) -> dict[str, Any]:
        """A change, or an event, of one of the page's models, with a value that may make no sense."""
        (*_, session) = self.viewer.server.get_sessions("/")
        models = [model for model in session.document.models if model.name or rng.random() < 0.1]
        model = rng.choice(models)
        if rng.random() < 0.3:
            values = {
                "type": "object",
                "name": rng.choice(EVENTS),
                "attributes": {"model": {"id": model.id}, "x": rng.choice(VALUES)},
            }
            return {
                "events": [
                    {
                        "kind": "MessageSent",
                        "msg_type": "bokeh_event",
                        "msg_data": {
                            "type": "event",
                            "name": values["name"],
                            "values": {"type": "map", "entries": list(values["attributes"].items())},
                        },
                    }
                ]
            }
        if "data" in model.properties():
            columns = {"type": "map", "entries": [[name, rng.choice(COLUMNS)] for name in model.data]}
            return {"events": [{"kind": "ModelChanged", "model": {"id": model.id}, "attr": "data", "new": columns}]}
        name = rng.choice(
            ["value", "active", "options", "start", "end", "name", "text", rng.choice(sorted(model.properties()))]
        )
        new = rng.choice([*VALUES, *getattr(model, "options", [])[:8]])
        return {"events": [{"kind": "ModelChanged", "model": {"id": model.id}, "attr": name, "new": new}]}


def exchanged(port: int, content: bytes, patience_s: float) -> bytes:
    """The beginning of what a server answers to some bytes, empty where it waits for more."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        received = b""
        try:
            connection.sendall(content)
            connection.settimeout(patience_s)
            while len(received) < 2**20 and (part := connection.recv(65536)):
                received += part
        except OSError:
            pass
        return received
