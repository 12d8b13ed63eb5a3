"""The queue: each file once, in order, claimed by one; attempts, leases, back-off, quarantine."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from database_helpers import (
    FOREIGN,
    ME,
    OTHER,
    ROOT,
    SERVICE,
    claim,
    finish,
    job,
    stamp,
    start,
    tell,
    track,
    wait_for,
)
from databases import Place
from sqlalchemy import event

from genretagger.causes import Cause
from genretagger.database import claims, jobs, tracks
from genretagger.database.columns import now
from genretagger.database.store import Store
from genretagger.database.values import Handled, JobCounts, JobState
from genretagger.errors import AccessError


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with place.open() as opened:
        yield opened


def test_each_file_once_and_new_ones_before_the_backlog(store: Store) -> None:
    assert store.jobs.add(SERVICE, [job("old 1", 1), job("old 2", 1), job("new 1"), job("odd \udcff")]) == 4
    assert store.jobs.add(SERVICE, [job("old 2"), job("new 1", 1)]) == 0  # one of them is in a hurry now
    assert store.jobs.get_counts() == JobCounts(3, 1, 0, 0)
    assert [claim(store) for _ in range(5)] == ["old 2", "new 1", "odd \udcff", "old 1", None]
    assert store.jobs.get_counts() == JobCounts(0, 0, 4, 0)
    found = store.jobs.get(ROOT / "odd \udcff")
    assert found is not None
    assert (found.root, found.state, found.attempts) == (ROOT, JobState.WORKING, 1)


def test_the_files_of_a_folder_are_claimed_one_after_the_other(store: Store) -> None:
    """So that the tracks of an album are heard together, whoever else fills the queue."""
    store.jobs.add(SERVICE, [job("b/2"), job("b/1")])
    store.jobs.add(FOREIGN, [job("a/2"), job("a/1")])
    store.jobs.add(SERVICE, [job("c/1", 1), job("b/1")])
    assert [claim(store) for _ in range(2)] == ["2", "1"]
    store.jobs.give_back(ME, attempted=False)  # behind all else, and still in their order
    folders = []
    while (found := store.jobs.claim(OTHER, lease_s=60, attempts=3)) is not None:
        folders.append(f"{found.path.parent.name}/{found.path.name}")
    assert folders == ["a/2", "a/1", "b/2", "b/1", "c/1"]


def test_what_is_done_is_known_by_its_audio(store: Store) -> None:
    path = ROOT / "song"
    store.jobs.add(SERVICE, [job("song")])
    store.tracks.save(track(path))
    assert store.tracks.get_handled(path, track().payload_hash) == Handled()
    claim(store)
    store.jobs.finish(ME, path, "rules")
    assert (store.jobs.get(path), store.jobs.get_next_at(ME)) == (None, None)
    assert store.tracks.get_handled(path, track().payload_hash) == Handled("rules")
    store.tracks.save(track(path, at=stamp(mtime_ns=5)))  # its tags were edited
    assert store.tracks.get_handled(path, track().payload_hash) == Handled("rules")
    store.tracks.save(track(path, payload_hash="bb" * 32))
    assert store.tracks.get_handled(path, "bb" * 32) == Handled()
    store.jobs.finish(ME, ROOT / "gone", None)
    store.jobs.add(SERVICE, [job("song")])
    claim(store)
    store.jobs.finish(ME, path, "rules", Cause.HARD_LINKED)
    assert store.tracks.get_handled(path, "bb" * 32) == Handled("rules", Cause.HARD_LINKED)


def test_a_failure_is_tried_again_later_and_then_set_aside(place: Place, store: Store) -> None:
    path = ROOT / "song"
    store.jobs.add(SERVICE, [job("song")])
    full = AccessError("no space", path=path, hint="Make some")
    for attempt in (1, 2):
        assert claim(store) == "song"
        store.jobs.fail(ME, path, full, again_in_s=600)
        assert claim(store) is None
        found = store.jobs.get(path)
        assert found is not None
        assert (found.attempts, found.reason, found.hint) == (attempt, "no space", "Make some")
        assert store.jobs.get_next_at(ME) == found.not_before
        assert timedelta(seconds=590) < found.not_before - now() <= timedelta(seconds=600)
        place.execute("UPDATE jobs SET not_before = updated_at")
    assert claim(store) == "song"
    store.jobs.fail(ME, path, full, again_in_s=None)
    assert claim(store) is None
    assert [(each.path, each.cause, each.reason) for each in store.jobs.get_all(JobState.QUARANTINED)] == [
        (path, Cause.NO_ACCESS, "no space")
    ]
    assert store.jobs.add(SERVICE, [job("song")]) == 0  # seen again, and still the same
    assert store.jobs.get_counts().quarantined == 1
    assert store.jobs.add(SERVICE, [job("song", changed=True)]) == 1
    assert claim(store) == "song"


def test_a_file_that_changed_does_not_wait_for_what_failed_before(store: Store) -> None:
    store.jobs.add(SERVICE, [job("song")])
    claim(store)
    store.jobs.fail(ME, ROOT / "song", AccessError("no space"), again_in_s=3600)
    store.jobs.add(SERVICE, [job("song")])
    assert claim(store) is None
    store.jobs.add(SERVICE, [job("song", changed=True)])
    assert claim(store, attempts=1) == "song"


def test_a_file_that_kills_whoever_opens_it(store: Store) -> None:
    store.jobs.add(SERVICE, [job("killer"), job("good", 1)])
    for _ in range(3):
        assert claim(store) == "killer"
        assert store.jobs.give_back(ME, attempted=True) == 1  # the worker died
    assert claim(store) == "good"
    (killer,) = store.jobs.get_all(JobState.QUARANTINED)
    assert (killer.path.name, killer.cause) == ("killer", Cause.KILLED)
    assert killer.reason == "the service died 3 times while it was at work on it"


def test_a_stop_is_no_attempt(store: Store) -> None:
    store.jobs.add(SERVICE, [job("song")])
    for _ in range(5):
        assert claim(store, attempts=1) == "song"
        store.jobs.give_back(ME, attempted=False)


def test_a_lease_that_ran_out(store: Store) -> None:
    store.jobs.add(SERVICE, [job("song")])
    assert claim(store, lease_s=-1, who=OTHER) == "song"
    assert claim(store, lease_s=-1) == "song"
    # The clock was set, or the machine slept, while we were at it: that is no reason to begin it
    # once more.
    assert claim(store) is None


@contextmanager
def clock_ahead(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> Iterator[None]:
    with monkeypatch.context() as patched:
        for module in (claims, jobs):
            patched.setattr(module, "now", lambda: now() + by)
        yield


def test_a_clock_that_is_set_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with clock_ahead(monkeypatch, timedelta(days=400)):
        store.jobs.add(SERVICE, [job("new"), job("failing", 1)])
        assert [claim(store), claim(store)] == ["new", "failing"]
        store.jobs.give_back(ME, attempted=True)
        store.jobs.fail(ME, ROOT / "failing", AccessError("no space"), again_in_s=60)
    at = store.jobs.get_next_at(ME)
    assert at is not None
    assert at <= now()
    assert [claim(store), claim(store), claim(store)] == ["new", "failing", None]


def test_released_from_quarantine(store: Store) -> None:
    store.jobs.add(SERVICE, [job("a/1"), job("a/2"), job("ab"), job("b")])
    for name in ("a/1", "a/2", "ab", "b"):
        error = AccessError("denied", path=ROOT / name)
        store.tracks.save_failure(ROOT / name, stamp(), error)
        assert claim(store) is not None
        store.jobs.fail(ME, ROOT / name, error, again_in_s=None)
    assert store.jobs.retry([ROOT / "a"]) == [ROOT / "a/1", ROOT / "a/2"]
    assert store.tracks.get_failure(ROOT / "a/1", stamp()) is None
    assert store.tracks.get_failure(ROOT / "b", stamp()) is not None
    assert store.jobs.retry() == [ROOT / "ab", ROOT / "b"]
    assert store.jobs.retry() == []
    assert store.jobs.get_counts() == JobCounts(4, 0, 0, 0)


def test_folders_that_are_no_longer_watched(store: Store) -> None:
    store.jobs.add(SERVICE, [job("a/1"), job("ab/2"), job("c")])
    store.jobs.forget(replace(SERVICE, folders=(ROOT / "a", ROOT / "d")))
    assert [claim(store), claim(store)] == ["1", None]


def test_what_a_scan_compares(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracks, "SCAN_ROWS", 3)
    names = ["b", "a/z", "a", "a.x", "a0", "\udcff", "c/d/e", "B"]
    for name in names:
        store.tracks.save(track(ROOT / name, at=stamp(inode=(1 << 64) - 1)))
    store.tracks.save(track("/music2/x"))
    store.jobs.add(SERVICE, [job("b")])
    store.tracks.save_failure(ROOT / "a0", stamp(inode=(1 << 64) - 1), AccessError("denied"))
    seen = list(store.tracks.get_seen_below(ROOT))
    assert [each.path for each in seen] == sorted(os.fsencode(ROOT / name) for name in names)
    by_name = {os.path.basename(os.fsdecode(each.path)): each for each in seen}  # noqa: PTH119
    assert by_name["b"].job == "waiting"
    assert by_name["a0"].failure_retry is True
    assert by_name["z"][1:5] == (4_000_000, 1_700_000_000_123_456_789, 1_700_000_001_000_000_000, (1 << 64) - 1)
    assert by_name["z"][5:] == (Handled(), None, None)


CLAIM_ALL = """
import sys
from threading import Thread
from genretagger.database.store import Store
from genretagger.database.values import Claimant

