"""Shared by the tests of decoding: a signal that tells the time, and the default model's calls."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
import numpy.typing as npt
from audio_factory import FORMATS, make

from genretagger.audio import listen
from genretagger.audio.windows import spread
from genretagger.files.kinds import Kind, kind_of
from genretagger.types import Sound, Window

RATE_HZ = 16000
WINDOW_S = 187 * 256 / RATE_HZ
MARGIN_SAMPLES = 256
WINDOW_SAMPLES = 186 * 256 + 512
SHARED = Path(__file__).resolve().parents[1] / "../shared"


def clock(seconds: float, rate_hz: int = 44100) -> npt.NDArray[np.float32]:
    """A tone for each second; noise makes every moment different, and only it differs by rate."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    tones = 0.3 * np.sin(2 * np.pi * (200 + 50 * (time.astype(int) % 60)) * time)
    noise = np.random.default_rng(1).standard_normal(len(time))
    return (tones + 0.15 * noise).astype(np.float32)


def by_librosa(path: Path) -> npt.NDArray[np.float32]:
    """The whole track as librosa loads it for the model."""
    import librosa

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its audioread imports modules that Python 3.13 drops
        samples, _ = librosa.load(path, sr=RATE_HZ)
    return np.asarray(samples, np.float32)


def kind(file: BinaryIO) -> Kind:
    found = kind_of(file)
    assert found is not None
    return found


def opened(source: Path | bytes) -> BinaryIO:
    """A file to read, from a path or from bytes."""
    return io.BytesIO(source if isinstance(source, bytes) else source.read_bytes())


def decode(source: Path | bytes, count: int | None = 16, window_s: float = WINDOW_S) -> Sound:
    """Decode as the default model asks for it."""
    file = opened(source)
    windows_of: Callable[[float], tuple[Window, ...]] = partial(spread, window_s=window_s, count=count)
    return listen.decode(
        file,
        kind(file),
        windows_of=windows_of,
        rate_hz=RATE_HZ,
        window_samples=WINDOW_SAMPLES,
        margin_samples=MARGIN_SAMPLES,
    )


def duration(source: Path | bytes) -> float | None:
    file = opened(source)
    return listen.duration(file, kind(file))


def sample(source: Path | bytes) -> bytes:
    file = opened(source)
    return listen.sample(file, kind(file))


def track(library: Path, name: str) -> Path:
    """Forty seconds of the clock in a container, made when it is first asked for."""
    path = library / f"{name}{FORMATS[name][2]}"
    if not path.exists():
        make(path, name, samples=clock(40, 48000 if name == "opus" else 44100))
    return path


def encode(
    path: Path, muxer: str, codec: str, samples: npt.NDArray[np.float32], options: dict[str, str], streams: int = 1
) -> None:
    with av.open(str(path), "w", format=muxer, options=options) as output:
        targets: list[Any] = [output.add_stream(codec, rate=44100) for _ in range(streams)]
        for stream in targets:
            stream.layout = "mono"
        for stream in targets:
            frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout="mono")
            frame.sample_rate = 44100
            for part in av.AudioResampler("fltp", "mono", 44100, frame_size=1024).resample(frame):
                output.mux(stream.encode(part))
            output.mux(stream.encode(None))
