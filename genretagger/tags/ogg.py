"""Ogg: pages of packets; the comments of a stream are its second packet, for every codec.

Edited: the first audio stream that `kinds.kind_of` named. Other streams, muxed or chained behind
it, are left alone; their genre counts if the first stream has none. A file with an ID3 tag in front
is read and not written.

The payload consists of packets and granule positions, stream by stream, without the comments. Pages
themselves do not count: every tagger cuts and numbers them again when the comments grow.

Sources: RFC 3533 (Ogg), RFC 7845 (Opus), the Vorbis I and Speex manuals, RFC 9639 (FLAC in Ogg).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, TypeAlias

from genretagger.errors import TagError
from genretagger.files.kinds import id3v2_end
from genretagger.tags.around import field_or_around
from genretagger.tags.container import TAG_BYTES, Sink, damaged, feed, feed_field, library
from genretagger.tags.vorbis import Comments
from genretagger.types import GenreField, Json

OggPage: TypeAlias = Any
"""A `mutagen.ogg.OggPage`."""

_PAGE = struct.Struct("<4sBBqIIIB")
_STREAMS = 256
_PAGES_BEFORE_COMMENTS = 1024


@dataclass(frozen=True, slots=True)
class Codec:
    """The form of a codec in Ogg.

    Attributes:
        magic: start of its first packet.
        prefix: start of its comment packet.
        block: the prefix ends with the header of a FLAC block, with a length that has to be right.
        module: the module of mutagen that reads it.
        reader: the class in that module.
    """

    magic: bytes
    prefix: bytes
    module: str
    reader: str
    block: bool = False


CODECS: dict[str, Codec] = {
    "ogg": Codec(b"\x01vorbis", b"\x03vorbis", "oggvorbis", "OggVorbis"),
    "opus": Codec(b"OpusHead", b"OpusTags", "oggopus", "OggOpus"),
    "speex": Codec(b"Speex   ", b"", "oggspeex", "OggSpeex"),
    "oggflac": Codec(b"\x7fFLAC", b"", "oggflac", "OggFLAC", block=True),
}
"""By name of the kind."""


class Ogg:
    """The family of Ogg, for one codec; see `Container`.

    Args:
        codec: of the audio in it.
        separator: between the genres of an ID3v2.3 tag in front.
    """

    def __init__(self, codec: Codec, separator: str) -> None:
        self.codec, self.separator = codec, separator

    def read(self, file: BinaryIO) -> GenreField:
        """Read the GENRE comments, else another stream, else a tag around the file.

        The other places are never written.
        """
        field = self._comments(_packets(_comment_pages(file, self.codec))[0])[1].field()
        if not field.values and (values := self._genres_of_others(file)):
            return GenreField(values, field.raw, field.form)
        return field_or_around(field, file, self.separator)

    def read_first(self, file: BinaryIO) -> GenreField:
        """The same without other streams."""
        field = self._comments(_packets(_comment_pages(file, self.codec))[0])[1].field()
        return field_or_around(field, file, self.separator)

    def _genres_of_others(self, file: BinaryIO) -> tuple[str, ...]:
        for stream in _scan(file, lambda _: None):
            if stream.codec is not None:
                try:
                    values = Ogg(stream.codec, "")._comments(bytes(stream.comments))[1].field().values
                except TagError:
                    continue
                if values:
                    return values
        return ()

    def refusal(self, file: BinaryIO) -> str | None:
        """Refuse an ID3 tag in front, which hides the stream from most readers."""
        file.seek(0)
        if file.read(4) != b"OggS":
            return "an ID3 tag precedes the Ogg stream"
        self.read(file)
        return None

    def payload(self, file: BinaryIO, sink: Sink) -> None:
        """Feed all packets but the comments, with granule positions; then bytes of no page."""
        for stream in _scan(file, sink):
            sink(stream.hash.digest())

    def others(self, file: BinaryIO, sink: Sink) -> None:
        """Feed the other comments of this stream, and the comments of the other streams."""
        pages = _comment_pages(file, self.codec)
        ours = False
        for stream in _scan(file, lambda _: None):
            if not ours and stream.serial == pages[0].serial:
                ours = True
                prefix, comments = self._comments(_packets(pages)[0])
                feed_field(sink, b"" if self.codec.block else prefix)
                comments.feed_others(sink)
            else:
                feed_field(sink, bytes(stream.comments))

    def write(self, file: BinaryIO, values: Sequence[str]) -> None:
        """Write GENRE comments."""
        pages = _comment_pages(file, self.codec)
        prefix, comments = self._comments(_packets(pages)[0])
        self._store(file, pages, prefix, comments.with_genres(values))

    def restore(self, file: BinaryIO, raw: Json) -> None:
        """Put the comments back as they were."""
        pages = _comment_pages(file, self.codec)
        prefix, comments = self._comments(_packets(pages)[0])
        self._store(file, pages, prefix, comments.with_raw(raw))

    def second_opinion(self, file: BinaryIO) -> tuple[str, ...]:
        """Return the genres as mutagen reads them."""
        reader = getattr(library(self.codec.module), self.codec.reader)
        file.seek(0)
        return tuple(reader(file).tags.get("genre", []))

    def _comments(self, packet: bytes) -> tuple[bytes, Comments]:
        """What comes before the comments in their packet, and the comments."""
        size = 4 if self.codec.block else len(self.codec.prefix)
        prefix = packet[:size]
        is_block = self.codec.block and prefix[:1] in (b"\x04", b"\x84")
        if not is_block and (self.codec.block or prefix != self.codec.prefix):
            raise damaged("the second packet of the Ogg stream holds no comments")
        return prefix, Comments.parse(packet[size:])

    def _store(self, file: BinaryIO, pages: list[OggPage], prefix: bytes, comments: Comments) -> None:
        packets = _packets(pages)
        old_bytes = len(packets[0])
        # zeros behind the comments are padding; other bytes (Opus allows them) may have a meaning,
        # and stay
        kept = comments.rest[: 1 if self.codec.prefix == b"\x03vorbis" else 0]
        padding = not comments.rest[len(kept) :].strip(b"\x00") and not self.codec.block
        content = replace(comments, rest=kept if padding else comments.rest).render()
        if self.codec.block:
            prefix = prefix[:1] + len(content).to_bytes(3, "big")
        packet = prefix + content
        packets[0] = packet.ljust(old_bytes, b"\x00") if padding else packet
        if len(packets[0]) == old_bytes:
            new_pages = _same_pages(pages, packets[0])
        else:
            new_pages = library("ogg").OggPage.from_packets(packets, sequence=pages[0].sequence)
        library("ogg").OggPage.replace(file, pages, new_pages)


def _comment_pages(file: BinaryIO, codec: Codec) -> list[OggPage]:
    """The pages with the comments of the first stream of this codec.

    The last page may hold other packets too.
    """
    serial: int | None = None
    pages: list[OggPage] = []
    size = 0
    for page in _pages(file):
        if serial is None:
            if page.first and page.packets and page.packets[0].startswith(codec.magic):
                serial = page.serial
                if len(page.packets) > 1 or not page.complete:
                    raise damaged("the Ogg stream shares the page of its first packet")
        elif page.serial == serial:
            if page.first or not page.packets:
                raise damaged("the Ogg stream has no comments")
            pages.append(page)
            size += sum(map(len, page.packets))
            if page.complete or len(page.packets) > 1:
                return pages
        if size > TAG_BYTES:
            raise damaged(f"the comments of the Ogg stream take more than {TAG_BYTES >> 20} MB")
    raise damaged("the Ogg stream ends inside its comments")


def _pages(file: BinaryIO) -> Iterator[OggPage]:
    file.seek(id3v2_end(file, 0))
    for _ in range(_PAGES_BEFORE_COMMENTS + TAG_BYTES // 65025):
        yield library("ogg").OggPage(file)


def _packets(pages: list[OggPage]) -> list[bytes]:
    packets: list[bytes] = library("ogg").OggPage.to_packets(pages)
    if not packets:
        raise damaged("the Ogg stream has no comments")
    return packets


def _same_pages(pages: list[OggPage], packet: bytes) -> list[OggPage]:
    """The same pages with a new first packet of the same length.

    Nothing moves, and no granule position is lost.
    """
    new_pages = []
    for old in pages:
        new = library("ogg").OggPage()
        new.version, new.position, new.complete = old.version, old.position, old.complete
        new.continued = old.continued
        length = len(old.packets[0])
        new.packets = [packet[:length], *old.packets[1:]]
        packet = packet[length:]
        new_pages.append(new)
    return new_pages


@dataclass(slots=True)
class _Stream:
    """What a scan knows of one logical stream."""

    serial: int
    hash: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=32))
    packets: int = 0
    packet_bytes: int = 0
    codec: Codec | None = None
    comments: bytearray = field(default_factory=bytearray)

    def take(self, piece: bytes, ends: bool) -> None:
        """Take a piece of a packet."""
        if self.packets == 0 and self.packet_bytes == 0:
            self.codec = next((codec for codec in CODECS.values() if piece.startswith(codec.magic)), None)
        if self.packets == 1 and self.codec:
            self.comments += piece
            if len(self.comments) > TAG_BYTES:
                raise damaged(f"the comments of an Ogg stream take more than {TAG_BYTES >> 20} MB")
        else:
            self.hash.update(piece)
        self.packet_bytes += len(piece)
        if ends:
            if self.packets != 1 or not self.codec:
                self.hash.update(self.packet_bytes.to_bytes(8, "big"))
            self.packets += 1
            self.packet_bytes = 0


def _scan(file: BinaryIO, sink: Sink) -> list[_Stream]:
    """Go through all pages; the sink gets bytes that are not pages, at the end or after damage."""
    size = file.seek(0, 2)
    streams: list[_Stream] = []
    by_serial: dict[int, _Stream] = {}
    position = id3v2_end(file, 0)
    while position < size:
        file.seek(position)
        head = file.read(_PAGE.size)
        if len(head) < _PAGE.size:
            break
        capture, _, flags, granule, serial, _, _, segments = _PAGE.unpack(head)
        lacing = file.read(segments)
        body = file.read(sum(lacing))
        if capture != b"OggS" or len(lacing) < segments or len(body) < sum(lacing):
            break
        if flags & 2 or serial not in by_serial:
            if len(streams) >= _STREAMS:
                raise damaged(f"there are more than {_STREAMS} streams in the Ogg file")
            by_serial[serial] = _Stream(serial)
            streams.append(by_serial[serial])
        stream = by_serial[serial]
        start = end = 0
        for length in lacing:
            end += length
            if length < 255:
                stream.take(body[start:end], True)
                start = end
        if start < end or (lacing and lacing[-1] == 255):
            stream.take(body[start:end], False)
        if granule not in (0, -1):
            # the packets before a position decide which packet it belongs to
            stream.hash.update(b"granule" + granule.to_bytes(8, "big", signed=True))
        position += _PAGE.size + segments + len(body)
    feed(file, position, size, sink)
    return streams
