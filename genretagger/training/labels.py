"""Where the known genres come from: tags, folders, a table, or beets' library; and the owner's own names for them.

A source never gives what genretagger itself wrote (`types.Heard.ours`). Genres are told apart by their letters and
digits alone, and spelled as the owner most often does: `Hip Hop` and `hip-hop` are one, `Rap` is another unless a map
says so.
"""

from __future__ import annotations

import csv
import os
import sqlite3
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from genretagger.discover import Found
from genretagger.errors import ConfigError
from genretagger.types import Heard
from genretagger.vocabulary.names import key

_LARGEST_TABLE_BYTES = 256 * 1024**2
_LONGEST_NAME = 100
_PATH_COLUMNS, _GENRE_COLUMNS = ("path", "file", "filename"), ("genres", "genre", "label", "labels")
_EXAMPLE = "It begins with the line `path,genres`; several genres of a file are separated by `;`"


class Source(Protocol):
    """Knows the genres of tracks."""

    @property
    def name(self) -> str:
        """For people: "tags", "folders" …"""

    def labels(self, heard: Heard, found: Found) -> Iterable[str]:
        """The genres of a track, as the source spells them."""


class Tags:
    """The genres in the files' own tags, without those that genretagger chose."""

    name = "tags"

    def labels(self, heard: Heard, found: Found) -> Iterable[str]:
        """See `Source`."""
        del found
        return (genre for genre in heard.track.genres.values if genre not in heard.ours)


class Folders:
    """The first folder below the one that was named; for files that lie right in that one, its own name."""

    name = "folders"

    def labels(self, heard: Heard, found: Found) -> Iterable[str]:
        """See `Source`."""
        del heard
        parts = found.path.relative_to(found.root).parts
        return (parts[0] if len(parts) > 1 else found.root.name,)


@dataclass(frozen=True, slots=True)
class Table:
    """Genres by path, from a file.

    Attributes:
        name: for people.
        rows: path → genres.
        ours_too: also count genres that genretagger wrote, because this table does not come from tags.
    """

    name: str
    rows: Mapping[bytes, tuple[str, ...]]
    ours_too: bool = True

    def labels(self, heard: Heard, found: Found) -> Iterable[str]:
        """See `Source`."""
        genres = self.rows.get(os.fsencode(found.path)) or self.rows.get(os.fsencode(os.path.realpath(found.path)), ())
        if self.ours_too:
            return genres
        ours = {key(genre) for genre in heard.ours}
        return (genre for genre in genres if key(genre) not in ours)

    def files(self) -> Iterator[Found]:
        """All files of the table that exist."""
        for name in sorted(self.rows):
            path = Path(os.fsdecode(name))
            if path.is_file():
                yield Found(path, path.parent)


def from_csv(path: Path) -> Table:
    """Read a table of paths and genres; relative paths begin at the table's folder.

    Raises:
        ConfigError: it cannot be read, or has no such columns.
    """
    rows: dict[bytes, tuple[str, ...]] = {}
    folder = path.absolute().parent
    try:
        _check_size(path)
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file)
            heads = {(head or "").strip().lower(): head for head in reader.fieldnames or ()}
            where = next((heads[name] for name in _PATH_COLUMNS if name in heads), None)
            what = next((heads[name] for name in _GENRE_COLUMNS if name in heads), None)
            if where is None or what is None:
                raise ConfigError("the table has no columns for paths and genres", path=path, hint=_EXAMPLE)
            for row in reader:
                name = os.fsencode(os.path.normpath(folder / (row[where] or "")))
                rows[name] = (*rows.get(name, ()), *_split(row[what] or ""))
    except (OSError, csv.Error, ValueError) as error:
        raise ConfigError(f"the table cannot be read: {error}", path=path, hint=_EXAMPLE) from error
    return Table(f"the table {path.name}", rows)


