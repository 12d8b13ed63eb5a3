"""The outcomes of files: logged, counted for the summary, and kept for the status."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime

from genretagger.causes import Cause
from genretagger.daemon import intake
from genretagger.daemon.driver import PAUSED, UNSETTLED
from genretagger.daemon.events import Events
from genretagger.daemon.messages import FileEnded
from genretagger.daemon.state import ErrorState
from genretagger.types import Json

_LAST_ERRORS = 20
RATE_SPAN_S = 600.0
"""The span of `per_minute`: files that ended in the last so many seconds count."""


@dataclass(slots=True)
class Tally:
    """The outcomes since a point in time."""

    since_s: float = field(default_factory=time.monotonic)
    outcomes: Counter[str] = field(default_factory=Counter)


class Account:
    """All outcomes so far.

    Attributes:
        total: since the start.
        counters: other counts, by name.
        provider: what the model ran on last; empty if it did not run yet.
    """

    def __init__(self, events: Events) -> None:
        self._events = events
        self.total = Tally()
        self._summary = Tally()
        self._ended_at: deque[float] = deque(maxlen=1000)
        self._errors: deque[ErrorState] = deque(maxlen=_LAST_ERRORS)
        self._unreadable: set[tuple[str, str]] = set()
        self.counters: Counter[str] = Counter()
        self.provider = ""

    @property
    def summary_since_s(self) -> float:
        """When the last summary was."""
        return self._summary.since_s

    def outcome(self, ended: FileEnded) -> None:
        """Count and log the outcome of a file."""
        status, path = ended.status, ended.path
        why = {"cause": ended.cause, "reason": ended.reason}
        if status in (UNSETTLED, PAUSED):
            self._events.debug(status, path=path, **why)
            return
        self.counters["handled"] += 1
        self.provider = ended.provider or self.provider
        self._ended_at.append(time.monotonic())
        for tally in (self._summary, self.total):
            tally.outcomes["quarantined" if ended.quarantined else status] += 1
        if status == "tagged":
            self._events.info("tagged", path=path, genres=ended.genres, seconds=ended.seconds)
        elif status == "failed":
            self.keep_error(path, ended.cause, ended.reason)
            self._events.warning("quarantined" if ended.quarantined else "failed", path=path, **why)
        elif status == "skipped":
            self._events.info("skipped", path=path, **why)
        else:
            self._events.debug(status, path=path, **why)
            if ended.cause is Cause.CHANGED_BY_OWNER:
                self._events.info("left alone", path=path, **why)

    def unreadable(self, error: OSError) -> None:
        """Log once that a folder cannot be read.

        A folder that is gone was deleted while we looked at it.
        """
        path, reason = os.fsdecode(error.filename or ""), error.strerror or str(error)
        gone = isinstance(error, (FileNotFoundError, NotADirectoryError))
        tell = self._events.debug if gone or (path, reason) in self._unreadable else self._events.warning
        tell("folder cannot be read", path=path, reason=reason)
        if not gone:
            self._unreadable.add((path, reason))

    def keep_error(self, path: str | None, cause: Cause, reason: str) -> None:
        """Keep an error for the status."""
        self._errors.append(ErrorState(datetime.now(UTC).isoformat(timespec="seconds"), path, cause, reason))

    def database_failed(self, cause: Cause, reason: str, **details: Json) -> None:
        """Log that the database cannot be used, and keep it."""
        self._events.error("database cannot be used", cause=cause, reason=reason, **details)
        self.keep_error(None, cause, reason)

    def summarise(self, queue: intake.Queue | None) -> None:
        """Log the outcomes since the last summary, if there are any."""
        if counts := self._summary.outcomes:
            waiting = queue.counts.new + queue.counts.backlog if queue is not None else 0
            self._events.info("summary", **dict(sorted(counts.items())), waiting=waiting)
        self._summary = Tally()

    def state(self, now_s: float) -> dict[str, Json]:
        """Everything that is kept, as fields of `ServiceState`."""
        up_s = now_s - self.total.since_s
        recent = sum(now_s - at <= RATE_SPAN_S for at in self._ended_at)
        return {
            "per_minute": round(60 * recent / max(1.0, min(RATE_SPAN_S, up_s)), 1),
            "outcomes": dict(self.total.outcomes),
            "counters": dict(self.counters),
            "errors": tuple(self._errors),
            "provider": self.provider,
        }
