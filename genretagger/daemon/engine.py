"""The engine process: takes jobs from the queue through the pipeline, and ends when none is left.

The watcher starts it and sends its settings on standard input. The engine reports on standard
output what it does (`messages.py`), and says every second that it is alive. A line `resume` makes
it try all disks again. A closed input or SIGTERM ends it: writes that have begun are finished,
everything else is given back to the queue.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import replace
from functools import partial
from pathlib import Path

from genretagger.causes import Cause, Reason, because
from genretagger.config import Settings, restored
from genretagger.daemon.disks import Faults, place_of
from genretagger.daemon.driver import PAUSED, RESUME, UNSETTLED
from genretagger.daemon.events import LEVELS
from genretagger.daemon.messages import (
    DiskPaused,
    EngineBroken,
    EngineMessage,
    EngineNotice,
    EngineState,
    FileBegun,
    FileEnded,
    to_line,
)
from genretagger.database.store import Store
from genretagger.database.values import Claimant, StoredJob
from genretagger.errors import DatabaseError, FileChangedError, FileError, GenretaggerError, SystemFaultError
from genretagger.files.discover import Found, is_ignored
from genretagger.files.replace import stamp_of
from genretagger.files.unfinished import is_in_use
from genretagger.pipeline import Pipeline, open_pipeline
from genretagger.sentences import sentence
from genretagger.steps.album import files_at, home
from genretagger.types import Albums, Outcome, Status
from genretagger.worker.pool import WorkerPool

BEAT_S = 1.0
LONGEST_WAIT_S = 6 * 3600.0
"""The most seconds between two attempts."""

GONE = "gone"
"""The end of a file that was moved or deleted meanwhile: nothing failed."""

DIED_FACTOR = 3
"""How many times the usual attempts a file gets that never failed itself.

