"""What the service answers to `status`, as JSON; docs/commands.md explains the fields."""

from __future__ import annotations

from dataclasses import dataclass

from genretagger.causes import Cause
from genretagger.database.values import JobCounts


@dataclass(frozen=True, slots=True)
class RootState:
    """A watched folder."""

    path: str
    way: str
    reason: str
    files: int
    looking: bool


@dataclass(frozen=True, slots=True)
class PauseState:
    """A disk that work waits for."""

    path: str
    cause: Cause
    reason: str


@dataclass(frozen=True, slots=True)
class ErrorState:
    """One of the last errors; it has no path if it is of no file."""

    at: str
    path: str | None
    cause: Cause
    reason: str


@dataclass(frozen=True, slots=True)
class ServiceState:
    """All of it."""

    pid: int
    healthy: bool
    uptime_s: float
    roots: tuple[RootState, ...]
    paused: tuple[PauseState, ...]
    database: str
    settling: int
    arrived: int
    busy: tuple[str, ...]
    engine: int | None
    known: int
    queue: JobCounts | None
    model: str
    per_minute: float
    outcomes: dict[str, int]
    counters: dict[str, int]
    errors: tuple[ErrorState, ...]
    provider: str
