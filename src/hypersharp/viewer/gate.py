"""Who may talk to the viewer: every request, page, file or websocket, passes here before anything is done.

The Host must be a name that this server goes by, or a foreign page could reach it by rebinding its own name. Where a
request says its Origin (browsers do on websockets and on all that changes something), that must be this server. A
token is asked for where one is set: in the first address, as a cookie ever after.
"""

from __future__ import annotations

import hmac
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher
from tornado.web import RequestHandler

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
ANY_ADDRESS = ("0.0.0.0", "::", "")
READING = ("GET", "HEAD")


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach an address."""
    return address in ("localhost", "::1") or address.startswith("127.")


def names_of(address: str, more: Sequence[str] = ()) -> tuple[str, ...]:
    """The host names by which a server bound to an address goes; `more` are told on the command line."""
    own: tuple[str, ...] = (address,)
    if address in ANY_ADDRESS:
        own = (socket.gethostname(), socket.getfqdn())
    return tuple(dict.fromkeys(name.lower() for name in (*LOOPBACK, *own, *more)))


@dataclass(frozen=True)
class Gate:
    """What a request must bring along; `token` None asks for none."""

    hosts: tuple[str, ...]
    token: str | None
    cookie: str = "hypersharp-token"

    def refusal(self, request: HTTPServerRequest) -> str | None:
        """Why a request is turned away, None where it is not."""
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        if _without_port(host) not in self.hosts:
            return "this server does not go by that name: start it with --allow-host NAME"
        websocket = request.headers.get("Upgrade", "").lower() == "websocket"
        if origin is None and (websocket or request.method not in READING):
            return "a request without an origin"
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return "a request from a page of another origin"
        if _embedded(request):
            return "a request from within a page of another site"
        if not self.knows(request):
            return "no token, or a wrong one: open the address that `hypersharp view` printed"
        return None

    def knows(self, request: HTTPServerRequest) -> bool:
        """Whether a request shows the token."""
        if self.token is None:
            return True
        cookie = request.cookies.get(self.cookie)
        shown = [*request.query_arguments.get("token", []), cookie.value.encode() if cookie else b""]
        return any(hmac.compare_digest(one, self.token.encode()) for one in shown)


def _embedded(request: HTTPServerRequest) -> bool:
    """Whether a browser says that another site's page holds this one in a frame, or takes a script from it."""
    foreign = request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
    return foreign and request.headers.get("Sec-Fetch-Dest") != "document"


def _without_port(host: str) -> str:
    """The name in a Host header."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


class Refused(Matcher):
    """Takes the requests that the gate turns away, before any other route."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        reason = self.gate.refusal(request)
        return None if reason is None else {"target_kwargs": {"reason": reason}}


class RefusalHandler(RequestHandler):
    """Says why, and closes the connection unread."""

    def initialize(self, reason: str) -> None:
        self.reason = reason

    def prepare(self) -> None:
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Connection", "close")
        self.finish(f"refused: {self.reason}\n")


class Arrives(Matcher):
    """Takes the first request, the one whose address holds the token."""

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        first = request.path == "/" and "token" in request.query_arguments and request.method == "GET"
        return {} if first else None


class ArrivalHandler(RequestHandler):
    """Puts the token into a cookie and takes it out of the address."""

    def initialize(self, gate: Gate) -> None:
        self.gate = gate

    def get(self) -> None:
        if self.gate.token is not None:
            self.set_cookie(
                self.gate.cookie,
                self.gate.token,
                httponly=True,
                samesite="Strict",
                secure=self.request.protocol == "https",
            )
        self.redirect("/")
