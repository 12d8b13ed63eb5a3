"""AIFF and WAV: a list of chunks, each with its name and its size; one of them holds an ID3v2 tag.

A new tag goes into a chunk at the end, so that the audio does not move; an old one is replaced in
its place. The other chunks keep their order and their bytes: LIST, bext, cue, NAME, AUTH, ANNO,
MARK and so on. Bytes behind the end of the file that belong to no chunk, such as an ID3v1 tag that
does not belong there, stay as well.

| | WAV | AIFF |
|---|---|---|
| numbers | little-endian | big-endian |
| how to decode, samples | `fmt `, `data` | `COMM`, `SSND` |
| tag | `id3 ` (new ones), `ID3 ` | `ID3 ` |
| another genre | `IGNR` in LIST of type INFO, see `info.py` | none |

A file is written only if its chunks fill it exactly. Other files play well only as long as nothing
follows the audio: players read a size of 0, or one beyond the end, as "up to the end of the file",
and would play the tag.

Sources: Microsoft's Multimedia Programming Interface 1.0 (RIFF), Apple's Audio Interchange File
Format 1.3; for the names of the chunks, what FFmpeg, mutagen and TagLib read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO, ClassVar, Literal

from genretagger.files.kinds import id3v2_end
from genretagger.tags import carried as carried_over
from genretagger.tags import info
from genretagger.tags.container import Sink, damaged, feed_field, replaced, restored, splice, taken
from genretagger.tags.id3 import Id3Tag, resolved
from genretagger.tags.id3_inside import Id3Inside, Layout, Stretch
from genretagger.types import GenreField, Json

_HEAD = 8
_CHUNKS = 4096
_UNKNOWN_SIZES = (0, 0xFFFFFFFF)
_LARGEST = 0xFFFFFFFF
_TAG_ROOM = 1 << 20
_FORMAT_BYTES = 64 * 1024
_INFO_BYTES = 1 << 20
_KNOWN = (b"fmt ", b"data", b"LIST", b"id3 ", b"ID3 ", b"COMM", b"SSND", b"bext", b"fact")


@dataclass(frozen=True, slots=True)
class _Chunk:
    """One chunk.

    `end` is at most the end of the file, and does not count the padding byte.
    """

    name: bytes
    start: int
    end: int

    @property
    def content(self) -> Stretch:
        return self.start + _HEAD, self.end

    @property
    def whole(self) -> Stretch:
        return self.start, self.end


class _Iff(Id3Inside):
    """What WAV and AIFF share."""

    human: str
    order: Literal["little", "big"]
    orders: ClassVar[Mapping[bytes, Literal["little", "big"]]] = {}
    """The byte order of roots that differ."""
    roots: tuple[bytes, ...]
    format: bytes
    samples: bytes
    tags: tuple[bytes, ...]
    """Names of the chunk with the tag; the first is used for new tags."""

    def layout(self, file: BinaryIO) -> Layout:
        """See `Id3Inside`."""
        size = file.seek(0, os.SEEK_END)
        start = id3v2_end(file, 0)
        file.seek(start)
        head = file.read(12)
        if head[:4] not in self.roots or len(head) < 12:
            raise damaged(f"the mark of {self.human} is missing")
        order = self.orders.get(head[:4], self.order)
        length = int.from_bytes(head[4:8], order)
        behind = min(size, start + _HEAD + length + (length & 1)) if length not in _UNKNOWN_SIZES else size
        chunks, fault = self._chunks(file, start + 12, behind, order)
        end = chunks[-1].end if chunks else start + 12
        tags = [chunk for chunk in chunks if chunk.name in (b"ID3 ", b"id3 ")]
        if start:
            fault = f"an ID3 tag precedes the {self.human} file"
        elif head[:4] != self.roots[0]:
            fault = f"{self.human} files of the form {head[:4].decode()} are not written"
        fault = fault or self._fault_of_length(length, end, size) or self._fault_of_chunks(chunks)
        fault = fault or self._fault_behind(file, behind, size)
        audio = [chunk for name in (self.format, self.samples) for chunk in chunks if chunk.name == name]
        others = [chunk.whole for chunk in chunks if chunk not in (*audio, *tags[:1])]
        return Layout(
            audio=tuple(chunk.content for chunk in audio),
            others=((start + 8, start + 12), *others, *([(behind, size)] if behind < size else ())),
            tag=tags[0].content if tags else None,
            fault=fault,
        )

    def _chunks(
        self, file: BinaryIO, position: int, size: int, order: Literal["little", "big"]
    ) -> tuple[list[_Chunk], str | None]:
        chunks: list[_Chunk] = []
        while position < size:
            if len(chunks) == _CHUNKS:
                return chunks, f"the {self.human} file has too many chunks"
            file.seek(position)
            head = file.read(_HEAD)
            name, length = head[:4], int.from_bytes(head[4:], order)
            if len(head) < _HEAD or not all(32 <= byte < 127 for byte in name):
                return chunks, f"the {self.human} file has bytes that belong to no chunk"
            end = position + _HEAD + length
            if name == self.samples and length in _UNKNOWN_SIZES:
                return [*chunks, _Chunk(name, position, size)], f"the {self.human} file does not say how long it is"
            if end > size:
                whole = end <= file.seek(0, os.SEEK_END)
                fault = f"the {self.human} file is {'not as long as it says' if whole else 'cut off'}"
                return [*chunks, _Chunk(name, position, size)], fault
            chunks.append(_Chunk(name, position, end))
            position = end + (length & 1)
        return chunks, None

    def _fault_of_length(self, length: int, end: int, size: int) -> str | None:
        if length in _UNKNOWN_SIZES:
            return f"the {self.human} file does not say how long it is"
        if size > _LARGEST - _TAG_ROOM:
            return f"the {self.human} file has no room left for a tag: the format ends at 4 GB"
        padded = end + (end & 1)
        if _HEAD + length > max(size, padded):
            return f"the {self.human} file is cut off"
        # programs disagree on whether the last padding byte has to be there, and whether it counts
        if _HEAD + length not in (end, padded):
            return f"the {self.human} file is not as long as it says"
        return None

    def _fault_behind(self, file: BinaryIO, behind: int, size: int) -> str | None:
        """Refuse chunks behind the end: some programs read them, others do not."""
        file.seek(behind)
        head = file.read(_HEAD)
        fits = len(head) == _HEAD and behind + _HEAD + int.from_bytes(head[4:], self.order) <= size
        is_chunk = head[:4] in _KNOWN or (fits and all(32 <= byte < 127 for byte in head[:4]))
        return f"the {self.human} file has chunks after its end" if is_chunk else None

    def _fault_of_chunks(self, chunks: list[_Chunk]) -> str | None:
        for name in (self.format, self.samples):
            if len([chunk for chunk in chunks if chunk.name == name]) != 1:
                return f"the {self.human} file has no {name.decode().strip()} chunk, or several"
        head = next(chunk for chunk in chunks if chunk.name == self.format)
        if head.end - head.start > _FORMAT_BYTES:  # mutagen reads it in one piece
            return f"the {self.human} file has a {self.format.decode().strip()} chunk that is too long"
        tags = [chunk.name for chunk in chunks if chunk.name in (b"ID3 ", b"id3 ")]
        if len(tags) > 1:
            return f"the {self.human} file has several ID3 tags"
        if tags and tags[0] not in self.tags:
            return f"the ID3 tag of the {self.human} file has a name that few programs know"
        return None

    def put(self, file: BinaryIO, found: Layout, tag: bytes) -> None:
        """See `Id3Inside`."""
        end = self._end(file)
        name = self.tags[0]
        if found.tag is None:
            start, old, before = end, 0, bytes(end & 1)
        else:
            start = found.tag[0] - _HEAD
            old, before = min(found.tag[1] + (found.tag[1] & 1), end) - start, b""
            file.seek(start)
            name = file.read(4)
        new = before + name + len(tag).to_bytes(4, self.order) + tag + bytes(len(tag) & 1) if tag else b""
        self.exchange(file, start, old, new)

    def exchange(self, file: BinaryIO, start: int, old: int, new: bytes) -> None:
        """Replace a stretch of the file, and correct the size in its header."""
        length = self._end(file) - old + len(new) - _HEAD
        if length >= _LARGEST:
            raise damaged(f"a {self.human} file cannot be larger than 4 GB")
        splice(file, start, old, new)
        file.seek(4)
        file.write(length.to_bytes(4, self.order))

    def _end(self, file: BinaryIO) -> int:
        """Where the chunks end by the size in the header, with the padding byte of the last."""
        file.seek(4)
        length = int.from_bytes(file.read(4), self.order)
        return min(file.seek(0, os.SEEK_END), _HEAD + length + (length & 1))


class Wav(_Iff):
    """The family of WAV; see `Container`."""

    reader = ("wave", "WAVE")
    human = "WAV"
    order = "little"
    roots = (b"RIFF", b"RF64", b"BW64", b"RIFX")
    orders: ClassVar = {b"RIFX": "big"}
    format = b"fmt "
    samples = b"data"
    tags = (b"id3 ", b"ID3 ")

    def elsewhere(self, file: BinaryIO, found: Layout) -> GenreField | None:
        """The `IGNR` of a LIST of type INFO."""
        texts = [info.text_of(entry) for some in self._lists(file, found) for entry in some.entries if is_info(entry)]
        return GenreField(resolved(3, texts, self.separator), None, "RIFF INFO")

    def carried(self, file: BinaryIO, found: Layout, tag: Id3Tag) -> list[bytes]:
        """The fields of INFO, which TagLib shows only without ID3."""
        return carried_over.frames(info.fields(self._lists(file, found)), tag)

    def notes(self, file: BinaryIO, found: Layout, tag: Id3Tag) -> dict[str, Json]:
        """The notes of the base class, and the genres in INFO, each with the number of its list."""
        notes = super().notes(file, found, tag)
        places = [
            [number, *place]
            for number, some in enumerate(self._lists(file, found))
            for place in (taken("", some.entries, is_info) or {"fields": ()})["fields"]
        ]
        return {**notes, "info": places} if places else notes

    def refusal(self, file: BinaryIO) -> str | None:
        """Refuse what the base class refuses, and damaged INFO."""
        faults = (some.fault for some in self._lists(file, self.layout(file)))
        return super().refusal(file) or next((fault for fault in faults if fault), None)

    def feed_stretches(self, file: BinaryIO, stretches: Sequence[Stretch], sink: Sink) -> None:
        """Feed stretches, without the genre of INFO."""
        for start, end in stretches:
            some = _info_at(file, start, end)
            if some is None:
                super().feed_stretches(file, ((start, end),), sink)
            else:
                feed_field(sink, b"INFO")
                some.feed_others(sink)

    def write(self, file: BinaryIO, values: Sequence[str]) -> None:
        """Write the tag, and the genre in INFO if the file has INFO."""
        super().write(file, values)
        new = [info.entry(info.GENRE, self.separator.join(values))] if values else []
        lists = self._lists(file, self.layout(file))
        self._put_lists(
            file, [replaced(some.entries, is_info, () if number else new) for number, some in enumerate(lists)]
        )

    def restore(self, file: BinaryIO, raw: Json) -> None:
        """Put the tag and INFO back as they were; a genre in INFO that may not be ours stays."""
        ours = super().read(file)
        super().restore(file, raw)
        lists = self._lists(file, self.layout(file))
        stored = (raw or {}).get("info")
        if stored is not None:
            old = [{"fields": [place[1:] for place in stored if place[0] == number]} for number in range(len(lists))]
            self._put_lists(file, [restored(some.entries, is_info, old[n]) for n, some in enumerate(lists)])
        elif ours.form.startswith("ID3v2"):
            self._put_lists(file, [[e for e in some.entries if not self._is(e, ours.values)] for some in lists])

    def _is(self, entry: bytes, values: Sequence[str]) -> bool:
        return is_info(entry) and resolved(3, [info.text_of(entry)], self.separator) == tuple(values)

    def _lists(self, file: BinaryIO, found: Layout) -> list[info.Info]:
        lists = (_info_at(file, start, end) for start, end in found.others)
        return [some for some in lists if some is not None]

    def _put_lists(self, file: BinaryIO, lists: Sequence[Sequence[bytes]]) -> None:
        """Store these entries in the lists of type INFO, in the order of the file."""
        for number, entries in enumerate(lists):
            places = [place for place in self.layout(file).others if _info_at(file, *place) is not None]
            start, end = places[number]
            some = _info_at(file, start, end)
            if some is None or list(some.entries) == list(entries):
                continue
            content = b"INFO" + replace(some, entries=tuple(entries)).render()
            new = b"LIST" + len(content).to_bytes(4, "little") + content + bytes(len(content) & 1)
            self.exchange(file, start, min(end + (end & 1), self._end(file)) - start, new)


is_info = info.is_genre


def _info_at(file: BinaryIO, start: int, end: int) -> info.Info | None:
    """The list of type INFO in this chunk; None for another chunk, or a list that is too large."""
    file.seek(start)
    head = file.read(12)
    if head[:4] != b"LIST" or head[8:] != b"INFO" or end - start > _INFO_BYTES:
        return None
    return info.Info.parse(file.read(end - start - 12))


class Aiff(_Iff):
    """The family of AIFF and AIFF-C; see `Container`."""

    reader = ("aiff", "AIFF")
    human = "AIFF"
    order = "big"
    roots = (b"FORM",)
    format = b"COMM"
    samples = b"SSND"
    tags = (b"ID3 ",)
