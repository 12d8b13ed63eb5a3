"""Why a file ended as it did: a `Cause`, with the figures that belong to it.

Code compares causes, and never looks into a sentence. `sentences.py` puts them into words for
people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Cause(StrEnum):
    """Why a file ended as it did. The values are stored and given as JSON, so they never change."""

    # what was decided on
    CHOSEN = "chosen"
    SILENT = "silent"
    NOT_MUSIC = "not_music"
    UNLIKE_LEARNED = "unlike_learned"
    NOT_CONFIDENT = "not_confident"
    NONE_ALLOWED = "none_allowed"
    NO_GENRES_IN_MODEL = "no_genres_in_model"
    NOTHING_HEARD = "nothing_heard"

    # who owns the genres
    HAS_GENRE = "has_genre"
    HAS_THESE = "has_these"
    UNDONE = "undone"
    CHOSEN_BY_OWNER = "chosen_by_owner"
    CHANGED_BY_OWNER = "changed_by_owner"
    HANDLED_BEFORE = "handled_before"

    # what keeps us from writing
    TOO_SHORT = "too_short"
    UNFINISHED = "unfinished"
    INCOMPLETE = "incomplete"
    CONTAINER = "container"
    HARD_LINKED = "hard_linked"
    OUTSIDE = "outside"
    NOT_WRITABLE = "not_writable"
    NOT_PERMITTED = "not_permitted"
    BAD_NAMES = "bad_names"
    DEAD_LINK = "dead_link"
    LINK_CIRCLE = "link_circle"
    NO_REGULAR_FILE = "no_regular_file"

    # plans
    PLANNED = "planned"
    EDITED_PLAN = "edited_plan"
    WOULD_LOSE = "would_lose"
    OTHER_THAN_PLANNED = "other_than_planned"
    GENRE_CHANGED_SINCE_PLAN = "genre_changed_since_plan"
    CHANGED_SINCE_PLAN = "changed_since_plan"

    # what the owner chose on the page
    CHOSEN_LISTENING = "chosen_listening"
    CHANGED_BY_ANOTHER = "changed_by_another"

    # undo and redo
    UNDO = "undo"
    REDO = "redo"
    OTHER_RECORDING = "other_recording"
    CHANGED_SINCE_WRITE = "changed_since_write"
    DONE_MEANWHILE = "done_meanwhile"
    ADOPTED = "adopted"

    # what `show` sees
    NOT_WRITTEN = "not_written"
    NOT_LISTENED_TO = "not_listened_to"
    GONE = "gone"

    # the library of beets
    IN_LIBRARY = "in_library"

    # the service
    IN_USE = "in_use"
    DATABASE = "database"
    MODEL = "model"

    # failures; each belongs to a class of `errors.FileError`
    FAILED = "failed"
    UNSUPPORTED = "unsupported"
    UNDECODABLE = "undecodable"
    TAGS_UNREADABLE = "tags_unreadable"
    WRITE_REFUSED = "write_refused"
    CHANGED_MEANWHILE = "changed_meanwhile"
    BUSY = "busy"
    NO_ACCESS = "no_access"
    SYSTEM_FAULT = "system_fault"
    NO_SPACE = "no_space"
    READ_ONLY = "read_only"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    KILLED = "killed"
    BUG = "bug"

    # a sentence of another program, or of an earlier version that stored no cause
    RECORDED = "recorded"


REFUSALS = frozenset(
    {
        Cause.TOO_SHORT,
        Cause.UNFINISHED,
        Cause.INCOMPLETE,
        Cause.CONTAINER,
        Cause.HARD_LINKED,
        Cause.OUTSIDE,
        Cause.NOT_WRITABLE,
        Cause.NOT_PERMITTED,
    }
)
"""A file that was refused may be written once the file, the settings or the rights change."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A cause with its figures.

    Attributes:
        cause: what it was.
        figures: numbers and names that belong to it, by name, as JSON holds them; see `sentences`
            for which.
    """

    cause: Cause
    figures: Mapping[str, Any] = field(default_factory=dict)


def because(cause: Cause, **figures: Any) -> Reason:
    """A reason, with its figures by name."""
    return Reason(cause, figures)


def recorded(words: str) -> Reason:
    """A reason of which only the words are known: another program's, or an earlier version's."""
    return Reason(Cause.RECORDED, {"words": words})
