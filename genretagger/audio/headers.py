"""The length that a file itself declares, if FFmpeg mixes that with guesses.

FFmpeg gives a duration for nearly every file, and does not say whether the file declared it or
FFmpeg guessed it.

Contents: `mp3_declared_s`, `mp3_promised_s`, `wav_declared_s`, `flac_declares`, `is_chained`,
`ends_otherwise`, `is_fragmented`.

Sources: RFC 9639 (STREAMINFO), RFC 3533 (Ogg), ISO 14496-12 (`moof`), the Xing and VBRI headers as
LAME and Fraunhofer write them.
"""

from __future__ import annotations

import os
from typing import BinaryIO, Literal, NamedTuple

from genretagger.files.kinds import id3v2_end, mpeg_frame

_SEARCH_BYTES = 8192
_CUT = 0.99
"""A file with less than this share of the bytes that its header counts was cut off.

If only the count of frames disagrees, the header is wrong.
"""

_PIPED_BYTES = 0x7FFF0000

_OGG_BYTES = 65_536
"""More than the largest page."""

_TAGS_BYTES = 64 << 10
"""Tags behind the audio of an MP3 are seldom longer."""


def mp3_declared_s(file: BinaryIO) -> float | None:
    """The length that a Xing, Info or VBRI header declares, if it can be believed.

    Stale headers are common: editors cut a file and keep the header. So a header only proves a cut
    if its count of bytes is too large as well. If not, None is returned, and the audio is counted.
    """
    header = _mp3_header(file)
    return header.length_s if header.available < _CUT * header.bytes else None


def mp3_promised_s(file: BinaryIO) -> float | None:
    """The length by the same headers if their count of bytes fits the file, which nobody has cut.

    `mp3_declared_s` is for those who can count the audio; this is for those who would have to read
    all of the file for that.
    """
    header = _mp3_header(file)
    return header.length_s if _CUT * header.bytes <= header.available <= header.bytes / _CUT + _TAGS_BYTES else None


class _Mp3Header(NamedTuple):
    """What a Xing, Info or VBRI header counts, the frame that holds it included or not."""

    length_s: float | None
    bytes: int
    available: int


def _mp3_header(file: BinaryIO) -> _Mp3Header:
    start = id3v2_end(file, 0)
    available = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    head = file.read(_SEARCH_BYTES)
    frames = size = 0
    mark = max(head.find(b"Xing"), head.find(b"Info"))
    if mark >= 0:
        flags = int.from_bytes(head[mark + 4 : mark + 8], "big")
        if flags & 3 == 3:
            frames = int.from_bytes(head[mark + 8 : mark + 12], "big")
            size = int.from_bytes(head[mark + 12 : mark + 16], "big")
    elif (mark := head.find(b"VBRI")) >= 0:
        size = int.from_bytes(head[mark + 10 : mark + 14], "big")
        frames = int.from_bytes(head[mark + 14 : mark + 18], "big")
    frame_s = _mp3_frame_s(head[:mark]) if frames and size else None
    return _Mp3Header(frames * frame_s if frame_s else None, size, available)


def _mp3_frame_s(head: bytes) -> float | None:
    """Seconds of the last frame before a Xing header, by its MPEG version and rate."""
    position = head.rfind(b"\xff")
    while position >= 0:
        header = head[position : position + 4]
        if mpeg_frame(header):
            version = header[1] >> 3 & 3
            rate_hz = (44100, 48000, 32000)[header[2] >> 2 & 3] >> (0, 0, 1, 2)[(3, 1, 2, 0).index(version)]
            return (1152 if version == 3 else 576) / rate_hz
        position = head.rfind(b"\xff", 0, position)
    return None


def wav_declared_s(file: BinaryIO) -> float | None:
    """The length that a WAV file declares if it is longer than the file; FFmpeg reports the file's.

    Programs that write to a pipe leave the largest number, or one near it.
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    order: Literal["little", "big"] = "big" if file.read(4) == b"RIFX" else "little"
    position, bytes_per_s = 12, 0
    for _ in range(64):
        file.seek(position)
        head = file.read(8)
        size = int.from_bytes(head[4:], order)
        if len(head) < 8:
            break
        if head[:4] == b"fmt ":
            bytes_per_s = int.from_bytes(file.read(12)[8:12], order)
        if head[:4] == b"data":
            is_cut = position + 8 + size > end and size < _PIPED_BYTES
            return size / bytes_per_s if is_cut and bytes_per_s else None
        position += 8 + size + size % 2
    return None


def flac_declares(file: BinaryIO) -> bool:
    """Whether STREAMINFO counts the samples; streamed encoders leave zero."""
    file.seek(id3v2_end(file, 0))
    head = file.read(26)
    return head[:4] == b"fLaC" and (int.from_bytes(head[21:26], "big") & (1 << 36) - 1) > 0


def is_chained(file: BinaryIO) -> bool:
    """Whether an Ogg file holds several streams one after the other: recorded radio, joined files.

    Their granules start again at zero, so durations and seeking mean nothing.
    """
    file.seek(0)
    tail, seen_other, position = b"", False, 0
    while block := file.read(1 << 20):
        data = tail + block
        position = data.find(b"OggS\x00")
        while 0 <= position < len(data) - 6:
            begins = bool(data[position + 5] & 2)
            if begins and seen_other:
                return True
            seen_other = seen_other or not begins
            # after the pages at the start, only a page that begins a stream matters
            position = data.find(b"OggS\x00\x02" if seen_other else b"OggS\x00", position + 6)
        tail = data[-6:]
    return False


def ends_otherwise(file: BinaryIO) -> bool:
    """Whether an Ogg file ends with another stream than it begins with, or has no page at its end.

    `is_chained` without reading all: it tells the same of all files but those that are joined from
    pieces of one serial number.
    """
    file.seek(0)
    head = file.read(_OGG_BYTES)
    first: set[bytes] = set()
    position = head.find(b"OggS\x00\x02")
    while 0 <= position < len(head) - 18:
        first.add(head[position + 14 : position + 18])
        position = head.find(b"OggS\x00\x02", position + 6)
    file.seek(max(0, file.seek(0, os.SEEK_END) - _OGG_BYTES))
    tail = file.read(_OGG_BYTES)
    last = tail.rfind(b"OggS\x00")
    return last < 0 or tail[last + 14 : last + 18] not in first


def is_fragmented(file: BinaryIO) -> bool:
    """Whether an MP4 file is a chain of fragments; FFmpeg does not add up their lengths."""
    end = file.seek(0, os.SEEK_END)
    position = 0
    for _ in range(64):
        file.seek(position)
        head = file.read(16)
        if len(head) < 8 or position >= end:
            return False
        size = int.from_bytes(head[:4], "big")
        if head[4:8] in (b"moof", b"sidx"):
            return True
        if size == 1 and len(head) == 16:
            size = int.from_bytes(head[8:], "big")
        if size < 8:
            return False
        position += size
    return False