def work(name):
    with Store.open(sys.argv[1]) as store:
        while job := store.jobs.claim(Claimant(name), lease_s=60, attempts=3):
            claimed.append(job.path.name)

claimed = []
workers = [Thread(target=work, args=[f"{sys.argv[2]}/{number}"]) for number in range(2)]
print("ready", flush=True)
sys.stdin.readline()
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
print(*claimed)
"""


def test_many_workers_get_different_jobs(place: Place) -> None:
    """Two processes with two threads each; on PostgreSQL they once claimed 300 jobs 754 times."""
    names = [str(number) for number in range(60 if place.is_file else 300)]
    with place.open() as store:
        store.jobs.add(SERVICE, map(job, names))
    processes = [start(CLAIM_ALL, place.address, name) for name in ("a", "b")]
    for process in processes:
        wait_for(process, "ready")
    for process in processes:
        tell(process, "go")
    taken = [Counter(finish(process).split()) for process in processes]
    assert sum(taken, Counter()) == Counter(names)


def test_a_job_that_somebody_is_claiming_is_passed_over(engine_name: str, place: Place, store: Store) -> None:
    if engine_name == "sqlite":
        pytest.skip("SQLite lets one claim follow the other")
    store.jobs.add(SERVICE, [job("1"), job("2")])
    with place.open() as other, other.group():
        assert claim(other, who=OTHER) == "1"
        assert [claim(store), claim(store)] == ["2", None]
    assert claim(store) is None


def test_a_lease_ends_at_its_last_moment_and_no_sooner(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    at = now()
    monkeypatch.setattr(claims, "now", lambda: at)
    store.jobs.add(SERVICE, [job("song")])
    assert claim(store, lease_s=60, who=OTHER) == "song"
    monkeypatch.setattr(claims, "now", lambda: at + timedelta(seconds=60))
    assert claim(store) is None
    monkeypatch.setattr(claims, "now", lambda: at + timedelta(seconds=60, microseconds=1))
    assert claim(store) == "song"
    found = store.jobs.get(ROOT / "song")
    assert found is not None
    assert found.attempts == 2


def test_a_job_is_due_at_its_moment_and_no_sooner(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.jobs.add(SERVICE, [job("song")])
    claim(store)
    at = now()
    monkeypatch.setattr(claims, "now", lambda: at)
    store.jobs.fail(ME, ROOT / "song", AccessError("no space"), again_in_s=60)
    monkeypatch.setattr(claims, "now", lambda: at + timedelta(seconds=60, microseconds=-1))
    assert claim(store) is None
    monkeypatch.setattr(claims, "now", lambda: at + timedelta(seconds=60))
    assert claim(store) == "song"


def test_as_many_attempts_as_are_allowed(store: Store) -> None:
    store.jobs.add(SERVICE, [job("song")])
    for _ in range(2):
        assert claim(store, attempts=2) == "song"
        store.jobs.give_back(ME, attempted=True)
    assert claim(store, attempts=2) is None
    (aside,) = store.jobs.get_all(JobState.QUARANTINED)
    assert aside.attempts == 2


def test_disks_on_which_work_pauses(store: Store) -> None:
    store.jobs.add(SERVICE, [job("a/1"), job("a/2"), job("b/3"), job("c")])
    outside = [ROOT / "a", ROOT / "c"]
    assert store.jobs.get_next_at(ME, outside=outside) is not None
    found = store.jobs.claim(ME, lease_s=60, attempts=3, outside=outside)
    assert found is not None
    assert found.path == ROOT / "b/3"
    assert store.jobs.claim(ME, lease_s=60, attempts=3, outside=outside) is None
    assert store.jobs.get_next_at(ME, outside=outside) is None
    assert store.jobs.get_next_at(ME) is not None


def test_files_that_were_moved_away_wait_no_longer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page by page, and nothing that somebody is at or that is quarantined."""
    monkeypatch.setattr(jobs, "SCAN_ROWS", 2)
    store.jobs.add(SERVICE, [job("a/bad"), *(job(f"a/{number}") for number in range(5)), job("b/6")])
    assert [claim(store), claim(store)] == ["bad", "0"]
    store.jobs.fail(ME, ROOT / "a/bad", AccessError("denied", path=ROOT / "a/bad"), again_in_s=None)
    pages = []
    for page in store.jobs.get_waiting_below(ROOT / "a"):
        pages.append([path.name for path in page])
        store.jobs.drop_waiting(SERVICE, page)
    assert pages == [["1", "2"], ["3", "4"]]
    store.jobs.drop_waiting(SERVICE, [ROOT / "a/0", ROOT / "a/bad"])
    assert store.jobs.get_counts() == JobCounts(1, 0, 1, 1)


