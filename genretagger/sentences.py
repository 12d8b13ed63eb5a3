"""Causes in words, for people: the one place where a reason becomes a sentence.

A sentence has three parts, so that nobody has to take one apart: `start` may be left out if room
is short, `matter` names the cause and is the same for all files with it, `rest` holds the figures
of one file and what to do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from genretagger.causes import Cause, Reason
from genretagger.errors import FILE_ERRORS, DatabaseError, ModelError


class Sentence(NamedTuple):
    """A sentence in its parts, which follow each other without a gap."""

    start: str
    matter: str
    rest: str = ""


def sentence(reason: Reason) -> str:
    """The whole sentence, without a full stop at its end."""
    return "".join(parts(reason))


def matter(reason: Reason) -> str:
    """The cause without one file's figures and without advice: equal for files counted as one."""
    start, what, _ = parts(reason)
    return start + what


def brief(reason: Reason) -> str:
    """The sentence at its shortest, for narrow columns."""
    return parts(reason).matter


def parts(reason: Reason) -> Sentence:
    """A sentence in its parts.

    Figures that were stored by another version, or in a damaged database, may not be what the
    sentence needs; then the cause's own name replaces it.
    """
    try:
        found = SENTENCES[reason.cause](reason.figures)
        return found._replace(rest=found.rest + _album(reason.figures)) if "album" in reason.figures else found
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return Sentence("", reason.cause.value.replace("_", " "))


_Figures = Mapping[str, Any]
_Words = Callable[[_Figures], Sentence]


def _told(*texts: str) -> _Words:
    """The parts of a sentence, with names in braces for its figures."""
    return lambda figures: Sentence(*(text.format_map(figures) for text in texts))


def _chosen(figures: _Figures) -> Sentence:
    genres = "; ".join(f"{name} {score:.2f}: {grounds}" for name, score, grounds in figures["genres"])
    return Sentence("", genres)


def _album(figures: _Figures) -> str:
    """Say that a decision was made with the album that a track belongs to, or why it was not."""
    alike, of = figures["album"]["alike"], figures["album"]["of"]
    if figures["album"]["outside"]:
        return f"; decided by itself, as it differs from its album ({alike} of {of} tracks are alike)"
    return f"; decided with its album ({alike} of {of} tracks are alike)"


_LEAST_NEAREST = 0.05
"""A genre with a lower score is not near enough to be named as the nearest."""


def _nearest(figures: _Figures) -> str:
    if figures["score"] < _LEAST_NEAREST:
        return ""
    return f" ({figures['nearest']} would be the nearest, with {figures['score']:.2f})"


def _not_confident(figures: _Figures) -> Sentence:
    below = math.floor(100 * figures["score"]) / 100  # rounded up, it would seem to reach the limit
    nearest = f": {figures['nearest']} is nearest with {below:.2f} ({figures['grounds']})"
    return Sentence("", f"no genre reaches {figures['least']:.4g}", nearest)


def _too_short(figures: _Figures) -> Sentence:
    return _failure(figures) if "says" in figures else Sentence("it is ", f"shorter than {figures['least_s']:g} s")


def _changed_since_write(figures: _Figures) -> Sentence:
    does = "puts it back anyway" if figures["redo"] else "undoes it too"
    return Sentence("", "its genre was changed since", f": --force {does}")


def _done_meanwhile(figures: _Figures) -> Sentence:
    return Sentence("", f"another genretagger {'put it back' if figures['redo'] else 'undid it'} meanwhile")


def _not_written(figures: _Figures) -> Sentence:
    return Sentence("", "decided, but not written", f": {sentence(figures['decision'])}")


def _has_genre(figures: _Figures) -> Sentence:
    if figures.get("heard") is False:
        return Sentence("", "not listened to, as it has a genre", " and policy = keep leaves it")
    stays = f", which stays: {sentence(figures['decision'])}" if "decision" in figures else ""
    return Sentence("it ", "has a genre", stays)


def _failure(figures: _Figures) -> Sentence:
    rest = f". {hint}" if (hint := figures.get("hint")) else ""
    if "retry" in figures:
        again = "it is tried again next time" if figures["retry"] else "it is not tried again until it changes"
        rest = f"{rest.rstrip('.')}; {again}"
    return Sentence("", str(figures["says"]), rest)


