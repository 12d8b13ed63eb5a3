"""The ID3v2 tag as a list of frames, each kept as its bytes; independent of where the tag is.

MP3 has it in front, AIFF, WAV and DSF in a chunk. `Id3Tag.parse` takes the bytes of a whole tag,
and `render` returns them with other genre frames. No other frame is decoded, decompressed or
rewritten.

| version | several genres | text |
|---|---|---|
| 2.4 | several strings in one TCON | Latin-1 if ASCII, else UTF-8 |
| 2.3 | one string, joined with the configured separator | Latin-1 if ASCII, else UTF-16 with BOM |
| 2.2 | the same, in TCO | the same |

When reading 2.2 and 2.3, texts are split at the separator (without its surrounding space) and at
NUL. They are not split at "/", which 2.3 allows between values and people write inside one ("R/B",
"Singer/Songwriter").

References to ID3v1 genres ("17", "(17)", "(RX)") are resolved in every version; a number without a
meaning ("255", "(999)") is not a genre. A TXXX with the description "genre" counts as a genre
frame: FFmpeg and TagLib show it as one.

The extended header (a checksum of the frames, and sizes) and a footer are not written back: they
would be wrong. The unsynchronisation of a whole tag of 2.2 or 2.3 is not either: FFmpeg and tinytag
lose their way behind the first byte that it changes, and see no genre. `layout` has what an undo
needs to bring all of them back.

Sources: the documents ID3v2.2.0, ID3v2.3.0 and ID3v2.4.0 of id3.org; for the exceptions, real
files.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from genretagger.files.kinds import id3v2_size
from genretagger.tags.container import damaged, library, meant, replaced, restored, unpacked
from genretagger.types import Json

_UNSYNCHRONISED, _EXTENDED, _COMPRESSED_22, _EXPERIMENTAL, _FOOTER = 0x80, 0x40, 0x40, 0x20, 0x10
_NAME = {2: re.compile(rb"[A-Z0-9]{3}"), 3: re.compile(rb"[A-Z0-9]{3}[A-Z0-9\x00 ]"), 4: re.compile(rb"[A-Z0-9]{4}")}
_REFERENCE = re.compile(r"\(([0-9]{1,9}|RX|CR)\)")
_LETTERS = {"RX": "Remix", "CR": "Cover"}
_NUMBER_DIGITS = 3
"""A longer number is a year or has no known meaning."""
_FALSE_SYNC = re.compile(rb"\xff[\xe0-\xff]")
_TO_PROTECT = re.compile(rb"\xff(?=[\x00\xe0-\xff])")
_GENRE_TEXT_BYTES = 64 * 1024
_PADDING_BYTES = 2048
_SPARE_BYTES = {2: 10, 3: 0, 4: 0}
"""TagLib ignores frames of 2.2 that start in the last ten bytes of the tag; a short frame fits
there.
"""
_EXTENDED_BYTES = 64
_LARGEST = (1 << 28) - 1


@dataclass(frozen=True, slots=True)
class Id3Tag:
    """An ID3v2 tag.

    Attributes:
        version: 2, 3 or 4.
        frames: each frame with its header, after the unsynchronisation of the whole tag (2.2, 2.3)
            was undone.
        room: bytes that the tag takes, header and padding included; 0 if there is no tag yet.
        flags: of the header.
        revision: of the version.
        extended: the extended header.
        protected: the unsynchronisation of the whole tag (2.2, 2.3) was undone.
        body_bytes: bytes of the frames and the padding, once that is undone.
        plain_sizes: frame sizes of 2.4 are written as in 2.3, which iTunes did.
        fault: why the tag must not be written; None if all of it is understood.
    """

    version: int = 4
    frames: tuple[bytes, ...] = ()
    room: int = 0
    flags: int = 0
    revision: int = 0
    extended: bytes = b""
    protected: bool = False
    body_bytes: int = 0
    plain_sizes: bool = False
    fault: str | None = None

    @property
    def form(self) -> str:
        """The name that people use for this version of the tag."""
        return f"ID3v2.{self.version}"

    @classmethod
    def parse(cls, data: bytes) -> Id3Tag:
        """Take a tag apart.

        Args:
            data: a whole tag, from "ID3" to the end of its padding or footer.

        Raises:
            TagError: there is no header.
        """
        room = id3v2_size(data[:10])
        if not room:
            raise damaged("the ID3 header is invalid")
        version, revision, flags = data[3], data[4], data[5]
        if version not in (2, 3, 4):
            return cls(room=room, fault=f"ID3v2.{version} is not known")
        if version == 2 and flags & _COMPRESSED_22:
            return cls(version, room=room, fault="a compressed ID3v2.2 tag has no known form")
        body = data[10 : room - (10 if flags & _FOOTER and version == 4 else 0)]
        fault = "the file ends inside its ID3 tag" if len(data) < room else None
        protected = bool(version < 4 and flags & _UNSYNCHRONISED and not _FALSE_SYNC.search(body))
        if protected:
            body = body.replace(b"\xff\x00", b"\xff")
        extended = b""
        if version > 2 and flags & _EXTENDED:
            end = _extended_bytes(version, body)
            extended, body = body[:end], body[end:]
        frames, rest = _frames(version, body, synchsafe=version == 4)
        plain_sizes = False
        if version == 4 and rest.strip(b"\x00"):
            other_frames, other_rest = _frames(version, body, synchsafe=False)
            if not other_rest.strip(b"\x00"):
                frames, rest, plain_sizes = other_frames, other_rest, True
        if rest.strip(b"\x00"):
            # measured: a header that overstates the size by 20 kB cost 20 kB of audio in the next
            # save
            fault = fault or "the padding of the ID3 tag is not empty: its size may be overstated and cover audio"
        if fault is None and any(is_genre(frame) and text_of(version, frame) is None for frame in frames):
            fault = "the genre in the ID3 tag is encrypted, damaged or too long"
        return cls(version, tuple(frames), room, flags, revision, extended, protected, len(body), plain_sizes, fault)

    @property
    def layout(self) -> Json:
        """The other properties that an undo needs to rebuild the same bytes, as JSON."""
        extended = self.extended if len(self.extended) <= _EXTENDED_BYTES else b""
        return {
            "room": self.room,
            "flags": self.flags,
            "revision": self.revision,
            "protected": self.protected,
            "extended": base64.b64encode(extended).decode(),
        }

    def render_as(self, frames: Sequence[bytes], layout: Json) -> bytes:
        """The bytes of a tag with an earlier layout; as `render` if that is too small."""
        try:
            room, flags, revision = int(layout["room"]), int(layout["flags"]), int(layout["revision"])
            body = base64.b64decode(layout["extended"], validate=True) + b"".join(frames)
            protected = bool(layout["protected"])
        except (KeyError, TypeError, ValueError) as error:
            raise damaged("the stored genre field cannot be read") from error
        body = _protected(body) if protected else body
        footer = b""
        head = bytes((self.version, revision & 255, flags & 255)) + synchsafe(room - 10).to_bytes(4, "big")
        if self.version == 4 and flags & _FOOTER:
            head = head[:3] + synchsafe(room - 20).to_bytes(4, "big")
            footer = b"3DI" + head
        size = room - 10 - len(footer)
        if protected and len(body) == size + 1:
            body = body[:-1]  # not every writer protects the last byte as well
        if not len(body) <= size <= _LARGEST:
            return self.render(frames)
        data = b"ID3" + head + body.ljust(size, b"\x00") + footer
        return data if Id3Tag.parse(data).frames == tuple(frames) else self.render(frames)

    def render(self, frames: Sequence[bytes]) -> bytes:
        """The bytes of the tag with these frames: as long as before if they fit, else with padding.

        Raises:
            TagError: the tag would be larger than the format allows, or would not be read back
                correctly.
        """
        body = b"".join(frames)
        flags = self.flags & ((_UNSYNCHRONISED if self.version == 4 else 0) | _EXPERIMENTAL)
        needed = 10 + len(body) + _SPARE_BYTES[self.version]
        room = self.room if needed <= self.room else needed + _PADDING_BYTES
        if room - 10 > _LARGEST:
            raise damaged("the ID3 tag is as large as the format allows")
        size = room - 10
        sizes = synchsafe(size).to_bytes(4, "big")
        data = b"ID3" + bytes((self.version, self.revision, flags)) + sizes + body.ljust(size, b"\x00")
        if Id3Tag.parse(data).frames != tuple(frames):
            raise damaged("the ID3 tag would not read back as intended")
        return data

    def genres(self, separator: str, frames: Iterable[bytes] | None = None) -> tuple[str, ...]:
        """The genres in the frames of this tag, or in other frames of its version."""
        texts: list[str] = []
        for frame in self.frames if frames is None else frames:
            if is_genre(frame):
                texts += (text_of(self.version, frame) or [])[1 if frame.startswith(b"TXX") else 0 :]
        return resolved(self.version, texts, separator)

    def genre_frame(self, values: Sequence[str], separator: str) -> bytes:
        """One frame for all these genres."""
        content = self.encoded(values if self.version == 4 else (separator.join(values),))
        if len(content) > _GENRE_TEXT_BYTES:
            raise damaged("the genres are too long for a tag")
        return self.frame("TCO" if self.version == 2 else "TCON", content)

    def encoded(self, texts: Sequence[str]) -> bytes:
        """These strings, after the byte of an encoding that can hold them all."""
        joined = "\x00".join(texts)
        if joined.isascii():
            return b"\x00" + joined.encode("ascii")
        if self.version == 4:
            return b"\x03" + joined.encode("utf-8")
        return b"\x01" + b"\x00\x00".join(b"\xff\xfe" + text.encode("utf-16-le") for text in texts)

    def frame(self, name: str, content: bytes) -> bytes:
        """A frame without flags."""
        size = len(content)
        if size > _LARGEST or (self.version == 2 and size >= 1 << 24):
            raise damaged("a frame of the ID3 tag would be larger than the format allows")
        if self.version == 2:
            return name.encode() + size.to_bytes(3, "big") + content
        if self.version == 4 and not self.plain_sizes:
            size = synchsafe(size)
        return name.encode() + size.to_bytes(4, "big") + b"\x00\x00" + content


def synchsafe(size: int) -> int:
    """A number of four bytes, each with seven bits of the size."""
    return (size >> 21 & 127) << 24 | (size >> 14 & 127) << 16 | (size >> 7 & 127) << 8 | size & 127


def is_genre(frame: bytes) -> bool:
    """Whether a frame holds the genre.

    Some writers put the three letters of 2.2 into 2.3, with a NUL or a space. A TXXX described as
    "genre" holds it too.
    """
    return is_tcon(frame) or (frame.startswith(b"TXX") and _description(frame) == "genre")


def is_tcon(frame: bytes) -> bool:
    """Whether a frame is the one that a genre is written to."""
    # the fourth byte of a 2.2 frame is the highest byte of its size, which is 0 below 64 kB
    return frame[:4] in (b"TCON", b"TCO\x00", b"TCO ")


def _description(frame: bytes) -> str:
    """The description of a TXXX in lower case; empty if it depends on the version."""
    if frame[3:4] != b"X":
        texts = text_of(2, frame)
    elif frame[9] > 3:  # compressed, encrypted or grouped, which versions mark differently
        return ""
    else:
        texts = text_of(4, frame)
    return texts[0].lower() if texts else ""


def with_genre(frames: Sequence[bytes], new: Sequence[bytes]) -> list[bytes]:
    """The frames with new genre frames: in the place of the first old one, or at the end.

    TagLib stops reading at an empty frame, or at one with a space in its name; the genre goes
    before it.
    """
    end = next((place for place, frame in enumerate(frames) if not is_genre(frame) and stops(frame)), len(frames))
    return [*replaced(frames[:end], is_genre, new), *(frame for frame in frames[end:] if not is_genre(frame))]


def stops(frame: bytes) -> bool:
    """Whether TagLib stops reading at this frame."""
    if frame[3:4].isalnum() or frame[3:4] == b" ":
        return len(frame) <= 10 or frame[3:4] == b" "
    return len(frame) <= 6


def with_old_genre(frames: Sequence[bytes], raw: Json) -> list[bytes]:
    """The frames with the genre frames of an earlier time.

    A TXXX stays if no such frame was stored: we did not write it, and earlier versions neither
    stored nor removed it.
    """
    has_txxx = any(not is_tcon(field) for _, field in unpacked(raw))
    return restored(frames, is_genre if has_txxx else is_tcon, raw)


def resolved(version: int, texts: Iterable[str], separator: str) -> tuple[str, ...]:
    """The genres in the texts of genre frames; names replace the numbers of ID3v1 genres."""
    mark = separator.strip() or separator
    parts = [part.strip() for text in texts for part in (text.split(mark) if version < 4 and mark else (text,))]
    return meant([name for part in parts for name in _named(part)])


def _named(text: str) -> list[str]:
    """The genres of one text: its references, and what follows them.

    A number without a meaning gives none.
    """
    names: list[str] = library("_constants").GENRES
    if text.isascii() and text.isdigit() and len(text) <= _NUMBER_DIGITS:
        return names[int(text) : int(text) + 1]
    if text in _LETTERS:
        return [_LETTERS[text]]
    found: list[str] = []
    while reference := _REFERENCE.match(text):
        number, text = reference[1], text[reference.end() :]
        found += [_LETTERS[number]] if number in _LETTERS else names[int(number) : int(number) + 1]
    return [*found, text.removeprefix("(") if text.startswith("((") else text]


def text_of(version: int, frame: bytes) -> list[str] | None:
    """The strings of a text frame; None if it is encrypted or damaged."""
    content = _content(version, frame)
    if not content:
        return [] if content == b"" else None
    encodings = {0: "latin-1", 1: "utf-16", 2: "utf-16-be", 3: "utf-8"}
    if content[0] not in encodings:
        return None
    name, data = encodings[content[0]], content[1:]
    if name == "utf-16":
        # each of several strings may have its own byte order mark
        name = "utf-16-be" if data.startswith(b"\xfe\xff") else "utf-16-le"
    text = data[: len(data) & ~1 if name.startswith("utf-16") else None].decode(name, "replace")
    return [part.lstrip("\ufeff") for part in text.split("\x00")]


def _content(version: int, frame: bytes) -> bytes | None:
    """The decoded content of a frame; None if it cannot be decoded."""
    if version == 2:
        return frame[6:]
    flags, data = frame[9], frame[10:]
    grouped, compressed, encrypted = (0x40, 0x08, 0x04) if version == 4 else (0x20, 0x80, 0x40)
    if flags & encrypted:
        return None
    if version == 4:
        data = data[(1 if flags & grouped else 0) + (4 if flags & 1 else 0) :]
        if flags & 2:
            data = data.replace(b"\xff\x00", b"\xff")
    else:
        data = data[(4 if flags & compressed else 0) + (1 if flags & grouped else 0) :]
    if flags & compressed:
        inflater = zlib.decompressobj()
        try:
            data = inflater.decompress(data, _GENRE_TEXT_BYTES)
        except zlib.error:
            return None
        if inflater.unconsumed_tail:  # 300 kB can become 300 MB
            return None
    return data


def is_protected(data: bytes) -> bool:
    """Whether unsynchronisation changes these bytes."""
    return _protected(data) != data


def _protected(body: bytes) -> bytes:
    """The bytes, changed so that no decoder mistakes them for the start of an audio frame."""
    body = _TO_PROTECT.sub(b"\xff\x00", body)
    return body + b"\x00" if body.endswith(b"\xff") else body


def _extended_bytes(version: int, body: bytes) -> int:
    """Length of the extended header; 0 if a writer set the flag but wrote no such header."""
    if _NAME[4].fullmatch(body[:4]):
        return 0
    size = int.from_bytes(body[:4], "big")
    if version == 3:
        return 4 + size
    return (size >> 24 & 127) << 21 | (size >> 16 & 127) << 14 | (size >> 8 & 127) << 7 | size & 127


def _frames(version: int, body: bytes, *, synchsafe: bool) -> tuple[list[bytes], bytes]:
    """The frames in order, and the bytes that follow the last readable one."""
    name_bytes, head = (3, 6) if version == 2 else (4, 10)
    position, frames = 0, []
    while position + head <= len(body):
        if not _NAME[version].fullmatch(body[position : position + name_bytes]):
            break
        sizes = body[position + name_bytes : position + 2 * name_bytes]
        size = int.from_bytes(sizes, "big")
        if synchsafe:
            if max(sizes) > 127:
                break
            size = sizes[0] << 21 | sizes[1] << 14 | sizes[2] << 7 | sizes[3]
        end = position + head + size
        if end > len(body):
            break
        frames.append(body[position:end])
        position = end
    return frames, body[position:]
