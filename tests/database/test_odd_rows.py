"""One odd value costs its row: it is named and left out, and all the rest is still given."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import SHARED
from database_helpers import EMPTY, JAZZ, ROCK, activations, stamp, track
from typer.testing import CliRunner

from genretagger.causes import recorded
from genretagger.cli.checkup import Health, storage
from genretagger.cli.main import app
from genretagger.config import load
from genretagger.database.lines import TrackLine, WriteLine
from genretagger.database.models import metadata
from genretagger.database.reports import KnownPart
from genretagger.database.store import Store
from genretagger.database.values import Claimant, JobState, NewJob, WriteState
from genretagger.errors import AudioError, GenretaggerError
from genretagger.types import Decision

HASHES = ("aa" * 32, "bb" * 32)
PATHS = (Path("/music/a.mp3"), Path("/music/b.mp3"))
FAILED = Path("/music/failed.mp3")
ME = Claimant("service/engine")
COLUMNS = [
    (table.name, column.name) for table in metadata.sorted_tables for column in table.columns if column.name != "id"
]
ODD: dict[str, Any] = {
    "word": "later",
    "nothing": None,
    "blob": b"\x00\xff\xfe",
    "empty blob": b"",
    "text": "",
    "huge": 2**62,
    "negative": -(2**62),
    "fraction": 0.5,
    "infinite": float("inf"),
    "no UTF-8": memoryview(b"{\xff"),
    "broken JSON": '{"values": [',
    "nested JSON": "[" * 5_000,
    "a list": "[[1, 2], 3]",
    "an object": '{"values": 7, "raw": [], "form": null}',
    "a number": "12",
    "early": "0001-01-01 00:00:00.000000",
    "late": "9999-12-31 23:59:59.999999",
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with two rows or more per table, without the constraints that SQLite enforces."""
    path = tmp_path_factory.mktemp("odd") / "library.sqlite3"
    with Store.open(path) as store:
        for number, (name, payload) in enumerate(zip(PATHS, HASHES, strict=True)):
            model = store.models.save(f"musicnn{number}", f"f{number}", ["rock", "jazz"])
            store.tracks.save(track(name, payload_hash=payload, genres=ROCK))
            store.analyses.save(payload, model, "16", activations(labels=2, seed=number), seconds=1.0)
            decision = Decision(
                ("Rock", "Hard Rock"), {"Rock": 0.9, "Hard Rock": 0.8, "Jazz": 0.1}, recorded("it rocks")
            )
            store.decisions.save(payload, model, "16", decision, settings="s")
            run = store.runs.begin("tag", {"policy": "keep"})
            for before, after in ((EMPTY, JAZZ), (JAZZ, ROCK)):
                write = store.writes.begin(run, name, payload, before, after, model="musicnn", reason=recorded("heard"))
                store.writes.finish(write, WriteState.DONE)
            store.runs.finish(run)
        pending = store.writes.begin(
            run, PATHS[0], HASHES[0], ROCK, JAZZ, model="m", reason=recorded("r"), temporary_name="t"
        )
        assert pending == 5
        store.tracks.save_failure(FAILED, stamp(), AudioError("it is cut off", path=FAILED, hint="Copy it again"))
        store.jobs.add(ME, [NewJob(path, Path("/music")) for path in (*PATHS, FAILED)])
        while (job := store.jobs.claim(ME, lease_s=60, attempts=3)) is not None and job.path != FAILED:
            continue
        store.jobs.fail(ME, FAILED, AudioError("it is cut off"), again_in_s=None)
        store.jobs.give_back(ME, attempted=False)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE type = 'table'")
        connection.commit()
    return path