def from_beets(library: Path | None = None) -> Table:
    """Read the genres of beets' library, which is only looked at.

    Args:
        library: its database; None for the one that beets' own configuration names.

    Raises:
        ConfigError: there is no such library, or beets is not installed here and no file was named.
    """
    folder = Path.home()
    if library is None:
        library, folder = _beets_library()
    if not library.is_file():
        raise ConfigError("there is no such library of beets", path=library, hint="`beet config` tells where it is")
    rows: dict[bytes, tuple[str, ...]] = {}
    try:
        with closing(sqlite3.connect(f"{library.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            columns = {row[1] for row in connection.execute("PRAGMA table_info(items)")}
            column = next((name for name in ("genres", "genre") if name in columns), None)
            if column is None:
                raise ConfigError("that is no library of beets", path=library, hint="`beet config` tells where it is")
            for place, genres in connection.execute(f"SELECT path, {column} FROM items"):  # noqa: S608 - one of two
                name = place if isinstance(place, bytes) else os.fsencode(str(place))
                rows[os.path.join(os.fsencode(folder), name)] = tuple(_split(str(genres or "")))  # noqa: PTH118 - bytes
    except sqlite3.Error as error:
        raise ConfigError(f"the library cannot be read: {error}", path=library) from error
    return Table("beets' library", rows, ours_too=False)


def _beets_library() -> tuple[Path, Path]:
    """The database and the music folder of the owner's beets."""
    try:
        from beets import config
        from beets.util import syspath
    except ImportError as error:
        raise ConfigError(
            "beets is not installed beside genretagger, so its library cannot be found",
            hint="Name it: --labels /path/to/library.db, or install genretagger[beets]",
        ) from error
    config.read()
    library, folder = (os.fspath(config[name].as_filename()) for name in ("library", "directory"))
    return Path(os.fsdecode(syspath(library))), Path(os.fsdecode(syspath(folder)))


@dataclass(frozen=True, slots=True)
class NameMap:
    """The owner's names: a label becomes another genre, several, or none.

    Attributes:
        names: by the letters of the label.
    """

    names: Mapping[str, tuple[str, ...]]

    @classmethod
    def load(cls, path: Path | None) -> NameMap:
        """Read a TOML file of lines such as `"Deep House" = "House"`; "" or [] leaves a label out.

        Raises:
            ConfigError: it cannot be read, or holds something else.
        """
        if path is None:
            return cls({})
        hint = 'It holds lines such as "Deep House" = "House", "Pop Rock" = ["Pop", "Rock"], "Misc" = ""'
        try:
            _check_size(path)
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"the map cannot be read: {error}", path=path, hint=hint) from error
        names: dict[str, tuple[str, ...]] = {}
        for label, value in document.items():
            genres = [value] if isinstance(value, str) else value
            if not isinstance(genres, list) or not all(isinstance(genre, str) for genre in genres):
                raise ConfigError(f"the map gives {label!r} neither a name nor a list of names", path=path, hint=hint)
            names[key(label)] = tuple(genre for genre in genres if genre.strip())
        return cls(names)

    def apply(self, labels: Iterable[str]) -> tuple[str, ...]:
        """The genres of a track's labels: split, named as the map says, fit to be written, each once."""
        found: dict[str, str] = {}
        for label in labels:
            for part in _split(label):
                for genre in self.names.get(key(part), (part,)):
                    name = _clean(genre)
                    if key(name):
                        found.setdefault(key(name), name)
        return tuple(found.values())


def spelled(tracks: Iterable[tuple[str, ...]]) -> dict[str, str]:
    """The name of each genre by its letters: the most frequent spelling, of equals the first in order."""
    counts = Counter(name for names in tracks for name in names)
    chosen: dict[str, str] = {}
    for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        chosen.setdefault(key(name), name)
    return chosen


def _split(text: str) -> list[str]:
    """Take a joined field apart, as players and beets do."""
    for mark in ("\\\u2400", "\x00"):
        text = text.replace(mark, ";")
    return [part.strip() for part in text.split(";") if part.strip()]


def _clean(name: str) -> str:
    """A name that players do not split, without what no tag may hold."""
    for mark in "/,;":
        name = name.replace(mark, " & ")
    name = "".join(mark for mark in name if unicodedata.category(mark) not in ("Cc", "Cs", "Cf"))
    return " ".join(name.split())[:_LONGEST_NAME].strip()


def _check_size(path: Path) -> None:
    if path.stat().st_size > _LARGEST_TABLE_BYTES:
        raise ValueError(f"it is larger than {_LARGEST_TABLE_BYTES >> 20} MB")
