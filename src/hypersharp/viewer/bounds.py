"""What one visitor may take of the viewer, and what browsers are told: so that nobody stops or frames the others.

Pages, the costly thing, are bounded in number and in a time, connections in number, for each address and for all. Every
answer says that scripts come from this server's own files only (no inline script, no eval), and that no other site may
hold it in a frame.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, ClassVar
from weakref import WeakKeyDictionary, WeakSet

from bokeh.server.tornado import BokehTornado
from bokeh.util.token import check_token_signature
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.iostream import IOStream
from tornado.routing import Matcher
from tornado.web import OutputTransform, RequestHandler

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # Bokeh writes style elements
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "hypersharp",
}
UNUSED = ("/autoload.js", "/metadata")  # of Bokeh's routes
MOST_PAGES, MOST_PAGES_EACH = 64, 32  # open at once: in all, and of one address
MOST_OPENED, WITHIN_S = 20, 20.0  # pages that an address may open in that time
MOST_SHARE, MOST_AT_ONCE = 0.5, 3  # of that time that making them may take, and how many may be made at once
MOST_MADE = 4  # at once in all: all that the next one waits for
MOST_CONNECTIONS, MOST_CONNECTIONS_EACH = 700, 400
UNUSED_PAGE_MS = 10_000  # a page whose browser does not come back for its websocket is forgotten
MOST_TRANSFERS, MOST_TRANSFERS_EACH = 64, 16  # files on their way: each keeps three open, of a process's 1,024
IDLE_S = 60.0  # that a connection may take to send its next request, or the next piece of a file
PIECE = 2**18  # bytes


@dataclass
class Opening:
    """A page that is being made for an address, or was: when, and how long the server's thread worked meanwhile."""

    begun: float = field(default_factory=time.monotonic)
    worked_s: float = field(default_factory=time.thread_time)  # before; other programs do not lengthen it
    took_s: float | None = None


class Headers(OutputTransform):
    """HEADERS on every answer, whoever gives it; and how long a page took."""

    def __init__(self, request: HTTPServerRequest) -> None:
        self.opening: Opening | None = getattr(request, "opening", None)

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        del finishing
        if self.opening is not None:
            self.opening.took_s = time.thread_time() - self.opening.worked_s
        for name, value in HEADERS.items():
            headers[name] = value
        return status_code, headers, chunk


@dataclass(eq=False)
class Bounds(Matcher):
    """Matches the requests that ask for too much."""

    application: BokehTornado
    opened: dict[str | None, list[Opening]] = field(default_factory=dict)

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        status, reason = self.refusal(request)
        return {"target_kwargs": {"status": status, "reason": reason}} if status else None

    def refusal(self, request: HTTPServerRequest) -> tuple[int, str]:
        """Status and reason; status 0 where the request is fine."""
        if request.path in UNUSED:
            return 404, "nothing here"
        if len(request.uri or "") > 4096:
            return 400, "an address too long"
        if request.path == "/ws" and not self.is_page(request.headers.get("Sec-WebSocket-Protocol", "")):
            return 403, "no page of this server"
        if request.path != "/":
            return 0, ""
        sessions: list[Any] = self.application.get_sessions("/")
        contexts = (session.document.session_context for session in sessions)
        pages = Counter(one.request.remote_ip if one and one.request else None for one in contexts)
        if pages.total() >= MOST_PAGES or pages[request.remote_ip] >= MOST_PAGES_EACH:
            return 503, "too many pages are open: close some"
        opening = self.begin(request.remote_ip)
        if opening is None:
            return 429, "pages are asked for faster than they may be made: wait a little"
        request.opening = opening  # type: ignore[attr-defined]  # for Headers, which know when it is done
        return 0, ""

    def is_page(self, protocols: str) -> bool:
        """Whether a websocket belongs to a page that was opened here: its second protocol is what we signed."""
        token = protocols.rpartition(",")[2].strip()
        try:
            return not token or bool(check_token_signature(token, self.application.secret_key, signed=True))
        except (ValueError, TypeError, LookupError):  # no token at all
            return False

    def begin(self, address: str | None) -> Opening | None:
        """Note that an address opens a page; None where it does so too fast, or where making them takes too long."""
        now = time.monotonic()
        self.opened = {
            one: recent
            for one, openings in self.opened.items()
            if (recent := [opening for opening in openings if now - opening.begun < WITHIN_S])
        }
        recent = self.opened.setdefault(address, [])
        taken_s = sum(opening.took_s or 0.0 for opening in recent)
        at_once = sum(opening.took_s is None for opening in recent)
        made = sum(opening.took_s is None for openings in self.opened.values() for opening in openings)
        busy = made >= (MOST_AT_ONCE if recent else MOST_MADE)  # who has none yet comes first
        if len(recent) >= MOST_OPENED or at_once >= MOST_AT_ONCE or busy or taken_s > MOST_SHARE * WITHIN_S:
            return None
        recent.append(Opening())
        return recent[-1]


