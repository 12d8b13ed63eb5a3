"""Messages to the service manager, by systemd's `sd_notify(3)`; without one, nothing happens."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping


class Notifier:
    """The socket that `NOTIFY_SOCKET` names.

    Attributes:
        watchdog_s: how often the manager expects a message; None if it does not.
        next_s: when `feed` has something to do.
    """

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        for_us = os.environ.get("WATCHDOG_PID") in (None, str(os.getpid()))
        usec = os.environ.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(usec) / 1e6 if self._address and for_us and usec.isdigit() and int(usec) else None
        self.next_s: float | None = None if self.watchdog_s is None else 0.0

    def feed(self, now_s: float, is_alive: bool) -> None:
        """Tell the manager's watchdog at intervals that the service works, if it does."""
        if self.watchdog_s is None or self.next_s is None or now_s < self.next_s:
            return
        self.next_s = now_s + self.watchdog_s / 4
        if is_alive:
            self.tell("WATCHDOG=1")

    def tell(self, *words: str) -> None:
        """Send a state: `READY=1`, `STOPPING=1`, `RELOADING=1`, `WATCHDOG=1`, `STATUS=…`."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)  # a manager that does not read must not stop us
            sock.connect(address)
            sock.sendall("\n".join(words).encode("utf-8", "backslashreplace"))


def without_manager(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """An environment without the service manager's socket, for programs that we start."""
    return {name: value for name, value in environment.items() if name not in ("NOTIFY_SOCKET", "WATCHDOG_USEC")}
