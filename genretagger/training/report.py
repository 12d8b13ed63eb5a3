"""A report that needs no genretagger: HTML with pictures, JSON, and a table of suspects.

Names come from the tags of unknown people, so everything is escaped. The pictures need matplotlib
(the extra `report`); without it the rest is written anyway.
"""

from __future__ import annotations

import contextlib
import csv
import html
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genretagger.errors import ConfigError
from genretagger.files.durable import saved
from genretagger.text import printable, quoted
from genretagger.training.measures import NOTHING, Measures
from genretagger.training.result import Suspect
from genretagger.types import Json

HTML, JSON, CSV = "index.html", "report.json", "mislabelled.csv"
_MOST_NAMES = 60
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 } th, td { padding: .2em .7em; text-align: right }
th:first-child, td:first-child { text-align: left } thead th { border-bottom: 1px solid #999 }
tr:nth-child(even) td:not(.hit, .miss) { background: #f5f5f5 }
td.hit { background: #d8efd8 } td.miss { background: #f6dcdc }
img { max-width: 100% } .aside { color: #666 }
"""


def write(folder: Path, title: str, summary: Json, measures: Measures | None, suspects: Sequence[Suspect]) -> list[str]:
    """Write a report.

    Args:
        folder: created if it is missing. Files of an earlier report are replaced.
        title: its heading.
        summary: the content of the JSON file.
        measures: shown in the report; None if nothing could be measured.
        suspects: tracks that look mislabelled.

    Returns:
        Notes for people: what is missing.

    Raises:
        ConfigError: the folder cannot be made.
        OutputError: a file in it cannot be written.
    """
    notes: list[str] = []
    pictures: dict[str, bytes] = {}
    if measures is not None:
        try:
            pictures = _pictures(measures)
        except ImportError:
            notes.append("the report has no pictures: they need matplotlib, the extra `report`")
    files = {
        **pictures,
        JSON: (json.dumps(summary, indent=2) + "\n").encode(),
        CSV: _table(suspects),
        HTML: _page(title, measures, suspects, list(pictures)).encode("utf-8", "backslashreplace"),
    }
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            with saved(folder / name, follow=False) as file:
                file.write(content)
    return notes


def see_writable(folder: Path) -> None:
    """Check that a report can be written, before an hour of decoding and inference.

    Raises:
        ConfigError: it cannot be written.
    """
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"the report cannot be written: {error.strerror or error}", path=folder, hint="Name another folder"
        ) from error


def _table(suspects: Sequence[Suspect]) -> bytes:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(("path", "genres", "score", "sounds_like", "sounds_like_score"))
    for each in suspects:
        own, other = quoted(";".join(each.example.genres)), quoted(each.other)
        table.writerow((quoted(os.fspath(each.example.path)), own, f"{each.own:.4f}", other, f"{each.score:.4f}"))
    return text.getvalue().encode("utf-8", "surrogateescape")


def _page(title: str, measures: Measures | None, suspects: Sequence[Suspect], pictures: Sequence[str]) -> str:
    parts = [f"<h1>{_text(title)}</h1>"]
    if measures is None:
        parts.append("<p>No tracks could be held out, so the quality of the model is not known.</p>")
    else:
        parts += _figures(measures, pictures)
    if suspects:
        rows = [
            (
                printable(each.example.path),
                ", ".join(each.example.genres),
                f"{each.own:.2f}",
                each.other,
                f"{each.score:.2f}",
            )
            for each in suspects
        ]
        parts.append("<h2>Tracks that may be mislabelled</h2>")
        parts.append(_rows(("track", "its genre", "score", "sounds like", "score"), rows))
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>'
        f"<style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def _figures(measures: Measures, pictures: Sequence[str]) -> list[str]:
    parts = [
        f"<p>{measures.tracks:,} tracks. {_share(measures.coverage)} of them get a genre, and "
        f"{_share(measures.right)} of those a right one. The best guess is right for {_share(measures.top1)}, one of "
        f"the best three for {_share(measures.top3)}. Calibration error: {measures.calibration_error:.3f}.</p>",
        "<h2>Genres</h2>",
        _rows(
            ("genre", "tracks", "given to", "precision", "recall", "F1"),
            [
                (each.genre, str(each.tracks), str(each.chosen), *map(_number, (each.precision, each.recall, each.f1)))
                for each in measures.genres
                if each.tracks or each.chosen
            ]
            + [("macro", "", "", *map(_number, measures.macro)), ("micro", "", "", *map(_number, measures.micro))],
        ),
        "<h2>Confusions</h2>",
        '<p class="aside">Rows: the known genre. Columns: the first genre given.</p>',
        _confusion(measures),
        *(f'<p><img src="{_text(name)}" alt="{_text(name.removesuffix(".png"))}"></p>' for name in pictures),
        "<h2>Coverage and accuracy by the least score</h2>",
        _rows(
            ("least score", "tracks with a genre", "of those right"),
            [(f"{each.threshold:.2f}", _share(each.coverage), _share(each.right)) for each in measures.sweep],
        ),
        "<h2>Calibration</h2>",
        _rows(
            ("tracks", "mean score", "right"),
            [(str(each.tracks), f"{each.score:.2f}", _share(each.right)) for each in measures.calibration],
        ),
    ]
    return parts


def _confusion(measures: Measures) -> str:
    names = [each.genre for each in measures.genres]
    used = [place for place, row in enumerate(measures.confusion) if any(row)]
    columns = [place for place in range(len(names) + 1) if any(row[place] for row in measures.confusion)]
    if len(used) > _MOST_NAMES:
        return f"<p>{len(used)} genres are too many for a table here: see {JSON}.</p>"
    heads = "".join(f"<th>{_text([*names, NOTHING][place])}</th>" for place in columns)
    rows = []
    for row in used:
        cells = "".join(
            f'<td class="{"hit" if row == column else "miss"}">{count}</td>'
            if (count := measures.confusion[row][column])
            else "<td></td>"
            for column in columns
        )
        rows.append(f"<tr><td>{_text(names[row])}</td>{cells}</tr>")
    return f"<table><thead><tr><th></th>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _pictures(measures: Measures) -> dict[str, bytes]:
    """PNG files by name.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure

    names = [_shown(each.genre) for each in measures.genres]
    used = [place for place, row in enumerate(measures.confusion) if any(row)][:_MOST_NAMES]
    table = np.array([[*measures.confusion[row][:-1], measures.confusion[row][-1]] for row in used], float)
    columns = [place for place in range(len(names) + 1) if table[:, place].any()]
    shares = table[:, columns] / np.maximum(table.sum(axis=1, keepdims=True), 1)

    def confusion(axes: Any) -> None:
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(columns)), [[*names, NOTHING][place] for place in columns], rotation=90)
        axes.set_yticks(range(len(used)), [names[place] for place in used])
        axes.set_xlabel("given")
        axes.set_ylabel("known")

    def sweep(axes: Any) -> None:
        at = [each.threshold for each in measures.sweep]
        axes.plot(at, [each.coverage for each in measures.sweep], label="tracks with a genre")
        axes.plot(at, [np.nan if each.right is None else each.right for each in measures.sweep], label="of those right")
        axes.set_xlabel("least score")
        axes.set_ylim(0, 1.02)
        axes.legend()

    def calibration(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color="0.7")
        axes.scatter(
            [each.score for each in measures.calibration],
            [each.right for each in measures.calibration],
            s=[20 + 200 * each.tracks / measures.tracks for each in measures.calibration],
        )
        axes.set_xlabel("score of the best genre")
        axes.set_ylabel("share that is right")

    size = max(5.0, 0.32 * len(columns) + 2)

    def drawn(draw: Callable[[Any], None], width: float, height: float) -> bytes:
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.subplots())
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=110, metadata={"Software": None})
        return content.getvalue()

    return {
        "confusion.png": drawn(confusion, size, size),
        "sweep.png": drawn(sweep, 6, 4),
        "calibration.png": drawn(calibration, 5, 4.5),
    }


def _shown(name: str) -> str:
    """A name that matplotlib can draw and does not read as a formula."""
    return printable(name).replace("$", r"\$").encode("latin-1", "replace").decode("latin-1")


def _text(text: str) -> str:
    return html.escape(printable(text))


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
