"""Tells those who follow the service, such as the page, what changed."""

from __future__ import annotations

from collections.abc import Callable

from genretagger.daemon.control import Control
from genretagger.types import Json

_EVERY_S = 0.5
"""How long followers wait at most for what changed."""


class Followers:
    """Everybody who follows the service.

    Args:
        control: the connections.
        status: says what the service does now.
    """

    def __init__(self, control: Control, status: Callable[[], Json]) -> None:
        self._control, self._status = control, status
        self._told: Json = None
        self._told_at_s = 0.0
        self.due_s: float | None = None

    def tell(self, now_s: float) -> None:
        """Tell them what changed, at most twice a second; `due_s` says when to call again."""
        if not self._control.has_followers:
            self.due_s = None
            return
        if now_s < self._told_at_s + _EVERY_S:
            self.due_s = self._told_at_s + _EVERY_S
            return
        state = self._status()
        lasting = {**state, "uptime_s": 0, "per_minute": 0}
        if lasting != self._told:
            self._told = lasting
            self._control.publish(state)
        self._told_at_s, self.due_s = now_s, None
