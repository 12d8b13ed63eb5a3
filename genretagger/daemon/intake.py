"""The thread that fills the queue: files that are complete, and what scans find.

On the watcher's side only it uses the database, so that nothing that takes long there keeps the watcher from hearing.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue

from genretagger.config import Settings
from genretagger.daemon.scan import Scan, is_handled
from genretagger.database.store import Store
from genretagger.database.values import Claimant, JobCounts, JobState, NewJob
from genretagger.errors import FileError, GenretaggerError
from genretagger.files.replace import stamp_of
from genretagger.files.system import is_being_written
from genretagger.files.unfinished import companion

_BATCH = 500
MOST_UNSETTLED = 1000
"""How many files that may not be complete one look reports, before it asks for another look instead."""

_FOREIGN_CLOCK_S = 3600.0
"""How far the clock of a file server may be from ours."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A file is complete."""

    path: Path
    root: Path


@dataclass(frozen=True, slots=True)
class Look:
    """A folder has to be compared with what is known.

    Attributes:
        root: the watched folder.
        folder: where below it; the root itself for all of it.
        priority: of what is found there.
        remote: whether its times are those of another clock.
        why: for the log.
    """

    root: Path
    folder: Path
    priority: int
    remote: bool
    why: str


@dataclass(frozen=True, slots=True)
class Gone:
    """A file or folder was moved away: nothing at or below its old path has to be done any more."""

    path: Path
    is_folder: bool


@dataclass(frozen=True, slots=True)
class GiveBack:
    """An engine is gone, or all of a service's: what they worked on has to wait again."""

    claimant: Claimant
    attempted: bool


@dataclass(frozen=True, slots=True)
class Configure:
    """The settings are others now."""

    settings: Settings


@dataclass(frozen=True, slots=True)
class Outside:
    """The disks on which work pauses: what waits there is not due."""

    places: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Count:
    """Somebody wants to know how the queue stands."""


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A file was found that may not be complete."""

    path: Path
    root: Path


@dataclass(frozen=True, slots=True)
class Flooded:
    """So many files may not be complete that the folder has to be looked through again later."""

    root: Path


@dataclass(frozen=True, slots=True)
class Looked:
    """A look at a folder is over: how many files it has, how many have to be handled, in what time."""

    look: Look
    files: int
    found: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Queue:
    """How the queue stands, and when the next job is due; `known` counts files that were not handled again."""

    counts: JobCounts
    next_at: datetime | None
    known: int


@dataclass(frozen=True, slots=True)
class Broken:
    """The database cannot be used; the thread has ended."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A folder cannot be read."""

    error: OSError


Order = Arrived | Look | Gone | GiveBack | Configure | Outside | Count
Report = Unsettled | Flooded | Looked | Queue | Broken | Unreadable


