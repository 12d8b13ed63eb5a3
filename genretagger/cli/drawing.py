"""Draws a network's input and the genres over time; needs matplotlib (the extra `report`).

The same timeline gives the same bytes with the same matplotlib.

Contents: `draw`, `Theme`, `see_matplotlib`.
"""

from __future__ import annotations

import importlib.util
import io
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from genretagger.errors import ConfigError
from genretagger.text import clock, printable

if TYPE_CHECKING:
    from genretagger.types import Timeline

_INCHES, _DPI = (10.0, 6.4), 100
_LINES = 5
"""Genres that get a line."""
_LEAST_SEEN = 0.02
"""A genre gets no line if its score is never above this."""
_HERTZ = (125, 250, 500, 1000, 2000, 4000, 8000)
_PLAIN_HERTZ = range(0, 9000, 1000)
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
_MOST_TICKS = 12


class Theme(StrEnum):
    """What a picture is shown on."""

    LIGHT = "light"
    DARK = "dark"


_COLOURS = {Theme.LIGHT: ("#ffffff", "#1f2328", "#d0d7de"), Theme.DARK: ("#0d1117", "#e6edf3", "#30363d")}
"""Background, text, grid."""
_PALETTE = {
    Theme.LIGHT: ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7f6000"),
    Theme.DARK: ("#56b4e9", "#ff9e4a", "#2ecc9b", "#f0a6cf", "#f0e442"),
}
"""Colours that colour-blind people can tell apart (after Okabe and Ito)."""


def see_matplotlib() -> None:
    """Check that pictures can be drawn, before minutes of work.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError(
            "pictures need matplotlib, which is not installed",
            hint="Install it: pip install 'genretagger[report]' (in a clone: pip install '.[report]')",
        )


def draw(timeline: Timeline, title: str, *, kind: str, theme: Theme, mel: bool = True) -> bytes:
    """Draw a track: how loud each band is over time, and below it the genres.

    Args:
        timeline: of the track.
        title: of the picture.
        kind: "png" or "svg".
        theme: what it is shown on.
        mel: whether the bands are mel bands; else they are the frequencies of the Fourier
            transform.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    ground, ink, grid = _COLOURS[theme]
    style: dict[Any, Any] = {
        "font.size": 11, "axes.edgecolor": grid, "axes.labelcolor": ink, "xtick.color": ink, "ytick.color": ink,
        "text.color": ink, "axes.facecolor": ground, "figure.facecolor": ground, "savefig.facecolor": ground,
        "svg.hashsalt": "genretagger", "svg.fonttype": "path",
    }  # fmt: skip
    with mpl.rc_context(style):
        figure = Figure(figsize=_INCHES, layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        above.set_title(_drawable(title), loc="left", fontweight="bold")
        _spectrogram(figure, above, timeline, mel=mel)
        _genres(below, timeline, theme)
        _seconds(below, timeline.picture.length_s)
        content = io.BytesIO()
        metadata: dict[str, str | None] = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
        figure.savefig(content, format=kind, dpi=_DPI, metadata=metadata)
    return content.getvalue()


def _spectrogram(figure: Any, axes: Any, timeline: Timeline, *, mel: bool) -> None:
    import numpy as np

    picture = timeline.picture
    bands, columns = picture.levels_db.shape
    image = axes.imshow(
        picture.levels_db,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=-80,
        vmax=0,
        extent=(0, columns * picture.column_s, -0.5, bands - 0.5),
        interpolation="nearest",
    )
    hertz = [hz for hz in (_HERTZ if mel else _PLAIN_HERTZ) if picture.bands_hz[0] <= hz <= 1.06 * picture.bands_hz[-1]]
    places = np.interp(hertz, picture.bands_hz, np.arange(bands))
    axes.set_yticks(places, [f"{hz // 1000} kHz" if hz >= 1000 else f"{hz} Hz" for hz in hertz])
    axes.set_ylabel("mel bands" if mel else "frequency")
    bar = figure.colorbar(image, ax=axes, pad=0.01)
    bar.set_label("dB below the loudest")
    bar.outline.set_visible(False)


def _genres(axes: Any, timeline: Timeline, theme: Theme) -> None:
    import numpy as np

    centres = timeline.seconds + timeline.window_s / 2
    scores = np.where(timeline.heard[:, None], timeline.scores, np.nan)  # silence is a gap, and no score of 0
    seen = [place for place in range(len(timeline.genres)) if timeline.scores[:, place].max(initial=0.0) > _LEAST_SEEN]
    for place, colour in zip(seen[:_LINES], _PALETTE[theme], strict=False):
        name = _drawable(timeline.genres[place])
        axes.plot(centres, scores[:, place], color=colour, label=name, linewidth=1.8, marker="o", markersize=2.5)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("score")
    axes.grid(True, color=_COLOURS[theme][2], linewidth=0.6)
    axes.axhline(0.5, color=_COLOURS[theme][1], linewidth=0.8, linestyle=(0, (4, 3)))
    if seen:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), frameon=False, ncols=_LINES, borderaxespad=0.2)
    else:
        axes.text(0.5, 0.3, "no genre was heard", transform=axes.transAxes, ha="center")


def _seconds(axes: Any, length_s: float) -> None:
    step = next((each for each in _STEPS_S if length_s / each <= _MOST_TICKS), 2 * _STEPS_S[-1])
    ticks = range(0, int(length_s) + 1, step)
    axes.set_xticks(list(ticks), [clock(each) for each in ticks])
    axes.set_xlim(0, length_s)
    axes.set_xlabel("minutes and seconds")


def _drawable(text: str) -> str:
    """Text that matplotlib can draw and does not read as a formula: Latin, Greek and Cyrillic."""
    shown = "".join(mark if ord(mark) < 0x2E80 else "?" for mark in printable(text))
    return shown.replace("$", r"\$")
