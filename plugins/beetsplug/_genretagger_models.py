"""What the plugin genretagger asks of beets' items and albums. It is no plugin itself, hence the name."""

from __future__ import annotations

import os
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
"""The flexible field with the genres that we gave: where the genres are others, they are the owner's."""

FIELDS = ("genretagger_source", "genretagger_score", "genretagger_model", GIVEN)
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


def note(model: Item | Album) -> None:
    """Note that the genres, as they are now, were given by us."""
    model[GIVEN] = "; ".join(genres_of(model))  # a list could not be stored where beets does not know the field's type


def is_ours(model: Item | Album) -> bool:
    """Whether the genres are those that we gave."""
    genres = genres_of(model)
    return bool(genres) and "; ".join(genres) == own(model, GIVEN)


def forget(item: Item) -> None:
    """Drop what is noted of genres that are no longer ours."""
    noted = [field for field in FIELDS if own(item, field) is not None]
    for field in noted:
        del item[field]
    if noted:
        item.store()


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
