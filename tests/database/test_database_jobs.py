"""The queue: each file once, in an order, claimed by one; attempts, leases, back-off and quarantine."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from database_helpers import finish, new_store, stamp, start, track
from sqlalchemy import event

from genretagger.causes import Cause
from genretagger.database import JobCounts, JobState, NewJob, Store
from genretagger.database import jobs as module
from genretagger.database.columns import now
from genretagger.database.values import Handled
from genretagger.errors import AccessError

ROOT = Path("/music")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path / "library.sqlite3") as opened:
        yield opened


def job(name: str, priority: int = 0, changed: bool = False) -> NewJob:
    return NewJob(ROOT / name, ROOT, priority, changed)


def claim(store: Store, attempts: int = 3, lease_s: float = 60, worker: str = "me") -> str | None:
    found = store.claim_job(worker, lease_s=lease_s, attempts=attempts)
    return None if found is None else found.path.name


def test_each_file_once_and_new_ones_before_the_backlog(store: Store) -> None:
    assert store.add_jobs([job("old 1", 1), job("old 2", 1), job("new 1"), job("odd \udcff")]) == 4
    assert store.add_jobs([job("old 2"), job("new 1", 1)]) == 0  # one of them is in a hurry now
    assert store.job_counts() == JobCounts(3, 1, 0, 0)
    assert [claim(store) for _ in range(5)] == ["old 2", "new 1", "odd \udcff", "old 1", None]
    assert store.job_counts() == JobCounts(0, 0, 4, 0)
    found = store.job(ROOT / "odd \udcff")
    assert found is not None
    assert (found.root, found.state, found.attempts) == (ROOT, JobState.WORKING, 1)


def test_what_is_done_is_known_by_its_audio(store: Store) -> None:
    path = ROOT / "song"
    store.add_jobs([job("song")])
    store.save_track(track(path))
    assert store.handled(path, track().payload_hash) == Handled()
    claim(store)
    store.finish_job(path, "rules")
    assert (store.job(path), store.next_job_at()) == (None, None)
    assert store.handled(path, track().payload_hash) == Handled("rules")
    store.save_track(track(path, at=stamp(mtime_ns=5)))  # its tags were edited
    assert store.handled(path, track().payload_hash) == Handled("rules")
    store.save_track(track(path, payload_hash="bb" * 32))
    assert store.handled(path, "bb" * 32) == Handled()
    store.finish_job(ROOT / "gone", None)
    store.finish_job(path, "rules", Cause.HARD_LINKED)
    assert store.handled(path, "bb" * 32) == Handled("rules", Cause.HARD_LINKED)


def test_a_failure_is_tried_again_later_and_then_set_aside(store: Store) -> None:
    path = ROOT / "song"
    store.add_jobs([job("song")])
    full = AccessError("no space", path=path, hint="Make some")
    for attempt in (1, 2):
        assert claim(store) == "song"
        store.fail_job(path, full, again_in_s=600)
        assert claim(store) is None
        found = store.job(path)
        assert found is not None
        assert (found.attempts, found.cause, found.hint) == (attempt, "no space", "Make some")
        assert store.next_job_at() == found.not_before
        assert timedelta(seconds=590) < found.not_before - now() <= timedelta(seconds=600)
        store.fail_job(path, full, again_in_s=0)
    store.fail_job(path, full, again_in_s=None)
    assert claim(store) is None
    assert [(each.path, each.cause) for each in store.jobs(JobState.QUARANTINED)] == [(path, "no space")]
    assert store.add_jobs([job("song")]) == 0  # seen again, and still the same
    assert store.job_counts().quarantined == 1
    assert store.add_jobs([job("song", changed=True)]) == 1
    assert claim(store) == "song"


def test_a_file_that_changed_does_not_wait_for_what_failed_before(store: Store) -> None:
    store.add_jobs([job("song")])
    claim(store)
    store.fail_job(ROOT / "song", AccessError("no space"), again_in_s=3600)
    store.add_jobs([job("song")])
    assert claim(store) is None
    store.add_jobs([job("song", changed=True)])
    assert claim(store, attempts=1) == "song"


def test_a_file_that_kills_whoever_opens_it(store: Store) -> None:
    store.add_jobs([job("killer"), job("good", 1)])
    for _ in range(3):
        assert claim(store) == "killer"
        assert store.give_back_jobs(attempted=True) == 1  # the worker died
    assert claim(store) == "good"
    (killer,) = store.jobs(JobState.QUARANTINED)
    assert (killer.path.name, killer.cause) == ("killer", "the service died 3 times while it was at work on it")


def test_a_stop_is_no_attempt(store: Store) -> None:
    store.add_jobs([job("song")])
    for _ in range(5):
        assert claim(store, attempts=1) == "song"
        store.give_back_jobs(attempted=False)


def test_a_lease_that_ran_out(store: Store) -> None:
    store.add_jobs([job("song")])
    assert claim(store, lease_s=-1, worker="other") == "song"
    assert claim(store, lease_s=-1) == "song"
    # The clock was set, or the machine slept, while we were at it: that is no reason to begin it once more.
    assert claim(store) is None


@contextmanager
def clock_ahead(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr(module, "now", lambda: now() + by)
        yield


def test_a_clock_that_is_set_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with clock_ahead(monkeypatch, timedelta(days=400)):
        store.add_jobs([job("new"), job("failing", 1)])
        assert [claim(store), claim(store)] == ["new", "failing"]
        store.give_back_jobs(attempted=True)
        store.fail_job(ROOT / "failing", AccessError("no space"), again_in_s=60)
    at = store.next_job_at()
    assert at is not None
    assert at <= now()
    assert [claim(store), claim(store), claim(store)] == ["new", "failing", None]


def test_released_from_quarantine(store: Store) -> None:
    store.add_jobs([job("a/1"), job("a/2"), job("ab"), job("b")])
    for name in ("a/1", "a/2", "ab", "b"):
        error = AccessError("denied", path=ROOT / name)
        store.save_failure(ROOT / name, stamp(), error)
        store.fail_job(ROOT / name, error, again_in_s=None)
    assert store.release_jobs([ROOT / "a"]) == [ROOT / "a/1", ROOT / "a/2"]
    assert store.known_failure(ROOT / "a/1", stamp()) is None
    assert store.known_failure(ROOT / "b", stamp()) is not None
    assert store.release_jobs() == [ROOT / "ab", ROOT / "b"]
    assert store.release_jobs() == []
    assert store.job_counts() == JobCounts(4, 0, 0, 0)


def test_folders_that_are_no_longer_watched(store: Store) -> None:
    store.add_jobs([job("a/1"), job("ab/2"), job("c")])
    store.forget_jobs(outside=[ROOT / "a", ROOT / "d"])
    assert [claim(store), claim(store)] == ["1", None]


def test_what_a_scan_compares(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SCAN_ROWS", 3)
    names = ["b", "a/z", "a", "a.x", "a0", "\udcff", "c/d/e", "B"]
    for name in names:
        store.save_track(track(ROOT / name, at=stamp(inode=(1 << 64) - 1)))
    store.save_track(track("/music2/x"))
    store.add_jobs([job("b")])
    store.save_failure(ROOT / "a0", stamp(inode=(1 << 64) - 1), AccessError("denied"))
    seen = list(store.seen_below(ROOT))
    assert [each.path for each in seen] == sorted(os.fsencode(ROOT / name) for name in names)
    by_name = {os.path.basename(os.fsdecode(each.path)): each for each in seen}  # noqa: PTH119
    assert by_name["b"].job == "waiting"
    assert by_name["a0"].failure_retry is True
    assert by_name["z"][1:5] == (4_000_000, 1_700_000_000_123_456_789, 1_700_000_001_000_000_000, (1 << 64) - 1)
    assert by_name["z"][5:] == (Handled(), None, None)


def test_many_workers_get_different_jobs(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite3"
    with new_store(path) as store:
        store.add_jobs(job(str(number)) for number in range(200))
    script = """
