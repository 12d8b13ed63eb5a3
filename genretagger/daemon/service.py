"""The watcher: one loop that receives events and passes on work; slow work runs elsewhere.

    events, scans → arrivals → intake (database) → work (the engine process) → account, hook

The loop sleeps until a message arrives or the next task is due; without work that is only a check
of the roots from time to time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType

from genretagger.causes import Cause
from genretagger.config import Settings
from genretagger.daemon import early, intake, lock, watch
from genretagger.daemon.account import Account
from genretagger.daemon.arrivals import Arrivals
from genretagger.daemon.control import Control, Questions
from genretagger.daemon.daily import DailyBackup
from genretagger.daemon.disks import AGAIN_S
from genretagger.daemon.driver import UNSETTLED, EngineEnded, EngineSaid
from genretagger.daemon.events import Events
from genretagger.daemon.followers import Followers
from genretagger.daemon.hook import Hook
from genretagger.daemon.memory import give_back_memory
from genretagger.daemon.messages import FileEnded
from genretagger.daemon.mounts import Mounts
from genretagger.daemon.notify import Notifier
from genretagger.daemon.roots import UPKEEP_S, Roots
from genretagger.daemon.state import ServiceState
from genretagger.daemon.storage import Storage, take_over
from genretagger.daemon.watch import Changed, LimitReached, Overflowed
from genretagger.daemon.work import Work
from genretagger.database.values import Claimant
from genretagger.errors import ConfigError, GenretaggerError
from genretagger.text import printable
from genretagger.types import Json

STOP_S = 5.5
"""How long the engine may take to end.

Service managers wait ten seconds or more, and ending the other parts takes time as well.
"""

MOST_HEARD = 2000
"""If so many messages wait for the loop, further changes are only noted by folder."""

_FULL_S = 0.2
"""How long complete files wait if the thread of the database has enough to do."""

_LONGEST_LOOK_S = 1800.0
"""The database or a scan hangs if it takes longer."""

_SWITCH_S = 0.0005
"""How long a thread of Python keeps the others waiting.

