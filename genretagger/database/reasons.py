"""Reasons as columns: causes and their figures, as they are stored and read back."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from genretagger.causes import Cause, Reason, because, recorded
from genretagger.sentences import sentence
from genretagger.types import Json


def reason_columns(reason: Reason) -> dict[str, Json]:
    """A reason as columns: the sentence for people, and what code looks at."""
    columns: dict[str, Json] = {"reason": sentence(reason), "cause": None, "figures": None}
    if reason.cause is not Cause.RECORDED:  # of which the sentence is all
        columns |= {"cause": reason.cause.value, "figures": dict(reason.figures)}
    return columns


def reason_of(row: Any) -> Reason:
    """The reason in a row; only its sentence if another version stored causes unknown here."""
    cause = cause_of(row.cause)
    return recorded(row.reason) if cause is None else Reason(cause, row.figures or {})


def cause_of(value: object) -> Cause | None:
    """The cause that a column holds; None if it is none of ours."""
    try:
        return Cause(value) if isinstance(value, str) else None
    except ValueError:
        return None


def refusal_to_text(refusal: Reason | None) -> str | None:
    """Why a file cannot be written, as a text column: its container's words, or a cause as JSON."""
    if refusal is None:
        return None
    if refusal.cause is Cause.CONTAINER:
        return str(refusal.figures["says"])
    return json.dumps({"cause": refusal.cause.value, "figures": dict(refusal.figures)})


def refusal_from_text(text: str | None) -> Reason | None:
    """The reason that `refusal_to_text` stored; earlier versions stored only words."""
    if text is None:
        return None
    with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
        stored = json.loads(text)
        return Reason(Cause(stored["cause"]), dict(stored["figures"]))
    return because(Cause.CONTAINER, says=text)
