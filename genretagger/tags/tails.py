"""Tags at the end of a file: ID3v1, APEv2, Lyrics3. They are not audio, and are never changed.

ID3v1 and Lyrics3 by the documents of id3.org, APEv2 by the one of the Hydrogenaudio wiki.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

_ROUNDS = 8
_APE_HEAD = struct.Struct("<8sIIII8x")
APE_BYTES = 16 << 20
"""A larger size of an APEv2 tag is not believed: it is damaged, or a trap."""
_APE_ITEMS = 1024
ID3V1_BYTES = 128
_ID3V1_APE_FOOT = ID3V1_BYTES - _APE_HEAD.size


def tails_start(file: BinaryIO, start: int) -> int:
    """Where the appended tags begin; the size of the file if there are none.

    Args:
        file: any file.
        start: where the audio starts; no tag begins before it.
    """
    end = file.seek(0, os.SEEK_END)
    for _ in range(_ROUNDS):
        found = _last_tail(file, end)
        if not found or end - found < start:
            break
        end -= found
    return end


def parts(file: BinaryIO, start: int) -> list[bytes]:
    """The appended tags, the last one first, without those that are too long.

    Args:
        file: any file.
        start: where the audio starts.
    """
    end, found = file.seek(0, os.SEEK_END), []
    for _ in range(_ROUNDS):
        size = _last_tail(file, end)
        if not size or end - size < start:
            break
        end -= size
        if size <= APE_BYTES:
            found.append(_at(file, end, size))
    return found


def _last_tail(file: BinaryIO, end: int) -> int:
    """Bytes of the tag that ends at `end`; 0 if none does."""
    if _id3v1(file, end):
        return ID3V1_BYTES
    foot = _at(file, end - 32, 32)
    if foot.startswith(b"APETAGEX"):
        size, flags = _ape_size(foot)
        size += 32 if flags & 0x80000000 else 0
        return size if 32 <= size <= min(end, APE_BYTES) else 0
    if foot.endswith(b"LYRICS200") and foot[-15:-9].isdigit():
        size = int(foot[-15:-9]) + 15
        return size if _at(file, end - size, 11) == b"LYRICSBEGIN" else 0
    if foot.endswith(b"LYRICSEND"):
        block = _at(file, end - 5120, 5120)
        place = block.rfind(b"LYRICSBEGIN")
        return len(block) - place if place >= 0 else 0
    if foot[-10:-7] == b"3DI":  # ID3v2.4 at the end, identified by its footer
        sizes = foot[-4:]
        size = sizes[0] << 21 | sizes[1] << 14 | sizes[2] << 7 | sizes[3]
        return size + 20 if max(sizes) < 128 and _at(file, end - size - 20, 3) == b"ID3" else 0
    return 0


def _at(file: BinaryIO, position: int, length: int) -> bytes:
    if position < 0:
        length, position = length + position, 0
    file.seek(position)
    return file.read(max(0, length))


def _ape_size(foot: bytes) -> tuple[int, int]:
    _, _, size, _, flags = _APE_HEAD.unpack(foot)
    return size, flags


def id3v1(file: BinaryIO) -> bytes:
    """The ID3v1 tag at the end of the file; empty if there is none."""
    return _id3v1(file, file.seek(0, os.SEEK_END))


def _id3v1(file: BinaryIO, end: int) -> bytes:
    around = _at(file, end - ID3V1_BYTES - 3, ID3V1_BYTES + 3)
    data = around[-ID3V1_BYTES:]
    # "TAG" may be inside an APEv2 tag: in the "APETAGEX" of its header or in a field, which some
    # readers fall for; the footer is where the comment would be
    is_ape = around.startswith(b"APETAGEX") or data[_ID3V1_APE_FOOT:].startswith(b"APETAGEX")
    is_tag = len(data) == ID3V1_BYTES and data.startswith(b"TAG") and not is_ape
    return data if is_tag else b""


def ape_end(file: BinaryIO, start: int) -> int:
    """Where the last of the appended APEv2 tags ends, footer included; 0 if there is none.

    The sizes in the tag are not checked.

    Args:
        file: any file.
        start: where the audio starts; no tag begins before it.
    """
    end = file.seek(0, os.SEEK_END)
    for _ in range(_ROUNDS):
        if end - 32 >= start and _at(file, end - 32, 8) == b"APETAGEX":
            return end
        found = _last_tail(file, end)
        if not found:
            break
        end -= found
    return 0


def ape_genres(file: BinaryIO, start: int) -> list[str]:
    """The values of the Genre items of an appended APEv2 tag.

    Args:
        file: any file.
        start: where the audio starts.
    """
    end = ape_end(file, start)
    if not end:
        return []
    size, _ = _ape_size(_at(file, end - 32, 32))
    if not 32 <= size <= min(end - start, APE_BYTES):
        return []
    return _ape_values(_at(file, end - size, size - 32), b"genre")


def ape_genres_in_front(file: BinaryIO, start: int) -> list[str]:
    """The values of the Genre items of an APEv2 tag in front of the audio.

    Args:
        file: any file.
        start: where the audio starts, this tag included.
    """
    head = _at(file, start, 32)
    if not head.startswith(b"APETAGEX") or len(head) < 32:
        return []
    size, _ = _ape_size(head)
    return _ape_values(_at(file, start + 32, size - 32), b"genre") if 32 <= size <= APE_BYTES else []


def _ape_values(items: bytes, wanted: bytes) -> list[str]:
    position, values = 0, []
    for _ in range(_APE_ITEMS):
        key_end = items.find(b"\x00", position + 8, position + 8 + 256)
        if key_end < 0:
            break
        size, flags = struct.unpack_from("<II", items, position)
        key = items[position + 8 : key_end]
        position = key_end + 1 + size
        is_text = flags & 6 == 0
        if is_text and key.lower() == wanted:
            values += items[key_end + 1 : position].decode("utf-8", "replace").split("\x00")
    return values
