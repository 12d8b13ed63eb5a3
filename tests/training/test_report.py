"""A report is readable with any names in it, and without matplotlib."""

from __future__ import annotations

import builtins
import csv
import html.parser
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genretagger.causes import recorded
from genretagger.errors import ConfigError
from genretagger.training.examples import Example
from genretagger.training.measures import ChoiceRules, Judged, choose_genres, measure
from genretagger.training.report import write
from genretagger.training.result import Suspect
from genretagger.types import Credits, Decision, GenreField, Heard, Stamp, Track

NAMES = ("<script>alert(1)</script>", "$\\frac", "北京 & Co")


class Seen(html.parser.HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:  # noqa: ARG002 - of the base
        self.elements.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def measures() -> Any:
    truth = np.eye(3, dtype=bool)
    scores = np.array([[0.9, 0.1, 0.2], [0.1, 0.4, 0.3], [0.8, 0.1, 0.3]], np.float32)
    return measure(Judged(NAMES, truth, scores, choose_genres(scores, ChoiceRules(0.5, 0.8, 2))))


def suspect(genre: str = NAMES[0]) -> Suspect:
    path = Path(os.fsdecode(b"/m/\xff<b>\n.mp3"))
    track = Track(path, Stamp(1, 2, 3, 4, 5, 1), "mp3", 1.0, "x", GenreField((), None, ""))
    heard = Heard(track, Credits(), None, Decision((), {}, recorded("")), ())
    return Suspect(Example(path, "x", (genre, "Dub"), ("t",), heard), 0.1, NAMES[2], 0.9)


def test_names_of_strangers_are_escaped(tmp_path: Path) -> None:
    notes = write(tmp_path / "deep" / "report", "<i>title</i>", {"a": 1}, measures(), [suspect()])
    assert notes == []
    folder = tmp_path / "deep" / "report"
    page = (folder / "index.html").read_text("utf-8")
    seen = Seen(page)
    assert not {"script", "b", "i"} & seen.elements
    assert all(name in seen.text for name in NAMES)
    assert r"\xff<b>\n.mp3" in seen.text
    assert json.loads((folder / "report.json").read_text()) == {"a": 1}
    with (folder / "mislabelled.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        (row,) = csv.DictReader(file)
    assert os.fsencode(row["path"]) == b"/m/\xff<b>\n.mp3"
    assert row["sounds_like"] == NAMES[2]
    write(folder, "title", {}, measures(), [suspect(genre="=HYPERLINK(1)")])
    # a spreadsheet reads it as text, not as a formula
    assert b"'=HYPERLINK(1)" in (folder / "mislabelled.csv").read_bytes()
    for name in ("confusion.png", "sweep.png", "calibration.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
        assert name in page


def test_without_matplotlib_there_is_a_report_without_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imports = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return imports(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    (note,) = write(tmp_path, "title", {}, measures(), [])
    assert "matplotlib" in note
    assert {path.name for path in tmp_path.iterdir()} == {"index.html", "report.json", "mislabelled.csv"}
    assert "img" not in Seen((tmp_path / "index.html").read_text("utf-8")).elements


def test_nothing_measured_is_said(tmp_path: Path) -> None:
    write(tmp_path, "title", {}, None, [])
    assert "the quality of the model is not known" in (tmp_path / "index.html").read_text("utf-8")


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write(tmp_path / "file", "title", {}, None, [])


def test_what_was_planted_is_not_written_through(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("precious")
    folder = tmp_path / "report"
    folder.mkdir()
    for name in ("index.html", ".index.html.new", "report.json"):
        (folder / name).symlink_to(mine)
    write(folder, "title", {}, measures(), [])
    assert mine.read_text() == "precious"
    assert not (folder / "index.html").is_symlink()
    assert "<h1>title</h1>" in (folder / "index.html").read_text("utf-8")


def test_every_row_of_the_confusion_table_keeps_its_colours(tmp_path: Path) -> None:
    write(tmp_path, "title", {}, measures(), [])
    style = (tmp_path / "index.html").read_text("utf-8").split("<style>")[1].split("</style>")[0]
    striped = [rule for rule in style.split("}") if "nth-child" in rule]
    assert striped, "rows are striped"
    assert all("td:not(.hit, .miss)" in rule for rule in striped)  # a stripe would override the colour of a cell
