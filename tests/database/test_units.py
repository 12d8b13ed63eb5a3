"""Units of an archive: claimed once, given back if their run is lost, found by indices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from database_helpers import new_store
from postgres_server import Server
from sqlalchemy import event, text

from genretagger.causes import Cause
from genretagger.database.libraries import Libraries
from genretagger.database.store import Store
from genretagger.database.units import NewUnit, UnitState
from genretagger.errors import DatabaseError

ROOT = Path("/music")
ROWS = 20_000


@pytest.fixture
def address(postgres: Server, template: str) -> Iterator[str]:
    """A new database on PostgreSQL with all tables."""
    with postgres.database(template) as address:
        yield address


def unit(name: str, names: str = "n", part: int = 0, parts: int = 1) -> NewUnit:
    return NewUnit(ROOT / name, ROOT, part, parts, 12, names)


def claimed(store: Store, owner: str = "run", rules: str = "r", lease_s: float = 60, attempts: int = 3) -> str | None:
    found = store.units.claim(owner, rules=rules, roots=[ROOT], lease_s=lease_s, attempts=attempts)
    return None if found is None else f"{found.folder.name}/{found.part}"


def test_what_is_done_stays_done_until_something_changes(address: str) -> None:
    with Store.open(address) as store:
        assert store.units.add([unit("\udcff"), unit("b")], rules="r") == 2
        assert store.units.add([unit("\udcff"), unit("b")], rules="r") == 0
        while found := store.units.claim("run", rules="r", roots=[ROOT], lease_s=60, attempts=3):
            counts = {"tagged": 12, "unchanged": 0, "skipped": 0, "failed": 0}
            assert store.units.finish(found.id, "run", "node", counts)
            assert not store.units.finish(found.id, "run", "node", counts)
        assert store.units.add([unit("\udcff"), unit("b"), unit("c")], rules="r") == 1
        assert store.units.add([unit("\udcff", "other"), unit("b")], rules="r") == 1
        assert store.units.add([unit("b")], rules="other") == 1
        assert store.units.add([unit("b"), unit("c")], rules="r", again=True) == 2
        progress = store.units.get_progress()
        assert progress.units[UnitState.WAITING] == 3


def test_a_folder_that_is_divided_otherwise_has_no_old_parts(address: str) -> None:
    with Store.open(address) as store:
        store.units.add([unit("a", part=part, parts=2) for part in range(2)], rules="r")
        store.units.add([unit("a", part=part, parts=4) for part in range(4)], rules="r")
        assert [claimed(store) for _ in range(5)] == ["a/0", "a/1", "a/2", "a/3", None]


def test_a_unit_belongs_to_the_run_that_claimed_it(address: str) -> None:
    with Store.open(address) as store, Store.open(address) as other:
        store.units.add([unit("a"), unit("b"), unit("c")], rules="r")
        assert [claimed(store, "one"), claimed(other, "two"), claimed(store, "one")] == ["a/0", "b/0", "c/0"]
        assert claimed(other, "two") is None
        assert store.units.get_owners([ROOT]) == {"one": "r", "two": "r"}
        assert store.units.get_owners([Path("/elsewhere")]) == {}
        assert (store.units.renew("one", 60), store.units.give_back("two")) == (2, 1)
        assert claimed(store, "three", rules="other") is None, "other rules are another archive's"
        assert claimed(store, "three") == "b/0"


def test_the_units_of_a_run_that_is_gone_wait_again_after_their_lease(address: str) -> None:
    with Store.open(address) as store:
        store.units.add([unit("a"), unit("b")], rules="r")
        assert [claimed(store, "gone", lease_s=-1), claimed(store, "alive")] == ["a/0", "b/0"]
        assert store.units.give_back_lost() == 1
        assert [claimed(store, attempts=1), claimed(store)] == ["a/0", None], "the attempt did not count"


def test_a_unit_that_kills_whoever_works_on_it_is_set_aside(address: str) -> None:
    with Store.open(address) as store:
        store.units.add([unit("a"), unit("b")], rules="r")
        for _ in range(2):
            assert claimed(store, attempts=2) == "a/0"
            store.units.give_back("run")
        assert claimed(store, attempts=2) == "b/0"
        assert store.units.get_failed() == [(ROOT / "a", Cause.KILLED, "each process that worked on it died")]
        assert store.units.add([unit("a")], rules="r") == 1, "the next listing tries it again"


def test_one_process_at_a_time_holds_a_unit(address: str) -> None:
    with Store.open(address) as store, Store.open(address) as other:
        with store.units.held(7) as held, other.units.held(7) as too, other.units.held(8) as another:
            assert (held, too, another) == (True, False, True)
        with other.units.held(7) as held:
            assert held
        crashed = Store.open(address)
        crashed.units.held(9).__enter__()
        crashed.close()
        with other.units.held(9) as held:
            assert held, "the lock went with whoever held it"


def test_stages_are_counted_by_the_minute(address: str) -> None:
    with Store.open(address) as store:
        for _ in range(3):
            store.units.save_stage("node", "hear", tracks=4, seconds=2.0)
        (rate,) = store.units.get_rates()
        assert (rate.node, rate.stage, rate.tracks, rate.seconds) == ("node", "hear", 12, 6.0)


def test_sqlite_is_refused(tmp_path: Path) -> None:
    with new_store(tmp_path / "library.sqlite3") as store, pytest.raises(DatabaseError, match="PostgreSQL"):
        store.units.see_server()


def test_libraries_are_mounted_elsewhere_by_each_node(address: str) -> None:
    with (
        Store.open(address, libraries={"lib": ROOT}) as here,
        Store.open(address, libraries={"lib": Path("/m")}) as there,
    ):
        here.units.add([unit("a")], rules="r")
        found = there.units.claim("run", rules="r", roots=[Path("/m")], lease_s=60, attempts=3)
        assert found is not None
        assert (found.folder, found.root) == (Path("/m/a"), Path("/m"))


def filled(store: Store, rows: int = ROWS) -> None:
    """Many rows, made by the server, with statistics."""
    with store._access.write() as connection:
        for statement in (
            "INSERT INTO models VALUES (1, 'm', 'f', '[]', now())",
            "INSERT INTO tracks (path, seen_at, payload_hash, size_bytes, mtime_ns, ctime_ns, inode, device, links,"
            " kind, genres, genre_form, failure, failure_class)"
            " SELECT convert_to('/music/' || n / 12 || '/' || n, 'UTF8'), now(), md5(n::text), 1, 1, 1, 1, 1, 1, 'mp3',"
            " '[]', '', CASE WHEN n % 100 = 0 THEN 'bad' END, CASE WHEN n % 100 = 0 THEN 'DecodeError' END"
            f" FROM generate_series(1, {rows}) n",
            "INSERT INTO analyses (payload_hash, model_id, sampling, hearing, provider, windows, labels, seconds,"
            " analysed_at) SELECT md5(n::text), 1, '16', 'silent', '', 0, 0, 0, now()"
            f" FROM generate_series(1, {rows}) n",
            "INSERT INTO jobs (path, root, state, priority, attempts, not_before, worker, added_at, updated_at)"
            " SELECT convert_to('/music/' || n / 12 || '/' || n, 'UTF8'), '/music', 'waiting', 1, 0, now(), 's',"
            f" now(), now() FROM generate_series(1, {rows}) n",
            "INSERT INTO units (folder, root, part, parts, files, names, rules, state, attempts, tagged, unchanged,"
            " skipped, failed, updated_at) SELECT convert_to('/music/' || n, 'UTF8'), '/music', 0, 1, 12, 'n', 'r',"
            f" CASE WHEN n % 2 = 0 THEN 'done' ELSE 'waiting' END, 0, 12, 0, 0, 0, now()"
            f" FROM generate_series(1, {rows // 4}) n",
        ):
            connection.execute(text(statement))
    with store._access.read() as connection:
        connection.execute(text("VACUUM ANALYZE"))


def test_no_question_of_many_machines_reads_a_whole_table(address: str) -> None:
    """The server's plans for claims, for look-ups by payload and for the failures of the status.

    Counting all jobs, or all units, reads each of these: one row an album, and none of the tracks.
    """
    from genretagger.database.values import Claimant

    asked: list[tuple[str, object]] = []
    with Store.open(address) as store:
        filled(store)

        @event.listens_for(store._access._engine, "before_cursor_execute")
        def keep(_c: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
            asked.append((statement, parameters))

        store.units.claim("run", rules="r", roots=[ROOT], lease_s=60, attempts=3)
        store.units.renew("run", 60)
        store.units.give_back_lost()
        store.units.get_waiting_count(rules="r", roots=[ROOT], most=1000)
        store.units.get_owners([ROOT])
        store.units.get_heard_count(["a" * 32, "b" * 32], 1, "16")
        store.units.get_failures()
        me = Claimant("s/1", (ROOT,))
        store.jobs.claim(me, lease_s=60, attempts=3)
        store.jobs.get_next_at(me)
        store.analyses.get("a" * 32, "f", "16")
        store.decisions.get("a" * 32, "f", "16")
        store.tracks.get_paths("a" * 32)
        store.writes.get_last(ROOT / "x", "a" * 32)
        store.writes.get_history(ROOT / "x", "a" * 32)
        store.reports.get(ROOT / "1" / "12")
        questions = [(sql, given) for sql, given in asked if re.match("SELECT|UPDATE", sql)]
        event.remove(store._access._engine, "before_cursor_execute", keep)
        read: set[str] = set()
        with store._access.read() as connection:
            for sql, given in questions:
                plan = [row[0] for row in connection.exec_driver_sql(f"EXPLAIN {sql}", given)]  # type: ignore[arg-type]
                for table in re.findall(r"Seq Scan on (\w+)", "\n".join(plan)):
                    rows = connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
                    if rows > 10:  # an empty table is read as a whole, which costs nothing
                        read.add(f"{table}: {sql}\n" + "\n".join(plan))
    assert len(questions) > 15
    assert not read, "\n\n".join(read)


def test_the_check_for_whole_tables_sees_one(address: str) -> None:
    with Store.open(address) as store:
        filled(store, 2_000)
        with store._access.read() as connection:
            plan = connection.execute(text("EXPLAIN SELECT id FROM tracks WHERE title = 'x'"))
            assert "Seq Scan on tracks" in "\n".join(row[0] for row in plan)


def test_the_ranges_of_a_root_are_those_of_its_libraries() -> None:
    assert Libraries({"lib": ROOT}).ranges(ROOT) == [(b"lib:/", b"lib:0")]
