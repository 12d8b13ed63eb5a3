"""Files of chunks: tests take them apart and put them together."""

from __future__ import annotations

import struct
from pathlib import Path

import soundfile
from audio_factory import make, make_dsf, tone

ORDERS = {"wav": "<", "aiff": ">"}
Chunks = list[tuple[bytes, bytes]]


def bare(folder: Path, name: str) -> Path:
    if name == "dsf":
        return make_dsf(folder / "song.dsf", 0.1, title=None, artist=None)
    return make(folder / f"song.{name}", name, 0.1, title=None, artist=None)


def chunk(name: bytes, content: bytes, order: str = "<") -> bytes:
    return name + struct.pack(f"{order}I", len(content)) + content + bytes(len(content) & 1)


def chunks_of(data: bytes, order: str = "<") -> Chunks:
    found, position = [], 12
    while position < len(data):
        (size,) = struct.unpack_from(f"{order}I", data, position + 4)
        found.append((data[position : position + 4], data[position + 8 : position + 8 + size]))
        position += 8 + size + (size & 1)
    return found


def whole(head: bytes, form: bytes, chunks: Chunks, order: str = "<") -> bytes:
    body = form + b"".join(chunk(name, content, order) for name, content in chunks)
    return head + struct.pack(f"{order}I", len(body)) + body


def wav(*chunks: tuple[bytes, bytes]) -> bytes:
    return whole(b"RIFF", b"WAVE", list(chunks))


def parts(folder: Path, samples: int = 4410) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
    """The format and the samples of a WAV file of 8 bits, which can have an odd number of bytes."""
    path = folder / "parts.wav"
    soundfile.write(path, tone(1.0)[:samples], 44100, subtype="PCM_U8")
    found = dict(chunks_of(path.read_bytes()))
    path.unlink()
    assert len(found[b"data"]) == samples
    return (b"fmt ", found[b"fmt "]), (b"data", found[b"data"])


def info(*texts: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    return b"LIST", b"INFO" + b"".join(chunk(name, text) for name, text in texts)
