"""Artist, album and title of a file.

A learner keeps the tracks of one artist or album together, so that it is never tested on tracks
like those that it learned from. Read with mutagen, never written. If the tags are damaged, the
credits are empty; the track still counts.

Players mark compilations with a flag, whatever album artist the tags name. A track that has it
is given the album artist `VARIOUS`, so that nobody takes its album for one artist's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

from genretagger.errors import FileError
from genretagger.tags.container import library
from genretagger.tags.faults import tag_errors
from genretagger.types import Credits

# ID3, Vorbis comments (and all easy readers), MP4, ASF, APEv2
_ARTIST = ("TPE1", "artist", "\xa9ART", "Author", "Artist")
_ALBUM_ARTIST = ("TPE2", "albumartist", "album artist", "aART", "WM/AlbumArtist", "Album Artist")
_ALBUM = ("TALB", "album", "\xa9alb", "WM/AlbumTitle", "Album")
_TITLE = ("TIT2", "title", "\xa9nam", "Title")
_COMPILATION = ("TCMP", "compilation", "cpil", "WM/IsCompilation", "Compilation")
_NOT_SET = frozenset({"", "0", "false", "no"})
_LONGEST = 1000
VARIOUS = "Various Artists"


def read(file: BinaryIO) -> Credits:
    """Read the credits of an open file of any kind; its position is moved.

    Raises:
        AccessError: the file cannot be read.
    """
    file.seek(0)
    try:
        with tag_errors():
            tags = getattr(library("_file").File(file), "tags", None)
            if tags is None:
                return Credits()
            artist, album_artist, album, title = (
                _text(tags, names) for names in (_ARTIST, _ALBUM_ARTIST, _ALBUM, _TITLE)
            )
            return Credits(artist, VARIOUS if _is_compilation(tags) else album_artist, album, title)
    except FileError as error:
        if error.retry:
            raise
        return Credits()


def _is_compilation(tags: Any) -> bool:
    return any(_text(tags, [name]).casefold() not in _NOT_SET for name in _COMPILATION)


def _text(tags: Any, names: Sequence[str]) -> str:
    """The first value of the first field that is there; "" if there is none."""
    for name in names:
        try:
            values = tags.get(name)
        except (KeyError, TypeError, ValueError):  # a name that this kind of tag cannot hold
            continue
        if values is None:
            continue
        texts = getattr(values, "text", values)  # an ID3 frame
        first = texts[0] if isinstance(texts, list) and texts else texts
        text = str(first).strip("\x00 \t\r\n")[:_LONGEST]
        if text and not isinstance(first, list):
            return text
    return ""
