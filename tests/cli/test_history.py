"""`genretagger history`: what was written, by which run, and what became of it."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from library_helpers import Library

from genretagger.causes import recorded
from genretagger.database.paths import PAGE_ROWS
from genretagger.database.values import WriteState

REPOSITORY = Path(__file__).resolve().parents[2]
Command = Callable[..., Any]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder without a model: history needs none."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def test_a_write_and_its_undo_are_told_newest_first(
    genretagger: Command, data_dir: Path, make_techno: Callable[..., Path], tmp_path: Path
) -> None:
    song = make_techno(tmp_path / "song.flac")
    tagged = genretagger("tag", song, "--json").lines[0]
    assert genretagger("undo", song).status == 0
    song.unlink()  # what was written to a file is known when the file is gone
    ended = genretagger("history", "--json")
    assert (ended.status, ended.err) == (0, "")
    undone, done = ended.lines
    assert set(done) == set(undone) == documented_fields()
    assert (done["command"], done["state"], done["undo_of"]) == ("tag", "undone", None)
    assert (undone["command"], undone["state"], undone["undo_of"]) == ("undo", "done", done["id"])
    assert (done["path"], done["before"], done["after"]) == (str(song), [], tagged["genres"])
    assert (undone["path"], undone["before"], undone["after"]) == (str(song), tagged["genres"], [])
    assert (done["model"], done["reason"]) == ("musicnn-yamnet", tagged["reason"])
    assert (done["kind"], done["of_run"], done["undone_by"]) == ("write", None, undone["run"])
    assert (undone["kind"], undone["of_run"], undone["undone_by"]) == ("undo", done["run"], None)
    assert undone["model"] == ""  # nobody's opinion
    assert undone["run"] > done["run"]

    people = genretagger("history", song).out.splitlines()
    assert re.fullmatch(rf"run {undone['run']}: undo, \d{{4}}-\d\d-\d\d \d\d:\d\d, 1 write \(1 done\)", people[0])
    assert re.fullmatch(rf" +{undone['id']}  \d\d:\d\d:\d\d  done, undo of run {done['run']}  {song}", people[1])
    assert people[2].strip() == f"{', '.join(tagged['genres'])} → (none)"
    assert people[2:4] == [people[2], f"          undo of write {done['id']}"]
    assert people[4].startswith(f"run {done['run']}: tag, ")
    assert people[4].endswith(", 1 write (1 undone)")
    assert re.fullmatch(rf" +{done['id']}  \d\d:\d\d:\d\d  undone by run {undone['run']}  {song}", people[5])
    assert people[7].strip() == f"musicnn-yamnet: {tagged['reason']}"
    assert len(people) == 8


def documented_fields() -> set[str]:
    """The fields that the documentation promises."""
    text = (REPOSITORY / "docs/commands.md").read_text("utf-8")
    return set(re.findall(r"^\| `(\w+)` \|", text.split("\n## history")[1].split("\n## ")[0], re.MULTILINE))


@pytest.mark.slow
def test_paths_and_runs_choose(genretagger: Command, data: Path, tmp_path: Path) -> None:
    with Library.at(data) as library:
        numbers = {}
        for name in ("live/a.mp3", "liveset/b.mp3", "live/c/d.mp3"):
            numbers[name] = library.write(library.track(tmp_path / name), ["Rock"])
        library.run = library.store.runs.begin("tag", {})
        second = library.write(library.track(tmp_path / "live/a.mp3", ["Rock"]), ["Jazz"])
        idle = library.store.runs.begin("tag", {})

    def answer(*arguments: object) -> list[int]:
        ended = genretagger("history", "--json", *map(str, arguments))
        assert ended.status == 0, ended.err
        return [line["id"] for line in ended.lines]

    assert answer() == [second, *sorted(numbers.values(), reverse=True)]
    assert answer(tmp_path / "live") == [second, numbers["live/c/d.mp3"], numbers["live/a.mp3"]]
    within = (tmp_path / "live", tmp_path / "live/c", tmp_path / "live/c/d.mp3")
    assert answer(*within) == answer(tmp_path / "live")  # each write once
    assert answer("--run", library.run) == [second]
    assert answer("--run", library.run - 1, tmp_path / "liveset") == [numbers["liveset/b.mp3"]]
    ended = genretagger("history", "--run", str(idle))
    assert (ended.status, ended.out) == (0, "")
    assert f"run {idle} has written nothing" in ended.err


def test_states_and_odd_names(genretagger: Command, data: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9 \x1b[31m\n.mp3")
    with Library.at(data) as library:
        track = library.track(odd)
        before, run = track.genres, library.run
        write: Any = {"model": "musicnn", "reason": recorded("a\nreason \x1b[2J")}
        library.store.writes.begin(run, odd, track.payload_hash, before, before, **write)
        abandoned = library.store.writes.begin(run, odd, track.payload_hash, before, before, **write)
        library.store.writes.finish(abandoned, WriteState.ABANDONED)
    ended = genretagger("history")
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", ended.out)
    assert "2 writes (1 abandoned, 1 pending), not finished" in ended.out
    assert r"caf\xe9 \x1b[31m\n.mp3" in ended.out
    assert len(ended.out.splitlines()) == 7
    lines = genretagger("history", "--json", odd).lines
    assert [line["state"] for line in lines] == ["abandoned", "pending"]
    assert {os.fsencode(line["path"]) for line in lines} == {os.fsencode(odd)}


@pytest.mark.parametrize("number", ["99", "-1", str(1 << 80)])
def test_a_run_that_never_was(genretagger: Command, data: Path, number: str) -> None:
    with Library.at(data):
        pass
    ended = genretagger("history", "--run", number)
    assert (ended.status, ended.out) == (2, "")
    assert f"there is no run {number}" in ended.err


def test_nothing_yet(genretagger: Command, data: Path) -> None:
    ended = genretagger("history")
    assert (ended.status, ended.out) == (2, "")
    assert "there is no database yet" in ended.err
    with Library.at(data):
        pass
    ended = genretagger("history", "--json")
    assert (ended.status, ended.out) == (0, "")
    assert "nothing was written" in ended.err


def test_a_long_history_is_told_whole_and_in_order(genretagger: Command, data: Path, tmp_path: Path) -> None:
    count = 2 * PAGE_ROWS + 1
    many(data, tmp_path / "music", count)
    ended = genretagger("history", "--json", tmp_path / "music", tmp_path)
    assert [line["id"] for line in ended.lines] == list(range(count, 0, -1))


def many(data: Path, folder: Path, count: int) -> None:
    """Make a history of many writes of one run, by multiplying the first."""
    with Library.at(data) as library:
        library.write(library.track(folder / "1.mp3"), ["Rock"])
    with closing(sqlite3.connect(data / "library.sqlite3")) as connection, connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(writes)") if row[1] not in ("id", "path")]
        columns = ", ".join(names)
        connection.executemany(
            f"INSERT INTO writes (path, {columns}) SELECT ?, {columns} FROM writes WHERE id = 1",
            ((os.fsencode(folder / f"{number}.mp3"),) for number in range(2, count + 1)),
        )
