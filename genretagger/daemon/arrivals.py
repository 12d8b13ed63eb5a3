"""What was heard of, until it is complete: names that matter wait in `Settling`, and go to the queue from there."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from genretagger.config import Settings
from genretagger.daemon import intake
from genretagger.daemon.roots import Roots
from genretagger.daemon.settle import Settling, Verdict
from genretagger.daemon.watch import Changed
from genretagger.discover import is_audio_name, is_ignored, oddity
from genretagger.errors import FileError
from genretagger.files import stamp_of
from genretagger.posix import is_being_written
from genretagger.unfinished import companion

_AT_ONCE = 500
"""How many files are looked at before the loop does something else."""


class Arrivals:
    """The files that may not be complete yet.

    Args:
        settings: what is left out, and how long a file has to be quiet.
        roots: the watched folders.
        ask: has something done in the database.
    """

    def __init__(self, settings: Settings, roots: Roots, ask: Callable[[intake.Order], None]) -> None:
        self._roots, self._ask = roots, ask
        self._ignored = settings.ignore, settings.ignore_folders
        self._settling = Settling(settings.quiet_s)

    def __len__(self) -> int:
        return len(self._settling)

    def configure(self, settings: Settings) -> None:
        """Go by other settings from now on."""
        self._ignored = settings.ignore, settings.ignore_folders
        self._settling.quiet_s = settings.quiet_s

    def next_s(self) -> float | None:
        """When to look again; None while nothing is waited for."""
        return self._settling.next_due_s()

    def heard(self, changed: Changed) -> None:
        """Note what was heard of a file, or have a folder looked at."""
        path, root = changed.path, changed.root
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
        self._settling.touch(path, root, time.monotonic())

    def look(self, now_s: float) -> None:
        """Look at the files that have been quiet, and pass on those that are complete."""
        for path, root in self._settling.due(now_s, _AT_ONCE):
            found = self._roots.of(root)
            try:
                stamp = stamp_of(path)
            except FileError:
                stamp = None
            if stamp is not None and oddity(path):  # a FIFO or a device is never opened
                stamp = None
            busy = stamp is not None and (is_being_written(path) is True or bool(companion(path, root)))
            remote = found is None or found.watched.is_remote
            untouched_s = 0.0 if remote or stamp is None else time.time() - stamp.ctime_ns / 1e9
            verdict = self._settling.verdict(path, stamp, untouched_s=untouched_s, being_written=busy, now_s=now_s)
            if verdict is Verdict.COMPLETE:
                self._ask(intake.Arrived(path, root))
