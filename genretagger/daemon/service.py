"""The watcher: one loop that hears, waits, and has things done. Everything slow is in another thread or process.

    events, scans → settling → intake (database) → engine (another process) → log, hook

The loop sleeps until something arrives or the next thing is due; without work that is a look at the roots now and then.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType

from genretagger.config import Settings
from genretagger.daemon import intake, watch
from genretagger.daemon.control import Control
from genretagger.daemon.driver import Driver, Ended, Said
from genretagger.daemon.events import Events
from genretagger.daemon.hook import Hook
from genretagger.daemon.notify import Notifier
from genretagger.daemon.roots import Roots
from genretagger.daemon.settle import Settling, Verdict
from genretagger.daemon.watch import Changed, Overflowed
from genretagger.database.store import Store
from genretagger.discover import is_audio_name, is_ignored
from genretagger.errors import ConfigError, FileError, GenretaggerError
from genretagger.files import stamp_of
from genretagger.posix import is_being_written, lock
from genretagger.text import printable
from genretagger.types import Json

LOCK = "watch.lock"
STOP_S = 8.0
"""How long the engine may take to end; service managers give ten seconds and more."""

SILENT_S = 4.0
"""An engine says something every second; one that was silent for longer is not well."""

HANGS_S = 60.0
"""An engine that was silent for longer is killed."""

ANSWER_S = 4.0
"""How long a command waits for an answer."""

_START_AGAIN_S = 30.0
_SETTLED_AT_ONCE = 500
"""How many files are looked at before the loop does something else."""

_FAILURES = 3
"""A service whose engine fails as often in a row is not well."""

_LONGEST_LOOK_S = 1800.0
"""What the database or a folder takes longer for hangs."""

_LAST_ERRORS = 20


@dataclass(frozen=True, slots=True)
class _Question:
    """What a command wants to know."""

    word: str
    answer: Future[Json] = field(default_factory=Future)


@dataclass(slots=True)
class _Tally:
    """What happened, for the summary and the status."""

    since_s: float = field(default_factory=time.monotonic)
    outcomes: Counter[str] = field(default_factory=Counter)
    ended_at: deque[float] = field(default_factory=lambda: deque(maxlen=1000))


class Service:
    """The watcher of some folders.

    Args:
        roots: the folders, absolute.
        load: reads the configuration; called again on SIGHUP.
        events: the log.

    Raises:
        GenretaggerError: another watcher is at work on this database, or it cannot be used.
    """

    def __init__(self, roots: Sequence[Path], load: Callable[[], Settings], events: Events) -> None:
        self._load, self._events = load, events
        self._settings = load()
        self._inbox: SimpleQueue[object] = SimpleQueue()
        self._lock = self._take_lock()
        with Store.open(self._settings.database) as store:  # here, where an error ends the start
            store.give_back_jobs(attempted=True)
            store.forget_jobs(outside=roots)
        self._settling = Settling(self._settings.quiet_s)
        self._intake = intake.Intake(self._settings, self._inbox.put)
        self._roots = Roots(roots, self._settings, events, tell=self._inbox.put, look=self._ask)
        self._hook = Hook(lambda path, fault: self._events.warning("hook failed", path=path, cause=fault))
        self._notifier = Notifier()
        self._engine: Driver | None = None
        self._engine_at_s = 0.0
        self._intake_at_s: float | None = None
        self._failures = 0
        self._queue: intake.Queue | None = None
        self._stopping = False
        self._reloading = False
        self._summary = _Tally()
        self._total = _Tally()
        self._errors: deque[Json] = deque(maxlen=_LAST_ERRORS)
        self._provider = ""
        self._counted: Counter[str] = Counter()
        self._next_beat_s = 0.0

    def _take_lock(self) -> int:
        self._settings.data_dir.mkdir(parents=True, exist_ok=True)
        place = self._settings.data_dir / LOCK
        deadline = time.monotonic() + STOP_S + 4
        while (descriptor := lock(place)) is None:
            # the engine of a watcher that was killed holds the lock until it has ended, which takes some seconds
            if time.monotonic() > deadline or _answers(self._settings.data_dir):
                raise ConfigError(
                    "another `genretagger watch` is at work on this database",
                    path=self._settings.data_dir,
                    hint="Add the folder to that one, or name another database with GENRETAGGER_DATA_DIR",
                )
            time.sleep(0.1)
        return descriptor

    def run(self) -> int:
        """Watch until a signal; gives the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, self._on_reload)
        watch.hear_of_overflows(self._inbox.put)
        self._intake.start()
        control = Control(self._settings.data_dir, self._pass_on)
        try:
            self._roots.start()
            places = [str(root.watched.root) for root in self._roots]
            self._events.info("watching", roots=places, pid=os.getpid())
            self._notifier.tell("READY=1", f"STATUS=watching {', '.join(map(printable, places))}"[:200])
            while not self._stopping:
                self._turn()
        finally:
            self._notifier.tell("STOPPING=1")
            control.close()
            self._end()
        return 0

    def _ask(self, order: intake.Order) -> None:
        self._intake.ask(order)

    def _restart_intake(self) -> None:
        """Try the database again; what was to be done meanwhile, looks at all folders find."""
        self._intake_at_s = None
        self._intake = intake.Intake(self._settings, self._inbox.put)
        self._intake.start()
        self._intake.ask(intake.GiveBack(attempted=False) if self._engine is None else intake.Count())
        self._roots.look_at_all("database", priority=0)

    def _on_stop(self, _: int, __: FrameType | None) -> None:
        self._stopping = True
        self._inbox.put(None)  # wakes the loop; SimpleQueue may be used in a signal handler

    def _on_reload(self, _: int, __: FrameType | None) -> None:
        self._reloading = True
        self._inbox.put(None)

    def _turn(self) -> None:
        """Wait for what is next, and handle it."""
        now_s = time.monotonic()
        with contextlib.suppress(Empty):
            message = self._inbox.get(timeout=max(0.0, self._next_s(now_s) - now_s))
            self._receive(message)
            for _ in range(1000):  # what follows at once, but never so much that nothing else is done
                self._receive(self._inbox.get_nowait())
        if self._reloading:
            self._reload()
        now_s = time.monotonic()
        if self._intake_at_s is not None and now_s >= self._intake_at_s:
            self._restart_intake()
        self._look_at_settled(now_s)
        self._roots.upkeep(now_s)
        self._drive(now_s)
        self._feed_watchdog(now_s)
        if now_s - self._summary.since_s >= self._settings.summary_s:
            self._summarise()

    def _next_s(self, now_s: float) -> float:
        """When the loop has something to do by itself."""
        times = [self._roots.next_s(), self._summary.since_s + self._settings.summary_s]
        if self._intake_at_s is not None:
            times.append(self._intake_at_s)
        if (due_s := self._settling.next_due_s()) is not None:
            times.append(due_s)
        if self._engine is not None:
            silent = self._engine.silent_s() > SILENT_S
            times.append(self._engine.heard_s + (HANGS_S if silent else SILENT_S) + 0.01)
        elif (due := self._job_due_s(now_s)) is not None:
            times.append(max(due, self._engine_at_s))
        if self._notifier.watchdog_s is not None:
            times.append(self._next_beat_s)
        return min(times)

    # What arrives

    def _receive(self, message: object) -> None:
        if isinstance(message, Changed):
            self._counted["events"] += 1
            self._heard(message)
        elif isinstance(message, Overflowed):
            self._events.warning(
                "events were lost", cause="the kernel's queue is full", action="looking at all folders"
            )
            self._counted["overflows"] += 1
            self._roots.look_at_all("overflow", priority=0)
        elif isinstance(message, intake.Unsettled):
            self._settling.touch(message.path, message.root, time.monotonic())
        elif isinstance(message, intake.Queue):
            self._queue = message
            if self._engine is not None and message.next_at is not None:
                self._engine.wake()
        elif isinstance(message, intake.Looked):
            self._looked(message)
        elif isinstance(message, intake.Unreadable):
            cause = message.error.strerror or str(message.error)
            self._events.warning("folder cannot be read", path=os.fsdecode(message.error.filename or ""), cause=cause)
        elif isinstance(message, intake.Broken):
            self._events.error("database cannot be used", cause=intake.explain(message.error))
            self._keep_error(None, intake.explain(message.error))
            self._intake_at_s = time.monotonic() + max(1.0, self._settings.retry_s)
        elif isinstance(message, Said):
            message.engine.note(message)
            self._said(message)
        elif isinstance(message, Ended):
            self._ended(message)
        elif isinstance(message, _Question):
            message.answer.set_result(self._answer(message.word))

    def _heard(self, changed: Changed) -> None:
        path, root = changed.path, changed.root
        if not path.is_relative_to(root):
            return
        if any(part.startswith(".") for part in path.relative_to(root).parts):
            return
        if is_ignored(path, root, self._settings.ignore):
            return
        if changed.is_folder:
            found = self._roots.of(root)
            if found is not None and path != root:
                remote = found.watched.is_remote
                self._intake.ask(intake.Look(root, path, 0, remote, "folder"))
        elif is_audio_name(path.name):
            self._settling.touch(path, root, time.monotonic())

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

    def _said(self, said: Said) -> None:
        details = said.details
        if said.event == "ended":
            self._counted["handled"] += 1
            self._failures = 0
            self._provider = details["provider"] or self._provider
            self._outcome(details)
        elif said.event == "notice":
            self._events.warning("notice", text=details["text"])
        elif said.event == "broken":
            self._keep_error(details["path"], details["cause"])
            self._events.error("cannot work", cause=details["cause"], path=details["path"] or "")

    def _outcome(self, details: Json) -> None:
        status, path = details["status"], details["path"]
        for tally in (self._summary, self._total):
            tally.outcomes["quarantined" if details["quarantined"] else status] += 1
            tally.ended_at.append(time.monotonic())
        if status == "tagged":
            self._events.info("tagged", path=path, genres=details["genres"], seconds=details["seconds"])
            if self._settings.on_tagged:
                self._hook.run(self._settings.on_tagged, Path(path), details["genres"])
        elif status == "failed":
            self._keep_error(path, details["reason"])
            event = "quarantined" if details["quarantined"] else "failed"
            self._events.warning(event, path=path, cause=details["reason"])
        else:
            self._events.debug(status, path=path, reason=details["reason"])
            if details["reason"].startswith("its genre was changed after"):
                self._events.info("left alone", path=path, reason=details["reason"])

    def _keep_error(self, path: str | None, cause: str) -> None:
        self._errors.append({"at": datetime.now(UTC).isoformat(timespec="seconds"), "path": path, "cause": cause})

    def _ended(self, ended: Ended) -> None:
        if ended.engine is not self._engine:
            return
        self._engine = None
        if self._queue is not None:  # what was due may be done: the answer to `GiveBack` says what is left
            self._queue = replace(self._queue, next_at=None)
        crashed = ended.status < 0 and not ended.engine.is_stopping
        if ended.status != 0 and not ended.engine.is_stopping:
            self._failures += 1
            wait_s = min(2.0 ** min(self._failures, 10), 600.0)  # it may go on for weeks
            self._engine_at_s = time.monotonic() + wait_s
            if ended.status != 2:
                self._keep_error(None, f"the engine ended with status {ended.status}: {ended.last_words}")
                self._events.error(
                    "engine died", status=ended.status, said=ended.last_words, files=sorted(map(str, ended.engine.busy))
                )
        self._intake.ask(intake.GiveBack(attempted=crashed))

    # What is due

    def _look_at_settled(self, now_s: float) -> None:
        for path, root in self._settling.due(now_s, _SETTLED_AT_ONCE):
            found = self._roots.of(root)
            try:
                stamp = stamp_of(path)
            except FileError:
                stamp = None
            busy = stamp is not None and is_being_written(path) is True
            remote = found is None or found.watched.is_remote
            untouched_s = 0.0 if remote or stamp is None else time.time() - stamp.ctime_ns / 1e9
            verdict = self._settling.verdict(path, stamp, untouched_s=untouched_s, being_written=busy, now_s=now_s)
            if verdict is Verdict.COMPLETE:
                self._intake.ask(intake.Arrived(path, root))

    def _job_due_s(self, now_s: float) -> float | None:
        """When the next job is due, by the monotonic clock."""
        if self._queue is None or self._queue.next_at is None:
            return None
        return now_s + max(0.0, self._queue.next_at.timestamp() - time.time())

    def _drive(self, now_s: float) -> None:
        """Start the engine when there is work, and kill one that hangs."""
        if self._engine is not None:
            if self._engine.silent_s() > HANGS_S:
                self._events.error("engine hangs", files=sorted(map(str, self._engine.busy)), action="killing it")
                self._engine.kill()
                self._engine.heard_s = now_s
            return
        due_s = self._job_due_s(now_s)
        if due_s is not None and due_s <= now_s and now_s >= self._engine_at_s:
            try:
                self._engine = Driver(self._settings, self._inbox.put, keep_open=(self._lock,))
            except OSError as error:  # no memory, no more processes
                self._engine_at_s = now_s + _START_AGAIN_S
                self._events.error("engine cannot be started", cause=error.strerror or str(error))
            else:
                self._counted["engines"] += 1

    def _feed_watchdog(self, now_s: float) -> None:
        """Tell the service manager that all is well, only while it is."""
        if self._notifier.watchdog_s is None or now_s < self._next_beat_s:
            return
        self._next_beat_s = now_s + self._notifier.watchdog_s / 4
        if self._is_well():
            self._notifier.tell("WATCHDOG=1")

    def _is_well(self) -> bool:
        engine = self._engine
        if not self._intake.is_alive or self._intake.busy_s() > _LONGEST_LOOK_S:
            return False
        return engine is None or engine.silent_s() <= SILENT_S

    # What is asked

    def _reload(self) -> None:
        self._reloading = False
        self._notifier.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            settings = self._load()
            if (settings.data_dir, settings.database) != (self._settings.data_dir, self._settings.database):
                raise ConfigError("the database is another one", hint="Restart the service to change that")
        except GenretaggerError as error:
            self._events.error("configuration is wrong", cause=str(error), action="keeping the old one")
        else:
            rules = settings.rules_key != self._settings.rules_key
            self._settings = settings
            self._settling.quiet_s = settings.quiet_s
            self._events.configure(settings.log_level, settings.log_format)
            self._events.info("configuration loaded", rules_changed=rules)
            self._intake.ask(intake.Configure(settings))
            if self._engine is not None:
                self._engine.stop()  # the next one works by the new settings
            self._roots.settings = settings
            self._roots.look_at_all("configuration", priority=1)
        self._notifier.tell("READY=1")

    def _summarise(self) -> None:
        counts = self._summary.outcomes
        if counts:
            queue = self._queue.counts if self._queue is not None else None
            waiting = queue.new + queue.backlog if queue is not None else 0
            self._events.info("summary", **dict(sorted(counts.items())), waiting=waiting)
        self._summary = _Tally()

    def _pass_on(self, word: str) -> Json:
        """Have the loop answer a command: only it knows all, and who gets no answer knows that it hangs."""
        question = _Question(word)
        self._inbox.put(question)
        return question.answer.result(ANSWER_S)

    def _answer(self, word: str) -> Json:
        if word == "wake":
            self._intake.ask(intake.Count())
            return {"ok": True}
        now_s = time.monotonic()
        recent = [at for at in self._total.ended_at if now_s - at <= 600]
        engine = self._engine
        return {
            "pid": os.getpid(),
            "healthy": self._is_well() and self._failures < _FAILURES and not self._roots.any_away,
            "uptime_s": round(now_s - self._total.since_s, 1),
            "roots": self._roots.as_json(),
            "settling": len(self._settling),
            "busy": [] if engine is None else sorted(map(str, engine.busy)),
            "engine": None if engine is None else engine.process_id,
            "per_minute": round(60 * len(recent) / max(1.0, min(600.0, now_s - self._total.since_s)), 1),
            "outcomes": dict(self._total.outcomes),
            "known": self._queue.known if self._queue is not None else 0,
            "counters": dict(self._counted),
            "errors": list(self._errors),
            "model": self._settings.model,
            "provider": self._provider,
        }

    def _end(self) -> None:
        """End everything within the time that a service manager gives."""
        engine = self._engine
        if engine is not None:
            engine.stop()
        self._roots.stop()
        if engine is not None and not engine.wait(STOP_S):
            self._events.warning("engine does not end", files=sorted(map(str, engine.busy)), action="killing it")
            engine.kill()
            engine.wait(1.0)
        self._intake.stop(1.0)
        self._summarise()
        self._events.info("stopped")


def _answers(data_dir: Path) -> bool:
    from genretagger.daemon.control import ask

    return ask(data_dir, "status") is not None
