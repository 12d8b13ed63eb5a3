from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from database_helpers import ROCK, finish, stamp, start, track
from databases import Place
from sqlalchemy.exc import OperationalError, ProgrammingError
from upgrade_helpers import migrate, migrate_server, one, only_first, raw, scripts_with

from genretagger.causes import Cause, recorded
from genretagger.database.engine import Mode, sqlite_engine
from genretagger.database.models import metadata
from genretagger.database.place import note_of
from genretagger.database.store import Store
from genretagger.database.upgrade import SCHEMA_REVISION, migrations_folder
from genretagger.database.values import Handled, JobState
from genretagger.errors import DatabaseError

PATH = b"/music/\xff.mp3"


@pytest.fixture
def populated(tmp_path: Path) -> Path:
    """A database as the first version left it, filled by plain SQL and not by any later code."""
    path = tmp_path / "library.sqlite3"
    migrate(path, head="0001")
    field = json.dumps({"values": ["Rock", "Hard Rock"], "raw": ROCK.raw, "form": "ID3v2.4"})
    at = "2024-05-06 07:08:09.123456"
    with raw(path) as connection:
        connection.execute("INSERT INTO models VALUES (1, 'musicnn', 'f1', '[\"rock\", \"pop\"]', ?)", (at,))
        connection.execute(
            "INSERT INTO tracks VALUES (1, ?, 4000000, 1700000000123456789, 1700000001000000000, 77, 2049, 1,"
            " 'mp3', 215.25, 'aa', ?, ?, 'ID3v2.4', NULL, NULL, NULL, NULL, NULL, ?)",
            (PATH, json.dumps(ROCK.values), json.dumps(ROCK.raw), at),
        )
        connection.execute(
            "INSERT INTO analyses VALUES (1, 'aa', 1, '16', 'heard', 'CPU', 1, 2, ?, ?, NULL, NULL, NULL, 1.5, ?)",
            (bytes.fromhex("003800bc"), bytes.fromhex("0000803f"), at),
        )
        connection.execute(
            "INSERT INTO decisions VALUES (1, 'aa', 1, '16', '[\"Rock\"]', '[[\"Rock\", 0.75]]', 'why', 's1', ?)", (at,)
        )
        connection.execute("INSERT INTO runs VALUES (1, 'tag', '{}', 'host', 1, ?, NULL)", (at,))
        connection.execute(
            "INSERT INTO writes VALUES (1, 1, ?, 'aa', ?, ?, 'musicnn', 'why', NULL, 'done', NULL, ?, ?)",
            (PATH, field, field, at, at),
        )
    return path


def assert_populated(path: Path) -> None:
    with Store.open(path) as store:
        (known,) = store.reports.get_all()
        analysis = store.analyses.get("aa", "f1", "16")
        assert store.reports.get_faults() == []
    assert known.track is not None
    assert str(known.path) == "/music/\udcff.mp3"
    assert (known.track.genres, known.track.stamp) == (ROCK, stamp())
    assert known.decisions[0].decision.scores == {"Rock": 0.75}
    assert known.seen_at is not None
    assert known.seen_at.isoformat() == "2024-05-06T07:08:09.123456+00:00"
    assert (known.writes[0].before, known.writes[0].run_id) == (ROCK, 1)
    assert analysis is not None
    assert analysis.activations is not None
    assert analysis.activations.values.tolist() == [[0.5, -1.0]]
    assert analysis.activations.embedding.tolist() == [1.0]


def test_the_constant_is_the_newest_migration_and_there_is_one_line() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA_REVISION]


def differences(place: Place) -> list[object]:
    """How the tables of a database differ from those that the models describe."""
    with place.open() as store, store._access.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))


def test_the_migrations_build_what_the_models_describe(vacant: Place) -> None:
    if vacant.is_file:
        migrate(vacant.path, migrations_folder())
    else:
        migrate_server(vacant, migrations_folder(), SCHEMA_REVISION)
    assert differences(vacant) == []


def test_a_new_database_has_the_tables_that_the_migrations_build(vacant: Place, tmp_path: Path) -> None:
    assert differences(vacant) == []
    if vacant.is_file:  # of SQLite we also know what alembic does not compare
        migrated = tmp_path / "migrated.sqlite3"
        migrate(migrated, migrations_folder())
        assert structure(vacant.path) == structure(migrated)


