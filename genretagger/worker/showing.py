"""The pool of the page: what a file looks like, its cover, and its sound as a browser can play it.

Like everything that touches untrusted bytes, this happens in a child process within limits;
`shown.py` is the child's part.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

from genretagger.types import Json
from genretagger.worker import protocol
from genretagger.worker.pool import WorkerPool


@dataclass(frozen=True, slots=True)
class Appearance:
    """What a file looks like.

    Attributes:
        year: the year of the release, by the tags; None if they do not say.
        codec: FFmpeg's name of the codec; "" if there is no audio.
        cover: whether there is a picture.
    """

    year: int | None
    codec: str
    cover: bool


class ShowingPool(WorkerPool):
    """Child processes that can show files as well."""

    def look(self, path: Path) -> Future[Appearance]:
        """See what a file looks like; the future may fail with a `FileError`."""
        return self._submit(path.absolute(), {"op": "look"}, lambda result, _: _look(result))

    def cover(self, path: Path) -> Future[bytes]:
        """The picture of a file, empty if it has none; the future may fail with a `FileError`."""
        from genretagger.tags.look import MOST_PICTURE_BYTES

        most_body = MOST_PICTURE_BYTES
        return self._submit(path.absolute(), {"op": "cover"}, lambda _, body: bytes(body), most_body=most_body)

    def transcode(self, path: Path, target: Path) -> Future[None]:
        """Write a track as FLAC to a file of ours; the future may fail with a `FileError`."""
        request = {"op": "transcode", "target": protocol.path_to_json(target)}
        return self._submit(path.absolute(), request, lambda *_: None)


def _look(result: Json) -> Appearance:
    found = protocol.checked(Appearance, result)
    return replace(found, codec=found.codec[:40])
