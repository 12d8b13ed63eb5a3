"""Holds changed files until they are complete, then passes them to the queue.

They wait in `Settling`, and then in `Gathering` for the other files of their folder.

Only a limited number of files waits one by one. If more arrive at once, their watched folder is
scanned later, when the changes have calmed down, which finds them as well. So a library that is
moved or copied in costs no more memory than an album.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from genretagger.config import Settings
from genretagger.daemon import intake
from genretagger.daemon.gathering import LONGEST, Gathering
from genretagger.daemon.roots import Roots
from genretagger.daemon.settle import Completeness, Settling
from genretagger.daemon.watch import Changed
from genretagger.errors import FileError
from genretagger.files.discover import is_audio_name, is_ignored, oddity
from genretagger.files.replace import stamp_of
from genretagger.files.unfinished import is_arriving, is_in_use
from genretagger.steps.album import home
from genretagger.types import Albums

_AT_ONCE = 25
"""How many files are looked at before the loop does something else."""

MOST_WAITING = 2000
"""How many files may wait one by one."""


class Arrivals:
    """The files that may not be complete yet.

    Args:
        settings: what is ignored, and how long a file has to be quiet.
        ask: passes an order to the thread of the database.

    Attributes:
        complete: how many files were found complete since the start.
    """

    def __init__(self, settings: Settings, roots: Roots, ask: Callable[[intake.IntakeOrder], None]) -> None:
        self._roots, self._ask = roots, ask
        self._ignored = settings.ignore, settings.ignore_folders
        self._settling = Settling(settings.quiet_s)
        self._gathering = Gathering(settings.quiet_s)
        self._gathers = settings.album is Albums.POOL
        self.complete = 0
        self._look_at_s: dict[Path, float] = {}

    def __len__(self) -> int:
        return len(self._settling) + len(self._gathering)

    def configure(self, settings: Settings) -> None:
        """Use other settings from now on."""
        self._ignored = settings.ignore, settings.ignore_folders
        self._settling.quiet_s = self._gathering.quiet_s = settings.quiet_s
        self._gathers = settings.album is Albums.POOL

    def next_s(self) -> float | None:
        """When to look again; None if no file waits."""
        times = [self._settling.next_due_s(), self._gathering.next_due_s(), *self._look_at_s.values()]
        return min((each for each in times if each is not None), default=None)

    def heard(self, changed: Changed) -> None:
        """Note a change of a file, or have a folder scanned."""
        path, root = changed.path, changed.root
        if changed.source is not None and (changed.is_folder or is_audio_name(changed.source.name)):
            self._ask(intake.Gone(changed.source, changed.is_folder))
        if not path.is_relative_to(root):
            return
        if any(part.startswith(".") for part in path.relative_to(root).parts):
            return
        if is_ignored(path, root, *self._ignored):
            return
        if changed.is_folder:
            found = self._roots.of(root)
            if found is not None and path != root:
                self._ask(intake.Look(root, path, 0, found.watched.is_remote, "folder"))
        elif is_audio_name(path.name):
            self.touch(path, root)

    def touch(self, path: Path, root: Path) -> None:
        """Wait until a file is complete."""
        if len(self) >= MOST_WAITING and path not in self._settling and path not in self._gathering:
            self.flooded(root)
        else:
            self._gathering.forget(path)
            self._settling.touch(path, root, time.monotonic())

    def found(self, path: Path, root: Path) -> None:
        """Wait until a file that a scan found is complete; no event reported it."""
        if path not in self._gathering:
            self.touch(path, root)

    def flooded(self, root: Path) -> None:
        """Note that a watched folder has too many changes: it is scanned after the quiet period."""
        self._look_at_s.setdefault(root, time.monotonic() + self._settling.quiet_s)

    def look(self, now_s: float) -> None:
        """Check the files that have been quiet, and pass on those that are complete."""
        for root in [root for root, due_s in self._look_at_s.items() if due_s <= now_s]:
            if len(self) > MOST_WAITING // 2:
                self._look_at_s[root] = now_s + max(0.5, self._settling.quiet_s / 4)
            else:
                del self._look_at_s[root]
                self._roots.look_at(root, "many changes")
        for path, root in self._settling.due(now_s, _AT_ONCE):
            found = self._roots.of(root)
            try:
                stamp = stamp_of(path)
            except FileError:
                stamp = None
            if stamp is not None and oddity(path):  # a FIFO or a device is never opened
                stamp = None
            busy = stamp is not None and is_in_use(path, root)
            remote = found is None or found.watched.is_remote
            untouched_s = 0.0 if remote or stamp is None else time.time() - stamp.ctime_ns / 1e9
            verdict = self._settling.verdict(path, stamp, untouched_s=untouched_s, being_written=busy, now_s=now_s)
            if verdict is Completeness.COMPLETE:
                self.complete += 1
                self._gathering.add(path, root, now_s)
            elif verdict is Completeness.GONE:
                self._gathering.look_at(home(path), now_s)
        for files in self._gathering.ready(now_s, self._is_arriving):
            self._ask(intake.Arrived(tuple(files)))

    def _is_arriving(self, folder: Path) -> bool:
        """Whether files still arrive in an album's folder, so that its files wait for them."""
        if not self._gathers:
            return False
        return self._settling.waits_in(folder) or is_arriving(folder, LONGEST * self._settling.quiet_s)
