"""Follows a running service: its control socket sends each change of state on to all pages."""

from __future__ import annotations

import threading
from dataclasses import asdict

from genretagger.config import Settings
from genretagger.daemon.control import follow
from genretagger.daemon.state import ServiceState
from genretagger.text import printable
from genretagger.types import Json
from genretagger.web.live import Hub

_AGAIN_S = 3.0
_SHOWN = 10


class Follower:
    """A thread that follows the service of a data folder, whether it runs or not.

    Args:
        settings: say where the service would be.
        hub: passes changes on to all pages.
    """

    def __init__(self, settings: Settings, hub: Hub) -> None:
        self._settings, self._hub = settings, hub
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="genretagger-follower", daemon=True)

    def start(self) -> None:
        """Follow the service until `stop`, and connect again if it restarts."""
        self._thread.start()

    def stop(self) -> None:
        """End soon."""
        self._end.set()

    def _run(self) -> None:
        while not self._end.is_set():
            for state in follow(self._settings.data_dir, self._end):
                self._hub.tell("service", _shown(state), keep=True)
            self._hub.tell("service", {"running": False}, keep=True)
            self._end.wait(_AGAIN_S)


def _shown(state: ServiceState) -> Json:
    return {
        "running": True,
        "healthy": state.healthy,
        "queue": {} if state.queue is None else asdict(state.queue),
        "busy": [printable(path) for path in state.busy[:_SHOWN]],
        "roots": [{"path": printable(root.path), "files": root.files, "looking": root.looking} for root in state.roots],
        "paused": [printable(f"{each.path}: {each.reason}") for each in state.paused[:_SHOWN]],
        "outcomes": state.outcomes,
        "per_minute": state.per_minute,
        "settling": state.settling,
        "database": printable(state.database),
        "errors": [printable(f"{each.path or ''}: {each.reason}") for each in state.errors[-3:]],
    }
