"""Monkey's Audio files, made by hand, since FFmpeg only decodes them. All frames are silent."""

from __future__ import annotations

import importlib
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

_RATE_HZ, _FRAME_BLOCKS = 44100, 73728


def make_ape(path: Path, frames: int = 2, genre: Sequence[str] = ()) -> Path:
    """Make a stereo file of version 3.99 with an APEv2 tag."""
    silent = struct.pack(">II", zlib.crc32(b"") >> 1 | 1 << 31, 3)  # checksum, with the bit for flags; both channels
    frame = b"".join(silent[at : at + 4][::-1] for at in (0, 4)) + bytes(8)
    descriptor_bytes, header_bytes, seek_bytes = 52, 24, 4 * frames
    first = descriptor_bytes + header_bytes + seek_bytes
    audio = frame * frames
    descriptor = struct.pack(
        "<4sHHIIIIIII16s", b"MAC ", 3990, 0, descriptor_bytes, header_bytes, seek_bytes, 0, len(audio), 0, 0, bytes(16)
    )
    header = struct.pack("<HHIIIHHI", 2000, 32, _FRAME_BLOCKS, _FRAME_BLOCKS, frames, 16, 2, _RATE_HZ)
    seek = struct.pack(f"<{frames}I", *(first + len(frame) * number for number in range(frames)))
    path.write_bytes(descriptor + header + seek + audio)
    tags = importlib.import_module("mutagen.apev2").APEv2()
    tags["Title"] = "A title"
    if genre:
        tags["Genre"] = list(genre)
    tags.save(str(path))
    return path
