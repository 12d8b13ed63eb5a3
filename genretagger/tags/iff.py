"""AIFF and WAV: a list of chunks, each with its name and its size; one of them holds an ID3v2 tag.

A new tag goes into a chunk at the end, so that the audio does not move; an old one is replaced where it stands. The
other chunks keep their order and their bytes: LIST, bext, cue, NAME, AUTH, ANNO, MARK and so on.

| | WAV | AIFF |
|---|---|---|
| numbers | the lowest byte first | the highest byte first |
| how to decode, samples | `fmt `, `data` | `COMM`, `SSND` |
| tag | `id3 ` (new ones), `ID3 ` | `ID3 ` |
| a genre that is only read | `IGNR` in LIST of type INFO | none |

A file is written only where its chunks fill it exactly. Others play well for as long as nothing follows the audio:
players take a size of 0, or one beyond the end, for "up to the end of the file", and would play the tag.

Sources: Microsoft's Multimedia Programming Interface 1.0 (RIFF), Apple's Audio Interchange File Format 1.3; for the
names of the chunks, what FFmpeg, mutagen and TagLib read.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import BinaryIO, Literal

from genretagger.kinds import id3v2_end
from genretagger.tags.container import damaged, splice
from genretagger.tags.id3 import resolved
from genretagger.tags.id3_inside import Id3Inside, Layout, Stretch
from genretagger.types import GenreField

_HEAD = 8
_CHUNKS = 4096
_UNKNOWN_SIZES = (0, 0xFFFFFFFF)
_LARGEST = 0xFFFFFFFF
_TAG_ROOM = 1 << 20
_FORMAT_BYTES = 64 * 1024
_INFO_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Chunk:
    """One chunk; `end` is that of the file where the size leads beyond it, and does not count the padding byte."""

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
    roots: tuple[bytes, ...]
    format: bytes
    samples: bytes
    tags: tuple[bytes, ...]
    """Names of the chunk with the tag, that of new ones first."""

    def layout(self, file: BinaryIO) -> Layout:
        """See `Id3Inside`."""
        size = file.seek(0, os.SEEK_END)
        start = id3v2_end(file, 0)
        file.seek(start)
        head = file.read(12)
        if head[:4] not in self.roots or len(head) < 12:
            raise damaged(f"the mark of {self.human} is missing")
        chunks, fault = self._chunks(file, start + 12, size)
        end = chunks[-1].end if chunks else start + 12
        tags = [chunk for chunk in chunks if chunk.name in (b"ID3 ", b"id3 ")]
        if start:
            fault = f"an ID3 tag stands in front of the {self.human} file"
        elif head[:4] != self.roots[0]:
            fault = f"{self.human} files of more than 4 GB ({head[:4].decode()}) are not written"
        length = int.from_bytes(head[4:8], self.order)
        fault = fault or self._fault_of_length(length, end, size) or self._fault_of_chunks(chunks)
        audio = [chunk for name in (self.format, self.samples) for chunk in chunks if chunk.name == name]
        return Layout(
            audio=tuple(chunk.content for chunk in audio),
            others=((start + 8, start + 12), *(chunk.whole for chunk in chunks if chunk not in (*audio, *tags[:1]))),
            tag=tags[0].content if tags else None,
            fault=fault,
        )

    def _chunks(self, file: BinaryIO, position: int, size: int) -> tuple[list[_Chunk], str | None]:
        chunks: list[_Chunk] = []
        while position < size:
            if len(chunks) == _CHUNKS:
                return chunks, f"the {self.human} file has absurdly many chunks"
            file.seek(position)
            head = file.read(_HEAD)
            name, length = head[:4], int.from_bytes(head[4:], self.order)
            if len(head) < _HEAD or not all(32 <= byte < 127 for byte in name):
                return chunks, f"the {self.human} file has bytes that belong to no chunk"
            end = position + _HEAD + length
            if name == self.samples and length in _UNKNOWN_SIZES:
                return [*chunks, _Chunk(name, position, size)], f"the {self.human} file does not tell how long it is"
            if end > size:
                return [*chunks, _Chunk(name, position, size)], f"the {self.human} file is cut off"
            chunks.append(_Chunk(name, position, end))
            position = end + (length & 1)
        return chunks, None

    def _fault_of_length(self, length: int, end: int, size: int) -> str | None:
        if length in _UNKNOWN_SIZES:
            return f"the {self.human} file does not tell how long it is"
        if size > _LARGEST - _TAG_ROOM:
            return f"the {self.human} file has no room left for a tag: the format ends at 4 GB"
        padded = end + (end & 1)
        if _HEAD + length > max(size, padded):
            return f"the {self.human} file is cut off"
        # programs disagree on whether the last padding byte has to be there, and whether it counts
        if _HEAD + length not in (end, padded):
            return f"the {self.human} file is not as long as it says"
        return None

    def _fault_of_chunks(self, chunks: list[_Chunk]) -> str | None:
        for name in (self.format, self.samples):
            if len([chunk for chunk in chunks if chunk.name == name]) != 1:
                return f"the {self.human} file has no {name.decode().strip()} chunk, or several"
        head = next(chunk for chunk in chunks if chunk.name == self.format)
        if head.end - head.start > _FORMAT_BYTES:  # mutagen reads it at once
            return f"the {self.human} file has an absurdly long {self.format.decode().strip()} chunk"
        tags = [chunk.name for chunk in chunks if chunk.name in (b"ID3 ", b"id3 ")]
        if len(tags) > 1:
            return f"the {self.human} file has several ID3 tags"
        if tags and tags[0] not in self.tags:
            return f"the ID3 tag of the {self.human} file has a name that few programs know"
        return None

    def put(self, file: BinaryIO, found: Layout, tag: bytes) -> None:
        """See `Id3Inside`."""
        size = file.seek(0, os.SEEK_END)
        name = self.tags[0]
        if found.tag is None:
            start, old, before = size, 0, bytes(size & 1)
        else:
            start = found.tag[0] - _HEAD
            old, before = min(found.tag[1] + (found.tag[1] & 1), size) - start, b""
            file.seek(start)
            name = file.read(4)
        new = before + name + len(tag).to_bytes(4, self.order) + tag + bytes(len(tag) & 1) if tag else b""
        length = size - old + len(new) - _HEAD
        if length >= _LARGEST:
            raise damaged(f"a {self.human} file cannot be larger than 4 GB")
        splice(file, start, old, new)
        file.seek(4)
        file.write(length.to_bytes(4, self.order))


class Wav(_Iff):
    """The family of WAV; see `Container`."""

    reader = ("wave", "WAVE")
    human = "WAV"
    order = "little"
    roots = (b"RIFF", b"RF64")
    format = b"fmt "
    samples = b"data"
    tags = (b"id3 ", b"ID3 ")

    def elsewhere(self, file: BinaryIO, found: Layout) -> GenreField | None:
        """The `IGNR` of a LIST of type INFO."""
        texts: list[str] = []
        for start, end in found.others:
            file.seek(start)
            head = file.read(12)
            if head[:4] == b"LIST" and head[8:] == b"INFO":
                texts += _info(file.read(max(0, min(end - start - 12, _INFO_BYTES))), b"IGNR")
        return GenreField(resolved(3, texts, self.separator), None, "RIFF INFO")


class Aiff(_Iff):
    """The family of AIFF and AIFF-C; see `Container`."""

    reader = ("aiff", "AIFF")
    human = "AIFF"
    order = "big"
    roots = (b"FORM",)
    format = b"COMM"
    samples = b"SSND"
    tags = (b"ID3 ",)


def _info(data: bytes, wanted: bytes) -> list[str]:
    """The texts of this name in a LIST of type INFO. Their encoding is nowhere said: UTF-8, or else Windows-1252."""
    position, texts = 0, []
    while position + _HEAD <= len(data):
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        content = data[position + _HEAD : position + _HEAD + length].split(b"\x00")[0]
        if data[position : position + 4] == wanted:
            try:
                texts.append(content.decode())
            except UnicodeDecodeError:
                texts.append(content.decode("cp1252", "replace"))
        position += _HEAD + length + (length & 1)
    return texts
