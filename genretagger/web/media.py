"""Sound, covers and playlists. Sound is asked for by the number of a track, never by a path.

A file that browsers play is sent as it is. Everything else is made into FLAC by a child process and
kept for a while; either can be asked for in parts, so that a player can jump.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from genretagger.errors import AccessError, FileChangedError, FileError
from genretagger.files.replace import open_for_reading, stamp_of
from genretagger.shelf.index import FOLDER
from genretagger.web.desk import Desk, shared
from genretagger.web.room import make_room

MOST_BYTES = 2 << 30
"""What was made into FLAC is kept up to this; the oldest goes first."""

_PLAYED = {
    **{"mp3": "audio/mpeg", "flac": "audio/flac", "ogg": "audio/ogg", "opus": "audio/ogg", "oggflac": "audio/ogg"},
    **{"wav": "audio/wav", "aac": "audio/aac"},
}
"""Kinds that browsers play; MP4 is one of them if it holds AAC."""

_PART = 256 << 10
_RANGE = re.compile(r"(?a)bytes=(\d{0,18})-(\d{0,18})")
_IMAGES = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"GIF8", "image/gif"))
_COVERS = ("cover", "folder", "front", "album")
_COVER_ENDS = (".jpg", ".jpeg", ".png", ".webp")
_MOST_COVER_BYTES = 16 << 20


class Media:
    """What is played and shown.

    Args:
        desk: for the database, and the child processes.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._folder = desk.settings.data_dir / FOLDER / "played"
        self._making: dict[Path, asyncio.Task[None]] = {}

    async def audio(self, request: Request) -> Response:
        """The sound of a track, or a part of it."""
        number = number_of(request)
        path, kind, codec = await self._desk.read(
            lambda books: (books.store.listings.get_path(number), *_kind_of(books.index.connection, number))
        )
        if path is None:
            return Response(status_code=404)
        try:
            if kind == "mp4" and not codec:
                codec = (await asyncio.wrap_future(self._desk.showing.look(path))).codec
            if kind in _PLAYED or (kind == "mp4" and codec == "aac"):
                return _file(request, path, _PLAYED.get(kind, "audio/mp4"))
            return _file(request, await self._made(path), "audio/flac")
        except FileError as error:
            return Response(error.cause, status_code=404 if isinstance(error, (AccessError, FileChangedError)) else 422)
        except OSError as error:
            return Response(error.strerror or "it cannot be read", status_code=404)

    async def _made(self, path: Path) -> Path:
        """The FLAC of a file; several who ask at once wait for the same one."""
        stamp = await asyncio.to_thread(stamp_of, path)
        name = hashlib.sha256(os.fsencode(path) + repr(stamp).encode()).hexdigest()[:40]
        target = self._folder / f"{name}.flac"
        if not target.exists():
            await shared(self._making, target, lambda: self._make(path, target))
        else:
            os.utime(target)
        return target

    async def _make(self, path: Path, target: Path) -> None:
        await asyncio.to_thread(make_room, self._folder, MOST_BYTES)
        temporary = target.with_suffix(".part")
        try:
            await asyncio.wrap_future(self._desk.showing.transcode(path, temporary))
            temporary.rename(target)
        finally:
            temporary.unlink(missing_ok=True)

    async def cover(self, request: Request) -> Response:
        """The picture of a track: the one in its tags, or else one that is beside it."""
        number = number_of(request)
        path = await self._desk.read(lambda books: books.store.listings.get_path(number))
        if path is None:
            return Response(status_code=404)
        data = b""
        with contextlib.suppress(FileError):
            data = await asyncio.wrap_future(self._desk.showing.cover(path))
        data = data or await asyncio.to_thread(_beside, path)
        kind = _image(data)
        if not kind:
            return Response(status_code=204, headers={"cache-control": "private, max-age=300"})
        return Response(data, media_type=kind, headers={"cache-control": "private, max-age=3600"})


def number_of(request: Request) -> int:
    """The number of a track in an address; 0, which none has, if the database cannot hold it."""
    number = int(request.path_params["number"])
    return number if number < 1 << 62 else 0


def _kind_of(connection: object, number: int) -> tuple[str, str]:
    row = connection.execute("SELECT kind, codec FROM rows WHERE id = ?", (number,)).fetchone()  # type: ignore[attr-defined]
    return ("", "") if row is None else (row[0] or "", row[1] or "")


def _image(data: bytes) -> str:
    """The type of a picture by its content; "" if it is not shown (SVG can hold scripts)."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _IMAGES if data.startswith(start)), "")


def _beside(path: Path) -> bytes:
    """A picture in the folder of a file that is called as covers are."""
    try:
        names = {each.lower(): each for each in os.listdir(path.parent)}  # noqa: PTH208 - bytes of odd names
        for name in (f"{stem}{end}" for stem in _COVERS for end in _COVER_ENDS):
            if name in names:
                with open_for_reading(path.parent / names[name]) as file:
                    return file.read(_MOST_COVER_BYTES)
    except (OSError, FileError):
        return b""
    return b""


def _file(request: Request, path: Path, kind: str) -> Response:
    """A file, or the part of it that is asked for."""
    file = open_for_reading(path)
    size = os.fstat(file.fileno()).st_size
    start, end, status = 0, size, 200
    headers = {"accept-ranges": "bytes", "cache-control": "private, no-cache"}
    wanted = request.headers.get("range")
    if wanted is not None and (found := _RANGE.fullmatch(wanted.strip())) and (found[1] or found[2]):
        if found[1]:
            start, end = int(found[1]), min(size, int(found[2]) + 1 if found[2] else size)
        else:
            start = max(0, size - int(found[2]))
        if start >= end:
            file.close()
            return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
        status = 206
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    headers["content-length"] = str(end - start)
    if request.method == "HEAD":
        file.close()
        return Response(status_code=status, headers=headers, media_type=kind)

    async def parts() -> AsyncIterator[bytes]:
        left = end - start
        with file:
            file.seek(start)
            while left:
                part = await asyncio.to_thread(file.read, min(_PART, left))
                if not part:
                    return
                left -= len(part)
                yield part

    return StreamingResponse(parts(), status_code=status, headers=headers, media_type=kind)
