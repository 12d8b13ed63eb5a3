"""DSF, Sony's one-bit audio: three chunks in fixed order, then an ID3v2 tag to the end of the file.

| place | bytes | what |
|---|---|---|
| 0 | 28 | "DSD ", this chunk's size, the file's size, the place of the tag (0 without) |
| 28 | 52 | "fmt " |
| 80 | 12 + n | "data", this chunk's size, the samples |
| behind | | the tag, up to the end |

Numbers are little-endian, and the 8-byte sizes include the chunk's head. The audio never moves.

Source: Sony's DSF File Format Specification 1.01.
"""

from __future__ import annotations

import os
from typing import BinaryIO

from genretagger.files.kinds import id3v2_end
from genretagger.tags.container import damaged, splice
from genretagger.tags.id3_inside import Id3Inside, Layout

_HEAD, _FORMAT, _DATA_HEAD = 28, 52, 12
_SAMPLES = _HEAD + _FORMAT
_FILE_SIZE, _TAG_PLACE = 12, 20


class Dsf(Id3Inside):
    """The family of DSF; see `Container`."""

    reader = ("dsf", "DSF")

    def layout(self, file: BinaryIO) -> Layout:
        """See `Id3Inside`."""
        size = file.seek(0, os.SEEK_END)
        before = id3v2_end(file, 0)
        file.seek(before)
        head = file.read(_SAMPLES + _DATA_HEAD)
        if head[:4] != b"DSD " or len(head) < _SAMPLES + _DATA_HEAD:
            raise damaged("the DSF file ends before its audio, or does not start with its mark")
        declared, place = _number(head, _FILE_SIZE), _number(head, _TAG_PLACE)
        end = before + _SAMPLES + _number(head, _SAMPLES + 4)
        marks = (head[28:32], head[80:84], _number(head, 4), _number(head, _HEAD + 4))
        fault = None
        if before:
            fault = "an ID3 tag precedes the DSF file"
        elif marks != (b"fmt ", b"data", _HEAD, _FORMAT) or end < _SAMPLES + _DATA_HEAD:
            fault = "the chunks of the DSF file do not follow each other"
        elif end > size or declared > size:
            fault = "the DSF file is cut off"
        elif declared != size:
            fault = "bytes follow the end of the DSF file, where the tag would have to be"
        elif not place and end != size:
            fault = "the DSF file has bytes after its audio that its header does not mention"
        elif place and not end <= place < size:
            fault = "the DSF file names a wrong place for its tag"
        end = min(end, size)
        inside = place if end <= place < size else size
        return Layout(
            audio=((before + _HEAD, before + _SAMPLES), (before + _SAMPLES, end)),
            others=((end, inside),),
            tag=(place, size) if inside == place else None,
            fault=fault,
        )

    def put(self, file: BinaryIO, found: Layout, tag: bytes) -> None:
        """See `Id3Inside`."""
        end = file.seek(0, os.SEEK_END)
        start = found.tag[0] if found.tag else end
        splice(file, start, end - start, tag)
        size = start + len(tag)
        file.seek(_FILE_SIZE)
        file.write(size.to_bytes(8, "little") + (start if tag else 0).to_bytes(8, "little"))


def _number(data: bytes, place: int) -> int:
    return int.from_bytes(data[place : place + 8], "little")
