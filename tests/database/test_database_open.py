from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from database_helpers import finish, new_store, stamp, start, track
from databases import Place
from postgres_server import Server

from genretagger.database import store as store_module
from genretagger.database.engine import settle_journal
from genretagger.database.store import Store
from genretagger.database.upgrade import SCHEMA_REVISION
from genretagger.errors import DatabaseError

NOBODY = 65_534


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    path = tmp_path / "library.sqlite3"
    with new_store(path) as store:
        store.tracks.save(track())
    return path


@pytest.fixture
def forbidden() -> Iterator[Path]:
    """A folder with a database, where this process may not write."""
    folder = Path(tempfile.mkdtemp())
    with Store.open(folder / "library.sqlite3") as store:
        store.tracks.save(track())
    for path in (folder / "library.sqlite3", folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    if os.geteuid() == 0:  # root may write anywhere
        os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            os.seteuid(0)
    else:
        yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@contextlib.contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def files(folder: Path) -> dict[str, bytes]:
    """What lies in a folder, but for the note beside the database."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".note"}


def test_a_new_database_is_made_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "library.sqlite3"
    with Store.open(path) as store:
        assert (store.path, store.location, store.read_only) == (path, str(path), False)
        with store._access.write() as connection:
            settings = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 250,
    }  # in slices, see engine.py
    with raw(path) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(SCHEMA_REVISION,)]
    assert list(files(path.parent)) == ["library.sqlite3"]  # closing leaves no side files and no backup


def test_opening_it_again_needs_no_alembic(filled: Path) -> None:
    script = "import sys; from genretagger.database.store import Store\n"
    script += (
        "with Store.open(sys.argv[1]) as store: print(store.reports.get_counts().tracks, 'alembic' in sys.modules)"
    )
    assert finish(start(script, filled)).split() == ["1", "False"]


def test_importing_the_package_imports_no_database() -> None:
    assert finish(start("import sys, genretagger; print('sqlalchemy' in sys.modules)")).split() == ["False"]


@pytest.mark.parametrize("name", [b"\xff#?%41 &mode=ro.sqlite3", "ü€😀.sqlite3".encode(), b"a\nb", b"'\""])
def test_the_file_may_have_any_name(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    with Store.open(path) as store:
        store.tracks.save(track())
    assert list(files(tmp_path)) == [os.fsdecode(name)]
    with Store.open(path, read_only=True) as store:
        assert store.tracks.get(track().path, stamp()) == track()


def test_closing_twice_does_no_harm(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "library.sqlite3")
    store.close()
    store.close()


@pytest.mark.parametrize("content", [b"hello, I am no database" * 100, b"SQLite format 3\x00" + b"\xff" * 5_000])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path, content: bytes, read_only: bool) -> None:
    path = tmp_path / "library.sqlite3"
    path.write_bytes(content)
    with pytest.raises(DatabaseError, match="not a genretagger database") as caught:
        Store.open(path, read_only=read_only)
    assert (caught.value.path, bool(caught.value.hint)) == (path, True)
    assert files(tmp_path) == {"library.sqlite3": content}


def test_damage_is_told(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite3"
    with Store.open(path) as store, store.group():
        for number in range(500):
            store.tracks.save(track(f"/music/{number}"))
    content = bytearray(path.read_bytes())
    content[8_192:-8_192] = b"\xa5" * (len(content) - 16_384)
    path.write_bytes(content)
    with pytest.raises(DatabaseError, match="damaged") as caught, Store.open(path) as store:
        list(store.reports.get_all())
    assert caught.value.path == path
    assert "backup" in caught.value.hint


def test_a_truncated_database_is_told(filled: Path) -> None:
    os.truncate(filled, 6_000)
    with pytest.raises(DatabaseError, match="damaged") as caught, Store.open(filled) as store:
        list(store.reports.get_all())
    assert caught.value.path == filled


@pytest.mark.parametrize("read_only", [False, True])
def test_another_programs_database_is_left_alone(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "beets.db"
    with raw(path) as connection:
        connection.execute("CREATE TABLE items (id INTEGER)")
    before = files(tmp_path)
    with pytest.raises(DatabaseError, match="another program's"):
        Store.open(path, read_only=read_only)
    assert files(tmp_path) == before


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_database_of_a_newer_genretagger_is_left_alone(filled: Path, read_only: bool, journal: str) -> None:
    with raw(filled) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute(f"PRAGMA journal_mode = {journal}")
    before = files(filled.parent)
    with pytest.raises(DatabaseError, match="9999") as caught:
        Store.open(filled, read_only=read_only)
    assert (caught.value.path, bool(caught.value.hint)) == (filled, True)
    assert files(filled.parent) == before


def test_without_create_a_missing_database_stays_missing(tmp_path: Path) -> None:
    for create, read_only in ((False, False), (True, True)):
        with pytest.raises(DatabaseError, match="no database yet"):
            Store.open(tmp_path / "a" / "library.sqlite3", create=create, read_only=read_only)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_is_filled_but_not_read(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite3"
    path.touch()
    with pytest.raises(DatabaseError, match="empty"):
        Store.open(path, read_only=True)
    assert path.stat().st_size == 0
    with Store.open(path, create=False) as store:
        assert store.reports.get_counts().tracks == 0


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "library.sqlite3"
    with pytest.raises(DatabaseError, match="cannot be opened") as caught:
        Store.open(path)
    assert caught.value.path == path


def test_a_folder_in_place_of_the_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="cannot be opened") as caught:
        Store.open(tmp_path)
    assert caught.value.path == tmp_path


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_folder_that_may_not_be_written_is_told(forbidden: Path) -> None:
    for name in ("new.sqlite3", "library.sqlite3"):
        with (
            pytest.raises(DatabaseError, match=r"cannot be (opened|written)") as caught,
            Store.open(forbidden / name) as store,
        ):
            store.tracks.save(track("/music/b.mp3"))
        assert caught.value.path == forbidden / name
        assert caught.value.hint


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_database_can_be_read_where_nothing_may_be_written(forbidden: Path) -> None:
    with Store.open(forbidden / "library.sqlite3", read_only=True) as store:
        assert store.tracks.get(track().path, stamp()) == track()
    assert list(files(forbidden)) == ["library.sqlite3"]


def test_reading_only_writes_nothing(filled: Path) -> None:
    before = filled.read_bytes()
    with Store.open(filled, read_only=True) as store:
        assert store.tracks.get(track().path, stamp()) == track()
        for save in (
            lambda: store.tracks.save(track("/music/b.mp3")),
            lambda: store.runs.begin("tag", {}),
            lambda: store.tracks.save_move(track().path, Path("/music/b.mp3")),
        ):
            with pytest.raises(DatabaseError, match="reading only"):
                save()
    assert filled.read_bytes() == before


def test_a_reader_sees_what_a_writer_saves_meanwhile(filled: Path) -> None:
    with Store.open(filled) as writer, Store.open(filled, read_only=True) as reader:
        writer.tracks.save(track("/music/b.mp3"))
        assert reader.tracks.get(Path("/music/b.mp3"), stamp()) is not None
        with writer.group():
            writer.tracks.save(track("/music/c.mp3"))
            assert reader.tracks.get(Path("/music/c.mp3"), stamp()) is None  # neither waits nor sees it


def test_a_locked_database_is_told_after_the_wait(filled: Path) -> None:
    with Store.open(filled, busy_timeout_s=0.05) as store, raw(filled) as other:
        other.execute("BEGIN IMMEDIATE")
        assert store.tracks.get(track().path, stamp()) is not None
        with pytest.raises(DatabaseError, match="locked") as caught:
            store.tracks.save(track("/music/b.mp3"))
        assert (caught.value.path, bool(caught.value.hint)) == (filled, True)
        other.execute("COMMIT")
        store.tracks.save(track("/music/b.mp3"))  # and the store goes on


def test_a_database_locked_from_the_start_is_told(filled: Path) -> None:
    with raw(filled) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseError, match="locked"):
            Store.open(filled, busy_timeout_s=0.05)


def test_an_address_may_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite3"
    with Store.open(f"sqlite:///{path}") as store:
        store.tracks.save(track())
        assert store.path == path
    with Store.open(str(path)) as store:
        assert store.reports.get_counts().tracks == 1


def test_an_address_of_postgresql_needs_no_name_of_a_driver(postgres: Server) -> None:
    with postgres.database() as address, Store.open(address.replace("+psycopg", "")) as store:
        store.tracks.save(track())
        assert (store.path, store.reports.get_counts().tracks) == (None, 1)
        assert store.location.startswith("postgresql://")


def test_what_a_server_refuses_is_told_with_the_address_to_check(postgres: Server) -> None:
    with pytest.raises(DatabaseError, match="the database failed") as caught:
        Store.open(postgres.address("absent"))
    assert "database_url" in caught.value.hint


def test_reading_only_writes_nothing_on_a_server_either(place: Place) -> None:
    with place.open(read_only=True) as store, pytest.raises(DatabaseError, match="reading only"):
        store.tracks.save(track())


def test_a_reader_of_a_server_sees_what_a_writer_saves_meanwhile(place: Place) -> None:
    with place.open() as writer, place.open(read_only=True) as reader:
        writer.tracks.save(track("/music/b.mp3"))
        assert reader.tracks.get(Path("/music/b.mp3"), stamp()) is not None
        with writer.group():
            writer.tracks.save(track("/music/c.mp3"))
            assert reader.tracks.get(Path("/music/c.mp3"), stamp()) is None
        assert reader.tracks.get(Path("/music/c.mp3"), stamp()) is not None


@pytest.mark.parametrize(
    ("address", "cause"),
    [
        ("sqlite://", "no plain SQLite file"),
        ("sqlite:///:memory:", "no plain SQLite file"),
        ("sqlite:///a.sqlite3?mode=ro", "no plain SQLite file"),
        ("nonsense://user:secret@host/name", "not an address of a database"),
        ("://secret", "not an address of a database"),
        ("postgresql+pg8000://user:secret@127.0.0.1:1/name", "needs the Python package pg8000"),
    ],
)
def test_an_address_that_cannot_work_is_told_without_its_password(address: str, cause: str) -> None:
    with pytest.raises(DatabaseError, match=cause) as caught:
        Store.open(address)
    assert "secret" not in str(caught.value)
    assert caught.value.hint


def test_on_a_network_file_system_the_log_is_not_used(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genretagger.database.engine.on_network", lambda _: True)
    with Store.open(filled) as store, Store.open(filled) as other:
        store.tracks.save(track("/music/b.mp3"))
        other.tracks.save(track("/music/c.mp3"))
        for number, _ in enumerate(store.reports.get_all()):
            store.tracks.save(track(f"/aaa/{number}"))
        assert store.reports.get_counts().tracks == 6
    with raw(filled) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    monkeypatch.undo()
    with Store.open(filled) as store, store._access.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_a_busy_file_keeps_the_journal_that_it_has(filled: Path) -> None:
    with raw(filled) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN")
        other.execute("SELECT * FROM tracks").fetchone()  # a reader keeps the log from being made
        assert settle_journal(filled, busy_timeout_s=0.05) == "delete"
        other.execute("COMMIT")
    assert settle_journal(filled, busy_timeout_s=0.05) == "wal"


def test_a_file_that_is_busy_for_a_moment_gets_its_log(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with raw(filled) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN")
        other.execute("SELECT * FROM tracks").fetchone()
        # The moment ends between the first attempt and the second.
        monkeypatch.setattr("genretagger.database.engine.time.sleep", lambda _: other.execute("COMMIT"))
        assert settle_journal(filled, busy_timeout_s=30) == "wal"


def test_every_error_code_of_the_table_has_a_name_in_sqlite() -> None:
    from genretagger.database.engine import _MEANINGS

    assert all(isinstance(getattr(sqlite3, name), int) for name, _, _ in _MEANINGS)
    assert all(re.match("[a-z]", cause) and hint for _, cause, hint in _MEANINGS)


def test_the_default_wait_is_half_a_minute() -> None:
    assert store_module.BUSY_TIMEOUT_S == 30


def test_nothing_is_saved_in_a_database_that_was_removed_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite3"
    with Store.open(path) as store:
        store.runs.begin("tag", {})
        for file in tmp_path.iterdir():
            file.unlink()
        with pytest.raises(DatabaseError, match="removed"):  # a write that nobody could undo
            store.runs.begin("tag", {})
    assert list(tmp_path.iterdir()) == []
