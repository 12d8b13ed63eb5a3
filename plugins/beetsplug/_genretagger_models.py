"""What the plugin genretagger asks of beets' items and albums. It is no plugin itself, hence the name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import beets
from beets.library import Album, Item


class Choice(NamedTuple):
    """The genres for a track, why, how sure the first one is, and whether they come from the track or its album."""

    genres: tuple[str, ...]
    reason: str
    score: float
    source: str


GIVEN = "genretagger_genres"
"""The flexible field with the genres that we gave, which stand behind those of `KEPT`."""

KEPT = "genretagger_kept"
"""The flexible field with the owner's genres that we added ours to; absent where there were none."""

FIELDS = ("genretagger_source", "genretagger_score", "genretagger_model", GIVEN, KEPT)
_SEPARATOR = "; "
_ID3 = {"MP3", "AIFF", "WAVE", "WAV", "DSF"}


def needs() -> str:
    """Say what this beets lacks; empty where it will do. It is told by the field that we write, not by its number."""
    if "genres" in Item._fields:
        return ""
    return f"genretagger needs beets 2.7 or newer, whose items have several genres; this is {beets.__version__}"


def own(model: Item | Album, field: str) -> object:
    """The value of a field, without what a track takes over from its album; None where there is none."""
    return model.get(field, None, with_album=False) if isinstance(model, Item) else model.get(field, None)


def genres_of(model: Item | Album) -> list[str]:
    """The genres of a track without those of its album, or those of an album."""
    value = own(model, "genres")
    return [str(genre) for genre in value] if isinstance(value, list | tuple) else []


def give(model: Item | Album, kept: Sequence[str], given: Sequence[str]) -> None:
    """Set the genres, not yet stored, and note which are ours; where none is, nothing is noted any more.

    Args:
        model: the track or album.
        kept: the owner's genres that stay.
        given: those that we add to them.
    """
    model.genres = [*kept, *given]
    _drop(model)
    if given:
        model[GIVEN] = _SEPARATOR.join(given)  # a list could not be stored where beets does not know the field's type
        if kept:
            model[KEPT] = _SEPARATOR.join(kept)


def whose(model: Item | Album) -> tuple[list[str], list[str]]:
    """The genres that are the owner's and those that we gave; all are the owner's once they changed any."""
    genres = genres_of(model)
    noted = own(model, KEPT) or "", own(model, GIVEN)
    for end in range(len(genres)):
        kept, given = genres[:end], genres[end:]
        if (_SEPARATOR.join(kept), _SEPARATOR.join(given)) == noted:
            return kept, given
    return genres, []


def is_ours(model: Item | Album) -> bool:
    """Whether the genres are as we left them, some of them given by us."""
    return bool(whose(model)[1])


def forget(item: Item) -> None:
    """Drop what is noted of genres that are no longer ours."""
    if _drop(item):
        item.store()


def _drop(model: Item | Album) -> bool:
    """Drop what is noted, not yet stored; whether there was something."""
    noted = [field for field in FIELDS if own(model, field) is not None]
    for field in noted:
        del model[field]
    return bool(noted)


def number(item: Item) -> int:
    """The number of an item that is in the library."""
    return int(item.id or 0)


def path_of(item: Item) -> Path:
    """Where an item's file lies, absolute, whatever its name is made of."""
    return Path(os.fsdecode(item.path))


def as_read_back(item: Item, genres: tuple[str, ...]) -> tuple[str, ...]:
    """How genretagger will read genres that beets writes: its ID3v2.3 joins them with a slash."""
    joined = beets.config["id3v23"].get(bool) and item.format in _ID3
    return ("/".join(genres),) if joined else genres
