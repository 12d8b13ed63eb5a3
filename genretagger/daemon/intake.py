"""The thread that fills the queue with complete files, and with files that scans find.

It is the only part of the watcher that uses the database, so slow work there never keeps the
watcher from noticing changes.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice
from pathlib import Path
from queue import Empty, SimpleQueue

from genretagger.causes import Cause
from genretagger.config import Settings
from genretagger.daemon.gathering import LONGEST
from genretagger.daemon.scan import Scan, Unhandled, is_handled
from genretagger.database.store import Store
from genretagger.database.values import Claimant, Handled, JobCounts, JobState, NewJob
from genretagger.errors import FileError, GenretaggerError
from genretagger.files.replace import stamp_of
from genretagger.files.unfinished import is_arriving, is_in_use
from genretagger.steps.album import MOST_FILES, home
from genretagger.types import Albums

_BATCH = 500
MOST_UNSETTLED = 1000
"""How many unsettled files one scan reports before it asks for another scan instead."""

_FOREIGN_CLOCK_S = 3600.0
"""How far the clock of a file server may be from ours."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """Files of one folder are complete; each comes with its watched folder."""

    files: tuple[tuple[Path, Path], ...]


@dataclass(frozen=True, slots=True)
class Look:
    """A folder has to be compared with the database.

    Attributes:
        folder: the folder below it to scan; the root itself for all of it.
        priority: of the files found there.
        remote: whether its times come from another clock.
        why: for the log.
    """

    root: Path
    folder: Path
    priority: int
    remote: bool
    why: str


@dataclass(frozen=True, slots=True)
class Gone:
    """A file or folder was moved away: jobs at or below its old path are obsolete."""

    path: Path
    is_folder: bool


@dataclass(frozen=True, slots=True)
class GiveBack:
    """An engine ended, or all engines of a service: their jobs go back to the queue."""

    claimant: Claimant
    attempted: bool


@dataclass(frozen=True, slots=True)
class Configure:
    """An order to use other settings."""

    settings: Settings


@dataclass(frozen=True, slots=True)
class Outside:
    """The disks on which work pauses: jobs there are not due."""

    places: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class CountQueue:
    """A request for the state of the queue."""


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A scan found a file that may not be complete."""

    path: Path
    root: Path


@dataclass(frozen=True, slots=True)
class Flooded:
    """A scan found too many files that may not be complete: the folder is scanned again later."""

    root: Path


@dataclass(frozen=True, slots=True)
class Looked:
    """A scan of a folder is over: its files, how many need work, and the seconds it took."""

    look: Look
    files: int
    found: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Queue:
    """The state of the queue, and when the next job is due.

    `known` counts files that needed no work.
    """

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


IntakeOrder = Arrived | Look | Gone | GiveBack | Configure | Outside | CountQueue
Report = Unsettled | Flooded | Looked | Queue | Broken | Unreadable


