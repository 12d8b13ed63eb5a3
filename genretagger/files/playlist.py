"""An extended M3U playlist in UTF-8, a part at a time.

Paths are relative to the playlist if they share more than the root with it. A name that no line of
UTF-8 can hold (other bytes, a newline) is written as a `file://` address, which is exact as well.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from genretagger.text import printable
from genretagger.types import Track

_BREAKS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""What some reader takes for the end of a line, or a terminal for a command."""

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
"""How an address begins: a player would fetch `http:x.mp3` from the network."""


def to_playlist(tracks: Iterable[tuple[Path, Track | None]], folder: Path | None) -> Iterator[bytes]:
    """Give a playlist.

    Args:
        tracks: where each is, in the order to play them; those that could not be read are left
            out.
        folder: where the playlist will be; None gives whole paths.
    """
    base = None if folder is None else Path(os.path.realpath(folder))
    yield b"#EXTM3U\n"
    for path, track in tracks:
        if track is None:
            continue
        duration_s = track.duration_s
        seconds = round(duration_s) if duration_s is not None and math.isfinite(duration_s) else -1
        yield f"#EXTINF:{seconds},{_called(track, path)}\n{_entry(path, base)}\n".encode()


def _called(track: Track, path: Path) -> str:
    """What a player shows: artist and title, or the name of the file."""
    credits = track.credits
    if credits is None or not credits.title:
        return printable(path.stem)
    return printable(" - ".join(part for part in (credits.artist, credits.title) if part))


def _entry(path: Path, base: Path | None) -> str:
    """The line of a playlist that leads to a file."""
    shown = os.fspath(path)
    try:
        shown.encode("utf-8")
    except UnicodeEncodeError:
        return path.as_uri()
    if _BREAKS.search(shown) or shown != shown.strip():
        return path.as_uri()
    if base is None:
        return shown
    folder = _real(path.parent)
    if len(os.path.commonpath((folder, base))) <= len(base.anchor):
        return shown
    line = os.path.relpath(folder / path.name, base)
    return f"./{line}" if line.startswith(("#", " ")) or _ADDRESS.match(line) else line


@lru_cache(maxsize=1024)
def _real(folder: Path) -> Path:
    """A folder with its links followed, since `..` leads out of where a link points to."""
    return Path(os.path.realpath(folder))
