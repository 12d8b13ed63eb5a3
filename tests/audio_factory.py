"""Real audio files of every container, made by the test: short tones from FFmpeg and libsndfile.

    make(tmp_path / "song.mp3", "mp3", genre="Rock")
    make(tmp_path / "song.flac", "flac", samples=noise)

Tags are written by mutagen, so that what our code reads was written by another. `decode` gives the
samples back.
"""

from __future__ import annotations

import importlib
import io
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
import numpy.typing as npt
import soundfile

from genretagger.audio.pyav import open_input
from genretagger.files.kinds import kind_of

FORMATS: dict[str, tuple[str, str, str]] = {
    "mp3": ("mp3", "libmp3lame", ".mp3"),
    "flac": ("flac", "flac", ".flac"),
    "ogg": ("", "", ".ogg"),
    "opus": ("ogg", "libopus", ".opus"),
    "oggflac": ("ogg", "flac", ".oga"),
    "mp4": ("ipod", "aac", ".m4a"),
    "alac": ("ipod", "alac", ".m4a"),
    "wav": ("wav", "pcm_s16le", ".wav"),
    "aiff": ("aiff", "pcm_s16be", ".aiff"),
    "asf": ("asf", "wmav2", ".wma"),
    "wavpack": ("wv", "wavpack", ".wv"),
    "tta": ("tta", "tta", ".tta"),
    "aac": ("adts", "aac", ".aac"),
    "ac3": ("ac3", "ac3", ".ac3"),
    "eac3": ("eac3", "eac3", ".eac3"),
    "caf": ("caf", "pcm_s16le", ".caf"),
}
"""What `make` can make: FFmpeg's muxer, encoder, usual extension. libsndfile makes Ogg Vorbis."""

_BLOCK_FRAMES = 4096
_ID3_READERS = {"wav": "wave", "aiff": "aiff", "dsf": "dsf"}
"""Modules of mutagen for containers with ID3v2 inside; their classes are the same in capitals."""


