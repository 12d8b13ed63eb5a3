"""Finds files of full size that lack audio, such as an unfinished preallocated download.

The missing stretches read as zeros. Whether zeros may be audio depends on the format:

- Compressed audio holds no long run of zero bytes, not even in silence: every frame, packet or page
  begins with a header. The longest runs of common encoders are those of a FLAC without compression
  (about 12 KB of digital silence between two headers) and the padding of a WMA packet. So 16 KiB of
  zeros are a gap, which is also the smallest piece that BitTorrent requests; for WMA a whole
  packet, if that is longer.
- In PCM (WAV, AIFF, DSF, and MP4 with such a codec) zeros are digital silence, and `cp --sparse` or
  ZFS may store even that as a hole. So a run of zeros counts as a gap only if it reaches the very
  end, is at least a fifth of the audio, and was mostly never stored. An unfinished download ends
  like that. Music with so much silence at its end that was also stored sparsely is rare; the
  mistake costs it a tag and does no harm to the file. Missing pieces in the middle cannot be
  distinguished from silence there.

The zeros are counted while the payload is hashed, so nothing is read twice.
"""

from __future__ import annotations

import io
import uuid
from typing import BinaryIO

from genretagger.causes import Cause, Reason, because
from genretagger.files.inode import holes_bytes
from genretagger.files.kinds import Kind
from genretagger.tags.atoms import atoms
from genretagger.tags.container import Sink

GAP_BYTES = 16 << 10
_PCM_GAP_BYTES = 64 << 10
_PCM_SHARE = 5
"""The gap has to be at least one part in so many of the audio."""
_PCM_HEAD_BYTES = 4096

_OGG_KINDS = {"ogg", "opus", "speex", "oggflac"}
_PCM_KINDS = {"wav", "aiff", "dsf", "dff"}
_PCM_CODECS = {b"sowt", b"twos", b"lpcm", b"raw ", b"NONE", b"in24", b"in32", b"fl32", b"fl64", b"ipcm", b"fpcm"}
_BLOCK_BYTES = 4096
_ZEROS = bytes(_BLOCK_BYTES)

_ASF_PROPERTIES = uuid.UUID("8cabdca1-a947-11cf-8ee4-00c00c205365").bytes_le
_ASF_HEAD_BYTES = 1 << 20
_MOOV_BYTES = 64 << 20


class Zeros:
    """A sink that passes bytes on, and notes the longest run of zeros among them.

    It may miss runs of less than two blocks.

    Args:
        sink: where the bytes go.

    Attributes:
        total: how many bytes there were.
        start: where the longest run begins, counted from the first byte.
        length: of the longest run.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._open = 0
        """Length of the run of zeros at the end of the bytes so far."""
        self.total = self.start = self.length = 0

    def __call__(self, piece: bytes) -> None:
        """Pass bytes on, and look for runs of zeros in them."""
        self._sink(piece)
        before, size = self.total, len(piece)
        self.total += size
        position = 0
        if self._open:
            position = size - len(piece.lstrip(b"\0"))
            self._open += position
            self._note(before + position)
            if position == size:
                return
        while position + _BLOCK_BYTES <= size:
            # two cheap checks: a piece without zeros needs 256 of them a megabyte
            if piece[position] or not piece.startswith(_ZEROS, position):
                position += _BLOCK_BYTES
                continue
            begin = len(piece[:position].rstrip(b"\0"))
            position = size - len(piece[position:].lstrip(b"\0"))
            self._open = position - begin
            self._note(before + position)
        tail = piece[-2 * _BLOCK_BYTES :]
        self._open = len(tail) - len(tail.rstrip(b"\0"))
        if self._open == len(tail):
            self._open = size - len(piece.rstrip(b"\0"))
        self._note(self.total)

    def _note(self, end: int) -> None:
        if self._open > self.length:
            self.start, self.length = end - self._open, self._open


def gap(file: BinaryIO, kind: Kind, zeros: Zeros) -> Reason | None:
    """Say that a file is not complete; None if there is no sign of that.

    Args:
        file: seekable, open for reading; the position is moved.
        kind: what it is.
        zeros: what was found in its payload.
    """
    if zeros.length < GAP_BYTES and not (kind.name in _OGG_KINDS and _is_lost_page(zeros)):
        return None
    if kind.name == "mp4" and zeros.start + zeros.length > _media_bytes(file):
        return None  # zeros in a table
    if kind.name in _PCM_KINDS or (kind.name == "mp4" and _holds_pcm(file)):
        if not _is_unfinished_pcm(file, zeros):
            return None
    elif kind.name == "asf" and zeros.length < _packet_bytes(file):
        return None
    return because(Cause.INCOMPLETE, zeros=zeros.length)


def _is_lost_page(zeros: Zeros) -> bool:
    """Whether zeros are in the place of an Ogg page, and more than stream hashes follows.

    The payload of a damaged Ogg file holds what follows the last whole page, including up to a page
    of the zeros.
    """
    return zeros.start == 0 and zeros.length >= _BLOCK_BYTES and zeros.total > zeros.length + _BLOCK_BYTES


def _is_unfinished_pcm(file: BinaryIO, zeros: Zeros) -> bool:
    at_the_end = zeros.start + zeros.length == zeros.total
    # only zeros: there is nothing to infer, and so nothing to write
    is_silent = zeros.start <= _PCM_HEAD_BYTES
    if is_silent or not at_the_end or zeros.length < max(_PCM_GAP_BYTES, zeros.total // _PCM_SHARE):
        return False
    try:
        return holes_bytes(file.fileno(), file.seek(0, io.SEEK_END)) >= zeros.length // 2
    except io.UnsupportedOperation:  # not a file of a file system
        return False


def _media_bytes(file: BinaryIO) -> int:
    """Bytes of media data in the payload of an MP4.

    Media data comes first, each atom with eight bytes in front.
    """
    return sum(8 + atom.end - atom.content for atom in atoms(file) if atom.name == b"mdat")


def _holds_pcm(file: BinaryIO) -> bool:
    for atom in atoms(file):
        if atom.name == b"moov":
            file.seek(atom.content)
            data = file.read(min(atom.end - atom.content, _MOOV_BYTES))
            place = data.find(b"stsd")
            while place >= 0:
                if data[place + 16 : place + 20] in _PCM_CODECS:
                    return True
                place = data.find(b"stsd", place + 4)
    return False


def _packet_bytes(file: BinaryIO) -> int:
    """The length of a packet of an ASF file; 0 if the header does not say."""
    file.seek(0)
    head = file.read(_ASF_HEAD_BYTES)
    place = head.find(_ASF_PROPERTIES)
    return int.from_bytes(head[place + 96 : place + 100], "little") if place >= 0 else 0