_FORCE = "; --force tags it again"
SENTENCES: Mapping[Cause, _Words] = {
    **dict.fromkeys((kind.why for kind in FILE_ERRORS.values()), _failure),
    **dict.fromkeys((DatabaseError.why, ModelError.why), _failure),
    Cause.CHOSEN: _chosen,
    Cause.SILENT: _told("", "nothing but silence or steady noise"),
    Cause.NOT_MUSIC: lambda figures: Sentence("it ", "does not sound like music", _nearest(figures)),
    Cause.UNLIKE_LEARNED: lambda figures: Sentence(
        "it ", "resembles none of the tracks that were learned from", _nearest(figures)
    ),
    Cause.NOT_CONFIDENT: _not_confident,
    Cause.NONE_ALLOWED: _told("", "the model can give none of the allowed genres"),
    Cause.NO_GENRES_IN_MODEL: _told("", "{model} gives no genres by itself", ": train it on your genres first"),
    Cause.NOTHING_HEARD: _told("", "every track of the album is silent or could not be analysed"),
    Cause.HAS_GENRE: _has_genre,
    Cause.HAS_THESE: _told("it ", "has these genres already"),
    Cause.UNDONE: _told("", "you undid its genre", _FORCE),
    Cause.CHOSEN_BY_OWNER: _told("", "you chose its genre", _FORCE),
    Cause.CHANGED_BY_OWNER: _told("", "its genre was changed after genretagger wrote it, so it is yours", _FORCE),
    Cause.HANDLED_BEFORE: _told("it ", "was handled before", ", and its tags were edited by another program since"),
    Cause.TOO_SHORT: _too_short,
    Cause.UNFINISHED: _told("it is ", "not complete", ": {beside} says that its download is not finished"),
    Cause.INCOMPLETE: _told(
        "it is ",
        "not complete: parts of the sound are missing",
        " ({zeros:,} bytes are zero); let its download finish, or fetch it again",
    ),
    Cause.CONTAINER: _failure,
    Cause.HARD_LINKED: _told(
        "it is ",
        "hard-linked",
        ": it has {names} names; with hard_links = true, genretagger would write a separate copy",
    ),
    Cause.OUTSIDE: _told("it is ", "outside the folder", ": to write to {real_path}, set outside_links = true"),
    Cause.NOT_WRITABLE: _told("", "{says}", ": {do}"),
    Cause.BAD_NAMES: _told("", "its genres cannot be written", ": {fault}"),
    Cause.DEAD_LINK: _told("", "the symbolic link leads nowhere"),
    Cause.LINK_CIRCLE: _told("", "the symbolic links lead in a circle"),
    Cause.NO_REGULAR_FILE: _told("it is ", "a FIFO, a socket or a device, not a file"),
    Cause.PLANNED: _told("", "{words}"),
    Cause.EDITED_PLAN: _told("", "chosen by you in a plan"),
    Cause.WOULD_LOSE: _told(
        "it ", "would lose the genre {genre}", ", which the option protect keeps: add it to the plan"
    ),
    Cause.OTHER_THAN_PLANNED: _told(
        "", "the file holds another recording than when the plan was made", ". Make a new plan"
    ),
    Cause.GENRE_CHANGED_SINCE_PLAN: _told("", "its genre was changed since the plan was made", ". Make a new plan"),
    Cause.CHANGED_SINCE_PLAN: _told("it ", "was changed since the plan was made", ". Make a new plan"),
    Cause.CHOSEN_LISTENING: _told("", "chosen by you while listening"),
    Cause.CHANGED_BY_ANOTHER: _told("", "its genre was changed meanwhile", ", in another window or by another program"),
    Cause.UNDO: _told("", "undo of write {write}"),
    Cause.REDO: _told("", "redo of write {write}"),
    Cause.OTHER_RECORDING: _told("", "the file now holds another recording"),
    Cause.CHANGED_SINCE_WRITE: _changed_since_write,
    Cause.DONE_MEANWHILE: _done_meanwhile,
    Cause.ADOPTED: _told("", "adopted: it has the genres that the model chooses, and its record was lost"),
    Cause.NOT_WRITTEN: _not_written,
    Cause.NOT_LISTENED_TO: _told("", "not listened to yet", "; `genretagger tag` does"),
    Cause.GONE: _told("", "the file is gone", "; this is what genretagger knew about it"),
    Cause.IN_LIBRARY: _told("", "it was in beets' library"),
    Cause.IN_USE: _told("", "a program is writing it"),
    Cause.RECORDED: _told("", "{words}"),
}
"""Every cause in words; a test sees to it that none is missing."""
