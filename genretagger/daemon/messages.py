"""What the engine tells the watcher: one JSON object a line, and the typed value of each."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from genretagger.causes import Cause
from genretagger.strict import read


@dataclass(frozen=True, slots=True)
class EngineState:
    """Whether the engine is there, or loads something and may be silent for long."""

    event: Literal["ready", "loading", "loaded", "beat"]


@dataclass(frozen=True, slots=True)
class FileBegun:
    """The engine begins with a file."""

    path: str
    event: Literal["begun"] = "begun"


@dataclass(frozen=True, slots=True)
class FileEnded:
    """A file was handled.

    Attributes:
        path: of the file.
        root: the watched folder that it lies in.
        status: as `tag --json` gives it, or one of `driver.UNSETTLED`, `driver.PAUSED`, "gone".
        cause: why.
        reason: the same, for people.
        provider: what the model ran on.
        genres: what is in the file now.
        seconds: how long it took.
        quarantined: whether it is set aside.
    """

    path: str
    root: str
    status: str
    cause: Cause
    reason: str
    provider: str
    genres: tuple[str, ...] = ()
    seconds: float = 0.0
    quarantined: bool = False
    event: Literal["ended"] = "ended"


@dataclass(frozen=True, slots=True)
class DiskPaused:
    """Work on a disk pauses: its top folder, and the file that met the fault."""

    place: str
    path: str
    cause: Cause
    reason: str
    event: Literal["paused"] = "paused"


@dataclass(frozen=True, slots=True)
class EngineNotice:
    """Something that its owner should know."""

    text: str
    event: Literal["notice"] = "notice"


@dataclass(frozen=True, slots=True)
class EngineBroken:
    """The engine cannot work, and ends."""

    path: str | None
    cause: Cause
    reason: str
    event: Literal["broken"] = "broken"


EngineMessage: TypeAlias = EngineState | FileBegun | FileEnded | DiskPaused | EngineNotice | EngineBroken


@dataclass(frozen=True, slots=True)
class _EngineLine:
    said: EngineMessage


def to_line(message: EngineMessage) -> str:
    """A message as a line."""
    return json.dumps(asdict(_EngineLine(message))) + "\n"


def from_line(line: str) -> EngineMessage:
    """The message in a line.

    Raises:
        ValueError: there is none in it.
    """
    return read(_EngineLine, json.loads(line)).said
