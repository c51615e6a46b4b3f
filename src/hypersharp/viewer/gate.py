"""Who may talk to the viewer: every request, page, file or websocket, passes here before anything is done.

The Host must be a name that this server goes by, or a foreign page could reach it by rebinding its own name. Where a
request says its Origin (browsers do on websockets and on all that changes something), that must be this server. A
token is asked for where one is set: in the first address, as a cookie ever after.
"""

import hmac
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher

from hypersharp.viewer.bounds import RefusalHandler

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
ANY_ADDRESS = ("0.0.0.0", "::", "")
READING = ("GET", "HEAD")
MALFORMED = "a malformed origin"


def names_of(address: str, more: Sequence[str] = ()) -> tuple[str, ...]:
    """The host names by which a server bound to an address goes; `more` come from the command line."""
    own: tuple[str, ...] = (address,)
    if address in ANY_ADDRESS:
        own = (socket.gethostname(), socket.getfqdn())
    return tuple(dict.fromkeys(name.lower() for name in (*LOOPBACK, *own, *more)))


@dataclass(frozen=True)
class Gate(Matcher):
    """What a request must bring along; `token` None asks for none.

    It matches the requests that are turned away, and the first one, whose address holds the token.
    """

    hosts: tuple[str, ...]
    token: str | None
    cookie: str = "hypersharp-token"

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        reason = self.refusal(request)
        status = 400 if reason == MALFORMED else 403
        first = request.path == "/" and "token" in request.query_arguments and request.method == "GET"
        return {"target_kwargs": {"gate": self, "reason": reason or "", "status": status}} if reason or first else None

    def refusal(self, request: HTTPServerRequest) -> str | None:
        """Why a request is turned away, None where it is not."""
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        name, colon, port = host.rpartition(":")
        if (name if colon and port.isdigit() else host).lower() not in self.hosts:
            return "this server does not go by that name: start it with --allow-host NAME"
        websocket = request.headers.get("Upgrade", "").lower() == "websocket"
        if origin is None and (websocket or request.method not in READING):
            return "a request without an origin"
        try:
            if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
                return "a request from a page of another origin"
        except ValueError:  # http://[
            return MALFORMED
        foreign = request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
        if foreign and request.headers.get("Sec-Fetch-Dest") != "document":  # a frame, or a script taken from here
            return "a request from within a page of another site"
        cookie = request.cookies.get(self.cookie)
        shown = [*request.query_arguments.get("token", []), cookie.value.encode() if cookie else b""]
        if self.token is not None and not any(hmac.compare_digest(one, self.token.encode()) for one in shown):
            return "no token, or a wrong one: open the address that `hypersharp view` printed"
        return None


class GateHandler(RefusalHandler):
    """Says why a request is refused; or, without a reason, moves the token from the address into a cookie."""

    def initialize(self, *, status: int, reason: str, gate: Gate) -> None:  # type: ignore[override] # tornado's own way
        super().initialize(status=status, reason=reason)
        self.gate = gate

    def prepare(self) -> None:
        if self.reason:
            return super().prepare()
        if self.gate.token is not None:
            secure = self.request.protocol == "https"
            self.set_cookie(self.gate.cookie, self.gate.token, httponly=True, samesite="Strict", secure=secure)
        self.redirect("/")
