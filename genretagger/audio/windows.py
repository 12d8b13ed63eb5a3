"""Chooses the stretches of a track that the model infers from. Pure: no file is touched.

A genre needs only part of a track: 16 windows of 3 s agree with all of them on the top genre for 93
% of tracks and cost a fifth of the decoding. The track is cut into as many equal segments as there
are windows, and each window is in the middle of its segment, so that fades and silence at both
ends weigh little (16 windows in 4 minutes: the first one starts at 6 s) and the same duration
always gives the same windows.

Starts are whole milliseconds, which are whole samples at the rates that models use (8, 16, 32, 48
kHz). They also stay on the frame grid of a model: 187 frames of 256 samples at 16 kHz are 2992 ms,
so consecutive windows are exactly those of a reference that cuts the whole track.

Contents: `Traced`, `spread`, `stage_of`, `start_of`, `sampling_key`, `AUTO`, `LONGEST_LISTENING_S`,
`MOST_COLUMNS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from genretagger.types import Window

SAMPLING_VERSION = 1
"""Raise it if planning or decoding changes the model's input, so that stored results are not
reused.
"""

AUTO: Literal["auto"] = "auto"
"""Instead of a number of windows: first `FIRST`, then as many more until the decision is clear."""

FIRST, MOST = 8, 32
"""How many windows `AUTO` begins with, and how many it listens to at most."""

STAGES = 4
_BEGIN = (1, 3, 0, 2)
"""The first window of each stage."""

LONGEST_LISTENING_S = 3600.0
"""The most audio of one track, in seconds: 230 MB of samples at 16 kHz.

In longer mixes the same amount is spread over the whole length.
"""

MOST_COLUMNS = 4096
"""The most columns of a picture of a track."""


@dataclass(frozen=True, slots=True)
class Traced:
    """A whole track, decoded in one pass; see `trace`.

    Attributes:
        starts_s: where each window starts.
        kept: the numbers of the windows in which something happens, in order.
        columns: how many columns its picture has.
        column_s: seconds of a column.
        length_s: seconds of the track.
    """

    starts_s: list[float]
    kept: list[int]
    columns: int
    column_s: float
    length_s: float


def spread(duration_s: float, window_s: float, count: int | None) -> tuple[Window, ...]:
    """Choose the windows of a track.

    Args:
        duration_s: length of the track.
        window_s: length of a window.
        count: how many, spread evenly; None for all, consecutive from the start (a rest shorter
            than a window is left out, as in the original musicnn).

    Returns:
        In order, never overlapping, never past the end; fewer than `count` if the track has no room
        for them. A track shorter than a window has one window, of the track's length.

    Raises:
        ValueError: a length or the count is not positive.
    """
    if not (duration_s > 0 and window_s > 0) or (count is not None and count < 1):
        raise ValueError(f"no windows: {duration_s=}, {window_s=}, {count=}")
    duration_ms, window_ms = int(duration_s * 1000 + 1e-6), window_s * 1000
    room = int(duration_ms / window_ms + 1e-9)
    if room == 0:
        return (Window(0.0, duration_s),)
    most = max(1, int(LONGEST_LISTENING_S / window_s))
    if count is None and room <= most:
        starts_ms = [round(index * window_ms) for index in range(room)]
    else:
        chosen = min(room, most, most if count is None else count)
        segment_ms = duration_ms / chosen
        starts_ms = [int(index * segment_ms + (segment_ms - window_ms) / 2 + 1e-9) for index in range(chosen)]
    return tuple(Window(start_ms / 1000, window_s) for start_ms in starts_ms)


def start_of(number: int, window_s: float) -> float:
    """The start of a window, in seconds, if windows follow each other without gaps."""
    return round(number * (window_s * 1000)) / 1000


def stage_of(windows: tuple[Window, ...], stage: int | None) -> tuple[Window, ...]:
    """Choose those of the windows that are listened to in one of the stages of `auto`.

    Args:
        windows: all that may be listened to.
        stage: 0 to 3; None for all stages at once. Each takes every fourth window, so that what was
            heard is always spread over the track.

    Returns:
        In order. Of `FIRST` windows or fewer, each stage gives all.
    """
    if stage is None or len(windows) <= FIRST:
        return windows
    return windows[_BEGIN[stage] :: len(_BEGIN)]


def sampling_key(count: int | Literal["auto"] | None) -> str:
    """Name of a choice of windows, "spread-16.1" or "all.1"; results are stored under it."""
    name = "all" if count is None else count if count == AUTO else f"spread-{count}"
    return f"{name}.{SAMPLING_VERSION}"
