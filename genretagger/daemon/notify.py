"""Word to the service manager, by the protocol of systemd's `sd_notify(3)`; without one, nothing happens."""

from __future__ import annotations

import contextlib
import os
import socket


class Notifier:
    """The socket that `NOTIFY_SOCKET` names.

    Attributes:
        watchdog_s: within how many seconds the manager wants to hear from us; None where it does not.
    """

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        for_us = os.environ.get("WATCHDOG_PID") in (None, str(os.getpid()))
        usec = os.environ.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(usec) / 1e6 if self._address and for_us and usec.isdigit() and int(usec) else None

    def tell(self, *words: str) -> None:
        """Send a state: `READY=1`, `STOPPING=1`, `RELOADING=1`, `WATCHDOG=1`, `STATUS=…`."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)  # a manager that does not read must not stop us
            sock.connect(address)
            sock.sendall("\n".join(words).encode("utf-8", "backslashreplace"))
