"""Decides when an engine runs: starts one for due jobs, wakes it, and kills it if it hangs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from genretagger.causes import Cause
from genretagger.config import Settings
from genretagger.daemon import intake
from genretagger.daemon.account import Account
from genretagger.daemon.disks import Pauses
from genretagger.daemon.driver import Driver, EngineEnded, EngineSaid
from genretagger.daemon.events import Events
from genretagger.daemon.messages import DiskPaused, EngineBroken, EngineNotice, FileEnded
from genretagger.database.values import Claimant
from genretagger.types import Json

SILENT_S = 4.0
"""An engine sends a message every second; after this silence it does not count as alive."""

HANGS_S = 60.0
"""After this silence an engine is killed."""

LOADING_S = 900.0
"""The same while the engine loads: a slow disk, or the first start of a library, may take minutes.
"""

_DATABASE_WAIT_S = 10.0
"""The longest wait before the next engine if the database could not be used."""

_START_AGAIN_S = 30.0
_LONGEST_WAIT_S = 600.0

_FAILURES = 3
"""After so many failures of the engine in a row, the service is not healthy."""


class Work:
    """The engine process, if one is running.

    Args:
        settings: for the next engine; may be replaced.
        service: the owner of the jobs.
        tell: gets an engine's messages, in another thread.
        ask: passes an order to the thread of the database.
        lock: the descriptor that each engine holds too.

    Attributes:
        engine: the one that runs.
        queue: the state of the queue, if it is known.
        pauses: the paused disks.
        database_failed: whether the last engine ended because the database could not be used.
    """

    def __init__(
        self,
        settings: Settings,
        service: Claimant,
        events: Events,
        account: Account,
        tell: Callable[[EngineSaid | EngineEnded], None],
        *,
        ask: Callable[[intake.IntakeOrder], None],
        lock: int,
    ) -> None:
        self.settings, self._events, self._account = settings, events, account
        self._service, self._tell, self._ask, self._lock = service, tell, ask, lock
        self.engine: Driver | None = None
        self.queue: intake.Queue | None = None
        self.pauses = Pauses()
        self._not_before_s = 0.0
        self._failures = 0
        self.database_failed = False

    @property
    def busy(self) -> tuple[str, ...]:
        """The files that are being handled."""
        return () if self.engine is None else tuple(sorted(map(str, self.engine.busy)))

    def state(self) -> dict[str, Json]:
        """What is being done, as fields of `ServiceState`."""
        return {
            "paused": self.pauses.state(),
            "busy": self.busy,
            "engine": None if self.engine is None else self.engine.process_id,
            "known": 0 if self.queue is None else self.queue.known,
            "queue": None if self.queue is None else self.queue.counts,
        }

    @property
    def is_alive(self) -> bool:
        """Whether the engine, if there is one, still sends messages."""
        limit_s = LOADING_S if self.engine is not None and self.engine.is_loading else SILENT_S
        return self.engine is None or self.engine.silent_s() <= limit_s

    @property
    def is_failing(self) -> bool:
        """Whether one engine after the other died without handling a file."""
        return self._failures >= _FAILURES

    def next_s(self, now_s: float) -> float | None:
        """When `drive` has something to do; None if nothing is due."""
        times = [self.pauses.next_s()]
        if self.engine is not None:
            limit_s = LOADING_S if self.engine.is_loading else SILENT_S if self.is_alive else HANGS_S
            times.append(self.engine.heard_s + limit_s + 0.01)
        elif (due_s := self._due_s(now_s)) is not None:
            times.append(max(due_s, self._not_before_s))
        return min((each for each in times if each is not None), default=None)

    def go_on(self) -> None:
        """Start the next engine without a further wait: what stopped the last one is over."""
        self._not_before_s = 0.0

    def drive(self, now_s: float) -> None:
        """Start the engine if there is work, and kill one that hangs."""
        self._look_at_disks(now_s)
        if self.engine is not None:
            if self.engine.silent_s() > (LOADING_S if self.engine.is_loading else HANGS_S):
                self._events.error("engine hangs", files=self.busy, action="killing it")
                self.engine.kill()
                self.engine.heard_s = now_s
            return
        due_s = self._due_s(now_s)
        if due_s is not None and due_s <= now_s and now_s >= self._not_before_s:
            try:
                self.engine = Driver(self.settings, self._service, self._tell, keep_open=(self._lock,))
            except OSError as error:  # no memory, or too many processes
                self._not_before_s = now_s + _START_AGAIN_S
                self._events.error("engine cannot be started", reason=error.strerror or str(error))
            else:
                self._account.counters["engines"] += 1

    def _look_at_disks(self, now_s: float) -> None:
        """Resume work on disks whose fault is over."""
        over = self.pauses.over(now_s)
        for pause in over:
            self._events.info("work goes on", path=pause.place, after_s=round(now_s - pause.since_s))
        if over:
            self._ask(intake.Outside(self.pauses.places))
            if self.engine is not None:
                self.engine.resume()

    def queued(self, queue: intake.Queue) -> None:
        """Note the state of the queue."""
        self.queue = queue
        if self.engine is not None and queue.next_at is not None:
            self.engine.wake()

    def said(self, said: EngineSaid) -> None:
        """Handle a message of the engine."""
        message = said.message
        said.engine.note(message)
        if isinstance(message, FileEnded):
            self._failures = 0
            self._account.outcome(message)
        elif isinstance(message, EngineNotice):
            self._events.warning("notice", text=message.text)
        elif isinstance(message, DiskPaused):
            if self.pauses.begin(Path(message.place), Path(message.path), message.reason, message.cause):
                why = {"cause": message.cause, "reason": message.reason}
                self._events.warning("work pauses", path=message.place, **why, action="looking again every 2 s")
                self._ask(intake.Outside(self.pauses.places))
        elif isinstance(message, EngineBroken):
            self.database_failed = message.cause is Cause.DATABASE
            self._account.keep_error(message.path, message.cause, message.reason)
            why = {"cause": message.cause, "reason": message.reason}
            self._events.error("cannot work", path=message.path or "", **why)

    def ended(self, ended: EngineEnded) -> None:
        """Note that an engine has ended, and let its jobs wait again."""
        if ended.engine is not self.engine:
            return
        self.engine = None
        if ended.status == 0 or ended.engine.is_stopping:
            self.database_failed = False
        # its due jobs may be done: the answer to `GiveBack` says what is left
        if self.queue is not None:
            self.queue = replace(self.queue, next_at=None)
        crashed = ended.status < 0 and not ended.engine.is_stopping
        if ended.status != 0 and not ended.engine.is_stopping:
            self._failures += 1
            longest_s = _DATABASE_WAIT_S if self.database_failed else _LONGEST_WAIT_S
            # the failures may go on for weeks
            wait_s = min(2.0 ** min(self._failures, 10), longest_s)
            self._not_before_s = time.monotonic() + wait_s
            if ended.status != 2:
                says = f"the engine ended with status {ended.status}: {ended.last_words}"
                self._account.keep_error(None, Cause.CRASHED, says)
                self._events.error(
                    "engine died", status=ended.status, said=ended.last_words, files=sorted(map(str, ended.engine.busy))
                )
        self._ask(intake.GiveBack(ended.engine.claimant, attempted=crashed))

    def stop(self) -> None:
        """Ask the engine to finish its writes, and to end.

        The next one gets the settings of that time.
        """
        if self.engine is not None:
            self.engine.stop()

    def wait(self, timeout_s: float) -> None:
        """Wait for the end of an engine that was stopped; kill it if it is late."""
        if self.engine is not None and not self.engine.wait(max(0.0, timeout_s)):
            self._events.warning("engine does not end", files=self.busy, action="killing it")
            self.engine.kill()
            self.engine.wait(1.0)

    def _due_s(self, now_s: float) -> float | None:
        """When the next job is due, by the monotonic clock."""
        if self.queue is None or self.queue.next_at is None:
            return None
        return now_s + max(0.0, self.queue.next_at.timestamp() - time.time())
