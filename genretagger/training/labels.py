"""The sources of known genres: tags, folders, a table or beets' library; and the owner's names.

A source never returns what genretagger itself wrote (`types.Heard.ours`). Genres are compared by
their letters and digits alone, and spelled as the owner most often does: `Hip Hop` and `hip-hop`
are one, `Rap` is another unless a map says otherwise.
"""

from __future__ import annotations

import os
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from genretagger.errors import ConfigError
from genretagger.files.discover import Found
from genretagger.textfile import read_text
from genretagger.types import Heard
from genretagger.vocabulary.names import key

LARGEST_TABLE_BYTES = 256 * 1024**2
_LONGEST_NAME = 100


class LabelSource(Protocol):
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
        """See `LabelSource`."""
        del found
        return (genre for genre in heard.track.genres.values if genre not in heard.ours)


class Folders:
    """The first folder below the named one; that one's own name for files directly in it."""

    name = "folders"

    def labels(self, heard: Heard, found: Found) -> Iterable[str]:
        """See `LabelSource`."""
        del heard
        parts = found.path.relative_to(found.root).parts
        return (parts[0] if len(parts) > 1 else found.root.name,)


@dataclass(frozen=True, slots=True)
class Table:
    """Genres by path, from a file.

    Attributes:
        name: for people.
        rows: path → genres.
        ours_too: also count genres that genretagger wrote, because this table does not come from
            tags.
    """

    name: str
    rows: Mapping[bytes, tuple[str, ...]]
    ours_too: bool = True

    def labels(self, heard: Heard, found: Found) -> Iterable[str]:
        """See `LabelSource`."""
        genres = self.rows.get(os.fsencode(found.path)) or self.rows.get(os.fsencode(os.path.realpath(found.path)), ())
        if self.ours_too:
            return genres
        ours = {key(genre) for genre in heard.ours}
        return (genre for genre in genres if key(genre) not in ours)

    def knows(self, path: Path) -> bool:
        """Whether the table has genres for a file; other files need not be read."""
        return os.fsencode(path) in self.rows or os.fsencode(os.path.realpath(path)) in self.rows

    def files(self) -> Iterator[Found]:
        """All files of the table that exist."""
        for name in sorted(self.rows):
            path = Path(os.fsdecode(name))
            if path.is_file():
                yield Found(path, path.parent)


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
            ConfigError: the file cannot be read, or holds something else.
        """
        if path is None:
            return cls({})
        hint = 'It holds lines such as "Deep House" = "House", "Pop Rock" = ["Pop", "Rock"], "Misc" = ""'
        try:
            document = tomllib.loads(read_text(path, most_bytes=LARGEST_TABLE_BYTES))
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigError(
                f"the map cannot be read: {getattr(error, 'strerror', None) or error}", path=path, hint=hint
            ) from error
        names: dict[str, tuple[str, ...]] = {}
        for label, value in document.items():
            genres = [value] if isinstance(value, str) else value
            if not isinstance(genres, list) or not all(isinstance(genre, str) for genre in genres):
                raise ConfigError(f"the map gives {label!r} neither a name nor a list of names", path=path, hint=hint)
            names[key(label)] = tuple(genre for genre in genres if genre.strip())
        return cls(names)

    def apply(self, labels: Iterable[str]) -> tuple[str, ...]:
        """The genres of a track's labels: split, renamed by the map, cleaned, each once."""
        found: dict[str, str] = {}
        for label in labels:
            for part in parted(label):
                for genre in self.names.get(key(part), (part,)):
                    name = _clean(genre)
                    if key(name):
                        found.setdefault(key(name), name)
        return tuple(found.values())


def spelled(tracks: Iterable[tuple[str, ...]]) -> dict[str, str]:
    """The name of each genre by its letters: the most frequent spelling, or the first in order."""
    counts = Counter(name for names in tracks for name in names)
    chosen: dict[str, str] = {}
    for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        chosen.setdefault(key(name), name)
    return chosen


def parted(text: str) -> list[str]:
    """Split a joined field, as players and beets do."""
    for mark in ("\\\u2400", "\x00"):
        text = text.replace(mark, ";")
    return [part.strip() for part in text.split(";") if part.strip()]


def _clean(name: str) -> str:
    """A name that players do not split, without characters that no tag may hold."""
    for mark in "/,;":
        name = name.replace(mark, " & ")
    name = unicodedata.normalize("NFC", name)  # macOS may give the names of folders decomposed
    name = "".join(mark for mark in name if unicodedata.category(mark) not in ("Cc", "Cs", "Cf"))
    return " ".join(name.split())[:_LONGEST_NAME].strip()