def tone(seconds: float, rate_hz: int = 44100, pitch_hz: float = 440.0) -> npt.NDArray[np.float32]:
    """A tone with some overtones and noise, (samples,) float32; the same for the same arguments."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    waves = sum(np.sin(2 * np.pi * pitch_hz * part * time) / part for part in (1, 2, 3, 5))
    noise = np.random.default_rng(0).standard_normal(len(time))
    return (0.2 * np.asarray(waves) + 0.01 * noise).astype(np.float32)


def make(
    path: Path,
    kind: str,
    seconds: float = 4.0,
    genre: str | Sequence[str] | None = None,
    *,
    title: str | None = "A title",
    artist: str | None = "An artist",
    samples: npt.NDArray[np.float32] | None = None,
    rate_hz: int = 44100,
    id3_version: int = 4,
) -> Path:
    """Make a mono file.

    Args:
        path: where; the extension is free.
        kind: a key of `FORMATS`.
        seconds: length, where no samples are given.
        genre: one or several; without genre, title and artist the file has no tag at all.
        title: for the tag.
        artist: for the tag.
        samples: (samples,) float32, -1 to 1, to encode instead of a tone.
        rate_hz: sample rate; Opus is always 48000.
        id3_version: 3 or 4, for MP3, WAV and AIFF.

    Returns:
        The path.
    """
    rate_hz = 48000 if kind == "opus" else rate_hz
    sound = tone(seconds, rate_hz) if samples is None else samples
    if kind == "ogg":
        with soundfile.SoundFile(path, "w", rate_hz, 1, format="OGG", subtype="VORBIS") as file:
            for start in range(0, len(sound), _BLOCK_FRAMES):  # at once, 4 minutes overflow libsndfile's stack
                file.write(sound[start : start + _BLOCK_FRAMES])
    else:
        _encode(path, kind, sound, rate_hz)
    genres: list[str] = [genre] if isinstance(genre, str) else list(genre or ())
    if genres or title or artist:
        _tag(path, kind, genres, title, artist, id3_version)
    return path


def _encode(path: Path, kind: str, sound: npt.NDArray[np.float32], rate_hz: int) -> None:
    muxer, codec, _ = FORMATS[kind]
    options = {"id3v2_version": "0", "write_xing": "1"} if kind == "mp3" else {}
    with av.open(str(path), "w", format=muxer, options=options) as output:
        stream: Any = output.add_stream(codec, rate=rate_hz)
        stream.layout = "mono"
        if codec == "wmav2":
            stream.bit_rate = 128_000  # it refuses its own default for one channel
        wanted = stream.codec_context.format
        target = wanted.name if wanted is not None else "s16"
        resampler = av.AudioResampler(format=target, layout="mono", rate=rate_hz)
        for start in range(0, len(sound), _BLOCK_FRAMES):
            block = np.ascontiguousarray(sound[start : start + _BLOCK_FRAMES].reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(block, format="flt", layout="mono")
            frame.sample_rate, frame.pts = rate_hz, start
            for ready in resampler.resample(frame):
                output.mux(stream.encode(ready))
        for ready in resampler.resample(None):
            output.mux(stream.encode(ready))
        output.mux(stream.encode(None))


def make_dsf(
    path: Path,
    seconds: float = 1.0,
    genre: Sequence[str] = (),
    *,
    title: str | None = "A title",
    artist: str | None = "An artist",
    id3_version: int = 4,
) -> Path:
    """Make a mono DSF file, as FFmpeg cannot. One-bit audio is large, so it is not in `FORMATS`.

    Args and returns: as `make`.
    """
    rate_hz, block = 2822400, 4096
    wave = np.repeat(0.5 * tone(seconds, 44100).astype(np.float64) + 0.5, rate_hz // 44100)
    bits = np.diff(np.floor(np.cumsum(wave)), prepend=0.0).clip(0, 1).astype(np.uint8)  # sigma-delta of first order
    samples = np.packbits(bits, bitorder="little").tobytes()
    samples += bytes(-len(samples) % block)
    form = struct.pack("<4sQIIIIIIQII", b"fmt ", 52, 1, 0, 1, 1, rate_hz, 1, len(bits), block, 0)
    data = struct.pack("<4sQ", b"data", 12 + len(samples)) + samples
    path.write_bytes(struct.pack("<4sQQQ", b"DSD ", 28, 28 + len(form) + len(data), 0) + form + data)
    if genre or title or artist:
        _tag(path, "dsf", list(genre), title, artist, id3_version)
    return path


def _module(name: str) -> Any:
    return importlib.import_module(f"mutagen.{name}")


def _tag(path: Path, kind: str, genres: list[str], title: str | None, artist: str | None, id3_version: int) -> None:
    if kind in ("mp3", *_ID3_READERS):
        id3 = _module("id3")
        if kind == "mp3":
            tags = id3.ID3()
        else:
            tagged: Any = getattr(_module(_ID3_READERS[kind]), _ID3_READERS[kind].upper())(path)
            tagged.add_tags()
            tags = tagged.tags
        for frame, texts in (("TIT2", [title]), ("TPE1", [artist]), ("TCON", genres)):
            if texts and texts[0]:
                tags.add(getattr(id3, frame)(encoding=3 if id3_version == 4 else 1, text=texts))
        tags.save(path, v2_version=id3_version, v23_sep="; ", padding=lambda _: 64)
        return
    readers = {
        "flac": ("flac", "FLAC"),
        "ogg": ("oggvorbis", "OggVorbis"),
        "opus": ("oggopus", "OggOpus"),
        "oggflac": ("oggflac", "OggFLAC"),
        "mp4": ("mp4", "MP4"),
        "alac": ("mp4", "MP4"),
        "wavpack": ("wavpack", "WavPack"),
        "asf": ("asf", "ASF"),
    }
    if kind not in readers:
        return
    module, reader = readers[kind]
    file: Any = getattr(_module(module), reader)(path)
    if file.tags is None:
        file.add_tags()
    names = {"mp4": ("\xa9nam", "\xa9ART", "\xa9gen"), "asf": ("Title", "Author", "WM/Genre")}.get(
        module, ("title", "artist", "genre")
    )
    fields: tuple[list[Any], ...] = ([title], [artist], genres)
    for name, values in zip(names, fields, strict=True):
        if any(values):
            file.tags[name] = values
    file.save()


def decode(path: Path | BinaryIO) -> bytes:
    """All samples of a file as its decoder gives them; the demuxer is that of the file's kind."""
    data = path.read_bytes() if isinstance(path, Path) else path.read()
    kind = kind_of(io.BytesIO(data))
    if kind is None:
        raise ValueError("no audio")
    parts: list[bytes] = []
    with open_input(io.BytesIO(data), kind.demuxer) as container:
        for packet in container.demux(audio=0):
            try:
                parts.extend(frame.to_ndarray().tobytes() for frame in packet.decode())
            except av.error.InvalidDataError:  # an APEv2 tag at the end reaches the MP3 decoder as a packet
                parts.append(b"refused")
    return b"".join(parts)


def metadata(path: Path) -> dict[str, str]:
    """The tags as FFmpeg sees them, keys in lower case."""
    kind = kind_of(io.BytesIO(path.read_bytes()))
    if kind is None:
        raise ValueError("no audio")
    with open_input(str(path), kind.demuxer) as container:
        found = {**container.metadata, **container.streams.audio[0].metadata}
    return {key.lower(): value for key, value in found.items()}
