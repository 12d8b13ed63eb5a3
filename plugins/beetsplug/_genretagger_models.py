"""What the plugin genretagger reads from beets' items and albums, and its notes there.

The notes of a track and of an album have different names. beets copies an album's flexible fields
to its tracks when it stores the album, and a track without such a field shows the album's. So with
the same names, a note about the album would become one about its tracks. This module is not a
plugin, so its name begins with an underscore.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import beets
from beets.dbcore import types
from beets.library import Album, Item

from genretagger.causes import Reason
from genretagger.text import is_blank

if TYPE_CHECKING:
    from beets.library import Library


class BeetsChoice(NamedTuple):
    """The genres for a track, why, the first one's score, and whether track or album decided."""

    genres: tuple[str, ...]
    reason: Reason
    score: float
    source: str


SOURCE = "genretagger_source"
"""The flexible field with the source of a track's genres: `track` or `album`."""

SCORE = "genretagger_score"
"""The flexible field with the score of the first genre."""

MODEL = "genretagger_model"
"""The flexible field with the name of the model that chose."""

GIVEN = "genretagger_genres"
"""The flexible field with the genres that we gave a track, which come after those of `KEPT`."""

KEPT = "genretagger_kept"
"""The flexible field with the owner's genres that we added ours to; absent if there were none."""

WRITE = "genretagger_write"
"""The flexible field with the number of our last write to a track's file, in genretagger's
history.
"""

UNDONE = "genretagger_undone"
"""The flexible field with the genres that were undone in the library only: the file may still have
them.
"""

ALBUM_GIVEN = "genretagger_album_genres"
"""For an album, the same as `GIVEN` for a track."""

ALBUM_KEPT = "genretagger_album_kept"
"""For an album, the same as `KEPT` for a track."""

_ALBUM_FIELDS = (ALBUM_GIVEN, ALBUM_KEPT)
ALBUM_TYPES = dict.fromkeys(_ALBUM_FIELDS, types.STRING)
"""Our fields of an album, with beets' type of each."""

TRACK_TYPES = {
    **dict.fromkeys((SOURCE, MODEL, GIVEN, KEPT, UNDONE), types.STRING),
    **{SCORE: types.Float(4), WRITE: types.INTEGER},
}
"""The same for a track."""

_SEPARATOR = "; "
_ID3 = {"MP3", "AIFF", "WAVE", "WAV", "DSF"}


def needs() -> str:
    """Say what this beets lacks; empty if nothing. The field decides, not the version."""
    if "genres" in Item._fields:
        return ""
    return f"genretagger needs beets 2.7 or newer, because its items have several genres; this is {beets.__version__}"


def own(model: Item | Album, field: str) -> object:
    """The value of a field, without one from a track's album; None if there is none."""
    return model.get(field, None, with_album=False) if isinstance(model, Item) else model.get(field, None)


def named(genres: Iterable[str]) -> list[str]:
    """The genres without those that are empty or blank."""
    return [genre for genre in genres if not is_blank(genre)]


def genres_of(model: Item | Album) -> list[str]:
    """The genres of a track without its album's, or those of an album; blank ones are left out."""
    value = own(model, "genres")
    return named(map(str, value)) if isinstance(value, list | tuple) else []


def has_blank(model: Item | Album) -> bool:
    """Whether a track or an album has an empty or blank genre."""
    value = own(model, "genres")
    return isinstance(value, list | tuple) and len(genres_of(model)) < len(value)


def split(noted: object) -> list[str]:
    """The genres of a note."""
    return noted.split(_SEPARATOR) if isinstance(noted, str) and noted else []


def joined(genres: Sequence[str]) -> str:
    """Genres as a note: beets could not store a list in a field of unknown type."""
    return _SEPARATOR.join(genres)


def give(model: Item | Album, kept: Sequence[str], given: Sequence[str]) -> None:
    """Set the genres without storing, and note which are ours; without ours, all notes are removed.

    Args:
        kept: the owner's genres that stay.
        given: those that we add to them.
    """
    model.genres = [*kept, *given]
    _drop(model, *TRACK_TYPES, *ALBUM_TYPES)
    if given:
        of_given, of_kept = (GIVEN, KEPT) if isinstance(model, Item) else _ALBUM_FIELDS
        model[of_given] = joined(given)
        if kept:
            model[of_kept] = joined(kept)


def whose(model: Item | Album) -> tuple[list[str], list[str]]:
    """The owner's genres and ours; all are the owner's if the owner changed any."""
    genres = genres_of(model)
    # the latter from an earlier version
    names = [(GIVEN, KEPT)] if isinstance(model, Item) else [_ALBUM_FIELDS, (GIVEN, KEPT)]
    for of_given, of_kept in names:
        noted = own(model, of_kept) or "", own(model, of_given)
        for end in range(len(genres)):
            kept, given = genres[:end], genres[end:]
            if (joined(kept), joined(given)) == noted:
                return kept, given
    return genres, []


def is_ours(model: Item | Album) -> bool:
    """Whether the genres are as we left them, with some of ours among them."""
    return bool(whose(model)[1])


def is_noted(item: Item) -> bool:
    """Whether there is a note about a track, true or outdated."""
    return own(item, GIVEN) is not None


def forget(item: Item) -> None:
    """Drop the notes about genres that are no longer ours."""
    if _drop(item, *TRACK_TYPES, *ALBUM_TYPES):
        item.store()


def drop_album_notes(item: Item) -> None:
    """Drop the notes about its album that beets copied to a track when it stored the album."""
    if _drop(item, *_ALBUM_FIELDS):
        item.store()


def _drop(model: Item | Album, *fields: str) -> bool:
    """Drop notes without storing; returns whether there were any."""
    noted = [field for field in fields if own(model, field) is not None]
    for field in noted:
        del model[field]
    return bool(noted)


def rename_album_notes(lib: Library) -> None:
    """Rename the album notes of an earlier version to names that no track has."""
    with lib.transaction() as transaction:
        rows = transaction.query("SELECT DISTINCT entity_id FROM album_attributes WHERE key IN (?, ?)", (GIVEN, KEPT))
    for (number,) in [tuple(row) for row in rows]:
        if (album := lib.get_album(number)) is not None:
            kept, given = whose(album)
            genres = list(album.genres)
            give(album, kept, given)
            if not given:
                album.genres = genres
            album.store(inherit=False)


def number(item: Item) -> int:
    """The number of an item in the library."""
    return int(item.id or 0)


def written(item: Item) -> int:
    """The number of our last write to an item's file; 0 if none is noted."""
    value = own(item, WRITE)
    try:
        return int(str(value))
    except ValueError:
        return 0


def path_of(item: Item) -> Path:
    """The absolute path of an item's file, with any bytes in its name."""
    return Path(os.fsdecode(item.path))


def as_read_back(item: Item, genres: tuple[str, ...]) -> tuple[str, ...]:
    """The genres as genretagger will read them after beets wrote them: its ID3v2.3 joins them."""
    in_one = beets.config["id3v23"].get(bool) and item.format in _ID3
    return ("/".join(genres),) if in_one else genres
