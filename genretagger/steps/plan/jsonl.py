"""A plan as JSON lines, all of it ASCII: the first line is the header, each other line is one file.

{"genretagger_plan": 1, "created_at": "2026-01-31T12:00:00+00:00"}
{"path": …, "after": ["Techno"], "proposed": ["Techno"], "before": {…}, "cause": "chosen", …}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NoReturn

from genretagger.steps.plan.entry import LineError, Planned, from_json, to_json
from genretagger.text import moment
from genretagger.types import Json

VERSION = 1
_MARK = "genretagger_plan"
_MOST_DIGITS = 25  # of a number; times in nanoseconds have 19


def header() -> bytes:
    """Give the first line of a new plan."""
    return line({_MARK: VERSION, "created_at": moment(datetime.now(UTC))})


def to_line(planned: Planned) -> bytes:
    """Give the line of one file."""
    return line(to_json(planned))


def line(value: Json) -> bytes:
    """One value as a line of JSON."""
    return json.dumps(value, ensure_ascii=True).encode("ascii") + b"\n"


def version_in(text: str) -> int | None:
    """The version in the first line of a plan; None if it is no such line."""
    try:
        first = parsed(text)
    except LineError:
        return None
    version = first.get(_MARK) if isinstance(first, dict) else None
    return version if type(version) is int else None


def entries(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, Planned | LineError]]:
    """The number of each line, and its entry or what is wrong with it."""
    for number, text in lines:
        try:
            yield number, from_json(parsed(text))
        except LineError as fault:
            yield number, fault


def parsed(text: str) -> Json:
    """The JSON value of a line.

    Raises:
        LineError: it is none, or one made to exhaust memory.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_number, parse_int=_whole)
    except json.JSONDecodeError as error:
        raise LineError(f"it is not a JSON object ({error.msg}, column {error.colno})") from error
    except RecursionError as error:
        raise LineError("it is nested too deeply") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise LineError("a field is given twice")
    return value


def _no_number(text: str) -> NoReturn:
    raise LineError(f"{text} is not a number")


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise LineError("a number is too long")
    return int(text)
