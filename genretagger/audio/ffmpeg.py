"""FFmpeg, through PyAV: the reader for nearly all files.

How it stays exact: packets are chosen by their time stamps and never by where a seek lands. A seek
goes to a little before the goal; packets are dropped up to a fixed distance before the goal, and a
fresh decoder starts there. So the same audio gives the same samples with any tags of any size
around it, also for codecs that carry state from packet to packet (Opus, MP3's bit reservoir).

How it stays right: time stamps place the first frame after a seek, and later ones only if they
disagree by more than `_DRIFT_S` (a packet was lost; ASF and some MP4 files round to milliseconds).
If seeking does not work, and after `count`, samples are counted from the start instead.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, BinaryIO

import av
import av.error
import av.logging
import numpy as np
import soxr
from av.codec.context import CodecContext
from av.container import InputContainer

from genretagger.audio.headers import (
    ends_otherwise,
    flac_declares,
    is_chained,
    is_fragmented,
    mp3_declared_s,
    mp3_promised_s,
    wav_declared_s,
)
from genretagger.audio.pyav import open_input
from genretagger.audio.reader import Reader, Stretch, plausible, to_mono
from genretagger.audio.source import Source
from genretagger.errors import AudioError, UnsupportedFileError
from genretagger.files.kinds import Kind
from genretagger.types import FloatArray

_Piece = tuple[int, int, av.AudioFrame | FloatArray]  # position, length, samples

_PREROLL_S = 0.5
"""Decoded before a goal and dropped. Opus asks for 80 ms, MP3's reservoir reaches back 9 frames
(0.24 s).
"""
_SLACK_S = 0.5
"""The seek goes so much further back, for demuxers that land late by a page."""
_STRIDE_S = 2.0
"""A goal that is not further ahead than this is reached by decoding on: a seek costs as much."""
_DRIFT_S = 0.015
"""Less than a packet of any codec (Opus and AAC: 20 ms and more), more than milliseconds rounded
twice.
"""
_UNREADABLE_SHARE = 0.1
"""A track is damaged if a larger share of its packets is unreadable."""

_COUNTED = frozenset({"mp3", "aac", "ac3", "eac3", "caf"})
"""Kinds for which FFmpeg may guess the length: their packets are counted (30 ms for 4 minutes)."""
_HEADERS = {"mp3": mp3_declared_s, "wav": wav_declared_s}
"""Kinds for which FFmpeg gives the length of the file as it is, not as it should be."""
_STUMBLES = 64
"""How often a demuxer may fail in one pass and still go on."""

# FFmpeg writes to standard error from C, which nothing here reads
av.logging.set_level(None)


class FfmpegReader(Reader):
    """A track that FFmpeg reads."""

    def __init__(self, file: BinaryIO, kind: Kind, *, sparing: bool = False) -> None:
        """Open the file and decode its first frame.

        Args:
            file: opened for reading.
            kind: what it is.
            sparing: read no more of it than needed; see `listen.decode`.

        Raises:
            AudioError: there is no audio in it, or it is damaged.
            UnsupportedFileError: this FFmpeg has no decoder for it.
            AccessError: the file cannot be read.
        """
        self._source = Source(file)
        self._kind = kind
        self._container: InputContainer | None = None
        self._packets = self._unreadable = 0
        self._sequential = kind.demuxer == "ogg" and (ends_otherwise(file) if sparing else is_chained(file))
        self._buffer_bytes = 16_384 if sparing else 32_768
        self._options = {"protocol_whitelist": "none"}  # nothing but this file is ever opened
        if sparing:
            self._options["fflags"] = "fastseek"  # jump to a place in an MP3 instead of reading up to it
        from_header = _HEADERS[kind.name](file) if kind.name in _HEADERS else None
        guessed = self._sequential or _is_guessed(file, kind)
        with _translated(self._source):
            self._restart(first=True)
        length_s = float((self._stream.duration or 0) * self._time_base)
        # for an Ogg file FFmpeg gives the end of the last page: correct, but not a promise of the
        # file
        self._found_s = length_s if kind.demuxer == "ogg" and not guessed and length_s > 0 else None
        ffmpeg_s = None if guessed or self._found_s or length_s <= 0 else length_s
        stated = from_header or ffmpeg_s
        self.declared_s = stated
        # ASF writes the play time before the end is known
        if sparing and kind.name == "mp3" and stated is None and (whole_s := mp3_promised_s(file)) is not None:
            # what counting would give: FFmpeg drops the encoder's delay before the first frame
            self.declared_s = stated = whole_s - float((self._origin or 0) * self._time_base)
        self.tolerance_s = max(5.0, 0.05 * (stated or 0)) if kind.name == "asf" else 1.0 + 0.005 * (stated or 0)

    # Packets and frames

    def _restart(self, *, first: bool = False) -> None:
        """Open the container and decode its first frame, which is at time zero."""
        self.close()
        self._source.seek(0)
        container = open_input(self._source, self._kind.demuxer, self._options, buffer_bytes=self._buffer_bytes)
        self._container = container
        stream = container.streams.best("audio")
        if stream is None:
            raise AudioError("there is no audio in it")
        self._stream = stream
        context: CodecContext | None = stream.codec_context
        # PyAV's types do not mention it: 36 bits a sample, or a codec that is newer than this
        # FFmpeg
        if context is None:
            raise UnsupportedFileError("it cannot be decoded", hint="This FFmpeg has no decoder for what it holds.")
        context.thread_count = 1  # several files are decoded at once, in processes
        self._time_base = stream.time_base or Fraction(1, 90_000)
        self._frames = self._decode()
        self._recent: deque[_Piece] = deque()
        self._position = 0
        frame = next(self._frames, None)
        if frame is None:
            raise AudioError("there is no audio in it, or none of it can be decoded")
        if first:
            self.rate_hz = plausible(frame.sample_rate)
            self._origin = frame.pts
        self._append(frame)

    def _demux(self) -> Iterator[av.Packet[Any]]:
        """Packets from the container's position on; goes on if the demuxer fails at a place."""
        container = self._opened()
        for _ in range(_STUMBLES):
            try:
                yield from container.demux(self._stream)
                return
            except av.error.InvalidDataError:
                self._unreadable += 1

    def _opened(self) -> InputContainer:
        if self._container is None:
            raise ValueError("the reader is closed")
        return self._container

    def _decode(self, wanted: int | None = None) -> Iterator[av.AudioFrame]:
        """Frames of the packets that reach beyond the time stamp `wanted`.

        Unreadable packets are left out.
        """
        for packet in self._demux():
            if wanted is not None and packet.size:
                if packet.pts is None:
                    continue
                if packet.duration and packet.pts + packet.duration <= wanted:
                    continue
                wanted = None
            self._packets += packet.size > 0
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                self._unreadable += 1
                continue
            for frame in frames:
                audio: object = frame  # PyAV's type includes video frames
                if isinstance(audio, av.AudioFrame) and audio.samples > 0:
                    yield audio

    def _append(self, frame: av.AudioFrame, *, placed: bool = False) -> None:
        """Put a frame behind the last one, or elsewhere if its time stamp says so."""
        piece: av.AudioFrame | FloatArray = frame
        length = frame.samples
        if frame.sample_rate != self.rate_hz:
            # joined files; a model does not notice the seam of two frames, but it would notice a
            # wrong pitch
            rate_hz = plausible(frame.sample_rate)
            resampled: FloatArray = soxr.resample(_mono([frame]), rate_hz, self.rate_hz, quality="HQ")
            piece, length = resampled, len(resampled)
        if not self._sequential and frame.pts is not None and self._origin is not None:
            base = self._time_base  # multiplying with a fraction for each frame takes a tenth of the decoding
            stamped = round((frame.pts - self._origin) * base.numerator / base.denominator * self.rate_hz)
            if placed or stamped > self._position + _DRIFT_S * self.rate_hz:
                self._position = stamped
            elif stamped + length < self._position - _DRIFT_S * self.rate_hz:
                return  # decoded already
        if length:
            self._recent.append((self._position, length, piece))
            self._position += length

    def _advance(self) -> bool:
        """Decode one frame more; False at the end."""
        frame = next(self._frames, None)
        if frame is not None:
            self._append(frame)
        return frame is not None

    def _seek(self, start: int) -> None:
        """Make `start` the next sample that will be read."""
        goal_s = start / self.rate_hz - _PREROLL_S
        if self._sequential or goal_s <= _SLACK_S or self._origin is None:
            self._restart()
            return
        wanted = self._origin + round(goal_s / self._time_base)
        try:
            self._opened().seek(max(0, wanted - round(_SLACK_S / self._time_base)), stream=self._stream)
        except av.error.FFmpegError:
            frame = None
        else:
            self._frames = self._decode(wanted)
            frame = next(self._frames, None)
        self._recent.clear()
        if frame is not None and frame.pts is not None:
            self._append(frame, placed=True)
            if self._recent and self._recent[0][0] <= start:
                return
        # the end, a hole, or a demuxer that cannot seek: decoding from the start shows which
        self._sequential = True
        self._restart()

    # What a reader does

    def read(self, start: int, count: int) -> Stretch:
        """See `Reader`.

        Raises:
            AudioError: the decoder gave up.
            AccessError: the file cannot be read.
        """
        with _translated(self._source):
            behind = not self._recent or start < self._recent[0][0]
            far = start > self._position + _STRIDE_S * self.rate_hz and not self._sequential
            if behind or far:
                self._seek(start)
            self._forget(start)
            while self._position < start + count and self._advance():
                self._forget(start)
        samples = np.zeros(max(0, min(count, self._position - start)), np.float32)
        found = 0
        for position, mono in self._runs():
            first, last = max(position, start), min(position + len(mono), start + len(samples))
            if first < last:
                samples[first - start : last - start] = mono[first - position : last - position]
                found += last - first
        return Stretch(samples, len(samples) - found)

    def _runs(self) -> Iterator[tuple[int, FloatArray]]:
        """The decoded frames, joined to long runs.

        Converting each frame by itself costs more than decoding it.
        """

        def belongs(previous: _Piece, piece: _Piece) -> bool:
            one, other = previous[2], piece[2]
            return (
                previous[0] + previous[1] == piece[0]
                and isinstance(one, av.AudioFrame)
                and isinstance(other, av.AudioFrame)
                and one.format.name == other.format.name
                and one.layout.nb_channels == other.layout.nb_channels
            )

        run: list[_Piece] = []
        for piece in (*self._recent, None):
            if run and (piece is None or not belongs(run[-1], piece)):
                frames = [frame for _, _, frame in run if isinstance(frame, av.AudioFrame)]
                first = run[0][2]
                yield run[0][0], first if isinstance(first, np.ndarray) else _mono(frames)
                run = []
            if piece is not None:
                run.append(piece)

    def _forget(self, start: int) -> None:
        """Drop what is before `start`, except the last frame, which marks the position."""
        while len(self._recent) > 1 and sum(self._recent[0][:2]) <= start:
            self._recent.popleft()

    def length_s(self) -> float:
        """See `Reader`."""
        return self.declared_s or self._found_s or self._demuxed_s()

    def _demuxed_s(self) -> float:
        """The length by the time stamps of the packets, without decoding any."""
        if self._sequential:
            return self.count() / self.rate_hz
        with _translated(self._source):
            self._restart()
            self._opened().seek(self._stream.start_time or 0, stream=self._stream)
            total, end, origin = 0, 0, self._origin or 0
            for packet in self._demux():
                duration, pts = packet.duration or 0, packet.pts
                total += duration
                if pts is not None and (reach := pts + duration - origin) > end:
                    end = reach
            self._restart()
        return float((end or total) * self._time_base)

    def count(self) -> int:
        """See `Reader`."""
        with _translated(self._source):
            self._sequential = True
            self._packets = self._unreadable = 0
            self._restart()
            while self._advance():
                self._forget(self._position)
        if self._unreadable > _UNREADABLE_SHARE * self._packets:
            raise AudioError(
                f"damaged: {self._unreadable} of {self._packets} packets cannot be decoded",
                hint="Get the file again.",
            )
        return self._position

    def close(self) -> None:
        """See `Reader`."""
        if self._container is not None:
            self._container.close()
            self._container = None


