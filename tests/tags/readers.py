"""What three common readers show of a file: FFmpeg, TagLib and mutagen.

Each is asked for plain fields under plain names. A new genre must not hide a field from any of the
three, and each of them must show the genre; `hidden` says what was lost.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from genretagger.audio.pyav import open_input

Fields = dict[str, tuple[str, ...]]
"""Values by name, in lower case."""

_SAME = {
    "tcon": "genre",
    "txxx:genre": "genre",
    "©gen": "genre",
    "----:com.apple.itunes:genre": "genre",
    "wm/genre": "genre",
    "tit2": "title",
    "tpe1": "artist",
    "talb": "album",
}
_CUT = 28
"""Characters of a field that ID3v1 may have cut: the whole of it is as good."""
_SEPARATORS = ("; ", ";", "/", "\x00", ", ")


def ffmpeg(path: Path) -> Fields:
    """The tags of the container and of its audio stream, as players that use FFmpeg see them."""
    with open_input(str(path)) as container:
        shown = dict(container.metadata)
        for stream in container.streams.audio:
            shown.update(stream.metadata)
    return {key.lower(): (value,) for key, value in shown.items() if key.lower() != "encoder"}


def taglib(path: Path) -> Fields:
    """The properties that TagLib gives, as Navidrome, Strawberry, Kid3 and others show them."""
    module: Any = importlib.import_module("taglib")
    with module.File(str(path)) as file:
        return {key.lower(): tuple(values) for key, values in file.tags.items()}


def mutagen(path: Path) -> Fields:
    """The tags that mutagen finds by itself, as Picard, beets and Quod Libet see them."""
    file: Any = importlib.import_module("mutagen").File(path)
    if file is None or file.tags is None:
        return {}
    return {_SAME.get(key.lower(), key.lower()): _texts(value) for key, value in file.tags.items()}


def _texts(value: Any) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else getattr(value, "text", None) or [value]
    return tuple(each.decode("utf-8", "replace") if isinstance(each, bytes) else str(each) for each in listed)


READERS: Mapping[str, Callable[[Path], Fields]] = {"FFmpeg": ffmpeg, "TagLib": taglib, "mutagen": mutagen}


def shown(path: Path) -> dict[str, Fields]:
    """What each reader shows; a reader that cannot open the file shows nothing."""
    return {name: _shown(reader, path) for name, reader in READERS.items()}


def _shown(reader: Callable[[Path], Fields], path: Path) -> Fields:
    try:
        return reader(path)
    except (OSError, ValueError, mutagen_error()):  # FFmpeg's errors are of the first two kinds
        return {}


def mutagen_error() -> type[Exception]:
    """The base of what mutagen raises."""
    error: type[Exception] = importlib.import_module("mutagen").MutagenError
    return error


def hidden(before: Mapping[str, Fields], after: Mapping[str, Fields], *genres: str) -> list[str]:
    """Say what a reader no longer shows or shows differently, and which one shows no genre.

    Args:
        before: `shown` before a genre was written.
        after: `shown` after.
        genres: what was written. Each reader must show one; TagLib and mutagen must show all.
    """
    faults = []
    for name, fields in before.items():
        for key, values in fields.items():
            if key != "genre" and not _contains(after[name].get(key, ()), values):
                faults.append(f"{name}: {key} was {values!r} and is {after[name].get(key, ())!r}")
    for name, fields in after.items():
        if not fields and not before[name]:
            continue  # this reader does not know such files
        seen = {part.strip() for text in fields.get("genre", ()) for part in _split(text)}
        if genres and not (seen & set(genres) if name == "FFmpeg" else set(genres) <= seen):
            faults.append(f"{name} shows the genres {fields.get('genre', ())!r}, not {genres!r}")
    return faults


def _contains(now: tuple[str, ...], then: tuple[str, ...]) -> bool:
    return all(any(text == old or _continues(text, old) for text in now) for old in then if not _garbled(old)) and (
        len(now) >= len(then)
    )


def _garbled(text: str) -> bool:
    """Whether some letters were shown wrong, as FFmpeg does with ID3v1; they may be right now."""
    return any(mark == "\ufffd" or "\udc80" <= mark <= "\udcff" for mark in text)


def _continues(text: str, old: str) -> bool:
    """Whether a text says more than ID3v1 had room for: a year, a track number, a cut title."""
    if old.isdigit():
        number = re.match(r"\d+", text)
        return number is not None and int(number[0]) == int(old)
    return len(old) >= _CUT and text.startswith(old)


def _split(text: str) -> list[str]:
    parts = [text]
    for separator in _SEPARATORS:
        parts = [piece for part in parts for piece in part.split(separator)]
    return parts
