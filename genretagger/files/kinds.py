"""What a file is, judged by its content and never by its name.

Aim: name the container, and with it the one FFmpeg demuxer that may open the file. FFmpeg left to
guess would take a text file for a playlist and open the addresses in it; a forced demuxer cannot.

Only the first bytes are read: the leading ID3v2 tags are skipped by their declared size, then at
most `_JUNK_BYTES` are searched for MPEG frames. Contents: `Kind`, `KINDS`, `kind_of`,
`AUDIO_SUFFIXES`.

Sources: ID3v2.4 structure; ISO 11172-3 frame headers; RFC 3533 (Ogg); ISO 14496-12 (`ftyp`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

_JUNK_BYTES = 64 * 1024
"""Padding and broken tags between ID3v2 and the first MPEG frame; with more it is not an MP3."""
_JUNK_BYTES_WITHOUT_TAG = 2881
"""The longest MPEG frame, as a stream may be cut anywhere. More would find an MP3 inside a tar."""
_HEAD_BYTES = 512
_CHAIN_BYTES = 16 * 1024
_LEADING_TAGS = 8


@dataclass(frozen=True, slots=True)
class Kind:
    """A container.

    Attributes:
        name: short and stable; it is stored in the database.
        demuxer: the FFmpeg demuxer to force when the file is decoded.
        tags: the family of tags that holds its genre ("id3", "vorbis", "mp4", "asf", "ape"); None
            if it has none.
    """

    name: str
    demuxer: str
    human: str
    tags: str | None


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("mp3", "mp3", "MP3", "id3"),
        Kind("flac", "flac", "FLAC", "vorbis"),
        Kind("ogg", "ogg", "Ogg Vorbis", "vorbis"),
        Kind("opus", "ogg", "Opus", "vorbis"),
        Kind("speex", "ogg", "Speex", "vorbis"),
        Kind("oggflac", "ogg", "Ogg FLAC", "vorbis"),
        Kind("mp4", "mov", "MP4", "mp4"),
        Kind("wav", "wav", "WAV", "id3"),
        Kind("aiff", "aiff", "AIFF", "id3"),
        Kind("dsf", "dsf", "DSF", "id3"),
        Kind("dff", "iff", "DSDIFF", "id3"),
        Kind("asf", "asf", "WMA", "asf"),
        Kind("ape", "ape", "Monkey's Audio", "ape"),
        Kind("mpc", "mpc", "Musepack", "ape"),
        Kind("mpc8", "mpc8", "Musepack SV8", "ape"),
        Kind("wavpack", "wv", "WavPack", "ape"),
        Kind("tak", "tak", "TAK", "ape"),
        Kind("tta", "tta", "True Audio", None),
        Kind("aac", "aac", "AAC (ADTS)", None),
        Kind("ac3", "ac3", "AC-3", None),
        Kind("eac3", "eac3", "E-AC-3", None),
        Kind("caf", "caf", "Core Audio", None),
    )
}
"""Every kind that genretagger listens to, by name."""

AUDIO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("mp3", "mp2", "mpga", "flac", "fla", "ogg", "oga", "opus", "spx", "m4a", "m4b", "m4r", "mp4"),
        *("wav", "wave", "aif", "aiff", "aifc", "dsf", "dff", "wma", "asf", "ape", "mpc", "mp+", "mpp"),
        *("wv", "tak", "tta", "aac", "ac3", "eac3", "caf"),
    )
)
"""The extensions, in lower case, of the files that a walk through a folder looks at."""

_MAGIC: tuple[tuple[bytes, int, bytes, str], ...] = (
    (b"fLaC", 0, b"", "flac"),
    (b"RIFF", 8, b"WAVE", "wav"),
    (b"RF64", 8, b"WAVE", "wav"),
    (b"BW64", 8, b"WAVE", "wav"),
    (b"RIFX", 8, b"WAVE", "wav"),
    (b"FORM", 8, b"AIFF", "aiff"),
    (b"FORM", 8, b"AIFC", "aiff"),
    (b"DSD ", 0, b"", "dsf"),
    (b"FRM8", 12, b"DSD ", "dff"),
    (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), 0, b"", "asf"),
    (b"MAC ", 0, b"", "ape"),
    (b"MP+", 0, b"", "mpc"),
    (b"MPCK", 0, b"", "mpc8"),
    (b"wvpk", 0, b"", "wavpack"),
    (b"tBaK", 0, b"", "tak"),
    (b"TTA1", 0, b"", "tta"),
    (b"TTA2", 0, b"", "tta"),
    (b"caff", 0, b"", "caf"),
)
"""(first bytes, offset and bytes of a second mark, name of the kind)."""

_FOREIGN = (
    b"RIFF",  # AVI and others
    b"FORM",
    b"\x1aE\xdf\xa3",  # Matroska
    b"\x00\x00\x01\xba",  # MPEG programme stream
    b"\x00\x00\x01\xb3",
    b"FLV",
    b"PK\x03\x04",
    b"Rar!",
    b"7z\xbc\xaf",
    b"\x1f\x8b",
    b"%PDF",
    b"SQLite",
)
"""Files that can hold MPEG frames near their start and are not MP3 files."""

_OGG_AUDIO: tuple[tuple[bytes, str], ...] = (
    (b"\x01vorbis", "ogg"),
    (b"OpusHead", "opus"),
    (b"Speex   ", "speex"),
    (b"\x7fFLAC", "oggflac"),
)
_OGG_VIDEO = (b"\x80theora", b"OVP80", b"BBCD\x00", b"\x01video")
_OGG_STREAMS = 16

_PICTURE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"jp2 ", b"jpx ", b"crx ")


def kind_of(file: BinaryIO) -> Kind | None:
    """Say what a file is.

    Args:
        file: seekable, opened for reading; the position is moved.

    Returns:
        The kind, or None if the content is not audio that genretagger knows: empty, text, a
        picture, a video in Ogg, a tag without audio.

    Raises:
        OSError: the file cannot be read.
    """
    size = file.seek(0, os.SEEK_END)
    start = id3v2_end(file, 0)
    file.seek(start)
    head = file.read(_HEAD_BYTES)
    for first, offset, second, name in _MAGIC:
        if head.startswith(first) and head[offset : offset + len(second)] == second:
            return KINDS[name]
    if head.startswith(b"OggS"):
        return _ogg_kind(file, start)
    if _is_mp4(head):
        return KINDS["mp4"]
    if head.startswith(_FOREIGN) or head[257:262] == b"ustar":
        return None
    if head.startswith(b"\x0b\x77") and len(head) > 5:
        return _ac3_kind(file, start, head)
    tolerated = _JUNK_BYTES if start else _JUNK_BYTES_WITHOUT_TAG
    file.seek(start)
    block = file.read(tolerated + _CHAIN_BYTES)
    ends = start + len(block) == size
    if _find_chain(block, tolerated, ends, mpeg_frame):
        return KINDS["mp3"]
    if _find_chain(block, tolerated, ends, _adts_frame):
        return KINDS["aac"]
    return None


def id3v2_size(header: bytes) -> int:
    """Length of the ID3v2 tag that starts with these ten bytes, header and footer too; else 0."""
    if len(header) < 10 or header[:3] != b"ID3" or 0xFF in header[3:5] or max(header[6:10]) > 127:
        return 0
    size = header[6] << 21 | header[7] << 14 | header[8] << 7 | header[9]
    has_footer = header[3] == 4 and header[5] & 0x10
    return 10 + size + (10 if has_footer else 0)


def id3v2_end(file: BinaryIO, start: int) -> int:
    """Where consecutive ID3v2 tags from `start` end, by the sizes that they declare."""
    for _ in range(_LEADING_TAGS):
        file.seek(start)
        size = id3v2_size(file.read(10))
        if not size:
            break
        start += size
    return start


def _is_mp4(head: bytes) -> bool:
    if head[4:8] == b"ftyp":
        return head[8:12] not in _PICTURE_BRANDS
    # QuickTime from before `ftyp`; the sizes of these atoms have two readable bounds
    return head[4:8] == b"moov" and int.from_bytes(head[:4], "big") >= 16 and head[12:16] in (b"mvhd", b"cmov")


def _ogg_kind(file: BinaryIO, position: int) -> Kind | None:
    """The first audio stream of those that start together; None for video or an unknown codec."""
    found: Kind | None = None
    for _ in range(_OGG_STREAMS):
        file.seek(position)
        header = file.read(27)
        if len(header) < 27 or header[:4] != b"OggS" or not header[5] & 2:
            break
        lacing = file.read(header[26])
        packet = file.read(16)
        if packet.startswith(_OGG_VIDEO):
            return None
        if found is None:
            found = next((KINDS[name] for magic, name in _OGG_AUDIO if packet.startswith(magic)), None)
        position += 27 + len(lacing) + sum(lacing)
    return found


_AC3_KBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_AC3_RATES_HZ = (48000, 44100, 32000)


def _ac3_kind(file: BinaryIO, start: int, head: bytes) -> Kind | None:
    """AC-3 or E-AC-3, if a second frame follows the end of the first."""
    bsid = head[5] >> 3
    if bsid > 10:
        length = 2 * ((head[2] & 7) << 8 | head[3]) + 2
    else:
        rate, size = head[4] >> 6, head[4] & 63
        if rate == 3 or size // 2 >= len(_AC3_KBITS):
            return None
        # 1536 samples a frame, in words of 16 bits; 44.1 kHz alternates between two lengths
        length = 2 * (_AC3_KBITS[size // 2] * 96000 // _AC3_RATES_HZ[rate] + (size & 1 if rate == 1 else 0))
    file.seek(start + length)
    if bsid > 16 or file.read(2) != b"\x0b\x77":
        return None
    return KINDS["eac3" if bsid > 10 else "ac3"]


_V1 = 3  # the version bits; 2 is version 2 and 0 is version 2.5
_BITRATES_KBIT = {
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""(version 1?, layer bits: 2 is layer II, 1 is layer III) → kbit/s of the indices 1 to 14."""
_RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def mpeg_frame(header: bytes) -> tuple[int, int] | None:
    """Length in bytes, and what all frames share, of the MPEG frame that these four bytes start.

    Free-format frames do not state their length and do not count: no encoder in use makes them.
    Neither is layer I: it died with the DCC, and its first two bytes are the byte order mark of
    UTF-16.
    """
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer in (0, 3) or bitrate in (0, 15) or rate == 3 or header[3] & 3 == 2:
        return None
    kbits = _BITRATES_KBIT[version == _V1, layer][bitrate - 1]
    rate_hz = _RATES_HZ[version][rate]
    padding = header[2] >> 1 & 1
    half = version != _V1 and layer == 1  # 576 samples a frame instead of 1152
    length = (72000 if half else 144000) * kbits // rate_hz + padding
    return length, version << 4 | layer << 2 | rate


