from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from database_helpers import ROCK, finish, stamp, start, wait_for
from databases import Place

from genretagger.database.store import Store
from genretagger.database.values import WriteState
from genretagger.errors import DatabaseError

SHARE = """
import sys
from pathlib import Path
from database_helpers import EMPTY, ROCK, activations, stamp, track
from genretagger.causes import recorded
from genretagger.database.store import Store
from genretagger.database.values import WriteState
from genretagger.types import Decision
with Store.open(sys.argv[1]) as store:
    me = sys.argv[2]
    model = store.models.save("musicnn", "f" * 64, ["rock"])
    run = store.runs.begin("tag", {})
    for number in range(40):
        own, shared = track(f"/music/{me}/{number}"), track(f"/music/shared/{number}", payload_hash=str(number))
        store.tracks.save(own)
        store.tracks.save(shared)
        if store.analyses.get(str(number), "f" * 64, "16") is None:
            store.analyses.save(str(number), model, "16", activations(), seconds=1)
        store.decisions.save(str(number), model, "16", Decision(("Rock",), {}, recorded(me)), settings="s")
        write = store.writes.begin(run, own.path, own.payload_hash, EMPTY, ROCK, model="musicnn", reason=recorded(me))
        store.writes.finish(write, WriteState.DONE, stamp=stamp(number))
    store.runs.finish(run)
    print(model)
"""


def test_processes_share_a_database_that_was_not_there(vacant: Place) -> None:
    outputs = [finish(process) for process in [start(SHARE, vacant.address, name) for name in ("a", "b", "c")]]
    assert len(set(outputs)) == 1  # one model, one number
    with vacant.open() as store:
        counts = store.reports.get_counts()
        assert (counts.tracks, counts.heard, counts.decided) == (160, 40, 40)
        assert counts.writes == {WriteState.DONE: 120}
        assert [run.writes for run in store.runs.get_all()] == [{WriteState.DONE: 40}] * 3
        for name in ("a", "b", "c"):
            for number in range(40):
                known = store.tracks.get(Path(f"/music/{name}/{number}"), stamp(number))
                assert known is not None
                assert known.genres == ROCK
        assert store.reports.get_faults() == []


WORK = """
import sys
from database_helpers import EMPTY, ROCK, activations, stamp, track
from genretagger.causes import recorded
from genretagger.database.store import Store
from genretagger.database.values import WriteState
with Store.open(sys.argv[1]) as store:
    model = store.models.save("musicnn", "f" * 64, ["rock"])
    run = store.runs.begin("tag", {})
    for number in range(1_000_000):
        known = track(f"/music/{number}", payload_hash=str(number), genres=EMPTY)
        store.tracks.save(known)
        store.analyses.save(str(number), model, "16", activations(seed=number), seconds=1)
        with store.group():
            first = store.writes.begin(run, known.path, str(number), EMPTY, ROCK, model="m", reason=recorded("r"))
            why = recorded("r")
            second = store.writes.begin(run, known.path, str(number), ROCK, EMPTY, model="m", reason=why, undo_of=first)
        store.writes.finish(first, WriteState.DONE, stamp=stamp(5))
        store.writes.finish(second, WriteState.DONE, stamp=stamp(6))
        print(number, flush=True)
"""


@pytest.mark.parametrize(
    "acknowledged", [30, *(pytest.param(count, marks=pytest.mark.slow) for count in (1, *range(80, 480, 35)))]
)
def test_a_kill_loses_nothing_that_was_acknowledged(place: Place, acknowledged: int) -> None:
    process = start(WORK, place.address)
    assert process.stdout is not None
    for _ in range(acknowledged):
        last = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate()
    last = max([last, *(int(line) for line in rest.split())])
    with place.open() as store:
        assert store.reports.get_faults() == []
        for number in range(last + 1):
            assert store.tracks.get(Path(f"/music/{number}"), stamp(6)) is not None
            assert store.analyses.get(str(number), "f" * 64, "16") is not None
            states = [write.state for write in store.writes.get_all(under=Path(f"/music/{number}"))]
            assert states == [WriteState.DONE, WriteState.UNDONE]
        counts = store.reports.get_counts()
        assert last + 1 <= counts.tracks <= last + 3  # one more may have been saved, and one said on its way
        assert sum(counts.writes.values()) % 2 == 0  # a group is whole
        assert len(store.writes.get_pending()) <= 2


FILL = """
import resource, sys
from database_helpers import activations, track
from genretagger.database.store import Store
from genretagger.errors import DatabaseError
with Store.open(sys.argv[1]) as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
    number = 0
    try:
        while True:
            store.tracks.save(track(f"/music/{number}"))
            number += 1
    except DatabaseError as error:
        print(number, error, error.path, sep="|")
    assert store.tracks.get(track("/music/0").path, track().stamp) is not None
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_no_more_space_is_told_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite3"
    saved, error, named = finish(start(FILL, path)).strip().split("|")
    assert int(saved) > 10
    assert "space" in error or "disk" in error
    assert named == str(path)
    with Store.open(path) as store:
        assert store.reports.get_counts().tracks == int(saved)
        store.tracks.save(next(known.track for known in store.reports.get_all() if known.track))


def test_claims_of_two_writers_never_overlap(tmp_path: Path) -> None:
    """Reading before writing in one transaction is safe on SQLite; default transactions are not."""
    path = tmp_path / "library.sqlite3"
    with Store.open(path):
        pass
    script = """
import sys
from sqlalchemy import text
from genretagger.database.store import Store
with Store.open(sys.argv[1]) as store:
    for _ in range(60):
        with store._access.write() as connection:
            count = connection.execute(text("SELECT pid FROM runs WHERE id = 1")).scalar()
            connection.execute(text("UPDATE runs SET pid = :pid WHERE id = 1"), {"pid": count + 1})
"""
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO runs VALUES (1, 'tag', '{}', 'h', 0, '2024-01-01 00:00:00.0', NULL)")
    connection.close()
    for process in [start(script, path) for _ in range(2)]:
        finish(process)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT pid FROM runs").fetchone() == (120,)
    connection.close()


WAITING = """
import signal, sys
from sqlalchemy import Engine, event
from genretagger.database.store import Store
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what runs in the background
with Store.open(sys.argv[1]) as store:
    event.listen(Engine, "handle_error", lambda _: print("waited", flush=True))
    try:
        store.runs.begin("tag", {})
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_is_heard_while_another_program_holds_the_database(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite3"
    with Store.open(path):
        pass
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with start(WAITING, path) as process:
            try:
                for _ in range(2):  # SQLite itself waits for a moment, gives up, and is asked again
                    wait_for(process, "waited")
                process.send_signal(signal.SIGINT)
                assert finish(process).endswith("interrupted\n")
            finally:
                process.kill()


def test_who_waits_for_the_database_gets_it_or_learns_that_it_is_locked(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite3"
    with (
        Store.open(path, busy_timeout_s=1.0) as store,
        contextlib.closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as holder,
    ):
        holder.execute("BEGIN IMMEDIATE")
        began_s = time.monotonic()
        with pytest.raises(DatabaseError, match="locked by another program"):
            store.runs.begin("tag", {})
        assert time.monotonic() - began_s >= 0.9  # it was patient
        soon = threading.Timer(0.5, holder.execute, ["ROLLBACK"])
        soon.start()
        assert store.runs.begin("tag", {}) == 1
        soon.join()
