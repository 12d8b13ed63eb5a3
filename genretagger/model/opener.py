"""How an address is opened: http and https only, also in redirects, and no slow servers."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from types import TracebackType
from typing import IO, Any, Self

from genretagger.errors import ModelError

LEAST_BYTES = 10_000
LEAST_S = 30.0
_SCHEMES = ("http", "https")


class Speed:
    """A thread that cuts a connection on which less than `LEAST_BYTES` arrive in `LEAST_S`.

    A timeout of the socket does not do that: it begins again with each byte, those of the headers
    included.

    Attributes:
        complaint: why the connection was cut; empty while it was not.
    """

    def __init__(self) -> None:
        self.complaint = ""
        self._sockets: list[socket.socket] = []
        self._bytes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="genretagger-speed", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        if self.complaint and isinstance(error, (OSError, http.client.HTTPException)):
            raise ConnectionError(self.complaint) from error

    def connected(self, connection: socket.socket) -> None:
        """Note the connection, so that it can be closed if it is too slow."""
        self._sockets.append(connection)

    def arrived(self, count: int) -> None:
        """Count the bytes that arrived."""
        self._bytes += count

    def _watch(self) -> None:
        before = 0
        while not self._over.wait(LEAST_S):
            if self._bytes - before < LEAST_BYTES:
                self.complaint = f"it sends less than {LEAST_BYTES // 1000} kB in {LEAST_S:g} s"
                for connection in self._sockets:
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)
                return
            before = self._bytes


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https only; refuses others at once, as a retry cannot help."""

    def http_error_302(self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any) -> Any:
        """As the library does, once the address is known to be one of those."""
        target = str(headers.get("location") or headers.get("uri") or "")
        try:
            where = urllib.parse.urljoin(req.full_url, target)
            fit = urllib.parse.urlsplit(where).scheme.lower() in _SCHEMES and bool(
                urllib.parse.urlsplit(where).hostname
            )
        except ValueError:
            fit = False
        if target and not fit:
            fp.close()
            raise ModelError(
                f"The server leads to an address that is neither http nor https: {target[:200]}",
                hint=f"It was asked for {req.full_url}. Do not follow it; fetch the file from its publisher.",
            )
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except urllib.error.HTTPError as error:  # in a circle, or too many
            error.close()
            raise ModelError(
                f"The server leads in a circle: {req.full_url}", hint="Try again later, or fetch it from its publisher."
            ) from error

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def opener(speed: Speed) -> urllib.request.OpenerDirector:
    """What opens http and https, and nothing else."""

    def watched(kind: type[http.client.HTTPConnection]) -> Callable[..., http.client.HTTPConnection]:
        def connect(*arguments: Any, **options: Any) -> http.client.HTTPConnection:
            connection: Any = kind(*arguments, **options)
            create = connection._create_connection

            def noted(*where: Any, **how: Any) -> socket.socket:
                new: socket.socket = create(*where, **how)
                speed.connected(new)
                return new

            connection._create_connection = noted
            return connection  # type: ignore[no-any-return]

        return connect

    class Plain(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> Any:
            return self.do_open(watched(http.client.HTTPConnection), req)

    class Encrypted(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> Any:
            return self.do_open(watched(http.client.HTTPSConnection), req)

    made = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        Plain(),
        Encrypted(),
        urllib.request.HTTPDefaultErrorHandler(),
        _Redirects(),
        urllib.request.HTTPErrorProcessor(),
    ):
        made.add_handler(handler)
    return made
