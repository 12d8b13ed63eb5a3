"""In the child process: a file's year and codec, its cover, and its sound for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from genretagger.errors import UnsupportedFileError
from genretagger.files.kinds import Kind, kind_of
from genretagger.files.replace import access_errors, open_for_reading
from genretagger.types import Json
from genretagger.worker import protocol, wire

_MOST_FLAC_BYTES = 2 << 30
"""Four hours of music."""


def look(path: Path, request: Json) -> tuple[Json, wire.Buffer]:
    """See what a file looks like."""
    from genretagger.audio.transcode import codec_of
    from genretagger.tags import look as tags

    del request
    with access_errors(path), open_for_reading(path) as file:
        kind = _kind(file, path)
        return {"year": tags.year(file), "cover": tags.cover(file) is not None, "codec": codec_of(file, kind)}, b""


def cover(path: Path, request: Json) -> tuple[Json, wire.Buffer]:
    """Give the picture of a file."""
    from genretagger.tags import look as tags

    del request
    with access_errors(path), open_for_reading(path) as file:
        return {}, tags.cover(file) or b""


def transcode(path: Path, request: Json) -> tuple[Json, wire.Buffer]:
    """Write a track as FLAC."""
    from genretagger.audio.transcode import transcode as write

    with access_errors(path), open_for_reading(path) as file:
        write(file, _kind(file, path), protocol.path_from_json(request["target"]), most_bytes=_MOST_FLAC_BYTES)
    return {}, b""


def _kind(file: BinaryIO, path: Path) -> Kind:
    kind = kind_of(file)
    if kind is None:
        raise UnsupportedFileError("not audio that genretagger knows", path=path)
    return kind
