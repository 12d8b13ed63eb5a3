"""A track as a browser can play it: FLAC, two channels at most, 16 bits, 48 kHz at most.

For containers that browsers do not know (WMA, Monkey's Audio, Musepack, DSF, AIFF …) and for ALAC.
FLAC, because every browser plays it and it can be searched; nothing is lost that 16 bits hold. The
whole track goes to a file, so that every part of it can be asked for at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import av
import av.error

from genretagger.audio.pyav import open_input
from genretagger.audio.source import Source
from genretagger.errors import AudioError, UnsupportedFileError
from genretagger.files.kinds import Kind

_MOST_HZ = 48_000
_RATES = (8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


def codec_of(file: BinaryIO, kind: Kind) -> str:
    """FFmpeg's name of the codec, "" if there is no audio; the position is moved.

    Raises:
        AccessError: the file cannot be read.
    """
    source = Source(file)
    try:
        with open_input(source, kind.demuxer, {"protocol_whitelist": "none"}) as container:
            stream = container.streams.best("audio")
            context = None if stream is None else stream.codec_context
            return "" if context is None else str(context.name)
    except (av.error.FFmpegError, ValueError):
        source.tell_of_the_disk()
        return ""


def transcode(file: BinaryIO, kind: Kind, target: Path, *, most_bytes: int) -> None:
    """Write a track as FLAC.

    Args:
        file: open for reading.
        kind: what it is.
        target: where to write; what is there is replaced.
        most_bytes: the largest file that may come of it.

    Raises:
        AudioError: there is no audio in it, it is damaged, or it would become too large.
        UnsupportedFileError: this FFmpeg has no decoder for it.
        AccessError: the file cannot be read.
    """
    source = Source(file)
    try:
        with (
            open_input(source, kind.demuxer, {"protocol_whitelist": "none"}) as container,
            av.open(str(target), "w", format="flac") as output,
        ):
            stream: Any = container.streams.best("audio")  # PyAV does not say of which kind it is
            if stream is None:
                raise AudioError("there is no audio in it")
            if stream.codec_context is None:
                raise UnsupportedFileError("it cannot be decoded", hint="This FFmpeg has no decoder for what it holds.")
            stream.codec_context.thread_count = 1
            rate = min((each for each in _RATES if each >= min(stream.rate or _MOST_HZ, _MOST_HZ)), default=_MOST_HZ)
            layout = "mono" if stream.channels == 1 else "stereo"
            sink = output.add_stream("flac", rate=rate, layout=layout)
            sink.codec_context.format = "s16"
            resampler = av.AudioResampler(format="s16", layout=layout, rate=rate)
            written = 0
            for frame in _resampled(container.demux(stream), resampler):
                for coded in sink.encode(frame):
                    written += coded.size
                    output.mux(coded)
                if written > most_bytes:
                    raise AudioError("it is too long to be played here")
            if not written:
                raise AudioError("there is no audio in it, or none of it can be decoded")
    except av.error.FFmpegError as error:
        source.tell_of_the_disk()
        raise AudioError(f"it cannot be decoded: {error.strerror or error}") from error
    source.tell_of_the_disk()


def _resampled(packets: Iterable[Any], resampler: av.AudioResampler) -> Iterator[av.AudioFrame | None]:
    """The frames of packets, and at last None, with which an encoder gives what it holds back."""
    for packet in packets:
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            continue  # a gap that a listener hears, and no reason to give nothing
        for frame in frames:
            frame.pts = None
            yield from resampler.resample(frame)
    yield from (*resampler.resample(None), None)
