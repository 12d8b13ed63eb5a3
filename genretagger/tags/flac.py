"""FLAC: metadata blocks, then frames; perhaps an ID3v2 tag in front and ID3v1 behind, which are left alone.

The blocks keep their order and their bytes. The genre takes room from the padding where there is enough, so that the
audio does not move; where there is not, `_PADDING_BYTES` of new padding spare the next tagger the move.

Source: RFC 9639.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from genretagger.kinds import id3v2_end
from genretagger.tags.container import TAG_BYTES, Sink, damaged, feed, feed_field, library, splice
from genretagger.tags.tails import tails_start
from genretagger.tags.vorbis import Comments
from genretagger.types import GenreField, Json

_STREAMINFO, _PADDING, _COMMENT = 0, 1, 4
_PADDING_BYTES = 4096
_LARGEST_BLOCK = (1 << 24) - 1
_BLOCKS = 4096


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Where the metadata lies.

    Attributes:
        start: of the first block's header, behind "fLaC".
        blocks: (type, start of the content, length) of each.
        audio: where the frames start.
    """

    start: int
    blocks: tuple[tuple[int, int, int], ...]
    audio: int


class Flac:
    """The family of FLAC; see `Container`."""

    def read(self, file: BinaryIO) -> GenreField:
        """The GENRE comments."""
        return _comments(file, _blocks(file)).field()

    def refusal(self, file: BinaryIO) -> str | None:
        """Blocks of a wrong length: players find the audio by luck, and a write could cover some of it."""
        found = _blocks(file)
        if not found.blocks or found.blocks[0][0] != _STREAMINFO:
            return "the FLAC file does not start with its stream information"
        file.seek(found.audio)
        sync = file.read(2)
        if len(sync) < 2 or sync[0] != 0xFF or sync[1] & 0xFC != 0xF8:
            return "the metadata blocks of the FLAC file do not end where its audio starts"
        if found.audio - found.start > TAG_BYTES:
            return f"the metadata of the FLAC file takes more than {TAG_BYTES >> 20} MB"
        return None

    def payload(self, file: BinaryIO, sink: Sink) -> None:
        """The frames."""
        start = _blocks(file).audio
        feed(file, start, tails_start(file, start), sink)

    def others(self, file: BinaryIO, sink: Sink) -> None:
        """The other blocks and comments, and the tags around the FLAC stream."""
        found = _blocks(file)
        seen_comments = False
        for kind, position, length in found.blocks:
            if kind == _PADDING:
                continue
            if kind == _COMMENT and not seen_comments:
                seen_comments = True
                _comments(file, found).feed_others(sink)
                continue
            feed_field(sink, bytes((kind,)))
            sink(length.to_bytes(4, "big"))
            feed(file, position, position + length, sink)
        feed(file, 0, found.start, sink)
        feed(file, tails_start(file, found.audio), file.seek(0, os.SEEK_END), sink)

    def write(self, file: BinaryIO, values: Sequence[str]) -> None:
        """GENRE comments in the first block of comments."""
        found = _blocks(file)
        _store(file, found, _comments(file, found).with_genres(values))

    def restore(self, file: BinaryIO, raw: Json) -> None:
        """The comments as they were."""
        found = _blocks(file)
        _store(file, found, _comments(file, found).with_raw(raw))

    def second_opinion(self, file: BinaryIO) -> tuple[str, ...]:
        """As mutagen reads them."""
        file.seek(0)
        tags = library("flac").FLAC(file).tags
        return tuple(tags.get("genre", [])) if tags is not None else ()


def _blocks(file: BinaryIO) -> _Blocks:
    start = id3v2_end(file, 0)
    size = file.seek(0, os.SEEK_END)
    file.seek(start)
    if file.read(4) != b"fLaC":
        raise damaged("the FLAC mark is missing")
    position = start + 4
    blocks: list[tuple[int, int, int]] = []
    while len(blocks) < _BLOCKS:
        file.seek(position)
        head = file.read(4)
        length = int.from_bytes(head[1:], "big")
        if len(head) < 4 or position + 4 + length > size:
            raise damaged("a metadata block of the FLAC file is longer than the file")
        blocks.append((head[0] & 127, position + 4, length))
        position += 4 + length
        if head[0] & 128:
            return _Blocks(start + 4, tuple(blocks), position)
    raise damaged("the FLAC file has absurdly many metadata blocks")


def _comments(file: BinaryIO, found: _Blocks) -> Comments:
    for kind, position, length in found.blocks:
        if kind == _COMMENT:
            file.seek(position)
            return Comments.parse(file.read(length))
    return Comments()


def _store(file: BinaryIO, found: _Blocks, comments: Comments) -> None:
    new: list[tuple[int, bytes]] = []
    place_of_padding: int | None = None
    content = None if comments.is_ours_and_empty else comments.render()
    if content is not None and len(content) > _LARGEST_BLOCK:
        raise damaged("the Vorbis comments are larger than a FLAC block may be")
    seen_comments = False
    for kind, position, length in found.blocks:
        if kind == _PADDING:
            place_of_padding = len(new) if place_of_padding is None else place_of_padding
        elif kind == _COMMENT and not seen_comments:
            seen_comments = True
            new += [] if content is None else [(kind, content)]
        else:
            file.seek(position)
            new.append((kind, file.read(length)))
    place = len(new) if place_of_padding is None else place_of_padding
    if content is not None and not seen_comments:
        new.insert(place, (_COMMENT, content))
        place += 1
    room = found.audio - found.start
    spare = room - sum(4 + len(data) for _, data in new)
    if spare < 0:
        spare = 4 + _PADDING_BYTES
    while spare >= 4:
        padding = min(spare - 4, _LARGEST_BLOCK)
        new.insert(place, (_PADDING, bytes(padding)))
        spare -= 4 + padding
    last = len(new) - 1
    heads = (bytes((kind | (128 if i == last else 0),)) + len(d).to_bytes(3, "big") for i, (kind, d) in enumerate(new))
    splice(file, found.start, room, b"".join(head + data for head, (_, data) in zip(heads, new, strict=True)))
