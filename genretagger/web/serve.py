"""Starts the server, and says where it listens."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.errors import ConfigError
from genretagger.shelf.index import Index
from genretagger.web.app import make
from genretagger.web.desk import Desk
from genretagger.web.guard import AccessRules, host_names
from genretagger.web.live import Hub
from genretagger.web.password import VARIABLE, Door, given

_AT_ONCE = 400
_GRACE_S = 3


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    host: str
    port: int
    open_browser: bool = False
    read_only: bool = False
    password_file: Path | None = None
    names: Sequence[str] = ()


def serve(settings: Settings, options: Options, notice: Callable[[str], None]) -> None:
    """Serve the page until a signal.

    Raises:
        ConfigError: an address other than this machine's own was asked for without a password,
            or the address is not available.
    """
    password = given(options.password_file)
    loopback = is_loopback(options.host)
    if password is None and not loopback:
        raise ConfigError(
            f"{options.host} can be reached by other machines, so a password is needed",
            hint=f"Set {VARIABLE}, or name a file that holds it: --password-file FILE",
        )
    Store.open(settings.database, create=True, libraries=settings.libraries).close()
    Index(settings.data_dir).close()  # so that a fault of its place is reported now
    listening = _listen(options.host, options.port)
    with listening:
        host, port = listening.getsockname()[:2]
        names = frozenset(name.lower() for name in (*host_names(), options.host))
        given_names = frozenset(name.lower() for name in options.names)
        rules = AccessRules(names, given_names, port, options.read_only, loopback)
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - only shown
        address = f"http://[{shown}]:{port}/" if ":" in shown else f"http://{shown}:{port}/"
        notice(f"the page is at {address} (Ctrl-C ends it)")
        if not loopback:
            notice("other machines can reach it, and the password travels unencrypted: use it in a network you trust")
        if options.read_only:
            notice("read-only: nothing can be changed")
        config = uvicorn.Config(
            make(Desk(settings, Hub()), rules, Door(password)),
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            lifespan="on",
            limit_concurrency=_AT_ONCE,
            timeout_graceful_shutdown=_GRACE_S,
            timeout_keep_alive=15,
        )
        if options.open_browser:
            with contextlib.suppress(webbrowser.Error):
                webbrowser.open(address)
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(512)
        except BaseException:
            listening.close()
            raise
        return listening
    except OSError as error:
        raise ConfigError(
            f"nothing can listen at {host}, port {port}: {error.strerror or error}",
            hint="Choose another --port or --host",
        ) from error
