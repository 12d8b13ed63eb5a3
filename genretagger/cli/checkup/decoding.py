"""Checks of what touches media files: FFmpeg's decoders, and the child process that they run in."""

from __future__ import annotations

import array
import contextlib
import math
import os
import tempfile
import time
import wave
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from genretagger.cli.checkup.finding import Finding, bad, ok, warn
from genretagger.config import Settings
from genretagger.errors import FileError

DECODERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "MP3": ("mp3float", "mp3"),
        "FLAC": ("flac",),
        "Vorbis": ("vorbis", "libvorbis"),
        "Opus": ("opus", "libopus"),
        "AAC": ("aac",),
        "ALAC": ("alac",),
        "WMA": ("wmav2",),
        "Monkey's Audio": ("ape",),
        "WavPack": ("wavpack",),
        "Musepack SV7": ("mpc7",),
        "Musepack SV8": ("mpc8",),
    }
)
"""What people's files hold, and FFmpeg's decoders for it, any of which will do."""

_COMMON = {"MP3", "FLAC", "Vorbis", "Opus", "AAC"}
_RATE_HZ = 8000
_REINSTALL = "Install PyAV from its wheel, which brings FFmpeg: pip install --force-reinstall --only-binary av av"


def decoders(_settings: Settings, _paths: Sequence[Path]) -> Iterator[Finding]:
    """Can everything be decoded?"""
    try:
        import av
        from av.codec.codec import UnknownCodecError
    except ImportError as error:
        yield bad("decoders", f"PyAV cannot be loaded: {error}", _REINSTALL)
        return

    def has(codec: str) -> bool:
        try:
            return av.Codec(codec, "r").is_decoder
        except UnknownCodecError:
            return False

    missing = [name for name, codecs in DECODERS.items() if not any(map(has, codecs))]
    version = f"PyAV {av.__version__}"
    if missing:
        report = bad if _COMMON.intersection(missing) else warn
        yield report("decoders", f"{version} cannot decode {', '.join(missing)}", _REINSTALL)
    else:
        yield ok("decoders", f"{version} decodes {', '.join(DECODERS)}")


def child_process(settings: Settings, _paths: Sequence[Path]) -> Iterator[Finding]:
    """Does a child process start, and read and decode a file within its limits?"""
    from genretagger.model.front_ends import FRONT_ENDS
    from genretagger.worker.pool import WorkerPool

    kind = FRONT_ENDS["musicnn"]
    with _sample() as sample:
        started = time.monotonic()
        try:
            with WorkerPool.of(settings, 1) as workers:
                workers.inspect(sample).result()
                workers.decode(
                    sample,
                    count=1,
                    window_s=kind.window_s,
                    rate_hz=kind.rate_hz,
                    window_samples=kind.window_samples,
                    margin_samples=kind.margin_samples,
                ).result()
        except FileError as error:
            fix = f"{error.hint}. " if error.hint else ""
            yield bad("child process", error.cause, f"{fix}Raise memory_limit_mb if it is low; free some memory")
            return
    seconds = time.monotonic() - started
    yield ok(
        "child process",
        f"reads and decodes a file in {seconds:.1f} s, start included, "
        f"with at most {settings.memory_limit_mb:,} MB and {settings.time_limit_s:g} s",
    )


@contextlib.contextmanager
def _sample() -> Iterator[Path]:
    """Four seconds of a tone, in memory if possible: there may be no room for temporary files."""
    tone = array.array("h", (int(8000 * math.sin(step / 4)) for step in range(_RATE_HZ * 4)))
    with contextlib.ExitStack() as cleaning:
        if hasattr(os, "memfd_create"):
            file: BinaryIO = cleaning.enter_context(os.fdopen(os.memfd_create("genretagger"), "w+b"))
            path = Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")
        else:
            folder = cleaning.enter_context(tempfile.TemporaryDirectory(prefix="genretagger-"))
            path = Path(folder) / "tone.wav"
            file = cleaning.enter_context(path.open("w+b"))
        with wave.open(file, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(_RATE_HZ)
            sound.writeframes(tone.tobytes())
        file.flush()
        yield path
