"""What one visitor may take of the viewer, and what browsers are told: so that nobody stops or frames the others.

Pages, the costly thing, are bounded in number and in a time, connections in number, for each address and for all. Every
answer says that scripts come from this server's own files only (no inline script, no eval), and that no other site may
hold it in a frame.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from bokeh.server.tornado import BokehTornado
from bokeh.util.token import check_token_signature
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPServerRequest
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
MOST_CONNECTIONS, MOST_CONNECTIONS_EACH = 700, 400
UNUSED_PAGE_MS = 10_000  # a page whose browser does not come back for its websocket is forgotten
IDLE_S = 60.0  # that a connection may take to send its next request


@dataclass
class Opening:
    """A page that is being made for an address, or was."""

    begun: float
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
            self.opening.took_s = time.monotonic() - self.opening.begun
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
        pages = Counter(self.address_of(session) for session in self.application.get_sessions("/"))
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
        if len(recent) >= MOST_OPENED or at_once >= MOST_AT_ONCE or taken_s > MOST_SHARE * WITHIN_S:
            return None
        recent.append(Opening(now))
        return recent[-1]

    @staticmethod
    def address_of(session: Any) -> str | None:
        context = session.document.session_context
        return None if context is None or context.request is None else context.request.remote_ip


class RefusalHandler(RequestHandler):
    """Says why a request is refused, its body unread."""

    def initialize(self, status: int, reason: str) -> None:
        self.status, self.reason = status, reason

    def prepare(self) -> None:
        self.set_status(self.status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Connection", "close")
        if self.status in (429, 503):
            self.set_header("Retry-After", f"{WITHIN_S:g}")
        self.finish(f"refused: {self.reason}\n")


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