class Intake:
    """The thread, and how to give it orders.

    Args:
        service: the owner of the part of the queue that it fills.
    """

    def __init__(self, settings: Settings, service: Claimant, tell: Callable[[Report], None]) -> None:
        self._settings, self._service, self._tell = settings, service, tell
        self._orders: SimpleQueue[IntakeOrder | None] = SimpleQueue()
        self._stopping = threading.Event()
        self._outside: tuple[Path, ...] = ()
        self._known = 0
        self._busy_since_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="genretagger-intake", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def ask(self, order: IntakeOrder) -> None:
        """Add an order; orders are handled one after the other."""
        self._orders.put(order)

    def stop(self, timeout_s: float) -> None:
        """End, if needed in the middle of a scan."""
        self._stopping.set()
        self._orders.put(None)
        self._thread.join(timeout_s)

    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """How many orders wait."""
        return self._orders.qsize()

    def busy_s(self) -> float:
        """How long it has worked on its current orders; 0 if it waits."""
        since_s = self._busy_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    def _run(self) -> None:
        try:
            with Store.open(self._settings.database, create=False, libraries=self._settings.libraries) as store:
                while (orders := self._next()) is not None:
                    self._busy_since_s = time.monotonic()
                    self._handle(store, orders)
                    self._busy_since_s = None
                    self._tell(self._queue(store))
        except Exception as error:  # noqa: BLE001 - any error: the watcher has to know
            self._tell(Broken(error))

    def _queue(self, store: Store) -> Queue:
        return Queue(store.jobs.get_counts(), store.jobs.get_next_at(self._service, outside=self._outside), self._known)

    def _next(self) -> list[IntakeOrder] | None:
        """Wait for an order, and take all others that wait already; None at the end."""
        orders: list[IntakeOrder] = []
        with contextlib.suppress(Empty):
            while (order := self._orders.get(block=not orders)) is not None:
                orders.append(order)
                if len(orders) >= _BATCH:
                    return orders
            return None
        return orders

    def _handle(self, store: Store, orders: list[IntakeOrder]) -> None:
        arrived = [order for order in orders if isinstance(order, Arrived)]
        files = [file for each in arrived for file in each.files]
        jobs = [NewJob(path, root, 0, changed=True) for path, root in files if self._is_new(store, path, root)]
        if jobs:
            store.jobs.add(self._service, jobs)
        gone = [order.path for order in orders if isinstance(order, Gone) and not order.is_folder]
        store.jobs.drop_waiting(self._service, [path for path in gone if not os.path.lexists(path)])
        whole = {order.folder: order for order in orders if isinstance(order, Look) and order.folder == order.root}
        for order in orders:
            if isinstance(order, Look):
                # the scan of the whole root finds what the others would
                if order is whole.get(order.root, order):
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
        """Drop the jobs below a folder if their files are gone.

        A moved file is found in its new place.
        """
        for paths in store.jobs.get_waiting_below(folder):
            store.jobs.drop_waiting(self._service, [path for path in paths if not os.path.lexists(path)])

    def _is_new(self, store: Store, path: Path, root: Path) -> bool:
        """Whether a file differs from the one handled last; this also recognises our own writes."""
        try:
            stamp = stamp_of(path)
        except FileError:
            return False
        job = store.jobs.get(path)
        if job is not None and job.state is JobState.WORKING:
            # it is being handled: look again when that is over
            self._tell(Unsettled(path, root))
            return False
        track, failure = store.tracks.get_known(path, stamp)
        if failure is not None and (not failure.retry or job is not None):
            return False
        handled = store.tracks.get_handled(path, track.payload_hash) if track is not None else Handled()
        if is_handled(handled, self._settings.rules_key, path):
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
        new_s = settings.quiet_s + (_FOREIGN_CLOCK_S if look.remote else 0)
        for files in _beside_each_other(scan.unhandled()):
            if self._stopping.is_set():
                return
            found += len(files)
            waiting = [each for each in files if now_s - each.stat.st_ctime < new_s or is_in_use(each.path, look.root)]
            place = home(files[0].path)
            is_album = settings.album is Albums.POOL and len(files) < MOST_FILES
            if is_album and (waiting or is_arriving(place, LONGEST * settings.quiet_s)):
                waiting = files  # an album is decided as a whole
            unsettled += len(waiting)
            for each in waiting[: max(0, MOST_UNSETTLED - unsettled + len(waiting))]:
                self._tell(Unsettled(each.path, look.root))
            left_out = {each.path for each in waiting}
            jobs += [
                NewJob(each.path, look.root, look.priority, each.changed) for each in files if each.path not in left_out
            ]
            if len(jobs) >= _BATCH:
                store.jobs.add(self._service, jobs)
                jobs.clear()
                self._tell(self._queue(store))
        store.jobs.add(self._service, jobs)
        if unsettled > MOST_UNSETTLED:
            self._tell(Flooded(look.root))
        self._tell(Looked(look, scan.files, found, time.monotonic() - started))


def _beside_each_other(files: Iterable[Unhandled]) -> Iterator[list[Unhandled]]:
    """The files of one album's folder together; a larger folder comes in parts of `MOST_FILES`."""
    for _, beside in groupby(files, key=lambda each: home(each.path)):
        while part := list(islice(beside, MOST_FILES)):
            yield part


def words_of(error: Exception) -> tuple[Cause, str]:
    """The cause of a database error, and the same in words."""
    if isinstance(error, GenretaggerError):
        return error.why, error.message
    return Cause.BUG, f"a bug: {type(error).__name__}: {error}"
