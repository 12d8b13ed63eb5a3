"""The messages between parent and child, as JSON and raw samples; `wire` sends them.

A front end travels with its filter bank, as data, so that a child needs neither librosa nor the
models folder.

    parent → child   {"id", "op", …}
    child → parent   {"begun": id}                    the file is about to be opened
    child → parent   {"id", "retire", "result": …}    + samples, for `decode`; frames, for `hear`
                                                        and `trace`
    child → parent   {"id", "retire", "error": {…}}

The parent checks every value of an answer (`strict.read`), and raises `ProtocolError` if one is
wrong. The child trusts its parent, and never loads pydantic. Paths travel as base64 of their bytes;
bytes of other texts that are not UTF-8 survive as JSON's escaped surrogates.
"""

from __future__ import annotations

import base64
import json
import math
import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from genretagger.audio.mel import Ear, FilterBank, FrontEnd, bands_hz, frequencies
from genretagger.audio.windows import Traced
from genretagger.errors import FILE_ERRORS, FileError, WorkerError
from genretagger.files.objects import Fetched
from genretagger.strict import UnfitError, read
from genretagger.tags.api import Change, NewGenres, OldGenres
from genretagger.types import Credits, FloatArray, Frames, Json, Picture, Sound, TagChange, Trace, Track, Window
from genretagger.worker.wire import Buffer, ProtocolError

T = TypeVar("T")


def path_to_json(path: Path) -> str:
    """A path, whatever bytes it holds."""
    return base64.b64encode(os.fsencode(path)).decode("ascii")


def path_from_json(value: Json) -> Path:
    """A path from JSON. The child trusts what its parent sent and does not check it."""
    return Path(os.fsdecode(base64.b64decode(value)))


def checked(kind: Callable[..., T], value: Json) -> T:
    """What the child answered, checked."""
    try:
        return read(kind, value, exact=True)
    except UnfitError as error:
        raise ProtocolError(str(error)) from error


def without_path(found: Track | TagChange) -> Json:
    """What is known of a file, or what was written, without the path, which the parent knows."""
    fields = asdict(found)
    del fields["path"]
    return fields


def track_from_json(value: Json, path: Path) -> Track:
    """A track, from what `without_path` gave.

    Raises:
        ProtocolError: a value in it is invalid.
    """
    track = checked(Track, {**_object(value), "path": path})
    if track.duration_s is not None and not 0 <= track.duration_s < math.inf:
        raise ProtocolError("an impossible duration")
    return track


def credits_from_json(value: Json) -> Credits:
    """Credits, from their `asdict`.

    Raises:
        ProtocolError: a value in it is invalid.
    """
    return checked(Credits, value)


def tag_change_from_json(value: Json, path: Path) -> TagChange:
    """What was written, from what `without_path` gave.

    Raises:
        ProtocolError: a value in it is invalid.
    """
    return checked(TagChange, {**_object(value), "path": path})