class Intake:
    """The thread, and how to ask it.

    Args:
        settings: which database, by which rules.
        service: whose part of the queue it fills.
        tell: is given the reports, in the thread.
    """

    def __init__(self, settings: Settings, service: Claimant, tell: Callable[[Report], None]) -> None:
        self._settings, self._service, self._tell = settings, service, tell
        self._orders: SimpleQueue[Order | None] = SimpleQueue()
        self._stopping = threading.Event()
        self._outside: tuple[Path, ...] = ()
        self._known = 0
        self._busy_since_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="genretagger-intake", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def ask(self, order: Order) -> None:
        """Have something done, in turn."""
        self._orders.put(order)

    def stop(self, timeout_s: float) -> None:
        """End, in the middle of a look if need be."""
        self._stopping.set()
        self._orders.put(None)
        self._thread.join(timeout_s)

    @property
    def waiting(self) -> int:
        """How many orders wait."""
        return self._orders.qsize()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def busy_s(self) -> float:
        """For how long it has been at what it does; 0 where it waits."""
        since_s = self._busy_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    def _run(self) -> None:
        try:
            with Store.open(self._settings.database, create=False) as store:
                while (orders := self._next()) is not None:
                    self._busy_since_s = time.monotonic()
                    self._handle(store, orders)
                    self._busy_since_s = None
                    self._tell(self._queue(store))
        except Exception as error:  # noqa: BLE001 - whatever it is: the watcher has to hear of it
            self._tell(Broken(error))

    def _queue(self, store: Store) -> Queue:
        return Queue(store.jobs.get_counts(), store.jobs.get_next_at(self._service, outside=self._outside), self._known)

    def _next(self) -> list[Order] | None:
        """Wait for an order, and take those that follow it at once; None at the end."""
        orders: list[Order] = []
        order = self._orders.get()
        while order is not None:
            orders.append(order)
            if len(orders) >= _BATCH:
                return orders
            try:
                order = self._orders.get_nowait()
            except Empty:
                return orders
        return None

    def _handle(self, store: Store, orders: list[Order]) -> None:
        arrived = [order for order in orders if isinstance(order, Arrived)]
        jobs = [NewJob(each.path, each.root, 0, changed=True) for each in arrived if self._is_new(store, each)]
        if jobs:
            store.jobs.add(self._service, jobs)
        gone = [order.path for order in orders if isinstance(order, Gone) and not order.is_folder]
        store.jobs.drop_waiting(self._service, [path for path in gone if not os.path.lexists(path)])
        whole = {order.folder: order for order in orders if isinstance(order, Look) and order.folder == order.root}
        for order in orders:
            if isinstance(order, Look):
                if order is whole.get(order.root, order):  # which finds what the others would
                    self._look(store, order)
            elif isinstance(order, Gone):
                if order.is_folder:
                    self._drop_gone(store, order.path)
            elif isinstance(order, GiveBack):
                store.jobs.give_back(order.claimant, attempted=order.attempted)
            elif isinstance(order, Configure):
                self._settings = order.settings
            elif isinstance(order, Outside):
                self._outside = order.places

    def _drop_gone(self, store: Store, folder: Path) -> None:
        """Drop what waits below a folder and is no longer there: it was moved, and is found where it is now."""
        for paths in store.jobs.get_waiting_below(folder):
            store.jobs.drop_waiting(self._service, [path for path in paths if not os.path.lexists(path)])

    def _is_new(self, store: Store, arrived: Arrived) -> bool:
        """Whether a file is another one than was handled last, which also tells our own writes."""
        try:
            stamp = stamp_of(arrived.path)
        except FileError:
            return False
        job = store.jobs.get(arrived.path)
        if job is not None and job.state is JobState.WORKING:
            self._tell(Unsettled(arrived.path, arrived.root))  # it is being handled: look again when that is over
            return False
        track = store.tracks.get(arrived.path, stamp)
        failure = store.tracks.get_failure(arrived.path, stamp)
        if failure is not None and (not failure.retry or job is not None):
            return False
        handled = store.tracks.get_handled(arrived.path, track.payload_hash) if track is not None else None
        if is_handled(handled, self._settings.rules_key, arrived.path):
            self._known += 1
            return False
        return True

    def _look(self, store: Store, look: Look) -> None:
        started, now_s = time.monotonic(), time.time()
        settings, found, unsettled = self._settings, 0, 0
        if os.path.isdir(look.folder):  # noqa: PTH112 - Path.is_dir() raises where it may not look
            self._drop_gone(store, look.folder)
        jobs: list[NewJob] = []
        scan = Scan(
            look.folder,
            store.tracks.get_seen_below(look.folder),
            rules_key=settings.rules_key,
            ignore=settings.ignore,
            ignore_folders=settings.ignore_folders,
            root=look.root,
            failed=lambda error: self._tell(Unreadable(error)),
        )
        for unhandled in scan.unhandled():
            if self._stopping.is_set():
                return
            found += 1
            age_s = now_s - unhandled.stat.st_ctime
            is_new = age_s < settings.quiet_s + (_FOREIGN_CLOCK_S if look.remote else 0)
            path = unhandled.path
            if is_new or is_being_written(path) or companion(path, look.root):
                unsettled += 1
                if unsettled <= MOST_UNSETTLED:
                    self._tell(Unsettled(path, look.root))
                continue
            jobs.append(NewJob(unhandled.path, look.root, look.priority, unhandled.changed))
            if len(jobs) >= _BATCH:
                store.jobs.add(self._service, jobs)
                jobs.clear()
                self._tell(self._queue(store))
        store.jobs.add(self._service, jobs)
        if unsettled > MOST_UNSETTLED:
            self._tell(Flooded(look.root))
        self._tell(Looked(look, scan.files, found, time.monotonic() - started))


def explain(error: Exception) -> str:
    """What is wrong with the database, for the log."""
    return str(error) if isinstance(error, GenretaggerError) else f"a bug: {type(error).__name__}: {error}"
