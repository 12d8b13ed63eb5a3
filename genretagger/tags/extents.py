"""Where the audio of Monkey's Audio, Musepack, WavPack and TAK ends, according to its own headers.

The tag of these files is behind the audio. If the end of the audio is missing, a decoder reads
the tag as the rest of it, so such a file is not written.

Contents: `audio_end`, by the name of the kind.

Sources: the headers as FFmpeg reads them; WavPack 4 file format; Musepack SV8 specification.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import BinaryIO

_BLOCKS = 1 << 20
_DESCRIBED = 3980
"""The first version of Monkey's Audio that states how long its audio is."""
_MONKEY_HEAD_BYTES = 36
_SV7_HEAD_BITS = 24 * 8 + 8
_SV7_LENGTH_BITS = 20
_WINDOW_BYTES = 1 << 20


def audio_end(file: BinaryIO, kind: str, start: int, limit: int) -> int | None:
    """Where the audio has to end.

    Args:
        file: any file of the kind.
        kind: name of a kind of `kinds.KINDS`.
        start: where the audio starts.
        limit: where the tags start; nothing beyond it is read.

    Returns:
        A place, which is beyond `limit` if the file is cut off; None if the headers do not say.
    """
    return _ENDS[kind](file, start, limit) if kind in _ENDS else None


def _monkey(file: BinaryIO, start: int, limit: int) -> int | None:
    if limit - start < _MONKEY_HEAD_BYTES:
        return limit + 1
    file.seek(start)
    head = file.read(_MONKEY_HEAD_BYTES)
    if int.from_bytes(head[4:6], "little") < _DESCRIBED:
        return None
    descriptor, header, seek_table, wav_head, low, high, wav_tail = struct.unpack("<7I", head[8:36])
    return int(start + descriptor + header + seek_table + wav_head + (high << 32 | low) + wav_tail)


def _wavpack(file: BinaryIO, start: int, limit: int) -> int:
    for _ in range(_BLOCKS):
        if start >= limit:
            break
        file.seek(start)
        head = file.read(8)
        if head[:4] != b"wvpk" or len(head) < 8:
            break
        start += 8 + int.from_bytes(head[4:], "little")
    return start


def _musepack7(file: BinaryIO, start: int, limit: int) -> int | None:
    """Read the length of each frame in bits, from 32-bit words with swapped bytes."""
    if limit - start < _SV7_HEAD_BITS // 8:
        return limit + 1
    file.seek(start)
    head = file.read(8)
    if head[3] & 15 != 7:
        return None
    bit, end_bit = _SV7_HEAD_BITS, (limit - start) * 8
    base, window = 0, b""
    for _ in range(min(int.from_bytes(head[4:], "little"), _BLOCKS)):
        word = bit >> 5 << 2
        if bit + _SV7_LENGTH_BITS > end_bit:
            return limit + 1
        if not base <= word <= base + len(window) - 8:
            base = word
            file.seek(start + base)
            window = file.read(_WINDOW_BYTES)
        low, high = struct.unpack_from("<2I", window.ljust(word - base + 8, b"\x00"), word - base)
        length = (low << 32 | high) >> (64 - (bit & 31) - _SV7_LENGTH_BITS) & 0xFFFFF
        bit += _SV7_LENGTH_BITS + length
    return start + (bit + 7 >> 3)


def _musepack8(file: BinaryIO, start: int, limit: int) -> int:
    position = start + 4
    for _ in range(_BLOCKS):
        file.seek(position)
        head = file.read(12)
        size = used = 0
        for byte in head[2:]:
            size, used = size << 7 | byte & 127, used + 1
            if not byte & 128:
                break
        if len(head) < 3 or position >= limit or size < 2 + used:
            return limit + 1
        position += size
        if head[:2] == b"SE":
            break
    return position


def _tak(file: BinaryIO, start: int, limit: int) -> int | None:
    position, last = start + 4, None
    for _ in range(64):
        file.seek(position)
        head = file.read(4)
        if len(head) < 4 or position >= limit:
            return limit + 1
        kind, size = head[0] & 127, int.from_bytes(head[1:], "little")
        if kind == 7 and size >= 8:
            numbers = file.read(8)
            last = int.from_bytes(numbers[:5], "little") + int.from_bytes(numbers[5:], "little")
        position += 4 + size
        if kind == 0:
            return None if last is None else position + last
    return None


_ENDS: Mapping[str, Callable[[BinaryIO, int, int], int | None]] = {
    "ape": _monkey,
    "wavpack": _wavpack,
    "mpc": _musepack7,
    "mpc8": _musepack8,
    "tak": _tak,
}