class RefusalHandler(RequestHandler):
    """Says why a request is refused, its body unread."""

    def initialize(self, *, status: int, reason: str) -> None:
        self.status, self.reason = status, reason

    def prepare(self) -> None:
        self.set_status(self.status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Connection", "close")
        if self.status in (429, 503):
            self.set_header("Retry-After", f"{WITHIN_S:g}")
            self.set_header("Refresh", f"{WITHIN_S / 4:g}")  # browsers ask again by themselves
        self.finish(f"refused: {self.reason}\n")


class TransferHandler(RequestHandler):
    """A file on its way: one of few at once, which ends where `IDLE_S` bring less than a piece of it."""

    transfers: ClassVar[WeakSet[TransferHandler]] = WeakSet()
    moved = 0  # bytes
    watch: object = None

    def begin(self) -> bool:
        """Whether there is room for one more, which then counts until `on_finish`.

        Where there is none in all, the address that has most loses the one that has moved least.
        """
        known = [one for one in self.transfers if one.application is self.application]
        counts = Counter(one.request.remote_ip for one in known)
        own = counts[self.request.remote_ip]
        if own >= MOST_TRANSFERS_EACH:
            return False
        if len(known) >= MOST_TRANSFERS:
            greedy, most = counts.most_common(1)[0]
            if most <= own + 1:
                return False
            min((one for one in known if one.request.remote_ip == greedy), key=lambda one: one.moved).cut()
        self.transfers.add(self)
        self.look_again(0)
        return True

    def look_again(self, before: int) -> None:
        """Cut it off if nearly nothing was moved since `before`, but not at once."""
        if self.watch is not None and self.moved - before < PIECE:
            self.cut()
        else:
            self.watch = IOLoop.current().call_later(IDLE_S, self.look_again, self.moved)

    def cut(self) -> None:
        TransferHandler.on_finish(self)  # what a handler adds to it is done when its connection closes
        self.request.connection.stream.close()  # type: ignore[union-attr]

    def on_connection_close(self) -> None:
        self.on_finish()

    def on_finish(self) -> None:
        self.transfers.discard(self)
        if self.watch is not None:
            IOLoop.current().remove_timeout(self.watch)
            self.watch = None


class BoundedServer(HTTPServer):
    """An HTTP server that closes connections beyond its bounds at once."""

    def initialize(self, *args: Any, **options: Any) -> None:
        self.streams = WeakKeyDictionary[IOStream, str]()
        super().initialize(*args, **{"idle_connection_timeout": IDLE_S, **options})

    def handle_stream(self, stream: IOStream, address: Any) -> None:
        host = str(address[0])
        hosts = Counter(known for other, known in self.streams.items() if not other.closed())
        if hosts.total() >= MOST_CONNECTIONS or hosts[host] >= MOST_CONNECTIONS_EACH:
            stream.close()
            return
        self.streams[stream] = host
        super().handle_stream(stream, address)
