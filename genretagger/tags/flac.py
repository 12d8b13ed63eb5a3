"""FLAC: metadata blocks, then frames; an ID3v2 tag in front and ID3v1 behind are left alone.

The blocks keep their order and their bytes. The genre takes room from the padding if there is
enough, so that the audio does not move. If there is not, `_PADDING_BYTES` of new padding are added,
so that the next tagger need not move the audio.

TagLib and FFmpeg show ID3 only as long as there are no comments. So the first genre brings along
what ID3 says, and an undo takes that out again; see `comments_of_id3.py`. A file may have a second
block of comments, against the format. FFmpeg shows both, so a write removes a genre from the second
block, and an undo puts it back.

Source: RFC 9639.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from genretagger.files.kinds import id3v2_end, id3v2_size
from genretagger.tags.around import field_or_around
from genretagger.tags.comments_of_id3 import Carried, vorbis_comments
from genretagger.tags.container import TAG_BYTES, Family, Sink, damaged, feed, feed_field, library, splice
from genretagger.tags.tails import tails_start
from genretagger.tags.vorbis import FORM, Comments, is_genre
from genretagger.types import GenreField, Json

_MARK = b"fLaC"
_STREAMINFO, _PADDING, _COMMENT = 0, 1, 4
_PADDING_BYTES = 4096
_LARGEST_BLOCK = (1 << 24) - 1
_BLOCKS = 4096


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Where the metadata is.

    Attributes:
        start: of the first block's header, behind "fLaC".
        blocks: (type, start of the content, length) of each.
        audio: where the frames start.
    """

    start: int
    blocks: tuple[tuple[int, int, int], ...]
    audio: int


class Flac(Family):
    """The family of FLAC; see `Container`."""

    def read(self, file: BinaryIO) -> GenreField:
        """Read the GENRE comments; if there are none, a tag around the stream.

        That tag is never written.
        """
        found = _blocks(file)
        lists = _lists(file, found)
        field = lists[0].field()
        others = [[number, *place] for number, more in enumerate(lists[1:]) for place in _places(more)]
        values = field.values or next((more.field().values for more in lists[1:] if more.field().values), ())
        padding = [[place, length] for place, (kind, _, length) in enumerate(found.blocks) if kind == _PADDING]
        raw = {"form": FORM, "fields": [], **(field.raw or {}), "padding": padding}
        if len(lists) > 1:
            raw["more"] = others
        if _shows_id3(lists) and vorbis_comments(file).entries:
            raw["bare"] = True
        return field_or_around(GenreField(values, raw, FORM), file, self.separator)

    def refusal(self, file: BinaryIO) -> str | None:
        """Refuse a file if its metadata is not fully understood.

        With a wrong block length, players find the audio by luck, and a write could cover some of
        it.
        """
        found = _blocks(file)
        if not found.blocks or found.blocks[0][0] != _STREAMINFO:
            return "the FLAC file does not start with its stream information"
        file.seek(found.audio)
        sync = file.read(2)
        if len(sync) < 2 or sync[0] != 0xFF or sync[1] & 0xFC != 0xF8:
            return "the metadata blocks of the FLAC file do not end where its audio starts"
        if found.audio - found.start > TAG_BYTES:
            return f"the metadata of the FLAC file takes more than {TAG_BYTES >> 20} MB"
        file.seek(0)
        if id3v2_size(file.read(10)) != found.start - len(_MARK):
            return "several ID3 tags precede the FLAC file"  # mutagen does not open it
        lists = _lists(file, found)
        if any(comments.rest for comments in lists) and found.blocks[-1][0] not in (_COMMENT, _PADDING):
            return "the comments of the FLAC file are followed by bytes that are not theirs"
        return vorbis_comments(file).fault if _shows_id3(lists) else None

    def payload(self, file: BinaryIO, sink: Sink) -> None:
        """Feed the frames."""
        start = _blocks(file).audio
        feed(file, start, tails_start(file, start), sink)

    def others(self, file: BinaryIO, sink: Sink) -> None:
        """Feed the other blocks and comments, and the tags around the FLAC stream."""
        found = _blocks(file)
        lists = iter(_lists(file, found))
        carried = vorbis_comments(file)
        if all(kind != _COMMENT for kind, _, _ in found.blocks):
            next(lists)
        for kind, position, length in found.blocks:
            if kind == _PADDING:
                continue
            if kind == _COMMENT:
                _without(next(lists), carried).feed_others(sink)
                continue
            feed_field(sink, bytes((kind,)))
            sink(length.to_bytes(4, "big"))
            feed(file, position, position + length, sink)
        feed(file, 0, found.start, sink)
        feed(file, tails_start(file, found.audio), file.seek(0, os.SEEK_END), sink)

    def write(self, file: BinaryIO, values: Sequence[str]) -> None:
        """Write GENRE comments into the first block of comments, and clear them from the others."""
        found = _blocks(file)
        lists = _lists(file, found)
        first = _with(lists[0], vorbis_comments(file)) if values and _shows_id3(lists) else lists[0]
        _store(file, found, [first.with_genres(values), *(more.with_genres(()) for more in lists[1:])])

    def restore(self, file: BinaryIO, raw: Json) -> None:
        """Put the comments back as they were."""
        found = _blocks(file)
        lists = _lists(file, found)
        first, others = lists[0], lists[1:]
        carried = vorbis_comments(file)
        if (raw or {}).get("bare"):
            first = _without(first, carried)
        elif raw is not None and raw.get("fields") and _shows_id3(lists):
            first = _with(first, carried)
        more = (raw or {}).get("more")
        if more is not None:
            others = [
                comments.with_raw({"form": FORM, "fields": [place[1:] for place in more if place[0] == number]})
                for number, comments in enumerate(others)
            ]
        _store(file, found, [first.with_raw(raw), *others], (raw or {}).get("padding"))

    def second_opinion(self, file: BinaryIO) -> tuple[str, ...]:
        """Return the genres as mutagen reads them."""
        file.seek(0)
        tags = library("flac").FLAC(file).tags
        return tuple(tags.get("genre", [])) if tags is not None else ()