The engines that handled it were killed, perhaps by a power cut.
"""


class Engine:
    """The work of one engine.

    Args:
        claimant: by which name and from which folders it takes jobs.
        stop: done when the engine should end.
        wake: set when there may be new work.
        resume: set when the paused disks should be tried again.
    """

    def __init__(
        self,
        settings: Settings,
        claimant: Claimant,
        pipeline: Pipeline,
        store: Store,
        stop: Future[None],
        wake: threading.Event,
        resume: threading.Event,
    ) -> None:
        self._settings, self._me, self._pipeline, self._store = settings, claimant, pipeline, store
        self._stop, self._wake, self._resume = stop, wake, resume
        self._faults = Faults()
        self._claimed: dict[Path, StoredJob] = {}
        self._alone: StoredJob | None = None
        self._home: Path | None = None
        self._beside: Sequence[Path] = ()
        # reading, inference and writing take one limit each at most, and a file may be handled
        # twice
        self._lease_s = 8 * settings.time_limit_s + 600

    def run(self) -> None:
        """Work until nothing is left to do, or until `stop` is done."""
        run = self._pipeline.begin("watch", once=True)
        try:
            while not self._stop.done():
                self._wake.clear()
                for outcome in self._pipeline.tag(self._files(), run, stop=self._stop):
                    self._settle(outcome)
                if self._alone is None and not self._stop.done() and not self._more_to_come():
                    return
        finally:
            self._store.jobs.give_back(self._me, attempted=False)
            self._pipeline.finish(run)

    def _files(self) -> Iterator[Found]:
        """The files that are due; ends when there are none.

        A file at which an engine died before is handled alone, so that it cannot take others with
        it again.
        """
        given = 0
        while not self._stop.done():
            job, self._alone = self._alone, None
            if self._resume.is_set():
                self._resume.clear()
                self._faults.forget()
            if job is None:
                job = self._claim()
            if job is None:
                return
            if fault := self._faults.look(job.path):
                self._pause(job, fault)
                continue
            rules = self._settings
            # since it was queued
            if is_ignored(job.path, job.root, rules.ignore, rules.ignore_folders):
                self._store.jobs.finish(self._me, job.path, None)
                continue
            # since it was queued, perhaps hours ago
            if self._is_changing(job.path) or is_in_use(job.path, job.root):
                self._store.jobs.finish(self._me, job.path, None)
                say(self._ended(job, UNSETTLED, because(Cause.IN_USE)))
                continue
            suspect = job.attempts > 1 and not job.reason
            if suspect and given:
                self._alone = job
                return
            given += 1
            self._claimed[job.path] = job
            say(FileBegun(str(job.path)))
            yield Found(job.path, job.root)
            if suspect:
                return

    def _claim(self) -> StoredJob | None:
        """Take the next job: another file of the current album, or else the first of the queue."""
        claim = partial(
            self._store.jobs.claim,
            self._me,
            lease_s=self._lease_s,
            attempts=DIED_FACTOR * self._settings.attempts,
            outside=self._faults.places,
        )
        job = claim(among=self._beside) if self._beside else None
        job = job or claim()
        if job is not None and home(job.path) != self._home:
            self._home = home(job.path)
            self._beside = (files_at(self._home) or ()) if self._settings.album is Albums.POOL else ()
        return job

    def _is_changing(self, path: Path) -> bool:
        """Whether a program changed a file a moment ago: it may not be done with it."""
        try:
            untouched_s = time.time() - stamp_of(path).ctime_ns / 1e9
        except FileError:
            return False
        return 0 <= untouched_s < self._settings.quiet_s

    def _more_to_come(self) -> bool:
        """Wait for more to do, for as long as the model may stay loaded."""
        idle_until = time.monotonic() + self._settings.idle_s
        while not self._stop.done():
            left_s = idle_until - time.monotonic()
            due = self._store.jobs.get_next_at(self._me, outside=self._faults.places)
            if due is not None and (due_s := due.timestamp() - time.time()) <= left_s:
                if due_s <= 0 or not self._wake.wait(due_s):
                    return True
            elif left_s <= 0:
                return False
            else:
                self._wake.wait(left_s)
            if self._wake.is_set():
                self._wake.clear()
                if self._resume.is_set():
                    return True
        return False

    def _pause(self, job: StoredJob, error: SystemFaultError) -> None:
        """Leave a disk with a fault alone; the watcher says when to try it again."""
        self._store.jobs.fail(self._me, job.path, error, again_in_s=0, attempted=False)
        say(DiskPaused(str(place_of(job.path)), str(job.path), error.why, error.cause))

    def _settle(self, outcome: Outcome) -> None:
        job = self._claimed.pop(outcome.path)
        status = outcome.status.value
        quarantined = False
        if outcome.status is Status.FAILED:
            error = outcome.error or FileError(sentence(outcome.reason), path=outcome.path)
            if isinstance(error, SystemFaultError):
                status = PAUSED
            elif not os.path.lexists(outcome.path):
                status = GONE
            elif isinstance(error, FileChangedError):
                status = UNSETTLED
            failure = self._store.tracks.get_last_failure(outcome.path)
            quarantined = self._failed(job, error, retry=error.retry or failure is None or failure.retry)
        else:
            self._faults.well(outcome.path)
            self._store.jobs.finish(self._me, outcome.path, self._settings.rules_key, outcome.reason.cause)
        ended = self._ended(job, status, outcome.reason)
        say(replace(ended, genres=outcome.genres, seconds=round(outcome.seconds, 3), quarantined=quarantined))

    def _ended(self, job: StoredJob, status: str, reason: Reason) -> FileEnded:
        where = str(job.path), str(job.root)
        return FileEnded(*where, status, reason.cause, sentence(reason), self._pipeline.provider)

    def _failed(self, job: StoredJob, error: FileError, *, retry: bool) -> bool:
        """Settle a job that failed; returns whether the file is set aside."""
        if isinstance(error, SystemFaultError):  # does not count as an attempt of the file
            if self._faults.look(job.path) or self._faults.met(job.path):
                self._pause(job, error)
            else:  # perhaps one bad sector: the other files go on
                self._store.jobs.fail(self._me, job.path, error, again_in_s=self._settings.retry_s, attempted=False)
            return False
        if not os.path.lexists(job.path) or isinstance(error, FileChangedError):
            # if the file comes back, an event or a scan finds it; and a change by others is not the
            # fault of the file
            self._store.jobs.finish(self._me, job.path, None)
            return False
        if retry and job.attempts < self._settings.attempts:
            wait_s = min(self._settings.retry_s * 2 ** (job.attempts - 1), LONGEST_WAIT_S)
            self._store.jobs.fail(self._me, job.path, error, again_in_s=wait_s)
            return False
        self._store.jobs.fail(self._me, job.path, error, again_in_s=None)
        return True


_output = threading.Lock()


def say(message: EngineMessage) -> None:
    """Send a message to the watcher; if it is gone, the closed input ends this process soon."""
    with _output, contextlib.suppress(OSError, ValueError):
        sys.__stdout__.write(to_line(message))  # type: ignore[union-attr]
        sys.__stdout__.flush()  # type: ignore[union-attr]


def main() -> None:
    """Run an engine for the watcher on the standard streams; the arguments name the jobs' owner."""
    claimant = Claimant(sys.argv[1], tuple(map(Path, sys.argv[2:])))
    stop: Future[None] = Future()
    wake, resume = threading.Event(), threading.Event()

    def end(*_: object) -> None:
        with contextlib.suppress(InvalidStateError):
            stop.set_result(None)
        wake.set()

    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=end, daemon=True).start())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        # the watcher reloads the configuration, and asks us to end
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    settings = restored(json.loads(sys.stdin.readline()))
    threading.Thread(target=_listen, args=(end, wake, resume), daemon=True).start()
    threading.Thread(target=_beat, daemon=True).start()
    if settings.low_priority:
        give_way()
    _quieten(settings.log_level)
    try:
        if not settings.has_database:  # the watcher made it, and a new one in its place would be empty
            raise DatabaseError("the database is gone", path=settings.database_file, hint="Put its folder back")
        with WorkerPool.of(settings) as workers:
            workers.warm_up(1)  # it loads its libraries while the model and the database are opened
            with open_pipeline(settings, notice=lambda text: say(EngineNotice(text)), workers=workers) as pipeline:
                pipeline.listener.on_loading = lambda begun: say(EngineState("loading" if begun else "loaded"))
                say(EngineState("ready"))
                Engine(settings, claimant, pipeline, pipeline.store, stop, wake, resume).run()
    except GenretaggerError as error:
        where = None if error.path is None else str(error.path)
        say(EngineBroken(where, error.why, str(error)))
        sys.exit(error.exit_code)


def _listen(end: Callable[[], None], wake: threading.Event, resume: threading.Event) -> None:
    for line in sys.stdin:
        if line.strip() == RESUME:
            resume.set()
        wake.set()
    end()


def _beat() -> None:
    while True:
        time.sleep(BEAT_S)
        say(EngineState("beat"))


def give_way() -> None:
    """Let every other program have the processor and the disk first; child processes inherit it."""
    import psutil

    process = psutil.Process()
    with contextlib.suppress(OSError, psutil.Error):
        process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS if sys.platform == "win32" else 10)
    with contextlib.suppress(OSError, psutil.Error, AttributeError, ValueError):
        process.ionice(psutil.IOPRIO_CLASS_IDLE if sys.platform.startswith("linux") else 0)


def _quieten(level: str) -> None:
    import logging
    import warnings

    if LEVELS.index(level) > 0:
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
    logging.basicConfig(format="%(name)s: %(message)s", stream=sys.stderr)


if __name__ == "__main__":
    main()
