"""Who is let in, and the headers of every answer.

Any web site that its owner visits can make the browser send requests to this server. Three checks
keep such a site out: the Host header must name us (a site with a name that was rebound to our
address sends its own), the Origin header must be ours if there is one, and must be there if
anything is to be changed, and the browser's own word (Sec-Fetch-Site) must say that the request
comes from our page. Sockets are not served at all.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genretagger.web.password import Door

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Scripts and styles come only from our files; no text becomes a script, wherever it is."""

_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
"""Of every answer that has no others of these names."""

_OPEN = ("/api/login", "/static/", "/login", "/favicon.ico")
"""What is answered without a session: the page that asks for the password, and what it needs."""

_WITHOUT_WRITING = ("/api/login", "/api/logout", "/api/playlist")
"""Posts that change no music file and no row."""

MOST_BODY_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class AccessRules:
    """What the server was started with.

    Attributes:
        names: its own names, in lower case.
        given: further names, with any port.
        port: it listens on.
        read_only: nothing may be changed.
        loopback: only this machine can reach it.
    """

    names: frozenset[str]
    given: frozenset[str]
    port: int
    read_only: bool
    loopback: bool


class Guard:
    """A layer in front of the application.

    Args:
        app: answers those who are let in.
        door: the password and the sessions.
    """

    def __init__(self, app: ASGIApp, rules: AccessRules, door: Door) -> None:
        self._app, self._rules, self._door = app, rules, door
        self.cookie = f"genretagger-{rules.port}"
        """The name of the cookie: cookies do not distinguish the ports of a host."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse to."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # a socket, of which there are none here
            await send({"type": "websocket.close", "code": 1008})
            return
        sending = _dressed(send)
        headers = _headers(scope)
        if refusal := self._refusal(scope, headers):
            await _refusing(*refusal)(scope, receive, sending)
            return
        token = Request(scope).cookies.get(self.cookie, "")
        scope["token"], scope["door"], scope["cookie_name"] = token, self._door, self.cookie
        inside = self._door.password is None or self._door.knows(token)
        if not inside and not scope["path"].startswith(_OPEN):
            asks = scope["path"] == "/" and scope["method"] == "GET"
            answer = RedirectResponse("/login", 303) if asks else _refusing(401, "the password is needed")
            await answer(scope, receive, sending)
            return
        await self._app(scope, _bounded(receive), sending)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return 421, "this server does not have that name; --name sets it"
        method, path = scope["method"], scope["path"]
        origin = headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return 403, "another web site may not ask this"
        site = headers.get("sec-fetch-site", "none")
        if site not in ("none", "same-origin") and not (
            method == "GET" and path in ("/", "/login") and headers.get("sec-fetch-mode") == "navigate"
        ):
            return 403, "another web site may not ask this"
        if method in ("GET", "HEAD"):
            return None
        if method != "POST":
            return 405, "only GET, HEAD and POST are answered"
        if origin is None:
            return 403, "the Origin header is missing"
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return 415, "only JSON is accepted"
        if self._rules.read_only and path not in _WITHOUT_WRITING:
            return 403, "the page is read-only: it was started with --read-only"
        return None

    def _is_ours(self, host: str) -> bool:
        """Whether a Host header names this server, which a rebound name does not."""
        name, port = _split(host)
        if name in self._rules.given:  # perhaps behind a proxy, which has its own port
            return True
        if port != self._rules.port:
            return False
        if name in self._rules.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._rules.loopback


def host_names() -> frozenset[str]:
    """The names of this machine."""
    try:
        name = socket.gethostname().lower()
    except OSError:
        name = ""
    return frozenset({"localhost", name, f"{name.partition('.')[0]}.local"} - {"", ".local"})


def _split(host: str) -> tuple[str, int]:
    """Name and port of a Host header; port 80 if it is left out, and 0 if it is not a number."""
    name, bracket, rest = host.lower().rpartition("]")
    if bracket:
        name, port = name.removeprefix("["), rest.removeprefix(":")
    else:
        name, _, port = host.lower().partition(":")
    if port and not (port.isascii() and port.isdigit() and len(port) <= 5):
        return "", 0
    return name, int(port or 80)


def _headers(scope: Scope) -> dict[str, str]:
    """Headers by name; a repeated one cannot be trusted, so it gets a value that fits nothing."""
    found: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name = raw.decode("latin-1").lower()
        twice = name in found and name in ("host", "origin", "content-type", "sec-fetch-site")
        found[name] = "\0" if twice else value.decode("latin-1")
    return found


def _dressed(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending


def _bounded(receive: Receive) -> Receive:
    """Stop reading bodies that are too long."""
    left = MOST_BODY_BYTES

    async def receiving() -> Message:
        nonlocal left
        message = await receive()
        if message["type"] == "http.request":
            left -= len(message.get("body", b""))
            if left < 0:
                return {"type": "http.disconnect"}
        return message

    return receiving


def _refusing(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status)
