"""Faults of a disk, not of a file: full, read-only, not connected. They pause work on that disk.

The engine notices a fault (`Faults`), reports it and leaves the disk's files alone. The watcher
checks again every few seconds (`Pauses`), and lets work go on as soon as it finds no fault. A
check cannot see every fault, such as a call that a FUSE file system lacks; then each wait is longer
than the last.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from genretagger.causes import Cause
from genretagger.daemon.state import PauseState
from genretagger.errors import NoSpaceError, ReadOnlyError, SystemFaultError
from genretagger.files.system import mounted_read_only

AGAIN_S = 2.0
"""How often a disk with a fault is checked."""

_LONGEST_WAIT_S = 60.0
_IN_A_ROW = 3
"""So many files that fail in a row without a visible cause mean a fault of the disk; one file may
be on a bad sector.
"""

_CAN_BE_SEEN = (Cause.NO_SPACE, Cause.READ_ONLY)
"""These faults are over as soon as a check no longer finds them."""

_ROOM_BYTES = 1 << 20
_LARGE_BYTES = 64 << 20
"""If a larger file than this finds no space, smaller files may still fit."""


def place_of(path: Path) -> Path:
    """The highest folder above a path, or the path itself, that is on the same file system.

    It is spelled as in the path, symbolic links included, so it is the path or is above it.
    """
    place, device = path, None
    for each in (path, *path.parents):
        try:
            found = each.stat().st_dev
        except OSError:
            if device is not None:
                break
            place = each.parent  # the path need not exist
            continue
        if device is not None and found != device:
            break
        device, place = found, each
    return place


def fault_of(path: Path, *, copied: bool = True) -> SystemFaultError | None:
    """Say what is wrong with the disk of a file; None if nothing can be seen.

    Nothing is written to find out. A file that is gone says nothing about its disk.

    Args:
        copied: whether there has to be room for a copy of it.
    """
    real = Path(os.path.realpath(path))
    folder = real.parent
    try:
        if mounted_read_only(folder):
            return ReadOnlyError("the file system is read-only", path=path)
        if not hasattr(os, "statvfs"):
            return None
        disk = os.statvfs(folder)
        free = disk.f_frsize * (disk.f_bfree if os.geteuid() == 0 else disk.f_bavail)
        needed = _ROOM_BYTES + (min(real.stat().st_size, _LARGE_BYTES) if copied and real.exists() else 0)
        if (disk.f_blocks and free < needed) or (disk.f_files and not disk.f_ffree):
            return NoSpaceError("no space is left on the file system", path=path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except OSError as error:
        return SystemFaultError((error.strerror or str(error)).lower(), path=path)
    return None


class Faults:
    """The faults that an engine met.

    Attributes:
        places: the top folders of the disks that are left alone for now.
    """

    def __init__(self) -> None:
        self.places: list[Path] = []
        self._in_a_row: Counter[Path] = Counter()

    def forget(self) -> None:
        """Try all disks again."""
        self.places.clear()
        self._in_a_row.clear()

    def well(self, path: Path) -> None:
        """Note that a file was handled without a fault."""
        if self._in_a_row:
            self._in_a_row.pop(place_of(path), None)

    def look(self, path: Path) -> SystemFaultError | None:
        """Check a file's disk; if it has a fault, leave the disk alone and return the fault."""
        if fault := fault_of(path):
            self._leave(place_of(path))
        return fault

    def met(self, path: Path) -> bool:
        """Note that the system failed at a file without a visible cause.

        Returns:
            Whether its disk is left alone from now on.
        """
        place = place_of(path)
        self._in_a_row[place] += 1
        if self._in_a_row[place] < _IN_A_ROW:
            return False
        self._leave(place)
        return True

    def _leave(self, place: Path) -> None:
        if place not in self.places:
            self.places.append(place)


@dataclass(slots=True)
class Pause:
    """A pause of the work on a disk.

    Attributes:
        place: the top folder of the disk.
        path: the file that met the fault.
        says: what is wrong, for people.
        cause: the same, as a cause.
        look_at_s: when to check again, by the monotonic clock.
        wait_s: the least wait, if the fault cannot be seen.
        since_s: when it began.
    """

    place: Path
    path: Path
    says: str
    cause: Cause
    look_at_s: float
    wait_s: float
    since_s: float


class Pauses:
    """The paused disks, as the watcher keeps them."""

    def __init__(self) -> None:
        self._now: dict[Path, Pause] = {}
        self._before: dict[Path, Pause] = {}

    def __len__(self) -> int:
        return len(self._now)

    @property
    def places(self) -> tuple[Path, ...]:
        """The top folders of the paused disks."""
        return tuple(self._now)

    def next_s(self) -> float | None:
        """When to check again; None if nothing is paused."""
        return min((pause.look_at_s for pause in self._now.values()), default=None)

    def begin(self, place: Path, path: Path, says: str, cause: Cause = Cause.SYSTEM_FAULT) -> bool:
        """Note that work on a disk pauses; returns whether that is new."""
        if place in self._now:
            return False
        now_s = time.monotonic()
        wait_s = AGAIN_S
        last = self._before.pop(place, None)
        # work went on and met the fault again
        if last is not None and now_s - last.look_at_s < 2 * last.wait_s + AGAIN_S:
            wait_s = min(2 * last.wait_s, _LONGEST_WAIT_S)
        self._now[place] = Pause(place, path, says, cause, now_s + AGAIN_S, wait_s, now_s)
        return True

    def over(self, now_s: float) -> list[Pause]:
        """Check the disks that are due; returns the pauses that are over."""
        found = []
        for pause in list(self._now.values()):
            if now_s < pause.look_at_s:
                continue
            seen = fault_of(pause.path)
            pause.look_at_s = now_s if not seen else now_s + AGAIN_S
            if seen:
                pause.says, pause.cause = seen.cause, seen.why
            elif now_s - pause.since_s < pause.wait_s and pause.cause not in _CAN_BE_SEEN:
                pause.look_at_s = pause.since_s + pause.wait_s
            else:
                found.append(pause)
                self._before[pause.place] = self._now.pop(pause.place)
        return found

    def state(self) -> tuple[PauseState, ...]:
        """The paused disks, for the status."""
        return tuple(PauseState(str(pause.place), pause.cause, pause.says) for pause in self._now.values())