@pytest.fixture
def database(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of it in a data folder."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("GENRETAGGER_DATA_DIR", str(folder))
    copy = folder / "library.sqlite3"
    shutil.copy(sound, copy)
    yield copy
    logging.disable(logging.NOTSET)


def spoil(database: Path, table: str, column: str, value: object) -> bool:
    """Put a value into the first row of a table; False if SQLite refuses it."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        try:
            given = "CAST(? AS TEXT)" if isinstance(value, memoryview) else "?"
            connection.execute(f"UPDATE {table} SET {column} = {given} WHERE id = 1", [value])
        except sqlite3.IntegrityError:
            return False
        connection.commit()
    return True


def read_all(store: Store) -> None:
    """Ask everything that commands ask; all but the first row must be there, whatever it holds."""
    assert PATHS[1] in [known.path for known in store.reports.get_all()]
    known = store.reports.get(PATHS[1])
    assert known is not None
    assert len(known.writes) == 2
    assert known.track is not None
    assert known.track.genres == ROCK
    assert len(known.analyses) == len(known.decisions) == 1
    store.reports.get(PATHS[0])
    assert {3, 4} <= {write.id for write in store.writes.get_all()}
    assert 2 in [run.id for run in store.runs.get_all()]
    assert [write.id for write in store.writes.get_undoable(run_id=2)] == [4, 3]
    last = store.writes.get_last_run()
    assert last is not None
    assert last.id == 2
    list(store.writes.get_redoable())
    assert store.writes.get_last_undo() is None
    assert store.writes.has_taken_place()
    store.writes.get_pending()
    store.writes.get_pending(command="tag")
    for path, payload in zip(PATHS, HASHES, strict=True):
        store.writes.get_last(path, payload)
        store.writes.get_history(path, payload)
        store.tracks.get(path, stamp())
        store.tracks.get_handled(path, payload)
        store.tracks.get_inode(path)
        for number in range(2):
            store.analyses.get(payload, f"f{number}", "16")
            store.decisions.get(payload, f"f{number}")
    assert store.analyses.get(HASHES[1], "f1", "16") is not None
    assert store.decisions.get(HASHES[1], "f1") is not None
    store.tracks.get_failure(FAILED, stamp())
    store.tracks.get_last_failure(FAILED)
    store.reports.get_counts()
    store.jobs.get_counts()
    store.jobs.get_next_at(ME)
    assert [job.path for job in store.jobs.get_all(JobState.QUARANTINED)] == [FAILED]
    assert len(list(store.tracks.get_seen_below(Path("/music")))) >= 2
    store.reports.get_unrecorded_count()
    careful = store.reports.get_all(parts=frozenset({KnownPart.DECISIONS}))
    lines = list(store.lines.get_tracks(scores=True))
    assert [line for line in map(TrackLine.of, careful) if line not in lines] == []
    writes = list(store.lines.get_writes())  # of a column that is not shown, nobody asks
    assert [line for line in map(WriteLine.of, store.writes.get_all()) if line not in writes] == []
    assert {len(lines), len(writes)} <= {2, 3, 4, 5}


@pytest.mark.parametrize(
    ("table", "column"),
    [each if number % 4 == 0 else pytest.param(*each, marks=pytest.mark.slow) for number, each in enumerate(COLUMNS)],
)
def test_an_odd_value_in_any_column_costs_its_row_alone(database: Path, table: str, column: str) -> None:
    kept = database.read_bytes()
    values = [value for value in ODD.values() if spoil(database, table, column, value)]
    with Store.open(database, read_only=True) as store:  # once: each new one composes its SQL again
        for value in values:
            spoil(database, table, column, value)
            read_all(store)
            assert {(each.table, each.id) for each in store.reports.get_odd_rows()} <= {(table, 1)}
    for value in values if table == "jobs" else ():
        database.write_bytes(kept)
        spoil(database, table, column, value)
        with Store.open(database) as store:
            claimed = []
            while job := store.jobs.claim(ME, lease_s=60, attempts=3):
                claimed.append(job.path)
            assert PATHS[1] in claimed
            store.jobs.add(ME, [NewJob(path, Path("/music")) for path in PATHS])
            store.jobs.retry()


WRONG = {
    ("writes", "state"): "later",
    ("jobs", "state"): "later",
    ("writes", "before"): '{"values": 7, "raw": null, "form": ""}',
    ("writes", "after"): "[",
    ("writes", "path"): 7,
    ("writes", "started_at"): "yesterday",
    ("writes", "run_id"): "x",
    ("runs", "started_at"): b"\xff",
    ("runs", "settings"): "[1]",
    ("runs", "pid"): 2**62,
    ("tracks", "genres"): '{"a": 1}',
    ("tracks", "duration_s"): "long",
    ("tracks", "inode"): "x",
    ("tracks", "seen_at"): None,
    ("tracks", "title"): b"\xff",
    ("analyses", "hearing"): "loud",
    ("analyses", "windows"): -1,
    ("analyses", "activations"): b"abc",
    ("decisions", "scores"): '[["Rock", 7]]',
    ("decisions", "genres"): "null",
    ("models", "labels"): '"rock"',
    ("jobs", "attempts"): -(2**40),
    ("jobs", "root"): "text",
}


@pytest.mark.parametrize(("table", "column"), WRONG)
def test_commands_name_the_odd_row_and_go_on(
    database: Path, table: str, column: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert spoil(database, table, column, WRONG[table, column])
    findings = list(storage.database(load(), ()))
    odd = next(each for each in findings if each.check == f"rows of {table}")
    assert odd.state is Health.WARN
    assert f"row 1 of the table {table}" in odd.found
    assert column in odd.found
    for arguments, right, seen in (
        (["history"], {0}, "/music/b.mp3"),
        (["history", "--run", "2"], {0}, "/music/b.mp3"),
        (["undo", "--last", "--dry-run"], {1}, "/music/b.mp3"),  # there is no such file
        (["undo", "--run", "2", "--dry-run"], {1}, "/music/b.mp3"),
        (["status"], {1}, "/music/failed.mp3"),  # no service runs
        (["export"], {0}, "/music/b.mp3"),
        (["export", "--format", "json"], {0}, "/music/b.mp3"),
        (["show", "/music/b.mp3"], {0, 1}, "/music/b.mp3"),
    ):
        ended = CliRunner().invoke(app, arguments)
        logging.disable(logging.NOTSET)
        assert ended.exception is None or isinstance(ended.exception, (SystemExit, GenretaggerError)), arguments
        assert ended.exit_code in right, (arguments, ended.output)
        assert seen in ended.output, arguments
    if table in ("writes", "runs", "tracks"):
        assert f"row 1 of the table {table}" in caplog.text


def test_an_odd_row_is_named_once(database: Path, caplog: pytest.LogCaptureFixture) -> None:
    spoil(database, "writes", "state", "later")
    with Store.open(database, read_only=True) as store:
        for _ in range(3):
            list(store.writes.get_all())
    named = [record.getMessage() for record in caplog.records if "row 1 of the table writes" in record.getMessage()]
    assert len(named) == 1
    assert "holds 'later' as its state" in named[0]
    assert str(database) in named[0]


def test_a_sound_database_has_no_odd_rows(database: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Store.open(database, read_only=True) as store:
        read_all(store)
        assert list(store.reports.get_odd_rows()) == []
    assert caplog.text == ""


def test_an_odd_job_is_replaced_when_its_file_is_met_again(database: Path) -> None:
    spoil(database, "jobs", "attempts", "many")
    with Store.open(database) as store:
        store.jobs.add(ME, [NewJob(PATHS[0], Path("/music"))])
        job = store.jobs.get(PATHS[0])
    assert job is not None
    assert (job.state, job.attempts) == (JobState.WAITING, 0)


def test_the_settings_of_an_undo_may_hold_anything(database: Path) -> None:
    answers: list[Any] = [{"run": [1], "force": "x"}, {"run": "1"}, {"run": {}, "paths": 3}, [], "x"]
    for asked in answers:
        with contextlib.closing(sqlite3.connect(database)) as connection, connection:
            settings = json.dumps({"asked": asked})
            connection.execute("UPDATE runs SET command = 'undo', settings = ? WHERE id = 1", [settings])
        ended = CliRunner().invoke(app, ["undo", "--last", "--dry-run"])
        assert "/music/b.mp3" in ended.output, ended.exception


@pytest.mark.skipif(not (SHARED / "cases" / "odd-database").is_dir(), reason="the cases are not there")
@pytest.mark.parametrize(
    "name", [pytest.param("odd-jobs-state.sqlite3", marks=pytest.mark.slow), "odd-writes-state.sqlite3"]
)
def test_odd_database(tmp_path: Path, name: str, genretagger: Any) -> None:
    (tmp_path / "data").mkdir()
    shutil.copy(SHARED / "cases" / "odd-database" / name, tmp_path / "data" / "library.sqlite3")
    assert genretagger("retry").status == 0  # brings the schema up to date
    for arguments in (["history"], ["undo", "--last", "--dry-run"], ["status"], ["export"], ["doctor"]):
        ended = genretagger(*arguments)
        assert "Traceback" not in ended.err, ended.err
        assert "a bug" not in ended.err
        if arguments == ["export"]:
            assert ended.status == 0
            assert ended.out.count(".mp3") >= 3
    table = name.split("-")[1]
    assert "as its state" in genretagger("doctor").out
    spoken = genretagger("history" if table == "writes" else "status")
    assert f"of the table {table} holds 'later' as its state" in spoken.err
    if table == "jobs":
        assert genretagger("history").out.count(".mp3") == 3
