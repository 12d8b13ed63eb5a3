"""`tag --plan` and `apply`: they write only after the owner agrees, and only what is planned."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import command_helpers as helpers
import mutagen
import pytest
import typer
from audio_factory import make
from few import few

from genretagger.causes import recorded
from genretagger.cli.plan_file import PlanFile, plan_file
from genretagger.files.discover import Found, find
from genretagger.sentences import sentence
from genretagger.steps.plan.entry import Planned
from genretagger.steps.plan.jsonl import header
from genretagger.types import GenreField, Json, Stamp

Command = Callable[..., Any]
MakeTechno = Callable[..., Path]
ODD = os.fsdecode(b"caf\xe9 \x1b[31m\n.flac")


@pytest.fixture
def music(tmp_path: Path, make_techno: MakeTechno) -> Path:
    """Four files that get genres, one that keeps its own, one that is none."""
    folder = tmp_path / "music"
    folder.mkdir()
    sound = make_techno(folder / "a.flac").read_bytes()
    for name in ("b.flac", "c.flac", ODD):
        (folder / name).write_bytes(sound)
    make_techno(folder / "mine.mp3", "mp3", genre="Mine")
    (folder / "text.mp3").write_text("no music")
    return folder


@pytest.fixture
def plan(heard: Path, music: Path, tmp_path: Path) -> Path:
    """A plan for that folder, made in this process, which is quicker."""
    return planned_in(music, heard, tmp_path / "music.plan")


def planned_in(music: Path, data_dir: Path, file: Path, **options: Any) -> Path:
    files = list(find([music], helpers.unexpected))
    with plan_file(file, files) as planning, helpers.pipeline(helpers.settings(data_dir, **options)) as pipeline:
        run = pipeline.begin("tag", plan=planning.add)
        for outcome in pipeline.tag(files, run, stop=Future()):
            planning.end(outcome.path)
        pipeline.finish(run)
    return file


def lines(plan: Path) -> list[Json]:
    return [json.loads(line) for line in plan.read_text("ascii").splitlines()]


def rewrite(plan: Path, values: Sequence[Json]) -> None:
    plan.write_text("".join(json.dumps(value) + "\n" for value in values))


def states(ended: Any) -> dict[str, tuple[str, str]]:
    return {Path(line["path"]).name: (line["status"], line["reason"]) for line in ended.lines}


def test_plan_then_apply(
    genretagger: Command, heard: Path, music: Path, tmp_path: Path, make_techno: MakeTechno
) -> None:
    file = tmp_path / "it's a plan.jsonl"
    before = helpers.snapshot(music)
    planned = genretagger("tag", "--json", "--plan", file, music)
    assert helpers.snapshot(music) == before
    assert helpers.writes(heard) == []
    assert planned.status == 1
    assert {line["dry_run"] for line in planned.lines} == {True}
    assert "4 would be tagged, 1 unchanged, 0 skipped, 1 failed" in planned.err
    assert "genretagger apply " in planned.err
    assert "To undo" not in planned.err

    first, *entries = lines(file)
    assert first["genretagger_plan"] == 1
    names = [b"a.flac", b"b.flac", b"c.flac", os.fsencode(ODD)]
    assert [os.fsencode(Path(entry["path"]).name) for entry in entries] == names  # as they were found
    genres = entries[0]["after"]
    assert "Trance" in genres
    assert entries[0]["proposed"] == genres
    assert entries[0]["before"] == {"values": [], "raw": entries[0]["before"]["raw"], "form": "Vorbis comment"}
    assert (entries[0]["root"], entries[0]["model"]) == (str(music), "musicnn-yamnet")
    assert entries[0]["scores"]["Trance"] > 0.5
    assert "techno" in entries[0]["reason"]
    assert entries[0]["cause"] == "chosen"

    dry = genretagger("apply", file, "--dry-run")
    assert dry.status == 0
    assert helpers.snapshot(music) == before
    assert "4 files: 4 would be tagged" in dry.err
    assert "Nothing was written (--dry-run)" in dry.err
    assert len(re.findall(r"^would tag ", dry.out, re.MULTILINE)) == 4

    applied = genretagger("apply", file, "--yes", "--json")
    assert applied.status == 0, applied.err
    assert {line["status"] for line in applied.lines} == {"tagged"}
    assert set(applied.lines[0]) == set(planned.lines[0])
    assert (applied.lines[0]["genres"], applied.lines[0]["scores"]) == (genres, entries[0]["scores"])
    assert "4 files in the plan\n  4 get their first genre\n  adds: " in applied.err
    assert all(helpers.genres_of(music / os.fsdecode(name)) == genres for name in names)
    assert helpers.genres_of(music / "mine.mp3") == ["Mine"]
    written = genretagger("history", "--json").lines
    assert {line["command"] for line in written} == {"apply"}
    why = ("musicnn-yamnet", "chosen", entries[0]["reason"])
    assert {(line["model"], line["cause"], line["reason"]) for line in written} == {why}
    (shown,) = genretagger("show", music / "a.flac", "--json").lines
    assert (shown["status"], shown["cause"], shown["reason"]) == ("tagged", *why[1:])
    assert [write.reason.figures for write in helpers.writes(heard)] == [entries[0]["figures"]] * 4

    again = genretagger("apply", file, "--yes", "--json")
    assert again.status == 0
    assert {line["status"] for line in again.lines} == {"unchanged"}
    assert f"To undo: genretagger undo --run {written[0]['run']}\n" in applied.err
    assert genretagger("undo", "--last").status == 0
    assert all(helpers.genres_of(music / os.fsdecode(name)) == [] for name in names)


def test_lines_may_be_deleted_and_genres_edited(genretagger: Command, plan: Path, music: Path, heard: Path) -> None:
    first, a, b, _, odd = lines(plan)
    a["after"] = ["Trance", "My Own"]
    rewrite(plan, [first, odd, a, b])
    applied = genretagger("apply", plan, "--yes")
    assert applied.status == 0, applied.err
    assert "3 files in the plan, 1 edited by you" in applied.err
    assert helpers.genres_of(music / "a.flac") == ["Trance", "My Own"]
    assert helpers.genres_of(music / "b.flac") == b["after"]
    assert helpers.genres_of(music / "c.flac") == []
    assert helpers.genres_of(music / ODD) == odd["after"]
    assert r"caf\xe9 \x1b[31m\n.flac" in applied.out
    (own,) = [write for write in helpers.writes(heard) if write.path.name == "a.flac"]
    assert (own.model, sentence(own.reason)) == ("", "chosen by you in a plan")

    replaced = genretagger("tag", "--policy", "replace", "--json", music / "a.flac", music / "b.flac")
    assert states(replaced)["a.flac"] == ("unchanged", "you chose its genre; --force tags it again")
    assert helpers.genres_of(music / "a.flac") == ["Trance", "My Own"]


def test_what_changed_since_is_left_alone(genretagger: Command, plan: Path, music: Path) -> None:
    tags = mutagen.File(music / "a.flac")
    tags["genre"] = ["By hand"]
    tags.save()
    os.utime(music / "b.flac")
    (music / "c.flac").unlink()
    make(music / ODD, "flac", seconds=1.0)
    before = helpers.snapshot(music)
    applied = genretagger("apply", plan, "--yes", "--json")
    assert applied.status == 1
    assert states(applied) == {
        "a.flac": ("failed", "its genre was changed since the plan was made. Make a new plan"),
        "b.flac": ("failed", "it was changed since the plan was made. Make a new plan"),
        "c.flac": ("failed", "the file is gone. It was moved or deleted meanwhile."),
        ODD: ("failed", "the file holds another recording than when the plan was made. Make a new plan"),
    }
    assert helpers.snapshot(music).keys() == before.keys()
    assert [content for *_, content in helpers.snapshot(music).values()] == [content for *_, content in before.values()]
    assert "0 tagged, 0 unchanged, 0 skipped, 4 failed" in applied.err
    assert "To undo" not in applied.err


def test_one_that_changed_costs_only_itself(genretagger: Command, plan: Path, music: Path) -> None:
    os.utime(music / "b.flac")
    applied = genretagger("apply", plan, "--yes")
    assert applied.status == 1
    assert "4 files: 3 tagged, 0 unchanged, 0 skipped, 1 failed" in applied.err
    assert helpers.genres_of(music / "b.flac") == []
    assert helpers.genres_of(music / "c.flac")


@pytest.mark.slow
def test_what_the_settings_forbid(genretagger: Command, plan: Path, music: Path, tmp_path: Path, heard: Path) -> None:
    planned_in(music / "mine.mp3", heard, tmp_path / "other.plan", policy="replace")
    (entry,) = lines(tmp_path / "other.plan")[1:]
    assert entry["before"]["values"] == ["Mine"]
    ended = genretagger("apply", "--yes", "--json", tmp_path / "other.plan", GENRETAGGER_PROTECT="mine")
    assert ended.status == 0
    reason = "it would lose the genre Mine, which the option protect keeps: add it to the plan"
    assert states(ended) == {"mine.mp3": ("skipped", reason)}
    rewrite(tmp_path / "other.plan", [lines(plan)[0], {**entry, "after": ["MINE", "Trance"]}])
    ended = genretagger("apply", "--yes", "--json", tmp_path / "other.plan", GENRETAGGER_PROTECT="mine")
    assert states(ended) == {"mine.mp3": ("tagged", "chosen by you in a plan")}
    assert helpers.genres_of(music / "mine.mp3") == ["MINE", "Trance"]

    real = (tmp_path / "elsewhere.flac").resolve()
    (music / "a.flac").rename(real)
    (music / "a.flac").symlink_to(real)  # the same file, stamp and all but its ctime
    values = lines(plan)[:2]
    values[1]["stamp"]["ctime_ns"] = real.stat().st_ctime_ns
    rewrite(plan, values)
    ended = genretagger("apply", "--yes", "--json", plan)
    status, reason = states(ended)["a.flac"]
    assert (status, "is outside" in reason) == ("skipped", True)
    assert helpers.genres_of(real) == []


@pytest.mark.parametrize("number", [2, 5])
def test_a_line_that_cannot_be_used_stops_all(genretagger: Command, plan: Path, music: Path, number: int) -> None:
    values = lines(plan)
    values[number - 1]["after"] = ["Tech\x1bno"]
    rewrite(plan, values)
    before = helpers.snapshot(music)
    ended = genretagger("apply", plan, "--yes")
    assert (ended.status, ended.out) == (2, "")
    assert f"{plan}: line {number}: after: 'Tech\\x1bno' cannot be the name of a genre" in ended.err
    assert "nothing of it was written" in ended.err
    assert helpers.snapshot(music) == before


def test_without_a_terminal_nobody_is_asked(genretagger: Command, plan: Path, music: Path) -> None:
    before = helpers.snapshot(music)
    ended = genretagger("apply", plan)
    assert (ended.status, ended.out) == (2, "")
    assert "--yes" in ended.err
    assert helpers.snapshot(music) == before


def answered(plan: Path, data_dir: Path, answer: bytes, meanwhile: Callable[[], object]) -> tuple[int, bytes]:
    """Apply a plan on a terminal: act while it asks, answer; returns the end and the output."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "genretagger", "apply", plan],
        env={**os.environ, "GENRETAGGER_DATA_DIR": str(data_dir), "TERM": "xterm", "COLUMNS": "200"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    with os.fdopen(controller, "r+b", buffering=0) as screen:
        try:
            while data := screen.read(65536):
                asked = b"[y/N]" in shown
                shown += data
                if b"[y/N]" in shown and not asked:
                    meanwhile()
                    screen.write(answer)
        except OSError:  # how Linux tells that the other side has closed
            pass
        return process.wait(helpers.WAIT_S), shown


@pytest.mark.parametrize(("answer", "tagged"), few([(b"\n", False), (b"\x04", False), (b"y\n", True)], 0, 2))
def test_a_terminal_is_asked(heard: Path, plan: Path, music: Path, answer: bytes, tagged: bool) -> None:
    status, shown = answered(plan, heard, answer, lambda: None)
    assert status == 0, shown
    assert b"4 files in the plan" in shown
    assert b"Write the genres of 4 files?" in shown
    assert (b"nothing was written" in shown) is not tagged
    assert bool(helpers.genres_of(music / "a.flac")) is tagged


def test_a_plan_that_is_saved_while_it_is_asked_about_is_not_applied(heard: Path, plan: Path, music: Path) -> None:
    status, shown = answered(plan, heard, b"y\n", lambda: rewrite(plan, lines(plan)[:2]))
    assert status == 2
    assert b"the plan was changed meanwhile" in shown
    assert helpers.genres_of(music / "a.flac") == []


def test_a_file_and_a_link_to_it_are_written_once(genretagger: Command, plan: Path, music: Path, heard: Path) -> None:
    first, a = lines(plan)[:2]
    names = [music / f"link{number}.flac" for number in range(3)]
    for name in names:
        name.symlink_to("a.flac")
    rewrite(plan, [first, a, *({**a, "path": str(name)} for name in names)])
    applied = genretagger("apply", "--yes", "--json", plan)
    assert applied.status == 0, applied.out
    assert sorted(line["status"] for line in applied.lines) == ["tagged", "unchanged", "unchanged", "unchanged"]
    assert helpers.genres_of(music / "a.flac") == a["after"]


@pytest.mark.parametrize(
    ("content", "said"),
    few([(None, "No such file"), (b"", "not a plan of genretagger"), (b'{"genretagger_plan": 9}\n', "version 9")], 1),
    ids=["missing", "empty", "newer"],
)
def test_no_plan(genretagger: Command, tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "x.plan").write_bytes(content)
    ended = genretagger("apply", "--yes", tmp_path / "x.plan")
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert genretagger("apply", "--yes", tmp_path).status == 2
    assert not (tmp_path / "data" / "library.sqlite3").exists()


def test_an_empty_plan_writes_nothing(genretagger: Command, tmp_path: Path) -> None:
    (tmp_path / "x.plan").write_bytes(header())
    ended = genretagger("apply", tmp_path / "x.plan")
    assert (ended.status, ended.out) == (0, "")
    assert "0 files in the plan\ngenretagger: nothing was written" in ended.err


def test_a_plan_that_is_there_is_not_replaced(genretagger: Command, plan: Path, music: Path) -> None:
    before = plan.read_bytes()
    ended = genretagger("tag", "--plan", plan, music)
    assert (ended.status, ended.out) == (2, "")
    assert "perhaps a plan that you edited" in ended.err
    assert plan.read_bytes() == before
    ended = genretagger("tag", "--plan", music / "new.mp3", music)
    assert ended.status == 2
    assert "would overwrite a music file" in ended.err


def planned(number: int) -> Planned:
    nothing = GenreField((), None, "ID3v2.4")
    stamp = Stamp(1, 2, 3, 4, 5, 1)
    return Planned(
        Path(f"/m/{number}.mp3"), Path("/m"), stamp, "", nothing, ("A",), ("A",), {}, recorded(""), "musicnn-yamnet"
    )


def test_lines_stand_in_the_order_of_the_files_whoever_ends_first() -> None:
    sink = io.BytesIO()
    making = PlanFile(sink, [Found(planned(number).path, Path("/m")) for number in range(5)], table=False)
    for number in (3, 1, 4):
        making.add(planned(number))
    for number in (3, 2, 1, 4):
        making.end(planned(number).path)
    assert len(sink.getvalue().splitlines()) == 1  # the first is still listened to
    making.end(planned(0).path)
    assert [json.loads(line)["path"] for line in sink.getvalue().splitlines()[1:]] == [
        "/m/1.mp3",
        "/m/3.mp3",
        "/m/4.mp3",
    ]


def test_an_interrupted_run_makes_no_plan(heard: Path, music: Path, tmp_path: Path) -> None:
    for number in range(100):  # far more than are under way when the signal comes
        (music / f"{number}.flac").write_bytes((music / "a.flac").read_bytes())
    with helpers.Running("tag", "--json", "--plan", tmp_path / "x.plan", music, data_dir=heard) as running:
        running.line()
        running.send(signal.SIGINT)
        status, said = running.ended()
    assert status == 130
    assert "there is no plan; run it again to go on.\nNothing was written.\n" in said
    assert "To undo" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "music"]


def test_a_plan_takes_its_place_only_when_it_is_whole(tmp_path: Path) -> None:
    with contextlib.suppress(typer.Exit), plan_file(tmp_path / "x.plan", []):
        assert len(list(tmp_path.iterdir())) == 1  # it can be written: known before anybody listens
        raise typer.Exit(130)
    assert list(tmp_path.iterdir()) == []
    with plan_file(tmp_path / "x.plan", []):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["x.plan"]
