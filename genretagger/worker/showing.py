"""The pool of the page: what a file looks like, its cover, and its sound as a browser can play it.

As everything that touches untrusted bytes, it happens in a child process within limits; `shown.py`
is that end.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from genretagger.types import Json
from genretagger.worker import protocol, wire
from genretagger.worker.handle import Reply
from genretagger.worker.pool import WorkerPool


@dataclass(frozen=True, slots=True)
class Appearance:
    """What a file looks like.

    Attributes:
        year: in which the music came out, as its tags say.
        codec: FFmpeg's name of it; "" if there is no audio.
        cover: whether there is a picture.
    """

    year: int | None
    codec: str
    cover: bool


class ShowingPool(WorkerPool):
    """Child processes that can show files as well."""

    def look(self, path: Path) -> Future[Appearance]:
        """See what a file looks like; the future may fail with a `FileError`."""
        parse: Callable[[Reply], Appearance] = lambda reply: _look(reply.header["result"])  # noqa: E731
        return self._submit(path.absolute(), {"op": "look"}, parse)

    def cover(self, path: Path) -> Future[bytes]:
        """The picture of a file, empty if it has none; the future may fail with a `FileError`."""
        from genretagger.tags.look import MOST_PICTURE_BYTES

        parse: Callable[[Reply], bytes] = lambda reply: bytes(reply.body)  # noqa: E731
        return self._submit(path.absolute(), {"op": "cover"}, parse, most_body=MOST_PICTURE_BYTES)

    def transcode(self, path: Path, target: Path) -> Future[None]:
        """Write a track as FLAC to a file of ours; the future may fail with a `FileError`."""
        parse: Callable[[Reply], None] = lambda _: None  # noqa: E731
        request = {"op": "transcode", "target": protocol.path_to_json(target)}
        return self._submit(path.absolute(), request, parse)


def _look(result: Json) -> Appearance:
    if not isinstance(result, dict):
        raise wire.ProtocolError("no look at a file")
    year, codec, cover = (result.get(name) for name in ("year", "codec", "cover"))
    if not (year is None or isinstance(year, int)) or not isinstance(codec, str) or not isinstance(cover, bool):
        raise wire.ProtocolError("an odd look at a file")
    return Appearance(year, codec[:40], cover)
