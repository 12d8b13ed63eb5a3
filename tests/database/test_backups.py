"""A database that was there before is not replaced in silence, and backups bring it back."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from database_helpers import EMPTY, ROCK, new_store, track

from genretagger.causes import recorded
from genretagger.database.backups import DAY_S, KEPT, back_up_daily, backups, damage_of, put_back
from genretagger.database.place import Lost, Note, note_of, read_note
from genretagger.database.store import Store
from genretagger.database.upgrade import SCHEMA_REVISION, revision_of_tables
from genretagger.database.values import WriteState
from genretagger.errors import DatabaseError

NOW_S = 2_000_000_000.0
LOST = "genretagger undo"


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    path = tmp_path / "library.sqlite3"
    with new_store(path) as store:
        write(store, "a")
    return path


def write(store: Store, name: str) -> int:
    """A run with one write."""
    run = store.runs.begin("tag", {})
    store.tracks.save(track(f"/music/{name}.mp3"))
    number = store.writes.begin(
        run, Path(f"/music/{name}.mp3"), "aa" * 32, EMPTY, ROCK, model="m", reason=recorded("r")
    )
    store.writes.finish(number, WriteState.DONE)
    return number


def execute(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def written(path: Path) -> list[str]:
    with Store.open(path, read_only=True) as store:
        return sorted(each.path.stem for each in store.writes.get_all())


def empty(path: Path) -> None:
    os.truncate(path, 0)


def tableless(path: Path) -> None:
    path.unlink()
    execute(path, "CREATE TABLE t (x)", "DROP TABLE t")


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def cut(path: Path) -> None:
    os.truncate(path, 50)


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("damage", [empty, tableless, zeroed, cut], ids=lambda each: each.__name__)
def test_what_was_a_database_is_not_taken_for_a_new_one(filled: Path, damage: object, read_only: bool) -> None:
    assert callable(damage)
    damage(filled)
    before = filled.read_bytes()
    with pytest.raises(DatabaseError) as caught:
        Store.open(filled, read_only=read_only)
    assert LOST in caught.value.hint
    assert "no backup" in caught.value.hint
    assert filled.read_bytes() == before


@pytest.mark.parametrize("trace", ["note", "log", "backup", "migration", "models"])
def test_each_trace_tells_that_there_was_one(filled: Path, trace: str) -> None:
    content = filled.read_bytes()
    empty(filled)
    note_of(filled).unlink()
    Store.open(filled).close()  # nothing tells that there was one
    empty(filled)
    note_of(filled).unlink()
    if trace == "note":
        note_of(filled).touch()
    elif trace == "log":
        Path(f"{filled}-wal").write_bytes(b"x" * 100)
    elif trace == "backup":
        (filled.parent / "backups").mkdir()
        (filled.parent / "backups" / "library-2026-11-27T10-00-00Z.sqlite3").write_bytes(content)
    elif trace == "migration":
        filled.with_name("library.sqlite3.before-0003").write_bytes(content)
    else:
        (filled.parent / "models").mkdir()
    with pytest.raises(DatabaseError, match="empty file") as caught:
        Store.open(filled)
    assert ("--restore" in caught.value.hint) == (trace in ("backup", "migration"))


def test_a_log_without_its_database_is_left(filled: Path) -> None:
    log = Path(f"{filled}-wal")
    filled.unlink()
    log.write_bytes(b"x" * 100)
    with pytest.raises(DatabaseError, match="its log"):
        Store.open(filled)
    assert log.read_bytes() == b"x" * 100
    assert not filled.exists()


def test_a_new_database_in_place_of_one_that_is_gone_is_told(filled: Path, caplog: pytest.LogCaptureFixture) -> None:
    filled.unlink()
    with Store.open(filled) as store:
        assert store.reports.get_counts().tracks == 0
    assert "the newest entries of the database are missing (runs 1 to 1 and writes 1 to 1)" in caplog.text
    assert read_note(filled) == Note(0, 0, Lost(0, 0))


def test_a_lost_log_is_noticed(filled: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = tmp_path / "kept"
    with Store.open(filled) as store:
        for name in "bcd":
            write(store, name)
        assert written(filled) == ["a", "b", "c", "d"]
        shutil.copy(filled, kept)  # as it lies: what was written last is in the log alone
    shutil.copy(kept, filled)
    assert read_note(filled) == Note(4, 4)
    assert caplog.text == ""
    with Store.open(filled, read_only=True):
        pass
    assert "(runs 2 to 4 and writes 2 to 4)" in caplog.text
    caplog.clear()
    Store.open(filled).close()
    assert "(runs 2 to 4" in caplog.text
    assert read_note(filled) == Note(1, 1, Lost(1, 1))
    caplog.clear()
    with Store.open(filled) as store:
        write(store, "e")
        assert caplog.text == ""
        store.settle_loss()
    assert read_note(filled) == Note(2, 2)


VERSIONS = ["DELETE FROM alembic_version", "DROP TABLE alembic_version"] + [
    f"UPDATE alembic_version SET version_num = {value}" for value in ("'later'", "''", "x'00ff'", "12")
]


@pytest.mark.parametrize("statement", VERSIONS)
def test_an_emptied_table_of_versions_is_told_by_the_tables(filled: Path, statement: str) -> None:
    execute(filled, statement)
    assert written(filled) == ["a"]  # reading changes nothing
    with Store.open(filled) as store:
        write(store, "b")
    assert written(filled) == ["a", "b"]
    with contextlib.closing(sqlite3.connect(filled)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(SCHEMA_REVISION,)]


def test_tables_of_no_revision_without_a_version_are_left_alone(filled: Path) -> None:
    execute(filled, "DELETE FROM alembic_version", "ALTER TABLE tracks ADD COLUMN colour TEXT")
    before = filled.read_bytes()
    with pytest.raises(DatabaseError, match="does not say which schema"):
        Store.open(filled)
    assert filled.read_bytes() == before


@pytest.mark.parametrize("revision", ["0001", "0002", SCHEMA_REVISION])
def test_the_tables_of_each_revision_are_known(tmp_path: Path, revision: str) -> None:
    from genretagger.database.engine import Mode, sqlite_engine
    from genretagger.database.upgrade import upgrade

    path = tmp_path / "library.sqlite3"
    path.touch()
    engine = sqlite_engine(path, Mode.WRITE, busy_timeout_s=5)
    upgrade(engine, path=path, head=revision)
    with engine.connect() as connection:
        assert revision_of_tables(connection) == revision


def test_a_backup_a_day_for_a_week(filled: Path) -> None:
    made = []
    for day in range(10):
        with Store.open(filled) as store:
            write(store, f"day{day}")
        os.utime(filled, (NOW_S + day * DAY_S, NOW_S + day * DAY_S))
        made.append(back_up_daily(filled, now_s=NOW_S + day * DAY_S + 10))
        assert back_up_daily(filled, now_s=NOW_S + day * DAY_S + 3600) is None, "twice a day"
    assert None not in made
    assert [each.path for each in backups(filled)] == made[::-1][:KEPT]
    assert len(written(backups(filled)[0].path)) == 11
    assert not damage_of(backups(filled)[0].path)


def test_an_unchanged_database_has_no_second_backup(filled: Path) -> None:
    os.utime(filled, (NOW_S - 100, NOW_S - 100))
    first = back_up_daily(filled, now_s=NOW_S)
    assert first is not None
    assert back_up_daily(filled, now_s=NOW_S + 2 * DAY_S) is None
    os.utime(filled, (NOW_S + 3 * DAY_S, NOW_S + 3 * DAY_S))  # touched, and nothing in it changed
    assert back_up_daily(filled, now_s=NOW_S + 3 * DAY_S + 1) is None
    assert [each.path for each in backups(filled)] == [first]


def test_a_backup_is_one_snapshot_while_others_write(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from genretagger.database import backups as module

    with Store.open(filled) as store:
        with store.group():
            for number in range(400):
                store.tracks.save(track(f"/music/{number}.mp3", payload_hash=f"{number:064x}" * 20))
        turns: list[int] = []

        def meanwhile(_: float) -> None:
            turns.append(write(store, f"late{len(turns)}"))

        monkeypatch.setattr(module, "_PAGES", 20)
        monkeypatch.setattr("genretagger.database.backups.time.sleep", meanwhile)
        made = back_up_daily(filled)
        assert made is not None
        assert len(turns) > 5
    assert written(made) == ["a"]
    assert len(written(filled)) == 1 + len(turns)


def test_a_damaged_database_pushes_no_good_backup_out(filled: Path) -> None:
    good = back_up_daily(filled, now_s=NOW_S)
    content = bytearray(filled.read_bytes())
    content[4096 * 4 : 4096 * 6] = b"\xa5" * 8192
    filled.write_bytes(content)
    os.utime(filled, (NOW_S + DAY_S, NOW_S + DAY_S))
    with pytest.raises((DatabaseError, sqlite3.Error)):
        back_up_daily(filled, now_s=NOW_S + 2 * DAY_S)
    assert [each.path for each in backups(filled)] == [good]
    assert list((filled.parent / "backups").iterdir()) == [good]


def test_a_backup_is_put_back_and_the_present_file_kept(filled: Path) -> None:
    made = back_up_daily(filled)
    assert made is not None
    with Store.open(filled) as store:
        write(store, "b")
    aside = put_back(made, filled)
    assert aside is not None
    assert written(filled) == ["a"]
    assert written(aside) == ["a", "b"]
    assert stat.S_IMODE(filled.stat().st_mode) == 0o600


def test_nothing_is_put_back_while_another_program_has_it_open(filled: Path) -> None:
    made = back_up_daily(filled)
    assert made is not None
    with Store.open(filled) as store:
        write(store, "b")
        with pytest.raises(DatabaseError, match="has the database open"):
            put_back(made, filled)
        write(store, "c")
    assert written(filled) == ["a", "b", "c"]
    assert not list(filled.parent.glob("*aside*"))


@pytest.mark.parametrize("damage", [empty, zeroed, cut, tableless], ids=lambda each: each.__name__)
def test_a_damaged_backup_is_not_put_back_and_a_damaged_database_is_replaced(filled: Path, damage: object) -> None:
    assert callable(damage)
    made = back_up_daily(filled)
    assert made is not None
    bad = made.with_name("library-bad.sqlite3")
    shutil.copy(made, bad)
    damage(bad)
    before = filled.read_bytes()
    with pytest.raises(DatabaseError, match="the backup is damaged"):
        put_back(bad, filled)
    assert filled.read_bytes() == before
    damage(filled)
    put_back(made, filled)
    assert written(filled) == ["a"]


def test_on_a_full_disk_nothing_is_lost(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = back_up_daily(filled)
    assert made is not None
    before = filled.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("genretagger.database.backups.shutil.copyfileobj", full)
    with pytest.raises(DatabaseError, match="no space") as caught:
        put_back(made, filled)
    assert "nothing was changed" in caught.value.hint
    assert filled.read_bytes() == before
    assert sorted(each.name for each in filled.parent.iterdir()) == ["backups", filled.name, note_of(filled).name]
    monkeypatch.setattr("genretagger.database.backups.shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    os.utime(filled, (NOW_S, NOW_S))
    with pytest.raises(DatabaseError, match="no space for a backup"):
        back_up_daily(filled, now_s=NOW_S * 2)


@pytest.fixture
def loose() -> Iterator[None]:
    """A umask that lets everybody read."""
    old = os.umask(0o022)
    yield
    os.umask(old)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.usefixtures("loose")
def test_only_the_owner_may_read_the_database_and_its_backups(tmp_path: Path) -> None:
    folder = tmp_path / "open" / "data"
    path = folder / "library.sqlite3"

    def modes() -> dict[str, int]:
        return {each.name: stat.S_IMODE(each.stat().st_mode) for each in (folder, *folder.rglob("*"))}

    with Store.open(path) as store:
        write(store, "a")
        back_up_daily(path)
        assert Path(f"{path}-wal").exists()
        found = modes()
        assert len(found) == 7
        assert {
            name: mode for name, mode in found.items() if mode != (0o700 if name in ("data", "backups") else 0o600)
        } == {}
    for each in (folder, *folder.rglob("*")):
        each.chmod(0o755 if each.is_dir() else 0o644)
    before = path.with_name("library.sqlite3.before-0003")
    shutil.copy(path, before)
    with Store.open(path):
        assert {mode & 0o077 for mode in modes().values()} == {0}


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_folder_that_the_owner_named_for_the_database_alone_keeps_its_mode(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    with Store.open(f"sqlite:///{folder}/genres.sqlite3"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o755
        assert stat.S_IMODE((folder / "genres.sqlite3").stat().st_mode) == 0o600
