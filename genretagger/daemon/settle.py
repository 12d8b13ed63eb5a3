"""Decides when a new file is complete; pure, with the time as an argument.

A file is complete if no event came for it during the quiet period, its size and times stayed the
same for as long, and no program has it open for writing. Every change starts the wait again.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from genretagger.steps.album import home
from genretagger.types import Stamp


class Completeness(StrEnum):
    """Whether a file is complete, by a check."""

    COMPLETE = "complete"
    WAIT = "wait"
    GONE = "gone"


@dataclass(slots=True)
class _Waiting:
    """A file that may not be complete; `stamp` was seen at `since_s`, `due_s` is the next check."""

    root: Path
    due_s: float
    stamp: Stamp | None = None
    since_s: float = 0.0


class Settling:
    """The files that wait until they are complete.

    Args:
        quiet_s: how long nothing may change.
    """

    def __init__(self, quiet_s: float) -> None:
        self.quiet_s = quiet_s
        self._waiting: dict[Path, _Waiting] = {}
        self._homes: Counter[Path] = Counter()
        self._heap: list[tuple[float, int, Path]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, path: Path) -> bool:
        return path in self._waiting

    def waits_in(self, folder: Path) -> bool:
        """Whether a file of an album's folder is waited for."""
        return self._homes[folder] > 0

    def touch(self, path: Path, root: Path, now_s: float) -> None:
        """Note an event for a file: it has to be quiet from now on."""
        due_s = now_s + self.quiet_s
        known = self._waiting.get(path)
        if known is None:
            self._waiting[path] = _Waiting(root, due_s)
            self._homes[home(path)] += 1
            self._push(path, due_s)
        else:
            known.due_s = max(known.due_s, due_s)  # its old place in the heap is skipped later

    def forget(self, path: Path) -> None:
        """Stop waiting for a file."""
        if self._waiting.pop(path, None) is not None:
            self._homes[home(path)] -= 1
            if not self._homes[home(path)]:
                del self._homes[home(path)]

    def next_due_s(self) -> float | None:
        """When to look again; None if no file waits."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def due(self, now_s: float, most: int = 1 << 30) -> list[tuple[Path, Path]]:
        """At most `most` files to check now, with their roots.

        Each then needs a `verdict` or a `wait`.
        """
        found: list[tuple[Path, Path]] = []
        self._drop_stale()
        while self._heap and self._heap[0][0] <= now_s and len(found) < most:
            path = heapq.heappop(self._heap)[2]
            found.append((path, self._waiting[path].root))
            self._drop_stale()
        return found

    def verdict(
        self, path: Path, stamp: Stamp | None, *, untouched_s: float, being_written: bool, now_s: float
    ) -> Completeness:
        """Judge a file that is due.

        Args:
            stamp: what `stat` returns for it now; None if it is gone.
            untouched_s: how long ago it was changed, by its own times and the clock of the system;
                not reliable alone, because the clock may be set and a file server has its own.
            being_written: whether a program is known to write to it.
        """
        waiting = self._waiting[path]
        if stamp is None:
            self.forget(path)
            return Completeness.GONE
        same = waiting.stamp == stamp
        if not same:
            waiting.stamp, waiting.since_s = stamp, now_s
        rested = same and now_s - waiting.since_s >= self.quiet_s
        if not being_written and (rested or untouched_s >= self.quiet_s):
            self.forget(path)
            return Completeness.COMPLETE
        self.wait(path, now_s)
        return Completeness.WAIT

    def wait(self, path: Path, now_s: float) -> None:
        """Check a file again after another quiet period."""
        waiting = self._waiting[path]
        waiting.due_s = now_s + self.quiet_s
        self._push(path, waiting.due_s)

    def _push(self, path: Path, due_s: float) -> None:
        self._count += 1
        heapq.heappush(self._heap, (due_s, self._count, path))

    def _drop_stale(self) -> None:
        """Bring the first entry up to date.

        Files with new events are due later, forgotten ones never.
        """
        while self._heap:
            due_s, _, path = self._heap[0]
            waiting = self._waiting.get(path)
            if waiting is not None and waiting.due_s <= due_s:
                return
            heapq.heappop(self._heap)
            if waiting is not None:
                self._push(path, waiting.due_s)
