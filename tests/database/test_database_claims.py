"""Claims of services and processes on one queue: each ends, drops and gives back its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from database_helpers import COLLEAGUE, FOREIGN, ME, OTHER, ROOT, SERVICE, claim, job, track
from databases import Place

from genretagger.database import claims
from genretagger.database.columns import now
from genretagger.database.store import Store
from genretagger.database.values import Claimant, Handled, JobCounts, JobState
from genretagger.errors import AccessError


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with place.open() as opened:
        yield opened


def state_of(store: Store, name: str) -> tuple[JobState, int, str]:
    found = store.jobs.get(ROOT / name)
    assert found is not None
    return found.state, found.attempts, found.reason


def test_a_process_ends_its_own_jobs_only(store: Store) -> None:
    """Its lease ran out and another process has the job now, on another machine or on this one."""
    path = ROOT / "song"
    store.tracks.save(track(path))
    store.jobs.add(SERVICE, [job("song")])
    assert claim(store, lease_s=-1) == "song"
    for who in (COLLEAGUE, OTHER):
        assert claim(store, lease_s=-1, who=who) == "song"
        before = state_of(store, "song")
        store.jobs.fail(ME, path, AccessError("no space"), again_in_s=None)
        store.jobs.fail(ME, path, AccessError("no space"), again_in_s=0, attempted=False)
        assert store.jobs.give_back(ME, attempted=False) == 0
        store.jobs.finish(ME, path, "rules")
        assert state_of(store, "song") == before
    assert store.tracks.get_handled(path, track().payload_hash) == Handled(
        "rules"
    )  # which is true, whoever has the job
    store.jobs.finish(OTHER, path, None)
    assert store.jobs.get(path) is None


def test_a_job_that_waits_is_nobodys_to_end(store: Store) -> None:
    store.jobs.add(SERVICE, [job("song")])
    for who in (SERVICE, ME):
        store.jobs.finish(who, ROOT / "song", None)
        store.jobs.fail(who, ROOT / "song", AccessError("no space"), again_in_s=None)
        assert store.jobs.give_back(who, attempted=True) == 0
    assert state_of(store, "song") == (JobState.WAITING, 0, "")


def test_a_service_gives_back_what_its_own_processes_had(store: Store) -> None:
    """As after a kill, without waiting for a lease; another service's work stays untouched."""
    lookalike = Claimant("service%")
    store.jobs.add(SERVICE, [job(name) for name in ("1", "2", "3", "4")])
    whose = (ME, COLLEAGUE, OTHER, Claimant("service2/1"))
    assert [claim(store, who=who) for who in whose] == ["1", "2", "3", "4"]
    assert store.jobs.give_back(lookalike, attempted=True) == 0
    assert store.jobs.give_back(Claimant("service/"), attempted=True) == 0
    assert store.jobs.give_back(SERVICE, attempted=True) == 2
    assert store.jobs.get_counts() == JobCounts(2, 0, 2, 0)
    assert [state_of(store, name)[0] for name in "34"] == [JobState.WORKING] * 2
    assert [claim(store), claim(store), claim(store)] == ["1", "2", None]


def test_a_service_drops_its_own_jobs_only(store: Store) -> None:
    store.jobs.add(SERVICE, [job("mine"), job("a/mine")])
    store.jobs.add(FOREIGN, [job("foreign"), job("a/foreign"), job("mine")])
    store.jobs.drop_waiting(SERVICE, [ROOT / "foreign", ROOT / "mine"])
    assert store.jobs.get(ROOT / "mine") is None
    assert store.jobs.forget(replace(SERVICE, folders=(ROOT / "elsewhere",))) == 1
    assert [claim(store, who=OTHER) for _ in range(3)] == ["foreign", "foreign", None]
    assert store.jobs.forget(SERVICE) == 0  # it names no folders


def test_what_was_given_back_or_failed_still_belongs_to_its_service(store: Store) -> None:
    store.jobs.add(SERVICE, [job("given back"), job("failed")])
    assert [claim(store), claim(store)] == ["given back", "failed"]
    store.jobs.fail(ME, ROOT / "failed", AccessError("no space"), again_in_s=0)
    store.jobs.give_back(ME, attempted=False)
    assert store.jobs.forget(replace(FOREIGN, folders=(ROOT / "x",))) == 0
    assert store.jobs.forget(replace(SERVICE, folders=(ROOT / "x",))) == 2


def test_what_an_older_version_queued_belongs_to_whoever_asks(place: Place, store: Store) -> None:
    store.jobs.add(SERVICE, [job("a"), job("b")])
    place.execute("UPDATE jobs SET worker = NULL")
    store.jobs.drop_waiting(FOREIGN, [ROOT / "a"])
    assert store.jobs.forget(replace(FOREIGN, folders=(ROOT / "x",))) == 1


def test_a_service_takes_files_of_its_own_folders_only(store: Store) -> None:
    """It may not even see the others, and would take them for gone."""
    store.jobs.add(FOREIGN, [job("theirs/1"), job("both/2"), job("theirs/3")])
    mine = replace(ME, folders=(ROOT / "mine", ROOT / "both"))
    assert store.jobs.get_next_at(replace(ME, folders=(ROOT / "mine",))) is None
    assert store.jobs.get_next_at(mine) is not None
    assert [claim(store, who=mine), claim(store, who=mine)] == ["2", None]
    assert store.jobs.get_next_at(mine) is None
    theirs = replace(OTHER, folders=(ROOT / "theirs",))
    assert [claim(store, who=theirs, lease_s=-1) for _ in range(3)] == ["1", "3", None]
    assert claim(store, who=mine) is None  # their leases ran out, and still they are none of ours


def test_the_end_of_anothers_lease_is_a_time_to_look(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    at = now()
    monkeypatch.setattr(claims, "now", lambda: at)
    store.jobs.add(SERVICE, [job("1"), job("2"), job("3")])
    assert [claim(store, who=OTHER, lease_s=90), claim(store, who=OTHER, lease_s=60)] == ["1", "2"]
    assert claim(store, lease_s=30) == "3"
    ends = at + timedelta(seconds=60)
    assert (store.jobs.get_next_at(ME), store.jobs.get_next_at(COLLEAGUE), store.jobs.get_next_at(SERVICE)) == (
        ends,
        at + timedelta(seconds=30),
        ends,
    )
    store.jobs.fail(ME, ROOT / "3", AccessError("no space"), again_in_s=10)
    assert store.jobs.get_next_at(ME) == at + timedelta(seconds=10)