With its usual 5 ms, the threads that read the events of a large rename held up each of the hundred
short steps of an answer: 0.9 s in all.
"""

_DIED = object()
"""The message that a thread died of an exception."""


class Service:
    """The watcher of some folders.

    Args:
        roots: the folders, absolute.
        load: reads the configuration; called again on SIGHUP.

    Raises:
        GenretaggerError: another watcher uses this database, or the database cannot be used.
    """

    def __init__(self, roots: Sequence[Path], load: Callable[[], Settings], events: Events) -> None:
        self._load, self._events = load, events
        self._settings = load()
        self._inbox: SimpleQueue[object] = SimpleQueue()
        self._questions = Questions(lambda: self._inbox.put(None))
        self._flooded: set[Path] = set()
        held = lock.take(self._settings.data_dir, wait_s=STOP_S + 4)
        self._me = Claimant(lock.name_of_service(held), tuple(roots))
        take_over(self._settings.database, self._me, self._settings.libraries)  # here, so that an error ends the start
        self._storage = Storage(self._settings.database)
        self._storage_at_s = 0.0
        self._fault = ""
        self._intake = intake.Intake(self._settings, self._me, self._inbox.put)
        self._intake_at_s: float | None = None
        self._intake_failures = 0
        self._roots = Roots(
            roots, self._settings, events, tell=self._hear, look=self._ask, mounts=Mounts(self._settings.data_dir)
        )
        self._arrivals = Arrivals(self._settings, self._roots, self._ask)
        self._account = Account(events)
        self._work = Work(self._settings, self._me, events, self._account, self._inbox.put, ask=self._ask, lock=held)
        self._backup = DailyBackup(self._settings.database_file, events)
        self._hook = Hook(lambda path, fault: self._events.warning("hook failed", path=path, reason=fault))
        self._notifier = Notifier()
        self._followers: Followers | None = None
        self._stopping = False
        self._reloading = False

    def run(self) -> int:
        """Watch until a signal; returns the exit status."""
        sys.setswitchinterval(_SWITCH_S)
        for name in ("SIGTERM", "SIGINT", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._on_signal)
        self._reloading = early.was_asked_to_reload() or self._reloading  # in this order: a SIGHUP may come between
        watch.hear_of_losses(self._inbox.put)
        threading.excepthook = self._on_death
        self._intake.start()
        self._backup.start()
        control = self._control()
        self._followers = None if control is None else Followers(control, lambda: self._answer("status"))
        try:
            self._roots.start()
            places = [str(root.watched.root) for root in self._roots]
            self._events.info("watching", roots=places, pid=os.getpid())
            self._notifier.tell("READY=1", f"STATUS=watching {', '.join(map(printable, places))}"[:200])
            while not self._stopping:
                self._turn()
        finally:
            self._notifier.tell("STOPPING=1")
            if control is not None:
                control.close()
            self._end()
            early.ignore_all()
        return 0

    def _control(self) -> Control | None:
        try:
            return Control(self._settings.data_dir, self._questions.ask)
        # another program has the address; tagging does not depend on it
        except OSError as error:
            self._events.warning("`genretagger status` gets no answer", reason=error.strerror or str(error))
            return None

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if signal.Signals(number).name == "SIGHUP":
            self._reloading = True
        else:
            self._stopping = True
        self._inbox.put(None)  # wakes the loop; SimpleQueue may be used in a signal handler

    def _on_death(self, died: threading.ExceptHookArgs) -> None:
        name = died.thread.name if died.thread is not None else ""
        reason = f"a bug: {died.exc_type.__name__}: {died.exc_value}"
        self._events.error("thread died", name=name, cause=Cause.BUG, reason=reason, action="checking the observers")
        self._inbox.put(_DIED)

    def _hear(self, message: Changed | Overflowed | LimitReached) -> None:
        """Pass on an observer's message, in its thread.

        If the loop has too many messages, only the folder is noted.
        """
        if isinstance(message, Changed) and self._inbox.qsize() >= MOST_HEARD:
            self._flooded.add(message.root)
        else:
            self._inbox.put(message)

    def _turn(self) -> None:
        """Wait for the next message or task, and handle it."""
        now_s = time.monotonic()
        with contextlib.suppress(Empty):
            message = self._inbox.get(timeout=max(0.0, self._next_s(now_s) - now_s))
            self._receive(message)
            # what follows at once, but never so much that nothing else is done
            for _ in range(1000):
                self._questions.answer(self._answer)
                self._receive(self._inbox.get_nowait())
        self._questions.answer(self._answer)
        while self._flooded:
            self._arrivals.flooded(self._flooded.pop())
        if self._reloading:
            self._reload()
        now_s = time.monotonic()
        if now_s >= self._storage_at_s:
            self._look_at_storage(now_s)
        if self._intake_at_s is not None and now_s >= self._intake_at_s and not self._fault:
            self._restart_intake()
        if not self._is_full:
            self._arrivals.look(now_s)
        self._roots.upkeep(now_s)
        if not self._fault or self._work.engine is not None:
            self._work.drive(now_s)
        self._notifier.feed(now_s, self._is_alive)
        if now_s - self._account.summary_since_s >= self._settings.summary_s:
            self._account.summarise(self._work.queue)
        if self._followers is not None:
            self._followers.tell(now_s)

    def _next_s(self, now_s: float) -> float:
        """When the loop has something to do without a message."""
        times = [
            self._roots.next_s(),
            self._account.summary_since_s + self._settings.summary_s,
            self._storage_at_s,
            None if self._fault else self._intake_at_s,
            now_s + _FULL_S if self._is_full else self._arrivals.next_s(),
            None if self._fault and self._work.engine is None else self._work.next_s(now_s),
            self._notifier.next_s,
            None if self._followers is None else self._followers.due_s,
        ]
        return min(each for each in times if each is not None)

    @property
    def _is_full(self) -> bool:
        """Whether the thread of the database has enough to do, so that complete files wait."""
        return self._intake.waiting >= MOST_HEARD

    # Messages

    def _receive(self, message: object) -> None:
        if isinstance(message, Changed):
            self._account.counters["events"] += 1
            self._arrivals.heard(message)
        elif isinstance(message, Overflowed):
            self._events.warning(
                "events were lost", reason="the kernel's queue is full", action="looking at all folders"
            )
            self._account.counters["overflows"] += 1
            self._roots.look_at_all("overflow", priority=0)
        elif isinstance(message, LimitReached):
            self._roots.limit_reached()
        elif message is _DIED:
            self._roots.check_soon()
        elif isinstance(message, intake.Unsettled):
            self._arrivals.found(message.path, message.root)
        elif isinstance(message, intake.Flooded):
            self._arrivals.flooded(message.root)
        elif isinstance(message, intake.Queue):
            self._intake_failures = 0
            self._work.queued(message)
        elif isinstance(message, intake.Looked):
            self._looked(message)
        elif isinstance(message, intake.Unreadable):
            self._account.unreadable(message.error)
        elif isinstance(message, intake.Broken):
            self._account.database_failed(*intake.words_of(message.error))
            self._intake_failures += 1
            wait_s = min(AGAIN_S * 2.0 ** min(self._intake_failures, 10), max(1.0, self._settings.retry_s))
            self._intake_at_s = time.monotonic() + wait_s
            self._storage_at_s = 0.0
        elif isinstance(message, EngineSaid):
            self._work.said(message)
            if isinstance(message.message, FileEnded):
                self._handled(message.message)
        elif isinstance(message, EngineEnded):
            self._work.ended(message)
            give_back_memory()  # a burst of work is over

    def _handled(self, ended: FileEnded) -> None:
        if ended.status == UNSETTLED:
            self._arrivals.touch(Path(ended.path), Path(ended.root))
        elif ended.status == "tagged" and self._settings.on_tagged:
            self._hook.run(self._settings.on_tagged, Path(ended.path), ended.genres)

    def _looked(self, message: intake.Looked) -> None:
        root = self._roots.of(message.look.root)
        whole = root is not None and message.look.folder == root.watched.root
        tell = self._events.info if message.found and whole else self._events.debug
        tell(
            "looked",
            path=message.look.folder,
            why=message.look.why,
            files=message.files,
            new=message.found,
            seconds=round(message.seconds, 2),
        )
        if root is not None and whole:
            self._roots.looked(root, message)
            give_back_memory()

    # The database

    def _ask(self, order: intake.IntakeOrder) -> None:
        self._intake.ask(order)

    @property
    def _is_troubled(self) -> bool:
        """Whether the database refused something recently."""
        return self._intake_at_s is not None or self._intake_failures > 0 or self._work.database_failed

    def _look_at_storage(self, now_s: float) -> None:
        """Notice that the database went or came back, or that its disk works again."""
        before, self._fault = self._fault, self._storage.fault(troubled=self._is_troubled)
        if self._fault and not before:
            self._account.database_failed(Cause.DATABASE, self._fault, action="waiting for it")
            self._work.stop()
        elif before and not self._fault:
            self._events.info("database can be used again")
            self._work.go_on()
            self._reopen_intake()
        elif not self._fault and self._storage.is_another():
            self._events.warning("the database is another file now", action="using that one")
            self._work.stop()
            self._reopen_intake()
        waiting = self._fault or self._intake_at_s is not None
        self._storage_at_s = now_s + (AGAIN_S if waiting else UPKEEP_S)

    def _reopen_intake(self) -> None:
        if self._intake_at_s is None:
            self._intake.stop(1.0)
        self._restart_intake()

    def _restart_intake(self) -> None:
        """Open the database again; scans of all folders find what was missed meanwhile."""
        self._intake_at_s = None
        self._intake = intake.Intake(self._settings, self._me, self._inbox.put)
        self._intake.start()
        self._intake.ask(intake.Outside(self._work.pauses.places))
        is_idle = self._work.engine is None
        self._intake.ask(intake.GiveBack(self._me, attempted=False) if is_idle else intake.CountQueue())
        self._roots.look_at_all("database", priority=0)

    # Requests

    def _reload(self) -> None:
        self._reloading = False
        self._notifier.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            settings = self._load()
            if (settings.data_dir, settings.database) != (self._settings.data_dir, self._settings.database):
                raise ConfigError("it names another database", hint="Restart the service to use that")
        except GenretaggerError as error:
            self._events.error("configuration is wrong", reason=error.message, action="keeping the old one")
        else:
            rules = settings.rules_key != self._settings.rules_key
            self._settings = self._work.settings = settings
            self._arrivals.configure(settings)
            self._events.configure(settings.log_level, settings.log_format)
            self._events.info("configuration loaded", rules_changed=rules)
            self._intake.ask(intake.Configure(settings))
            self._work.stop()  # the next engine gets the new settings
            self._roots.configure(settings)
        self._notifier.tell("READY=1")

    @property
    def _is_alive(self) -> bool:
        """Whether no part hangs. The service manager asks this, because a restart fixes only hangs.

        If the database cannot be used, we try again; a restart by the manager would not help.
        """
        intake_is_alive = self._intake.is_alive() or self._intake_at_s is not None
        return intake_is_alive and self._intake.busy_s() <= _LONGEST_LOOK_S and self._work.is_alive

    @property
    def _is_healthy(self) -> bool:
        """Whether all parts can work, as `status` shows it."""
        # checked now, because it may have gone a moment ago
        if fault := self._storage.fault(troubled=self._is_troubled):
            self._storage_at_s = 0.0
        works = self._intake.is_alive() and not self._intake_failures and not self._work.is_failing
        waits = self._roots.any_away or fault or self._work.pauses
        return self._is_alive and works and not waits

    def _answer(self, word: str) -> Json:
        if word == "wake":
            self._intake.ask(intake.CountQueue())
        now_s = time.monotonic()
        state = ServiceState(
            pid=os.getpid(),
            healthy=self._is_healthy,
            uptime_s=round(now_s - self._account.total.since_s, 1),
            roots=self._roots.state(),
            database=self._fault,
            settling=len(self._arrivals),
            arrived=self._arrivals.complete,
            model=self._settings.model,
            **self._work.state(),
            **self._account.state(now_s),
        )
        return asdict(state)

    def _end(self) -> None:
        """End everything within the time that a service manager gives."""
        began_s = time.monotonic()
        self._backup.stop()
        self._work.stop()
        self._intake.stop(0.0)
        self._roots.stop()
        self._work.wait(began_s + STOP_S - time.monotonic())
        self._account.summarise(self._work.queue)
        self._events.info("stopped")
        self._events.close()