def _mono(frames: list[av.AudioFrame]) -> FloatArray:
    """The mono samples of frames of the same form, in order."""
    first, fifo = frames[0], av.AudioFifo()
    for frame in frames:  # joined by FFmpeg: an array for each frame costs half as much as decoding it
        frame.pts = None
        fifo.write(frame)
    joined = fifo.read()
    if joined is None:
        return np.zeros(0, np.float32)
    planes = joined.to_ndarray()
    return to_mono(planes.T if first.format.is_planar else planes.reshape(-1, first.layout.nb_channels))


def _is_guessed(file: BinaryIO, kind: Kind) -> bool:
    """Whether FFmpeg will guess the duration because the file does not declare it."""
    if kind.name == "flac":
        return not flac_declares(file)
    if kind.name == "mp4":
        return is_fragmented(file)
    return kind.name in _COUNTED


@contextlib.contextmanager
def _translated(source: Source) -> Iterator[None]:
    """Translate FFmpeg's errors into ours; nothing else does."""
    try:
        yield
        source.tell_of_the_disk()
    except (av.error.DecoderNotFoundError, av.error.DemuxerNotFoundError) as error:
        raise UnsupportedFileError("this FFmpeg has no decoder for it", hint="Update PyAV (`av`).") from error
    except av.error.PatchWelcomeError as error:  # such as Vorbis streams of two rates, joined
        raise UnsupportedFileError("FFmpeg cannot decode this variant yet") from error
    except av.error.MemoryError as error:
        raise MemoryError("FFmpeg") from error
    except (av.error.FFmpegError, EOFError) as error:
        source.tell_of_the_disk()
        raise AudioError(f"damaged: {_reason(error)}", hint="Get the file again.") from error


def _reason(error: BaseException) -> str:
    message = getattr(error, "strerror", None) or str(error)
    return f"FFmpeg says: {message[:1].lower()}{message[1:200]}"