def structure(path: Path) -> dict[str, object]:
    """The columns, keys and indices of all tables."""
    with raw(path) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found: dict[str, object] = {}
        for table in tables:
            indices = connection.execute(f"PRAGMA index_list({table})").fetchall()
            found[table] = (
                sorted(row[1:] for row in connection.execute(f"PRAGMA table_info({table})")),
                sorted(row[2:] for row in connection.execute(f"PRAGMA foreign_key_list({table})")),
                sorted(
                    (unique, origin, [row[2] for row in connection.execute(f"PRAGMA index_info('{name}')")])
                    for _, name, unique, origin, _ in indices
                ),
            )
    return found


def test_an_old_database_of_a_server_is_brought_up_to_date(vacant: Place, tmp_path: Path) -> None:
    """As on SQLite, but for the backup, which is the server's own affair."""
    if vacant.is_file:
        pytest.skip("the other tests of this file do it on SQLite")
    migrate_server(vacant, only_first(tmp_path), "0001")
    at, field = "2024-05-06 07:08:09.123456", json.dumps({"values": [], "raw": None, "form": "ID3v2.4"})
    vacant.execute("INSERT INTO runs VALUES (1, 'tag', '{}', 'host', 1, :at, NULL)", at=at)
    vacant.execute(
        "INSERT INTO writes VALUES (1, 1, :path, 'aa', :field, :field, 'm', 'why', NULL, 'done', NULL, :at, :at)",
        path=PATH,
        field=field,
        at=at,
    )
    with pytest.raises(DatabaseError, match="schema 0001"):
        vacant.open(read_only=True)
    broken = scripts_with(tmp_path, "op.execute('nonsense')")
    with pytest.raises(ProgrammingError):
        migrate_server(vacant, broken, "test")
    assert vacant.execute("SELECT version_num FROM alembic_version") == [("0001",)]
    assert vacant.execute("SELECT to_regclass('jobs')") == [(None,)]
    with vacant.open() as store:
        (write,) = store.writes.get_all()
        assert (str(write.path), write.started_at.isoformat()) == ("/music/\udcff.mp3", f"{at.replace(' ', 'T')}+00:00")
        assert store.jobs.get_counts().backlog == 0
    migrate_server(vacant, scripts_with(tmp_path), "test")
    assert vacant.execute("SELECT colour, run_id FROM writes") == [("blue", 1)]
    with pytest.raises(DatabaseError, match="newer genretagger"):
        vacant.open()


def test_a_populated_database_of_the_first_version_reads_as_ever(populated: Path) -> None:
    assert_populated(populated)


