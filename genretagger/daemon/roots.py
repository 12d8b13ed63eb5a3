"""The watched folders: how changes in each are noticed, when each is scanned, and which are away.

If a folder is away (an unmounted disk), the service waits for it and forgets nothing about its
files.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from genretagger.config import Settings
from genretagger.daemon import intake, watch
from genretagger.daemon.events import Events
from genretagger.daemon.mounts import Mounts
from genretagger.daemon.state import RootState
from genretagger.daemon.watch import Noticing, TellChange, Watched

UPKEEP_S = 15.0
"""How often to check that the folders are there and the observers alive."""

AWAY_S = 3.0
"""The same while a folder is away."""

_POLL_SHARE = 20
"""Scans of a polled folder take at most this fraction (1 / N) of the time."""


@dataclass(slots=True)
class Root:
    """A watched folder.

    Attributes:
        watched: how its changes are noticed.
        look_at_s: when to scan all of it again.
        looking: whether a scan is under way.
        took_s: how long the last one took.
        files: how many music files it found.
    """

    watched: Watched
    look_at_s: float = 0.0
    looking: bool = False
    took_s: float = 0.0
    files: int = 0
    _told: str = ""

    def news(self) -> tuple[bool, bool]:
        """Whether the present way of watching is not logged yet, and whether an earlier one was."""
        way = f"{self.watched.way} {self.watched.reason}"
        news, before = way != self._told, bool(self._told)
        self._told = way
        return news, before


class Roots:
    """All watched folders.

    Args:
        folders: absolute, none inside another.
        look: orders a scan of a folder.
        mounts: remembers between two runs where the disk of each folder is mounted.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        settings: Settings,
        events: Events,
        *,
        tell: TellChange,
        look: Callable[[intake.Look], None],
        mounts: Mounts,
    ) -> None:
        self._settings, self._events, self._ask = settings, events, look
        self._mounts = mounts
        self._roots = [Root(Watched(folder, tell, mounts.of(folder))) for folder in folders]
        self._upkeep_at_s = 0.0

    def __iter__(self) -> Iterator[Root]:
        return iter(self._roots)

    def of(self, folder: Path) -> Root | None:
        """The root with this path."""
        return next((root for root in self._roots if root.watched.root == folder), None)

    @property
    def any_away(self) -> bool:
        """Whether a folder is not there."""
        return any(root.watched.way is Noticing.AWAY for root in self._roots)

    def start(self) -> None:
        """Start watching, and scan for what came before; that is the backlog."""
        for root in self._roots:
            self._attach(root, "start", priority=1)

    def stop(self) -> None:
        """Stop watching."""
        for root in self._roots:
            root.watched.stop(within_s=1.0)

    def next_s(self) -> float:
        """When `upkeep` has something to do."""
        looks = (root.look_at_s for root in self._roots if not root.looking and root.watched.way is not Noticing.AWAY)
        return min([self._upkeep_at_s, *looks])

    def upkeep(self, now_s: float) -> None:
        """Notice folders that went or came back and observers that died, and start due scans."""
        if now_s >= self._upkeep_at_s:
            for root in self._roots:
                self._check(root)
            every_s = AWAY_S if self.any_away else UPKEEP_S
            self._upkeep_at_s = now_s + min(every_s, self._settings.poll_s)
        for root in self._roots:
            if not root.looking and root.watched.way is not Noticing.AWAY and now_s >= root.look_at_s:
                self._look(root, "interval", priority=0)

    def look_at_all(self, why: str, *, priority: int) -> None:
        """Scan every folder that is there."""
        for root in self._roots:
            if root.watched.way is not Noticing.AWAY:
                self._look(root, why, priority=priority)

    def look_at(self, folder: Path, why: str) -> None:
        """Scan a watched folder, if it is there."""
        root = self.of(folder)
        if root is not None and root.watched.way is not Noticing.AWAY:
            self._look(root, why, priority=0)

    def check_soon(self) -> None:
        """Make `upkeep` check all folders at once."""
        self._upkeep_at_s = 0.0

    def limit_reached(self) -> None:
        """Stop relying on events: some folder below a root could not be watched."""
        for root in self._roots:
            if root.watched.way is Noticing.EVENTS:
                root.watched.poll_too(watch.LIMIT_REACHED)
                self._tell_way(root)
                self._look(root, "limit", priority=0)

    def configure(self, settings: Settings) -> None:
        """Use other settings from now on; the limits of the system may have changed too."""
        self._settings = settings
        for root in self._roots:
            if root.watched.way is Noticing.POLLING and not root.watched.is_remote:
                root.watched.start()
                self._tell_way(root)
        self.look_at_all("configuration", priority=1)

    def looked(self, root: Root, found: intake.Looked) -> None:
        """Note that a scan of a whole root is over."""
        root.looking, root.took_s, root.files = False, found.seconds, found.files
        polled = root.watched.way is Noticing.POLLING
        wait_s = max(self._settings.poll_s, _POLL_SHARE * root.took_s) if polled else self._settings.rescan_s
        root.look_at_s = time.monotonic() + wait_s

    def state(self) -> tuple[RootState, ...]:
        """The state of the folders, for the status."""
        return tuple(
            RootState(str(root.watched.root), root.watched.way.value, root.watched.reason, root.files, root.looking)
            for root in self._roots
        )

    def _check(self, root: Root) -> None:
        watched = root.watched
        if watched.way is Noticing.AWAY:
            if not watched.missing():
                self._attach(root, "back", priority=0)
        elif watched.is_gone():
            watched.stop()
            if fault := watched.missing():
                watched.way, watched.reason = Noticing.AWAY, fault
                self._tell_way(root)
            else:
                self._attach(root, "another disk", priority=0)
        elif watched.is_deaf():
            self._events.warning("observer died", path=watched.root, action="starting it again")
            self._attach(root, "observer died", priority=0)

    def _attach(self, root: Root, why: str, *, priority: int) -> None:
        root.watched.start()
        self._tell_way(root)
        if root.watched.way is not Noticing.AWAY:
            self._mounts.keep(root.watched.root, root.watched.mount)
            self._look(root, why, priority=priority)

    def _look(self, root: Root, why: str, *, priority: int) -> None:
        root.looking = True
        folder = root.watched.root
        self._ask(intake.Look(folder, folder, priority, root.watched.is_remote, why))

    def _tell_way(self, root: Root) -> None:
        """Log once that a folder is not watched by events, and once when it is again."""
        watched = root.watched
        news, before = root.news()
        if not news:
            return
        if watched.way is Noticing.AWAY:
            action = "waiting for it; nothing is forgotten"
            self._events.warning("folder is away", path=watched.root, reason=watched.reason, action=action)
        elif watched.way is Noticing.POLLING:
            self._events.warning("polling", path=watched.root, reason=watched.reason, every_s=self._settings.poll_s)
        elif before:
            self._events.info("folder is watched again", path=watched.root)