def _object(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise ProtocolError("not a JSON object")
    return value


def fetched_from_json(value: Json) -> Fetched:
    """What a child has read of objects.

    Raises:
        ProtocolError: a value in it is invalid.
    """
    if value is None:
        return Fetched()
    fetched = checked(Fetched, value)
    if fetched.bytes < 0 or fetched.requests < 0:
        raise ProtocolError("impossible numbers")
    return fetched


@dataclass(frozen=True, slots=True)
class _FramesHeader:
    """The windows that the frames come from."""

    windows: list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class _SoundHeader:
    """The windows and their rate."""

    rate_hz: int
    windows: list[tuple[float, float]]


def sound_to_json(sound: Sound) -> Json:
    """The windows; the samples are the body of the frame."""
    return {"rate_hz": sound.rate_hz, "windows": [[window.start_s, window.duration_s] for window in sound.windows]}


def sound_from_json(value: Json, body: bytearray, *, rate_hz: int, window_samples: int) -> Sound:
    """The reverse.

    Args:
        value: the header's part.
        body: the samples.
        rate_hz: the rate that was asked for.
        window_samples: the length of a window that was asked for.

    Raises:
        ProtocolError: it is not what was asked for, or holds no finite numbers.
    """
    import numpy as np

    heard = checked(_SoundHeader, value)
    windows = _windows(heard.windows)
    if heard.rate_hz != rate_hz or len(body) != 4 * window_samples * len(windows):
        raise ProtocolError("it sent samples that were not requested")
    samples: FloatArray = np.frombuffer(body, np.float32).reshape(len(windows), window_samples)
    _see_finite(samples)
    return Sound(samples, rate_hz, windows)


def _windows(pairs: Sequence[tuple[float, float]]) -> tuple[Window, ...]:
    if not all(0 <= time_s < math.inf for pair in pairs for time_s in pair):
        raise ProtocolError("an invalid window")
    return tuple(Window(*pair) for pair in pairs)


def _see_finite(values: FloatArray) -> None:
    import numpy as np

    # a sum is finite only if all are, and needs no second array
    if not np.isfinite(values.sum(dtype=np.float64)):
        raise ProtocolError("values that are not numbers")


def ears_to_text(ears: Sequence[Ear]) -> str:
    """A model's front ends as text: 10 kB each, since a filter bank is mostly zeros."""
    packed_ears = []
    for ear in ears:
        front_end = asdict(ear.front_end)
        del front_end["variants"]  # the child needs only the one that was chosen
        bank = {name: _packed(getattr(ear.bank, name).tobytes()) for name in ("window", "filters")}
        packed_ears.append({"front_end": front_end, **bank})
    return json.dumps(packed_ears)


@lru_cache(maxsize=4)
def ears_from_text(text: str) -> tuple[Ear, ...]:
    """Front ends from `ears_to_text`, in the child, which trusts its parent."""
    import numpy as np

    ears = []
    for each in json.loads(text):
        front_end = FrontEnd(**each["front_end"])
        window = np.frombuffer(_unpacked(each["window"]), np.float64)
        filters = np.frombuffer(_unpacked(each["filters"]), np.float32).reshape(front_end.mels, -1)
        ears.append(Ear(front_end, FilterBank(window, filters)))
    return tuple(ears)


def _packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode("ascii")


def _unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def frames_to_json(windows: Sequence[Window]) -> Json:
    """The windows; the values of the frames are the body of the frame."""
    return {"windows": [[window.start_s, window.duration_s] for window in windows]}


def frames_from_json(value: Json, body: bytearray, *, shapes: Sequence[tuple[int, ...]]) -> Frames:
    """The reverse.

    Args:
        value: the header's part.
        body: for each window the values of one ear after the other.
        shapes: what each ear gives of a window.

    Raises:
        ProtocolError: it is not what was asked for, or holds no finite numbers.
    """
    return _frames(_windows(checked(_FramesHeader, value).windows), body, shapes)


def _frames(windows: Sequence[Window], body: Buffer, shapes: Sequence[tuple[int, ...]]) -> Frames:
    import numpy as np

    sizes = [math.prod(shape) for shape in shapes]
    if len(body) != 4 * sum(sizes) * len(windows):
        raise ProtocolError("frames that were not requested")
    rows: FloatArray = np.frombuffer(body, np.float32).reshape(len(windows), sum(sizes))
    _see_finite(rows)
    parts, before = [], 0
    for shape, size in zip(shapes, sizes, strict=True):
        parts.append(rows[:, before : before + size].reshape(len(windows), *shape))
        before += size
    return Frames(tuple(windows), tuple(parts))


def trace_from_json(value: Json, body: bytearray, *, ears: Sequence[Ear], most_columns: int, fourier: bool) -> Trace:
    """What the child traced.

    Args:
        value: the header's part.
        body: as `audio.trace.trace` gives it.
        ears: that were asked for.
        most_columns: that were asked for.
        fourier: as it was asked for.

    Raises:
        ProtocolError: it is not what was asked for, or holds no finite numbers.
    """
    import numpy as np

    found = checked(Traced, value)
    shown = frequencies(ears[0]) if fourier else ears[0]
    width = shown.front_end.mels + 2
    numbers_fit = all(low < high for low, high in pairwise([-1, *found.kept, len(found.starts_s)]))
    if not numbers_fit or not 0 < found.columns <= most_columns or len(body) < 4 * most_columns * width:
        raise ProtocolError("a trace that was not requested")
    if not all(0 < each < math.inf for each in (found.column_s, found.length_s)):
        raise ProtocolError("an impossible length")
    columns = np.frombuffer(body, np.float32, count=most_columns * width).reshape(most_columns, width)[: found.columns]
    _see_finite(columns)
    windows = _windows([(start_s, ears[0].front_end.window_s) for start_s in found.starts_s])
    shapes = [ear.front_end.shape for ear in ears]
    frames = _frames([windows[number] for number in found.kept], memoryview(body)[4 * most_columns * width :], shapes)
    picture = Picture(
        _decibels(columns[:, :-2].T), bands_hz(shown), columns[:, -2:].copy(), found.column_s, found.length_s
    )
    return Trace(windows, frames, picture)


_DYNAMIC_DB = 80.0


def _decibels(power: FloatArray) -> FloatArray:
    import numpy as np

    loudest = max(float(power.max(initial=0.0)), 1e-12)
    levels = 10 * np.log10(np.maximum(power.astype(np.float64), 1e-30) / loudest)
    clipped: FloatArray = np.clip(levels, -_DYNAMIC_DB, 0.0).astype(np.float32)
    return clipped


def change_to_json(change: Change) -> Json:
    """A change of tags as JSON."""
    return {"raw": change.raw} if isinstance(change, OldGenres) else {"values": list(change.values)}


def change_from_json(value: Json) -> Change:
    """The reverse."""
    return NewGenres(tuple(value["values"])) if "values" in value else OldGenres(value["raw"])


def error_to_json(error: FileError) -> Json:
    """An error by the name of its class."""
    return {"name": type(error).__name__, "cause": error.cause, "hint": error.hint}


def error_from_json(value: Json, path: Path) -> FileError:
    """An error from `error_to_json`; an unknown class becomes a `WorkerError`.

    Raises:
        ProtocolError: a value in it is invalid.
    """
    error = checked(_Error, value)
    return FILE_ERRORS.get(error.name, WorkerError)(error.cause, path=path, hint=error.hint)


@dataclass(frozen=True, slots=True)
class _Error:
    """An error by the name of its class."""

    name: str
    cause: str
    hint: str