def _blocks(file: BinaryIO) -> _Blocks:
    start = id3v2_end(file, 0)
    size = file.seek(0, os.SEEK_END)
    file.seek(start)
    if file.read(len(_MARK)) != _MARK:
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
    raise damaged("the FLAC file has too many metadata blocks")


def _lists(file: BinaryIO, found: _Blocks) -> list[Comments]:
    """The comments of each block of comments; one empty list if there is no such block."""
    lists = []
    for kind, position, length in found.blocks:
        if kind == _COMMENT:
            file.seek(position)
            lists.append(Comments.parse(file.read(length)))
    return lists or [Comments()]


def _places(comments: Comments) -> list[list[object]]:
    """Place and bytes of each genre among the comments, as JSON."""
    raw = comments.field().raw
    return list(raw["fields"]) if raw else []


def _shows_id3(lists: Sequence[Comments]) -> bool:
    """Whether other programs look for ID3 because there are no comments."""
    return not any(comments.entries for comments in lists)


def _with(comments: Comments, carried: Carried) -> Comments:
    return replace(comments, entries=(*carried.entries, *comments.entries))


def _without(comments: Comments, carried: Carried) -> Comments:
    """The comments without those copied from ID3, if nothing but genres was added to these."""
    others = tuple(entry for entry in comments.entries if not is_genre(entry))
    if not others or others != carried.entries:
        return comments
    return replace(comments, entries=tuple(entry for entry in comments.entries if is_genre(entry)))


def _store(file: BinaryIO, found: _Blocks, lists: Sequence[Comments], old_padding: Json = None) -> None:
    """Write the blocks with these comments and the old padding.

    The padding stays in its place, or returns to what it was at an earlier time.
    """
    new: list[tuple[int, bytes]] = []
    place_of_padding: int | None = None
    contents = [None if comments.is_ours_and_empty else comments.render() for comments in lists]
    if any(content is not None and len(content) > _LARGEST_BLOCK for content in contents):
        raise damaged("the Vorbis comments are larger than a FLAC block may be")
    has_comments = False
    for kind, position, length in found.blocks:
        if kind == _PADDING:
            place_of_padding = len(new) if place_of_padding is None else place_of_padding
        elif kind == _COMMENT:
            has_comments = True
            content = contents.pop(0)
            new += [] if content is None else [(kind, content)]
        else:
            file.seek(position)
            new.append((kind, file.read(length)))
    place = len(new) if place_of_padding is None else place_of_padding
    if any(comments.rest for comments in lists) and new and new[-1][0] == _COMMENT:
        # mutagen reads what follows such comments as the next block
        place = min(place, len(new) - 1)
    if not has_comments and contents[0] is not None:
        new.insert(place, (_COMMENT, contents[0]))
        place += 1
    room = found.audio - found.start
    if old_padding is not None:
        for index, length in _checked(old_padding):
            new.insert(index, (_PADDING, bytes(length)))
        spare = 0
    else:
        spare = room - sum(4 + len(data) for _, data in new)
        spare = spare if spare >= 0 else 4 + _PADDING_BYTES
    while spare >= 4:
        padding = min(spare - 4, _LARGEST_BLOCK)
        new.insert(place, (_PADDING, bytes(padding)))
        spare -= 4 + padding
    last = len(new) - 1
    heads = (bytes((kind | (128 if i == last else 0),)) + len(d).to_bytes(3, "big") for i, (kind, d) in enumerate(new))
    splice(file, found.start, room, b"".join(head + data for head, (_, data) in zip(heads, new, strict=True)))


def _checked(padding: Json) -> list[tuple[int, int]]:
    """Place and length of each block of padding that `read` noted."""
    try:
        blocks = [(int(index), int(length)) for index, length in padding]
    except (TypeError, ValueError) as error:
        raise damaged("the stored genre field cannot be read") from error
    if any(not 0 <= length <= _LARGEST_BLOCK for _, length in blocks) or sum(n for _, n in blocks) > TAG_BYTES:
        raise damaged("the stored genre field cannot be read")
    return blocks