def test_numbers_of_jobs_leave_few_statements(store: Store) -> None:
    """The driver keeps what it prepared: a statement for each number of jobs would take 10 MB."""
    said: set[str] = set()

    def note(*details: Any) -> None:
        if not details[2].startswith("PRAGMA"):  # these are said once, when the writer is opened
            said.add(details[2])

    event.listen(store._access._engine, "before_cursor_execute", note)
    for count in range(1, 60):
        wanted = [job(f"{count}/{number}") for number in range(count)]
        assert store.jobs.add(SERVICE, wanted) == count
        store.jobs.drop_waiting(SERVICE, [each.path for each in wanted])
    assert len(said) < 12
    assert store.jobs.get_counts() == JobCounts(0, 0, 0, 0)


def test_a_file_among_some(store: Store) -> None:
    """An album is taken together, though other files are before it in the queue."""
    store.jobs.add(SERVICE, [job("a/1", 1), job("b/1"), job("a/2", 1), job("b/2")])
    album = [ROOT / "a/1", ROOT / "a/2", ROOT / "a/unknown"]
    taken = [store.jobs.claim(ME, lease_s=60, attempts=3, among=album) for _ in range(3)]
    assert [found and found.path for found in taken] == [ROOT / "a/1", ROOT / "a/2", None]
    assert claim(store) == "1"
