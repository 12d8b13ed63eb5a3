"""The genre names: one canonical spelling each, with parents and aliases, read from `genres.toml`.

Aim: `hip hop`, `HipHop` and `rap` are one genre, and House is known to be Electronic. Spelling is
compared by letters and digits alone. Names avoid `/ ; ,` because players split on them.
"""

from __future__ import annotations

import hashlib
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Genre:
    """One genre of the vocabulary.

    Attributes:
        name: canonical spelling.
        parents: names of the genres that it is a kind of, nearest first.
        aliases: other spellings that mean the same.
    """

    name: str
    parents: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


class Vocabulary:
    """All genres by name.

    Args:
        genres: each name once; parents must be among them.

    Raises:
        ValueError: a spelling that means two genres, or a parent that is none.
    """

    def __init__(self, genres: Mapping[str, Genre]) -> None:
        self.genres = MappingProxyType(dict(genres))
        self._by_key: dict[str, str] = {}
        for genre in genres.values():
            for spelling in (genre.name, *genre.aliases):
                other = self._by_key.setdefault(key(spelling), genre.name)
                if other != genre.name:
                    raise ValueError(f"{spelling!r} means both {other} and {genre.name}")
            for parent in genre.parents:
                if parent not in genres:
                    raise ValueError(f"{genre.name} has the unknown parent {parent!r}")

    def canonical(self, spelling: str) -> str | None:
        """Give the canonical name of a spelling, or None if it is not a genre of the vocabulary."""
        return self._by_key.get(key(spelling))

    def ancestors(self, name: str) -> Iterator[str]:
        """Give the parents of a genre, theirs, and so on, nearest first, each once."""
        pending = list(self.genres[name].parents) if name in self.genres else []
        seen: set[str] = set()
        while pending:
            parent = pending.pop(0)
            if parent not in seen:
                seen.add(parent)
                yield parent
                pending.extend(self.genres[parent].parents)


def key(spelling: str) -> str:
    """Reduce a spelling to what all spellings of a genre share: letters, digits, `&` as `and`."""
    composed = unicodedata.normalize("NFC", spelling)  # macOS writes names decomposed, and an accent is not a letter
    return "".join(filter(str.isalnum, composed.casefold().replace("&", "and")))


def names_genre(label: str, family: str = "") -> bool:
    """Whether a model's label can be a genre: not a voice, an instrument, a decade or a mood.

    Args:
        label: as the model spells it.
        family: the group that the model puts it in, such as "Non-Music".
    """
    labels, families = _not_genres()
    return key(label) not in labels and family not in families


@cache
def _not_genres() -> tuple[frozenset[str], frozenset[str]]:
    content = resources.files("genretagger.vocabulary").joinpath("not_genres.toml").read_text(encoding="utf-8")
    document = tomllib.loads(content)
    return frozenset(map(key, ("", *document["labels"]))), frozenset(document["families"])


@cache
def digest() -> str:
    """Name the data behind the names: with another digest the same scores may give other genres."""
    files = (resources.files("genretagger.vocabulary").joinpath(name) for name in ("genres.toml", "not_genres.toml"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@cache
def vocabulary() -> Vocabulary:
    """Read the vocabulary that comes with genretagger."""
    content = resources.files("genretagger.vocabulary").joinpath("genres.toml").read_text(encoding="utf-8")
    return Vocabulary(
        {
            name: Genre(name, tuple(entry.get("parents", ())), tuple(entry.get("aliases", ())))
            for name, entry in tomllib.loads(content).items()
        }
    )