def test_an_old_database_is_backed_up_and_brought_up_to_date(populated: Path, tmp_path: Path) -> None:
    scripts = scripts_with(tmp_path)
    with Store.open(populated):  # the log holds rows that the file has not yet
        with raw(populated) as connection:
            connection.execute("INSERT INTO models VALUES (2, 'late', 'f2', '[]', '2024-05-06 07:08:09.0')")
        migrate(populated, scripts, "test")
    assert one(populated, "SELECT version_num FROM alembic_version") == "test"
    assert one(populated, "SELECT colour || run_id || hex(path) FROM writes") == "blue1" + PATH.hex().upper()
    assert one(populated, "SELECT count(*) FROM models") == 2
    with raw(populated) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        with pytest.raises(sqlite3.IntegrityError):  # the copied table kept its bonds
            connection.execute("UPDATE writes SET run_id = 9")
    backup = populated.with_name("library.sqlite3.before-test")
    first = populated.with_name(f"library.sqlite3.before-{SCHEMA_REVISION}")  # made when the store was opened
    assert sorted(tmp_path.glob("library*")) == [populated, first, backup, note_of(populated)]
    assert one(backup, "SELECT count(*) FROM models") == 2
    assert_populated(backup)


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        ("a bug: RuntimeError: cannot cache function '__o_fold': no locator available", "FileError"),
        ("a bug: OSError: [Errno 5] Input/output error", "WorkerError"),
        ("the owner, the ACLs or the attributes of the file cannot be kept", "WriteRefusedError"),
    ],
)
def test_what_an_earlier_version_held_against_a_file_is_forgotten(tmp_path: Path, cause: str, kind: str) -> None:
    path, at = tmp_path / "library.sqlite3", "2024-05-06 07:08:09.123456"
    migrate(path, head="0002")
    with raw(path) as connection:
        connection.execute("INSERT INTO models VALUES (1, 'musicnn', 'f1', '[]', ?)", (at,))
        for number, (name, failure) in enumerate(((b"/music/a.mp3", cause), (b"/music/b.mp3", "damaged: no frame")), 1):
            values = (number, name, failure, kind, at)
            connection.execute(
                "INSERT INTO tracks (id, path, failure, failure_class, failure_retry, seen_at)"
                " VALUES (?, ?, ?, ?, 0, ?)",
                values,
            )
            connection.execute(
                "INSERT INTO analyses (id, payload_hash, model_id, plan, hearing, provider, windows, labels, failure,"
                " failure_class, seconds, analysed_at) VALUES (?, ?, 1, '16', 'undecodable', '', 0, 0, ?, ?, 0, ?)",
                values,
            )
            connection.execute(
                "INSERT INTO jobs VALUES (?, ?, x'2F6D75736963', 'quarantined', 1, 3, ?, NULL, NULL, ?, '', ?, ?)",
                (number, name, at, failure, at, at),
            )
    with Store.open(path) as store:
        failures = [store.tracks.get_last_failure(Path(name)) for name in ("/music/a.mp3", "/music/b.mp3")]
        assert [failure is not None and failure.retry for failure in failures] == [True, False]
        assert store.jobs.get_counts().quarantined == 1
        job = store.jobs.get(Path("/music/a.mp3"))
        assert job is not None
        assert (job.state, job.attempts) == (JobState.WAITING, 0)
    assert one(path, "SELECT group_concat(failure) FROM analyses") == "damaged: no frame"


def test_the_key_of_the_rules_loses_its_words_and_old_reasons_keep_theirs(tmp_path: Path) -> None:
    path, at = tmp_path / "library.sqlite3", "2024-05-06 07:08:09.123456"
    migrate(path, head="0004")
    names = {b"/music/done.mp3": "key", b"/music/locked.mp3": "key unwritable", b"/music/linked.mp3": "key refused"}
    with raw(path) as connection:
        connection.execute("INSERT INTO models VALUES (1, 'musicnn', 'f1', '[]', ?)", (at,))
        for number, (name, handled) in enumerate(names.items(), 1):
            connection.execute(
                "INSERT INTO tracks (id, path, seen_at, handled) VALUES (?, ?, ?, ?)", (number, name, at, handled)
            )
        connection.execute(
            "INSERT INTO decisions (id, payload_hash, model_id, plan, genres, scores, reason, settings, decided_at)"
            " VALUES (1, ?, 1, '16', '[]', '[]', 'no genre reaches 0.5: …', 's', ?)",
            ("aa" * 32, at),
        )
    with Store.open(path) as store:
        known = {each.path: each.handled for each in store.tracks.get_seen_below(Path("/music"))}
        decided = store.decisions.get("aa" * 32, "f1")
    assert known == {
        b"/music/done.mp3": Handled("key"),
        b"/music/locked.mp3": Handled("key", Cause.NOT_WRITABLE),
        b"/music/linked.mp3": Handled(),
    }
    assert decided is not None
    assert decided.decision.reason == recorded("no genre reaches 0.5: …")


def test_an_up_to_date_database_is_left_alone(populated: Path, tmp_path: Path) -> None:
    scripts = scripts_with(tmp_path)
    migrate(populated, scripts, "test")
    backup = populated.with_name("library.sqlite3.before-test")
    backup.unlink()
    before = populated.read_bytes()
    migrate(populated, scripts, "test")
    assert populated.read_bytes() == before
    assert not backup.exists()


@pytest.mark.parametrize("then", ["op.execute('nonsense')", "op.execute('DELETE FROM runs')"])
def test_a_migration_that_fails_changes_nothing(populated: Path, tmp_path: Path, then: str) -> None:
    with pytest.raises((OperationalError, DatabaseError)):
        migrate(populated, scripts_with(tmp_path, then), "test")
    assert_populated(populated)
    migrate(populated, scripts_with(tmp_path), "test")
    assert one(populated, "SELECT kind FROM tracks") == "new"