def _adts_frame(header: bytes) -> tuple[int, int] | None:
    if len(header) < 6 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 15 > 12:
        return None
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return (length, header[2] & 0xFC) if length > 7 else None


_ENOUGH = 4
_TAILS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN")


def _find_chain(block: bytes, tolerated: int, ends: bool, frame: Callable[[bytes], tuple[int, int] | None]) -> bool:
    """Whether consistent frames follow each other anywhere in the first `tolerated` bytes."""
    start = block.find(b"\xff")
    while 0 <= start <= tolerated:
        if _is_chain(block, start, ends, frame):
            return True
        start = block.find(b"\xff", start + 1)
    return False


def _is_chain(block: bytes, start: int, ends: bool, frame: Callable[[bytes], tuple[int, int] | None]) -> bool:
    """Four frames in a row; or fewer, if the file ends with them.

    A chance of one in 2^9 that four random bytes are a header, and the same version, layer and
    rate: four in a row at one of 64 k places come once in 2^40 files.
    """
    position, count, shared = start, 0, -1
    while count < _ENOUGH:
        found = frame(block[position : position + 6])
        if found is None or (shared >= 0 and found[1] != shared):
            break
        length, shared = found
        count += 1
        position += length
    if count >= _ENOUGH:
        return True
    complete = ends and (position == len(block) or block.startswith(_TAILS, position))
    cut_off = ends and position > len(block)
    return (complete and count >= (1 if start == 0 else 2)) or (cut_off and count >= 2)
