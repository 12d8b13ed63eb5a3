"""Checks of what touches media files: FFmpeg's decoders, and the child process that they run in."""

from __future__ import annotations

import tempfile
import time
import wave
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from genretagger.checkup.finding import Finding, bad, ok, warn
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
_REINSTALL = "Install PyAV from its wheel, which brings FFmpeg: pip install --force-reinstall --only-binary av av"


def decoders(settings: Settings, paths: Sequence[Path]) -> Iterator[Finding]:
    """Can everything be decoded?"""
    del settings, paths
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


def child_process(settings: Settings, paths: Sequence[Path]) -> Iterator[Finding]:
    """Does a child process start and read a file within its limits?"""
    del paths
    from genretagger.worker.pool import Limits, WorkerPool

    limits = Limits(memory_mb=settings.memory_limit_mb, time_s=settings.time_limit_s)
    with tempfile.TemporaryDirectory(prefix="genretagger-") as folder:
        sample = Path(folder) / "silence.wav"
        with wave.open(str(sample), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(bytes(16000))
        started = time.monotonic()
        try:
            with WorkerPool(1, limits) as workers:
                workers.inspect(sample).result()
        except FileError as error:
            mend = f"{error.hint}. " if error.hint else ""
            yield bad("child process", error.cause, f"{mend}Raise memory_limit_mb if it is low; free some memory")
            return
    seconds = time.monotonic() - started
    yield ok(
        "child process",
        f"reads a file in {seconds:.1f} s, start included, "
        f"with at most {settings.memory_limit_mb:,} MB and {settings.time_limit_s:g} s",
    )
