"""A plan as a file: it reads back as written, and refuses what is wrong by its line's number."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genretagger.causes import Cause, because
from genretagger.sentences import sentence
from genretagger.steps.plan import jsonl as plan
from genretagger.steps.plan import reading, table
from genretagger.steps.plan.entry import PlanError, Planned
from genretagger.types import GenreField, Stamp

NAME = Path("music.plan")
PLANNED = Planned(
    path=Path("/music/a/song.mp3"),
    root=Path("/music"),
    stamp=Stamp(5, 1_700_000_000_123_456_789, 6, 1 << 63, 7, 1),
    payload_hash="ab" * 32,
    before=GenreField(("Pop/Rock", "Mine"), {"form": "ID3v2.4", "fields": [[0, "AAA="]]}, "ID3v2.4"),
    after=("Techno", "House"),
    proposed=("Techno", "House"),
    scores={"Techno": 0.9321, "House": 0.81},
    reason=because(Cause.CHOSEN, genres=[["Techno", 0.9321, "techno 0.5"]]),
    model="musicnn",
)


def read(*lines: bytes, header: bytes | None = None) -> list[Planned]:
    return list(reading.read(io.BytesIO((plan.header() if header is None else header) + b"".join(lines)), NAME))


def changed(**fields: Any) -> bytes:
    """The line of a file with some fields changed; `...` takes one out."""
    value = {**json.loads(plan.to_line(PLANNED)), **fields}
    return json.dumps({name: each for name, each in value.items() if each is not ...}).encode() + b"\n"


def test_a_plan_comes_back() -> None:
    other = replace(PLANNED, path=Path("/music/b.mp3"), before=GenreField((), None, "Vorbis comment"))
    assert read(plan.to_line(PLANNED), b"\n", plan.to_line(other)) == [PLANNED, other]
    assert not PLANNED.edited
    assert read() == []


def test_it_may_be_edited() -> None:
    (edited,) = read(changed(after=["Trance", "Mine", "Pop/Rock"]))
    assert edited.after == ("Trance", "Mine", "Pop/Rock")  # a name that the file has may hold what it likes
    assert edited.edited
    assert read(changed(after=[]))[0].after == ()


def test_a_plan_of_an_earlier_version_has_words_only() -> None:
    (planned,) = read(changed(cause=..., figures=..., reason="Techno 0.93: techno 0.5"))
    assert planned == replace(PLANNED, reason=because(Cause.PLANNED, words="Techno 0.93: techno 0.5"))
    assert read(plan.to_line(planned)) == [planned]
    (newer,) = read(changed(cause="sung_by_the_owner"))
    assert newer.reason == because(Cause.PLANNED, words="Techno 0.93: techno 0.5")


@pytest.mark.parametrize(
    "figures", [{}, {"genres": {"a": [1]}}, {"genres": [[1, 2]]}, {"decision": {}}, {"album": "x"}]
)
@pytest.mark.parametrize("cause", ["chosen", "not_written", "incomplete", "hard_linked", "has_genre"])
def test_odd_figures_do_no_harm(cause: str, figures: Any) -> None:
    (planned,) = read(changed(cause=cause, figures=figures))
    assert planned.reason == because(Cause(cause), **figures)
    assert sentence(planned.reason)


@given(st.lists(st.binary(min_size=1, max_size=60).filter(lambda name: not set(name) & {0, 47}), min_size=1))
def test_every_name_comes_back(parts: list[bytes]) -> None:
    parts = [part for part in parts if part not in (b".", b"..")]
    path = Path(os.fsdecode(b"/music/" + b"/".join(parts)))
    line = plan.to_line(replace(PLANNED, path=path))
    assert line.isascii()
    assert line.count(b"\n") == 1
    (back,) = read(line)
    assert os.fsencode(back.path) == os.fsencode(path)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        pytest.param(b"[1]\n", "not a JSON object", id="list"),
        pytest.param(b'{"path": \n', "not a JSON object", id="half"),
        pytest.param(b"\xff\n", "neither UTF-8 nor UTF-16", id="bytes"),
        pytest.param(b"[" * 200_000 + b"\n", "nested too deeply", id="deep"),
        pytest.param(b'{"a": 1, "a": 2}\n', "twice", id="field-twice"),
        pytest.param(b'{"a": ' + b"9" * 100_000 + b"}\n", "too long", id="number"),
        pytest.param(changed(after=...), "the field after is missing", id="missing"),
        pytest.param(changed(aftr=["x"]), "unknown field 'aftr'", id="unknown"),
        pytest.param(changed(path="song.mp3"), "path is not an absolute path", id="relative"),
        pytest.param(changed(path="/music/../etc/x.mp3"), "path is not an absolute path", id="dots"),
        pytest.param(changed(path="/music/a\0b"), "path is not an absolute path", id="zero"),
        pytest.param(changed(path="/music/\ud800"), "an incomplete character", id="surrogate"),
        pytest.param(changed(path="/musical/song.mp3"), "path is not in root", id="outside"),
        pytest.param(changed(path=7), "path is not a text", id="path-number"),
        pytest.param(changed(after="Techno"), "after is not a list of names", id="after-text"),
        pytest.param(changed(after=["Techno", 1]), "after is not a list of names", id="after-number"),
        pytest.param(changed(after=["Tech\nno"]), r"'Tech\nno' cannot be the name of a genre", id="control"),
        pytest.param(changed(after=[""]), "'' cannot be the name of a genre", id="empty"),
        pytest.param(changed(after=[" Techno"]), "' Techno' cannot be", id="space"),
        pytest.param(changed(after=["x" * 201]), "cannot be the name of a genre", id="long"),
        pytest.param(changed(after=["\ud800"]), "cannot be the name of a genre", id="half-a-character"),
        pytest.param(changed(after=["A", "A"]), "a genre is named twice", id="twice"),
        pytest.param(changed(after=["A;B"]), "players split genres on", id="separator"),
        pytest.param(changed(after=[str(number) for number in range(51)]), "adds 51 genres; 50 are", id="many"),
        pytest.param(changed(before=["Pop"]), "before is not a genre field", id="before"),
        pytest.param(changed(stamp={"size_bytes": 1}), "stamp is not made of whole numbers", id="stamp"),
        pytest.param(changed(scores={"Techno": 2}), "a score is not a number from 0 to 1", id="score"),
        pytest.param(changed(scores={"Techno": float("nan")}), "NaN is not a number", id="nan"),
        pytest.param(changed(scores={"Techno": True}), "a score is not a number", id="score-true"),
        pytest.param(changed(reason="x" * 100_001), "reason is not a text of at most 100,000", id="reason"),
        pytest.param(changed(cause=7), "cause is not a text", id="cause-number"),
        pytest.param(changed(figures=[]), "figures is not a JSON object", id="figures-list"),
        pytest.param(
            changed(cause="planned", figures={"words": "x" * 100_001}), "figures is not a text of at", id="figures-long"
        ),
        pytest.param(changed(), "it names the same file as line 2", id="same-file"),
    ],
)
def test_a_line_that_cannot_be_used(line: bytes, fault: str) -> None:
    with pytest.raises(PlanError) as caught:
        read(plan.to_line(PLANNED), b"\n", line)
    assert caught.value.cause.startswith("line 4: ")
    assert fault in caught.value.cause
    assert caught.value.path == NAME
    assert caught.value.exit_code == 2


def test_a_line_without_end_is_not_read_whole(tmp_path: Path) -> None:
    huge = tmp_path / "huge.plan"
    with huge.open("wb") as file:
        file.truncate(1 << 36)  # a hole: it takes no space, and reading all of it would take minutes
    with huge.open("rb") as file:
        with pytest.raises(PlanError, match="not a plan"):
            list(reading.read(file, NAME))
        assert file.tell() < reading.LINE_LETTERS + (1 << 20)
    with pytest.raises(PlanError, match="line 2: it is longer than 32 MB"):
        read(b" " * (reading.LINE_LETTERS + 1))


@pytest.mark.parametrize(
    "header", [b"", b"fLaC\0\0\xff", b"[]\n", b'{"path": "/a"}\n', b'{"genretagger_plan": true}\n']
)
def test_what_is_no_plan(header: bytes) -> None:
    with pytest.raises(PlanError, match="not a plan of genretagger"):
        read(header=header)


def test_another_version_is_refused() -> None:
    with pytest.raises(PlanError, match="version 2, and this genretagger reads version 1"):
        read(header=b'{"genretagger_plan": 2}\n')


def test_a_file_with_many_odd_genres_of_its_own_can_be_planned() -> None:
    own = (*(f" {number}/" for number in range(20_000)), "\n", "\n")
    odd = replace(PLANNED, before=GenreField(own, None, "x"), after=(*own, "Techno"), proposed=(*own, "Techno"))
    assert read(plan.to_line(odd)) == [odd]


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16"])
def test_a_plan_saved_by_an_editor_on_windows(coding: str) -> None:
    text = (plan.header() + plan.to_line(PLANNED)).decode().replace("\n", "\r\n")
    assert list(reading.read(io.BytesIO(text.encode(coding)), NAME)) == [PLANNED]


def test_names_that_turn_text_around_are_refused() -> None:
    for name in ("Tech\u202eon", "\u2066Pop", "Po\u200bp"):
        with pytest.raises(PlanError, match="invisible marks"):
            read(changed(after=[name]))
    with pytest.raises(PlanError, match="invisible marks"):
        rows(row(PLANNED, genres="Tech\u202eon"))


def row(planned: Planned, separator: str = "\t", **cells: str) -> bytes:
    """The row of a file in a table, with some cells changed."""
    names = ("path", "genres", "before", "score", "reason", "data")
    (old,) = csv.reader([table.to_line(planned).decode()], delimiter="\t")
    sink = io.StringIO()
    values = {**dict(zip(names, old, strict=True)), **cells}
    csv.writer(sink, delimiter=separator, lineterminator="\r\n").writerow(values.values())
    return sink.getvalue().encode()


def rows(*lines: bytes, separator: str = "\t") -> list[Planned]:
    header = table.header().replace(b"\t", separator.encode())
    return list(reading.read(io.BytesIO(header + b"".join(lines)), NAME))


@pytest.mark.parametrize("separator", ["\t", ",", ";"])
def test_a_table_comes_back_however_it_was_saved(separator: str) -> None:
    other = replace(PLANNED, path=Path("/music/b, c; d\t\u202e.mp3"), after=(), proposed=())
    hostile = replace(
        PLANNED, path=Path(os.fsdecode(b"/music/=cmd\xff.mp3")), reason=because(Cause.PLANNED, words='=cmd("x")')
    )
    written = [row(each, separator) for each in (PLANNED, other, hostile)]
    assert all("\u202e".encode() not in line for line in written)
    assert rows(*written, b"\r\n", separator=separator) == [PLANNED, other, hostile]


def test_a_table_is_edited_in_its_column() -> None:
    assert rows(row(PLANNED, genres=" Trance;House ; "))[0].after == ("Trance", "House")
    assert rows(row(PLANNED, genres=""))[0].after == ()
    assert rows(row(PLANNED, genres="Trance"))[0].edited


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        pytest.param(row(PLANNED, path="/music/b.mp3"), "sorted only as a whole", id="sorted"),
        pytest.param(row(PLANNED, data="e30"), "changed or cut off", id="data"),
        pytest.param(row(PLANNED, data=""), "cut off", id="empty"),
        pytest.param(table.to_line(PLANNED)[:-40] + b"\n", "cut off", id="cut"),
        pytest.param(b"/music/a.mp3\tTechno\n", "it has 2 cells", id="short"),
        pytest.param(row(PLANNED, genres="Pop/Rock; A/B"), "players split genres on", id="separator"),
    ],
)
def test_a_row_that_cannot_be_used(line: bytes, fault: str) -> None:
    with pytest.raises(PlanError, match=fault):
        rows(line)


def test_a_table_of_an_earlier_version_has_words_only() -> None:
    old = changed(cause=..., figures=..., reason="Techno 0.93: techno 0.5")
    packed = base64.urlsafe_b64encode(zlib.compress(old.strip())).decode("ascii")
    assert [each.reason for each in rows(row(PLANNED, data=packed))] == [
        because(Cause.PLANNED, words="Techno 0.93: techno 0.5")
    ]