import sys
from pathlib import Path
from genretagger.database import Store
with Store.open(Path(sys.argv[1])) as store:
    while job := store.claim_job(sys.argv[2], lease_s=60, attempts=3):
        print(job.path.name)
"""
    workers = [start(script, path, number) for number in range(4)]
    claimed = Counter(name for worker in workers for name in finish(worker).split())
    assert claimed == Counter({str(number): 1 for number in range(200)})


def test_disks_on_which_work_pauses(store: Store) -> None:
    store.add_jobs([job("a/1"), job("a/2"), job("b/3"), job("c")])
    outside = [ROOT / "a", ROOT / "c"]
    assert store.next_job_at(outside=outside) is not None
    found = store.claim_job("me", lease_s=60, attempts=3, outside=outside)
    assert found is not None
    assert found.path == ROOT / "b/3"
    assert store.claim_job("me", lease_s=60, attempts=3, outside=outside) is None
    assert store.next_job_at(outside=outside) is None
    assert store.next_job_at() is not None


def test_files_that_were_moved_away_wait_no_longer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page by page, and nothing that somebody is at or that is quarantined."""
    monkeypatch.setattr(module, "SCAN_ROWS", 2)
    store.add_jobs([job(f"a/{number}") for number in range(5)] + [job("b/6"), job("a/bad")])
    assert claim(store) == "0"
    store.fail_job(ROOT / "a/bad", AccessError("denied", path=ROOT / "a/bad"), again_in_s=None)
    pages = []
    for page in store.waiting_below(ROOT / "a"):
        pages.append([path.name for path in page])
        store.drop_waiting_jobs(page)
    assert pages == [["1", "2"], ["3", "4"]]
    store.drop_waiting_jobs([ROOT / "a/0", ROOT / "a/bad"])
    assert store.job_counts() == JobCounts(1, 0, 1, 1)


def test_numbers_of_jobs_leave_few_statements(store: Store) -> None:
    """The driver keeps what it prepared: a statement for each number of jobs would take 10 MB."""
    said: set[str] = set()
    event.listen(store._engine, "before_cursor_execute", lambda *details: said.add(details[2]))
    for count in range(1, 60):
        jobs = [job(f"{count}/{number}") for number in range(count)]
        assert store.add_jobs(jobs) == count
        store.drop_waiting_jobs([each.path for each in jobs])
    assert len(said) < 12
    assert store.job_counts() == JobCounts(0, 0, 0, 0)


def test_a_file_among_some(store: Store) -> None:
    """An album is taken together, though other files are before it in the queue."""
    store.add_jobs([job("a/1", 1), job("b/1"), job("a/2", 1), job("b/2")])
    album = [ROOT / "a/1", ROOT / "a/2", ROOT / "a/unknown"]
    taken = [store.claim_job("me", lease_s=60, attempts=3, among=album) for _ in range(3)]
    assert [found and found.path for found in taken] == [ROOT / "a/1", ROOT / "a/2", None]
    assert claim(store) == "1"