MIGRATE = """
import sys
from pathlib import Path
from genretagger.database.engine import Mode, other_engine, sqlite_engine
from genretagger.database.upgrade import upgrade
path = Path(sys.argv[1])
upgrade(sqlite_engine(path, Mode.CREATE, busy_timeout_s=60), path=path, scripts=Path(sys.argv[2]), head="test")
"""


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_kill_in_the_middle_leaves_the_old_schema(populated: Path, tmp_path: Path, journal: str) -> None:
    with raw(populated) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
    die = "import os, signal; op.get_bind().exec_driver_sql('PRAGMA cache_spill'); os.kill(os.getpid(), signal.SIGKILL)"
    process = start(MIGRATE, populated, scripts_with(tmp_path, die))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -9, errors
    assert_populated(populated)
    assert_populated(populated.with_name("library.sqlite3.before-test"))
    migrate(populated, scripts_with(tmp_path), "test")
    assert one(populated, "SELECT kind FROM tracks") == "new"


def test_two_processes_bring_it_up_to_date_once(populated: Path, tmp_path: Path) -> None:
    scripts = scripts_with(tmp_path, "op.execute('UPDATE tracks SET links = links + 1')")
    for process in [start(MIGRATE, populated, scripts) for _ in range(3)]:
        finish(process)
    assert one(populated, "SELECT links FROM tracks") == 2
    assert one(populated.with_name("library.sqlite3.before-test"), "SELECT links FROM tracks") == 1


def test_a_reader_does_not_bring_it_up_to_date(
    populated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genretagger.database.store.SCHEMA_REVISION", "test")
    with pytest.raises(DatabaseError, match="schema 0001") as caught:
        Store.open(populated, read_only=True)
    assert "tag" in caught.value.hint
    assert list(tmp_path.glob("*before*")) == []


def test_the_way_back_leads_to_nothing(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite3"
    migrate(path)
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.set_main_option("path_separator", "os")
    with sqlite_engine(path, Mode.WRITE, busy_timeout_s=1).begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    with raw(path) as plain:
        assert plain.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [("alembic_version",)]


def test_the_template_makes_a_migration_that_runs(populated: Path, tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    shutil.copytree(migrations_folder(), scripts, ignore=shutil.ignore_patterns("__pycache__"))
    config = Config()
    config.set_main_option("script_location", str(scripts))
    config.set_main_option("path_separator", "os")
    migrate(populated)
    with raw(populated) as plain:
        plain.execute("DROP INDEX ix_writes_state")
    with sqlite_engine(populated, Mode.WRITE, busy_timeout_s=1).begin() as connection:
        config.attributes["connection"] = connection
        command.revision(config, "Find writes by state", autogenerate=True, rev_id="test")
    (made,) = (scripts / "versions").glob("test_*.py")
    assert "ix_writes_state" in made.read_text()
    migrate(populated, scripts, "test")
    assert one(populated, "SELECT name FROM sqlite_master WHERE name = 'ix_writes_state'") == "ix_writes_state"
    assert track().genres == ROCK


def test_the_migrations_are_found_in_a_package_and_in_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "genretagger"
    monkeypatch.setattr("genretagger.__file__", str(package / "__init__.py"))
    with pytest.raises(DatabaseError, match="missing"):
        migrations_folder()
    for folder in (tmp_path / "migrations", package / "migrations"):  # the package's own come first
        folder.mkdir(parents=True)
        (folder / "env.py").touch()
        assert migrations_folder() == folder


def test_a_developer_names_a_scratch_database(tmp_path: Path) -> None:
    script = f"""
from argparse import Namespace
from alembic import command
from alembic.config import Config
config = Config(cmd_opts=Namespace(x=["url=sqlite:///{tmp_path}/scratch.sqlite3"]))
config.set_main_option("script_location", {str(migrations_folder())!r})
config.set_main_option("path_separator", "os")
command.upgrade(config, "head")
"""
    finish(start(script))
    assert one(tmp_path / "scratch.sqlite3", "SELECT version_num FROM alembic_version") == SCHEMA_REVISION
