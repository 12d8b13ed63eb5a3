"""Frames: how parent and child send each other JSON, followed by raw samples, over two pipes.

A frame: a mark of 4 bytes, the length of the header (4 bytes) and of the body (8), the header
(JSON, ASCII), the body. The reader of a frame gives the bounds of both lengths. `protocol` has what
the headers say.
"""

from __future__ import annotations

import json
import struct
from typing import Protocol, TypeAlias

from genretagger.types import Json

_MARK = b"gtw1"
_LENGTHS = struct.Struct(">4sIQ")
HEADER_BYTES = 16 << 20
"""Far more than any genre field; the raw field of a broken tag may be long."""

Buffer: TypeAlias = bytes | bytearray | memoryview


class ProtocolError(Exception):
    """The other side sent something invalid: it was taken over, or something else used its pipe."""


class Readable(Protocol):
    """An unbuffered stream."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill some of the buffer."""


class Writable(Protocol):
    """An unbuffered stream."""

    def write(self, data: memoryview, /) -> int | None:
        """Take some of the data."""


def write_frame(stream: Writable, header: Json, body: Buffer = b"") -> None:
    """Send a frame.

    Raises:
        OSError: the other side is gone.
    """
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    data = memoryview(body).cast("B") if memoryview(body).nbytes else memoryview(b"")
    for part in (memoryview(_LENGTHS.pack(_MARK, len(text), data.nbytes) + text), data):
        while part.nbytes:
            part = part[stream.write(part) or 0 :]


def read_frame(stream: Readable, *, most_header: int = HEADER_BYTES, most_body: int = 0) -> tuple[Json, bytearray]:
    """Receive a frame.

    Raises:
        EOFError: the other side is gone, between two frames or within one.
        ProtocolError: this is not a frame, or one that is too long.
    """
    mark, header_length, body_length = _LENGTHS.unpack(_received(stream, _LENGTHS.size))
    if mark != _MARK or header_length > most_header or body_length > most_body:
        raise ProtocolError("not a frame, or one that is too long")
    text = _received(stream, header_length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a frame without a readable header") from error
    if not isinstance(header, dict):
        raise ProtocolError("a frame with an invalid header")
    return header, _received(stream, body_length)


def _received(stream: Readable, count: int) -> bytearray:
    data = bytearray(count)
    rest = memoryview(data)
    while rest:
        got = stream.readinto(rest)
        if not got:
            raise EOFError
        rest = rest[got:]
    return data
