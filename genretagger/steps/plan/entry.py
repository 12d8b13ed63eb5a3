"""An entry of a plan: what to write to one file, and the checks of what somebody wrote into it.

`after` is what will be written and is there to be edited. Everything else says which file, in
which state, was meant. What is read is bounded and checked, as anybody may have written it.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from genretagger.causes import Cause, Reason, because
from genretagger.errors import GenretaggerError
from genretagger.sentences import sentence
from genretagger.strict import UnfitError, read
from genretagger.tags.api import fault_of_names
from genretagger.types import Decision, GenreField, Json, Stamp, Track

MOST_ENTRIES = 5_000_000
MOST_ADDED = 50
"""How many genres a plan may add to a file: `max_genres` is at most 20, each with parents."""

_MOST_TEXT = 100_000


class PlanError(GenretaggerError):
    """A plan cannot be used like this; nothing of it was written."""


class LineError(Exception):
    """What is wrong with a line of a plan."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What to write to one file.

    Attributes:
        path: the file, absolute.
        root: the folder that the write must not leave.
        stamp: what `stat` said of the file when this was planned.
        payload_hash: the track's identity.
        before: the genre field as it was then.
        after: the genres that it will have, best first; none removes the field.
        proposed: the genres that genretagger planned.
        scores: every genre of the vocabulary with its score.
        reason: why these were planned.
        model: name of the model.
    """

    path: Path
    root: Path
    stamp: Stamp
    payload_hash: str
    before: GenreField
    after: tuple[str, ...]
    proposed: tuple[str, ...]
    scores: Mapping[str, float]
    reason: Reason
    model: str

    @property
    def edited(self) -> bool:
        """Whether the owner chose other genres than those that were planned."""
        return self.after != self.proposed


def planned(root: Path, track: Track, after: tuple[str, ...], decision: Decision, *, model: str) -> Planned:
    """Plan that a track gets genres that were decided on.

    Args:
        root: the folder that the write must not leave.
        track: what the file is.
        after: the genres that it will have.
        decision: why.
        model: name of the model.
    """
    return Planned(
        path=track.path,
        root=root,
        stamp=track.stamp,
        payload_hash=track.payload_hash,
        before=track.genres,
        after=after,
        proposed=after,
        scores=decision.scores,
        reason=decision.reason,
        model=model,
    )


def to_json(planned: Planned) -> Json:
    """An entry as JSON, in the order in which a person reads it."""
    return {
        "path": os.fspath(planned.path),
        "after": list(planned.after),
        "proposed": list(planned.proposed),
        "before": asdict(planned.before),
        "cause": planned.reason.cause.value,
        "reason": sentence(planned.reason)[:_MOST_TEXT],
        "scores": {name: round(score, 4) for name, score in planned.scores.items()},
        "model": planned.model,
        "root": os.fspath(planned.root),
        "payload_hash": planned.payload_hash,
        "stamp": asdict(planned.stamp),
        "figures": dict(planned.reason.figures),
    }


def from_json(value: Json) -> Planned:
    """Check an entry.

    Raises:
        LineError: something in it is not what it has to be.
    """
    names = [field.name for field in fields(_Line)]
    if not isinstance(value, dict):
        raise LineError("it is not a JSON object")
    if missing := [name for name in names if name not in value and name not in _ADDED]:
        raise LineError(f"the field {missing[0]} is missing")
    if unknown := [name for name in value if name not in names]:
        raise LineError(f"unknown field {unknown[0][:40]!r}; valid are {', '.join(names)}")
    try:
        line = read(_Line, {**dict.fromkeys(_ADDED), **value}, exact=True)
    except UnfitError as error:
        raise LineError(_fault(error)) from error
    path, root = _path(line.path, "path"), _path(line.root, "root")
    if not path.is_relative_to(root):
        raise LineError("path is not in root")
    return Planned(
        path=path,
        root=root,
        stamp=line.stamp,
        payload_hash=_short(line.payload_hash, "payload_hash"),
        before=GenreField(line.before.values, line.before.raw, _short(line.before.form, "before.form")),
        after=checked(line.after, line.before.values),
        proposed=line.proposed,
        scores=_scores(line.scores),
        reason=_reason(line),
        model=_short(line.model, "model"),
    )


@dataclass(frozen=True, slots=True)
class _Line:
    """An entry as it is in a file; all fields must be there. `Planned` explains them."""

    path: str
    root: str
    stamp: Stamp
    payload_hash: str
    before: GenreField
    after: tuple[str, ...]
    proposed: tuple[str, ...]
    scores: dict[str, float]
    reason: str
    model: str
    cause: str | None
    figures: dict[str, Json] | None


_ADDED = ("cause", "figures")
"""What lines of earlier versions lack."""


def _reason(line: _Line) -> Reason:
    """Why it was planned; only the words, if the cause is missing or of another version."""
    words = _short(line.reason, "reason")
    if line.cause not in {cause.value for cause in Cause}:
        return because(Cause.PLANNED, words=words)
    reason = Reason(Cause(line.cause), line.figures or {})
    _short(sentence(reason), "figures")
    return reason


def _fault(error: UnfitError) -> str:
    """What is wrong with a line, in the words of somebody who edits it."""
    name = str(error.keys[0])
    if name == "stamp":
        return f"stamp is not made of whole numbers {', '.join(sorted(field.name for field in fields(Stamp)))}"
    if error.where in ("after", "proposed", "before.values"):
        return f'{error.where} is not a list of names, such as ["Techno", "House"]'
    if name == "scores":
        return "scores are not names with numbers" if len(error.keys) == 1 else "a score is not a number from 0 to 1"
    if name == "figures":
        return "figures is not a JSON object"
    if name == "before" and error.where != "before.form":
        return "before is not a genre field of values, raw and form"
    return f"{error.where} is not a text of at most {_MOST_TEXT:,} characters"


def _short(text: str, name: str) -> str:
    if len(text) > _MOST_TEXT:
        raise LineError(f"{name} is not a text of at most {_MOST_TEXT:,} characters")
    return text


def _path(value: str, name: str) -> Path:
    text = _short(value, name)
    try:
        path = Path(os.fsdecode(os.fsencode(text)))
    except UnicodeEncodeError as error:
        raise LineError(f"{name} holds an incomplete character") from error
    if "\x00" in text or not path.is_absolute() or ".." in path.parts:
        raise LineError(f"{name} is not an absolute path")
    return path


def checked(names: tuple[str, ...], before: tuple[str, ...]) -> tuple[str, ...]:
    """Check the genres that a file will get. Those that it has are its owner's: anything goes.

    Raises:
        LineError: one of them cannot be the name of a genre.
    """
    had = set(before)
    added = tuple(name for name in names if name not in had)
    if len(added) > MOST_ADDED:
        raise LineError(f"after adds {len(added):,} genres; {MOST_ADDED} are the most")
    if fault := fault_of_names(added):
        raise LineError(f"after: {fault}")
    for name in added:
        if any(mark in name for mark in "/;,"):
            raise LineError(f"after: the name {name[:40]!r} holds one of / ; , which players split genres on")
        if any(unicodedata.category(mark) == "Cf" for mark in name):
            raise LineError(f"after: the name {name[:40]!a} holds invisible marks, which may turn text around")
    return names


def _scores(scores: dict[str, float]) -> dict[str, float]:
    if not all(0 <= score <= 1 for score in scores.values()):
        raise LineError("a score is not a number from 0 to 1")
    return scores
