"""Speex files, made by hand: no encoder of today makes them.

The packets are narrowband mode 1 (comfort noise, 48 bits: the wideband bit, the mode, line spectra
and gain, the end).
"""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from pathlib import Path

_RATE_HZ, _FRAME_SAMPLES = 8000, 160


def make_speex(path: Path, seconds: float = 1.0, genre: Sequence[str] = ()) -> Path:
    """Make a narrowband file with a title and genres."""
    head = struct.pack(
        "<8s20s13i",
        b"Speex   ",
        b"1.2",
        *(1, 80, _RATE_HZ, 0, 4, 1, -1, _FRAME_SAMPLES, 0, 1, 0, 0, 0),
    )
    fields = ["TITLE=A title", "ARTIST=An artist", *(f"GENRE={name}" for name in genre)]
    comment = b"".join(struct.pack("<I", len(field.encode())) + field.encode() for field in ["", *fields][1:])
    comment = struct.pack("<I", 0) + struct.pack("<I", len(fields)) + comment
    noise = random.Random(0)
    packets = [
        ((noise.getrandbits(38) | 1 << 38) << 5 | 0b01111).to_bytes(6, "big") for _ in range(round(seconds * 50))
    ]
    pages = [_page(0, 0, [head], 2), _page(1, 0, [comment], 0)]
    for start in range(0, len(packets), 100):
        some = packets[start : start + 100]
        last = start + 100 >= len(packets)
        pages.append(_page(len(pages), (start + len(some)) * _FRAME_SAMPLES, some, 4 if last else 0))
    path.write_bytes(b"".join(pages))
    return path


def _page(number: int, granule: int, packets: Sequence[bytes], flags: int) -> bytes:
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, 7, number, 0, len(lacing)) + lacing
    page = head + b"".join(packets)
    return page[:22] + struct.pack("<I", checksum(page)) + page[26:]


def checksum(data: bytes) -> int:
    """Ogg's CRC-32: polynomial 0x04c11db7, not reflected, from zero."""
    value = 0
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value & 0x80000000 else value << 1) & 0xFFFFFFFF
    return value
