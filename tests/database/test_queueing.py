"""Several services queue files in one database at the same time, on every engine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from database_helpers import FOREIGN, ME, OTHER, ROOT, SERVICE, claim, finish, job, start, tell, wait_for
from databases import Place

from genretagger.database.store import Store
from genretagger.database.values import JobCounts, JobState
from genretagger.errors import AccessError

ADD_ALL = """
import sys
from database_helpers import job
from genretagger.database.store import Store
from genretagger.database.values import Claimant
with Store.open(sys.argv[1]) as store:
    me, order = Claimant(sys.argv[2]), int(sys.argv[3])
    added = 0
    print("ready", flush=True)
    sys.stdin.readline()
    for round in range(40):
        names = [f"{round}/{number}" for number in range(60)][::order]
        added += store.jobs.add(me, [job(name, changed=True) for name in names])
    print(added)
"""


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with place.open() as opened:
        yield opened


def test_services_that_queue_the_same_files_get_each_file_once(place: Place, store: Store) -> None:
    processes = [start(ADD_ALL, place.address, name, order) for name, order in (("a", 1), ("b", -1), ("c", 1))]
    for process in processes:
        wait_for(process, "ready")
    for process in processes:
        tell(process, "go")
    assert sum(int(finish(process)) for process in processes) == 40 * 60
    assert store.jobs.get_counts() == JobCounts(new=40 * 60, backlog=0, working=0, quarantined=0)


@pytest.mark.parametrize("aside", [False, True], ids=["failed once", "quarantined"])
def test_a_file_that_somebody_claims_meanwhile_stays_theirs(
    engine_name: str, place: Place, store: Store, aside: bool
) -> None:
    """The service sees a free file; before it can queue it again, a process has begun with it."""
    if engine_name == "sqlite":
        pytest.skip("SQLite lets one write follow the other")
    store.jobs.add(SERVICE, [job("song")])
    assert claim(store) == "song"
    store.jobs.fail(ME, ROOT / "song", AccessError("no space"), again_in_s=None if aside else 0)
    added: list[int] = []

    def add() -> None:
        with place.open() as another:
            added.append(another.jobs.add(FOREIGN, [job("song", changed=True)]))

    adding = threading.Thread(target=add)
    with place.open() as other, other.group():
        if aside:
            other.jobs.retry()
        assert claim(other, who=OTHER) == "song"
        adding.start()
        while not place.execute("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
            assert adding.is_alive()
    adding.join()
    assert added == [0]
    found = store.jobs.get(ROOT / "song")
    assert found is not None
    assert (found.state, found.attempts) == (JobState.WORKING, 1 if aside else 2)
    assert claim(store) is None


def test_a_file_that_another_service_queues_again_stays_with_its_service(store: Store) -> None:
    store.jobs.add(SERVICE, [job("aside"), job("late")])
    assert [claim(store), claim(store)] == ["aside", "late"]
    store.jobs.fail(ME, ROOT / "aside", AccessError("no space"), again_in_s=None)
    store.jobs.fail(ME, ROOT / "late", AccessError("no space"), again_in_s=60)
    assert store.jobs.add(FOREIGN, [job("aside", changed=True), job("late", changed=True)]) == 1
    assert store.jobs.get_counts().new == 2
    assert store.jobs.forget(replace(FOREIGN, folders=(ROOT / "x",))) == 0
    assert store.jobs.forget(replace(SERVICE, folders=(ROOT / "x",))) == 2
