"""`genretagger doctor` and a database in trouble: what it says, `--restore`, `--adopt`."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import command_helpers as helpers
import pytest
from daemon_helpers import Watcher

from genretagger.database.backups import back_up_daily, backups
from genretagger.database.store import Store

Command = Callable[..., Any]
MakeTechno = Callable[..., Path]


def by_check(ended: Any) -> dict[str, dict[str, str]]:
    return {line["check"]: line for line in ended.lines}


@pytest.fixture
def tagged(heard: Path, music: Path, make_techno: MakeTechno, genretagger: Command) -> Path:
    """A data folder whose database has a run that tagged two files."""
    for name in ("a", "b"):
        make_techno(music / f"{name}.flac")
    assert genretagger("tag", music).status == 0
    return heard


@pytest.mark.slow
def test_an_emptied_database_is_bad_and_every_command_says_what_is_lost(
    tagged: Path, music: Path, genretagger: Command
) -> None:
    database = tagged / "library.sqlite3"
    os.truncate(database, 0)
    for arguments in (["tag", music], ["history"], ["undo", "--last"], ["export"], ["status"], ["retry"]):
        ended = genretagger(*arguments)
        assert ended.status == 2, arguments
        assert "the database is an empty file although it held data before" in ended.err
        assert "genretagger undo" in ended.err
        assert "Traceback" not in ended.err
    found = by_check(genretagger("doctor", "--json"))["database"]
    assert found["state"] == "bad"
    assert "you chose" in found["fix"]
    assert database.stat().st_size == 0
    assert genretagger("doctor", "--restore", "--yes").status == 2  # there is no backup


def test_restore_lists_asks_and_puts_back(tagged: Path, music: Path, genretagger: Command) -> None:
    database = tagged / "library.sqlite3"
    first = back_up_daily(database, now_s=1_700_000_000)
    second = back_up_daily(database)
    assert second is None or first is not None  # unchanged: the first one counts for today
    helpers.retag(music / "a.flac")
    os.truncate(database, 0)
    asked = genretagger("doctor", "--restore")
    assert asked.status == 2  # nobody is there to answer
    assert "nothing was changed" in asked.err
    assert backups(database)[0].path.name in asked.err
    assert database.stat().st_size == 0
    assert genretagger("doctor", "--restore", "9", "--yes").status == 2
    done = genretagger("doctor", "--restore", "1", "--yes", "--json")
    assert done.status == 0, done.err
    (line,) = done.lines
    assert Path(line["aside"]).stat().st_size == 0
    undone = genretagger("undo", "--last", "--json")
    assert {Path(each["path"]).name: each["status"] for each in undone.lines}["b.flac"] == "tagged"
    assert helpers.genres_of(music / "b.flac") == []


def test_restore_takes_a_backup_by_its_name_and_refuses_a_damaged_one(tagged: Path, genretagger: Command) -> None:
    database = tagged / "library.sqlite3"
    made = back_up_daily(database)
    assert made is not None
    bad = made.with_name("library-2000.sqlite3")
    bad.write_bytes(made.read_bytes()[:5000])
    before = database.read_bytes()
    refused = genretagger("doctor", "--restore", bad.name, "--yes")
    assert refused.status == 2
    assert "the backup is damaged" in refused.err
    assert database.read_bytes() == before
    assert genretagger("doctor", "--restore", made.name, "--yes").status == 0
    bad.touch()  # the newest, and damaged: without a name it is passed over
    assert made.name in genretagger("doctor", "--restore", "--yes").out


def test_the_service_makes_a_backup_and_none_is_put_back_while_it_runs(
    heard: Path, music: Path, song: bytes, genretagger: Command
) -> None:
    (music / "a.flac").write_bytes(song)
    with Watcher(music, data_dir=heard) as watcher:
        watcher.wait_for("backup made")
        (made,) = backups(heard / "library.sqlite3")
        refused = genretagger("doctor", "--restore", "--yes")
        assert refused.status == 2
        assert "another `genretagger watch`" in refused.err
        watcher.wait_for_all("tagged", {music / "a.flac"})
        assert watcher.stop() == 0
    with Store.open(made.path, read_only=True) as store:
        assert store.reports.get_counts().heard > 0
    assert made.path.stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_files_that_a_lost_log_forgot_are_adopted_and_undone(
    heard: Path, music: Path, make_techno: MakeTechno, genretagger: Command
) -> None:
    """The log is lost with all that the run noted; the files keep our genres."""
    database = heard / "library.sqlite3"
    for name in ("a", "b"):
        make_techno(music / f"{name}.flac")
    make_techno(music / "theirs.flac", genre="Polka")
    kept = heard.parent / "as it lay"
    genretagger("retry")  # settles the journal
    with closing(sqlite3.connect(database)) as other:
        other.execute("SELECT count(*) FROM tracks").fetchone()  # keeps the log from being folded in
        shutil.copy(database, kept)
        assert genretagger("tag", music).status == 0
    genres = helpers.genres_of(music / "a.flac")
    assert genres
    for each in heard.glob("library.sqlite3-*"):
        each.unlink()
    shutil.copy(kept, database)

    found = by_check(genretagger("doctor", "--json"))["records"]
    assert found["state"] == "warn"
    assert "--adopt" in found["fix"]
    assert genretagger("undo", music / "a.flac").status == 2  # no record
    before = helpers.snapshot(music)
    listed = genretagger("doctor", "--adopt", "--json", music)
    assert listed.status == 0, listed.err
    assert {Path(line["path"]).name for line in listed.lines} == {"a.flac", "b.flac"}
    assert not any(line["adopted"] for line in listed.lines)
    assert "--yes" in listed.err
    assert genretagger("undo", music / "a.flac").status == 2  # nothing was recorded

    adopted = genretagger("doctor", "--adopt", "--yes", music)
    assert adopted.status == 0, adopted.err
    assert "2 files recorded" in adopted.err
    assert helpers.snapshot(music) == before
    assert by_check(genretagger("doctor", "--json")).get("records", {"state": "ok"})["state"] == "ok"
    assert genretagger("doctor", "--adopt", "--json", music).lines == []
    undone = genretagger("undo", "--last", "--json")
    assert undone.status == 0, undone.err
    assert helpers.genres_of(music / "a.flac") == []
    assert helpers.genres_of(music / "theirs.flac") == ["Polka"]


def test_adoption_is_for_the_policy_that_knows_what_was_before(heard: Path, music: Path, genretagger: Command) -> None:
    ended = genretagger("doctor", "--adopt", music, GENRETAGGER_POLICY="replace")
    assert ended.status == 2
    assert "it is not known which genre a file had before" in ended.err
    assert genretagger("doctor", "--adopt").status == 2
    assert genretagger("doctor", "--adopt", "--restore").status == 2
    assert genretagger("doctor", "--yes").status == 2


def test_an_emptied_table_of_versions_costs_nothing(tagged: Path, music: Path, genretagger: Command) -> None:
    with closing(sqlite3.connect(tagged / "library.sqlite3")) as connection, connection:
        connection.execute("DELETE FROM alembic_version")
    assert genretagger("history").out.count(".flac") == 2
    assert genretagger("tag", music).status == 0
    assert genretagger("undo", "--last").status == 0
    assert helpers.genres_of(music / "a.flac") == []
