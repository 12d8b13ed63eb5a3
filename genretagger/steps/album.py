"""Which files are one album by one artist; pure, except for one look at the names in a folder.

Files belong together if they are in one folder, have the same album in their tags, and are by one
artist. Folders of discs ("CD 1", "Disc 2 - Live") count as the folder that they are in. The artist
is the album artist if the tags name one. Otherwise more than half of the files with that album must
be by the same artist, and the others are left out. "Various Artists", an album artist who plays on
less than half of the tracks, a file without an album, and "Unknown Album" make no album. A folder
with more than `MOST_FILES` files is not an album, whatever its tags say.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from genretagger.addresses import is_object
from genretagger.files import storage
from genretagger.files.discover import Found, is_audio_name
from genretagger.types import Credits
from genretagger.vocabulary.names import key

MOST_FILES = 500
"""The most files in an album's folder: more are a collection, too many to hold in memory."""

_DISC_FOLDER = re.compile(r"(cd|dis[ck]|disque|disco|lp|vinyl)[\s._-]*\d{1,2}(\b|_).*", re.IGNORECASE)
_DISC_OF_TITLE = re.compile(r"[\s,:\-–(\[]+(cd|dis[ck]|disque|disco)[\s.]*\d+(\s*(of|/)\s*\d+)?\s*[)\]]*\s*$", re.I)  # noqa: RUF001
_GUEST = re.compile(r"[\s(\[]+(feat\.?|ft\.?|featuring)\s.*|\s*;.*", re.IGNORECASE | re.DOTALL)

_NO_ONE = frozenset(
    map(
        key,
        (
            *("Various", "Various Artists", "Various Performers", "Various Interprets", "VA", "Multiple Artists"),
            *("Diverse", "Diverse Interpreten", "Verschiedene", "Verschiedene Interpreten", "Verschiedene Künstler"),
            *("Artistes divers", "Artistes variés", "Divers", "Artisti vari", "Autori vari", "AA.VV.", "VV.AA."),
            *("Varios", "Varios artistas", "Varios intérpretes", "Vários", "Vários artistas", "Vários intérpretes"),
            *("Diverse artiesten", "Diverse kunstnere", "Diverse artister", "Blandade artister", "Eri esittäjiä"),
            *("Różni wykonawcy", "Různí interpreti", "Разные исполнители", "オムニバス", "群星"),
            *("Original Soundtrack", "Soundtrack", "OST", "Original Cast", "Compilation", "Compilations"),
            *("Unknown", "Unknown Artist", "Unbekannt", "Unbekannter Künstler", "Unbekannter Interpret"),
            *("Artiste inconnu", "Artista desconocido", "Artista sconosciuto"),
        ),
    )
)
"""Artist names that mean no particular artist."""

_NO_ALBUM = frozenset(
    map(
        key,
        (
            *("Unknown", "Unknown Album", "Unbekannt", "Unbekanntes Album", "Album inconnu", "Álbum desconocido"),
            *("No Album", "Non-Album Tracks", "Standalone Recordings", "Singles", "Various", "Misc", "Downloads"),
        ),
    )
)
"""Titles of no album in particular."""

_Name = TypeVar("_Name")


def home(path: Path) -> Path:
    """The folder of a file's album: its own, or the one above if its own is that of a disc."""
    folder = path.parent
    return folder.parent if _DISC_FOLDER.fullmatch(folder.name) else folder


def albums(credits: Mapping[_Name, Credits | None]) -> list[list[_Name]]:
    """Find the albums among the files of one folder.

    Args:
        credits: what the tags of each file say; None if nobody has read them.

    Returns:
        The files of each album, at least two; those that belong to none are left out.
    """
    titles: dict[str, list[_Name]] = {}
    for name, each in credits.items():
        if each is not None and (title := _title(each.album)):
            titles.setdefault(title, []).append(name)
    found = (_by_one_artist(names, credits) for names in titles.values())
    return [names for names in found if len(names) > 1]


def is_one_artist(name: str) -> bool:
    """Whether a name is that of an artist, and not "Various Artists" or nothing."""
    return bool(name.strip()) and _person(name) not in _NO_ONE


def files_at(folder: Path) -> list[Path] | None:
    """The music in an album's folder and disc folders; None if too much, or not to be listed."""
    if is_object(folder):
        return objects_at(folder)
    found: list[Path] = []
    folders = [folder]
    try:
        while folders:
            place = folders.pop()
            with os.scandir(place) as entries:
                for entry in entries:
                    path = Path(entry.path)
                    if is_audio_name(entry.name):
                        found.append(path)
                    elif place == folder and _DISC_FOLDER.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                        folders.append(path)
                    if len(found) > MOST_FILES:
                        return None
    except OSError:
        return None
    return sorted(found, key=os.fsencode)


def objects_at(folder: Path) -> list[Path] | None:
    """The music below a prefix of objects, and in the prefixes of its discs; None if too much.

    Raises:
        AccessError: the storage refuses or does not answer, so that the album cannot be known.
    """
    found: list[Path] = []
    folders = [folder]
    while folders:
        place = folders.pop()
        for each in storage.entries(place):
            if not each.is_folder and is_audio_name(each.name):
                found.append(each.path)
            elif each.is_folder and place == folder and _DISC_FOLDER.fullmatch(each.name):
                folders.append(each.path)
            if len(found) > MOST_FILES:
                return None
    return sorted(found, key=os.fsencode)


def beside_each_other(files: Iterable[Found]) -> list[Found]:
    """Bring the files of an album's folder together, to the place of the first of them."""
    folders: dict[Path, list[Found]] = {}
    for file in files:
        folders.setdefault(home(file.path), []).append(file)
    return [file for those in folders.values() for file in those]


def _by_one_artist(names: list[_Name], credits: Mapping[_Name, Credits | None]) -> list[_Name]:
    """The files of one album that are by its artist; none if it has no artist of its own."""
    known = {name: each for name in names if (each := credits[name]) is not None}
    leaders = {name: _person(each.album_artist) or _person(each.artist) for name, each in known.items()}
    leader, count = Counter(leaders.values()).most_common(1)[0]
    if leader in _NO_ONE or not leader or 2 * count <= len(known):
        return []
    mine = [name for name in known if leaders[name] == leader]
    players = [_person(known[name].artist) or leader for name in mine]
    most = Counter(players).most_common(1)[0][1]
    playing = sum(leader in player for player in players)
    return mine if 2 * max(most, playing) >= len(mine) else []


def _title(album: str) -> str:
    title = _DISC_OF_TITLE.sub("", album)
    letters = key(title) or title.strip().casefold()
    return "" if letters in _NO_ALBUM else letters


def _person(name: str) -> str:
    main = _GUEST.sub("", name)
    return key(main) or main.strip().casefold()
