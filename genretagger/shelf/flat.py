"""Turns what is known of a file into one flat row."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from genretagger.causes import Cause
from genretagger.database.values import Known, StoredWrite, WriteState, ours_among
from genretagger.text import printable
from genretagger.vocabulary.names import Vocabulary, key

_UNSURE = (Cause.NOT_CONFIDENT, Cause.UNLIKE_LEARNED, Cause.NONE_ALLOWED)
_SETTLED = (WriteState.DONE, WriteState.UNDONE)
_MOST_TEXT = 300


class GenreState(StrEnum):
    """Who owns the genres of a file.

    TAGGED: genretagger chose them. YOURS: their owner did. UNSURE: the file has none, as no
    genre was sure enough. UNTAGGED: the file has none for another reason: not listened to,
    not written, not music, failed.
    """

    TAGGED = "tagged"
    UNSURE = "unsure"
    UNTAGGED = "untagged"
    YOURS = "yours"


@dataclass(frozen=True, slots=True)
class Row:
    """A file in the index.

    Texts are printable: bytes that are not UTF-8 and control characters are spelled out.

    Attributes:
        id: number of the file in the database.
        path: in bytes.
        genres: those in the file; if it has none, those that were decided.
        top: the genre with the highest score, and `score` that score, 0 to 1; "" and None if the
            file was not analysed.
        second: the score of the next best genre.
        own: the best score among the genres in the file, as far as the model knows them; None if it
            knows none.
        cause: of the last decision, or "failed".
        mark: see `listings.Listed`.
    """

    id: int
    path: bytes
    folder: str
    name: str
    artist: str
    album_artist: str
    album: str
    title: str
    genres: tuple[str, ...]
    state: GenreState
    top: str
    score: float | None
    second: float | None
    own: float | None
    cause: str
    kind: str
    duration_s: float | None
    payload_hash: str | None
    mark: str


def flatten(number: int, mark: str, known: Known, vocabulary: Vocabulary) -> Row:
    """The row of a file.

    Args:
        number: of the file in the database.
        mark: of its row there.
        known: everything about it.
        vocabulary: knows which spellings mean the same genre.
    """
    track = known.track
    decided = known.decisions[0].decision if known.decisions else None
    credits = track.credits if track is not None else None
    genres = track.genres.values if track is not None else ()
    scores = dict(decided.scores) if decided is not None else {}
    ranked: list[tuple[str, float | None]] = [*scores.items(), ("", None), ("", None)]
    cause = decided.reason.cause.value if decided is not None else ""
    if known.failure is not None:
        cause = "failed"
    shown = genres
    if not genres and decided is not None and not (known.writes and known.writes[0].is_undone):
        shown = decided.genres
    return Row(
        id=number,
        path=os.fsencode(known.path),
        folder=_short(known.path.parent),
        name=_short(known.path.name),
        artist=_short(credits.artist if credits else ""),
        album_artist=_short(credits.album_artist if credits else ""),
        album=_short(credits.album if credits else ""),
        title=_short(credits.title if credits else ""),
        genres=tuple(_short(genre) for genre in shown[:20]),
        state=state_of(known),
        top=ranked[0][0],
        score=ranked[0][1],
        second=ranked[1][1],
        own=_own(genres, scores, vocabulary),
        cause=cause,
        kind=track.kind if track is not None else "",
        duration_s=track.duration_s if track is not None else None,
        payload_hash=track.payload_hash if track is not None else None,
        mark=mark,
    )


def state_of(known: Known) -> GenreState:
    """Who owns the genres of a file."""
    track = known.track
    if track is not None and track.genres.values:
        ours = ours_among(track.genres.values, _history(known))
        return GenreState.TAGGED if ours else GenreState.YOURS
    if known.failure is None and known.decisions and known.decisions[0].decision.reason.cause in _UNSURE:
        return GenreState.UNSURE
    return GenreState.UNTAGGED


def _history(known: Known) -> list[StoredWrite]:
    """Finished writes to this audio, oldest first: those to this path, else to the newest one."""
    track = known.track
    if track is None:
        return []
    settled = [
        write
        for write in reversed(known.writes)
        if write.payload_hash == track.payload_hash and write.state in _SETTLED
    ]
    here = [write for write in settled if write.path == known.path]
    return here or [write for write in settled if write.path == settled[-1].path]


def _own(genres: Iterable[str], scores: dict[str, float], vocabulary: Vocabulary) -> float | None:
    by_key = {key(name) or name: score for name, score in scores.items()}
    names = [vocabulary.canonical(genre) or genre for genre in genres]
    found = [by_key.get(key(name) or name) for name in names]
    return max((score for score in found if score is not None), default=None)


def _short(text: str | os.PathLike[str]) -> str:
    shown = printable(text)
    return shown if len(shown) <= _MOST_TEXT else f"{shown[: _MOST_TEXT - 1]}…"
