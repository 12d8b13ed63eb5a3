"""The lock of the service, and the name in it by which its jobs are known."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from databases import Place

from genretagger.daemon import lock
from genretagger.daemon.storage import take_over
from genretagger.database.values import Claimant, JobCounts, NewJob
from genretagger.errors import ConfigError


@contextmanager
def taken(folder: Path) -> Iterator[str]:
    descriptor = lock.take(folder, wait_s=0)
    try:
        yield lock.name_of_service(descriptor)
    finally:
        os.close(descriptor)


def test_a_service_keeps_its_name_and_no_other_has_it(tmp_path: Path) -> None:
    with taken(tmp_path / "a") as first, pytest.raises(ConfigError, match="another"), taken(tmp_path / "a"):
        pass
    with taken(tmp_path / "a") as again, taken(tmp_path / "b") as other:
        assert again == first
        assert other != first
    assert "/" not in first


def test_a_copy_of_the_data_folder_gets_a_name_of_its_own(tmp_path: Path) -> None:
    with taken(tmp_path / "a") as original:
        shutil.copytree(tmp_path / "a", tmp_path / "b")
    with taken(tmp_path / "b") as copy, taken(tmp_path / "a") as again:
        assert copy != original
        assert again == original


@pytest.mark.parametrize("content", [b"", b"x", b"1 2", b"\xff" * 2000, b"1 " + b"0" * 16 + b"@a/b\n"])
def test_a_lock_of_an_older_version_or_with_nonsense_in_it_gets_a_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / lock.LOCK).write_bytes(content)
    with taken(tmp_path) as first:
        pass
    with taken(tmp_path) as second:
        assert second == first


@pytest.mark.parametrize("host", ["", "a b/c", "h" * 300, "n\xe4s"])
def test_the_host_may_have_any_name(tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: host)
    with taken(tmp_path) as first:
        assert "/" not in first
    with taken(tmp_path) as second:
        assert second == first


def test_a_service_that_was_killed_takes_up_its_own_jobs_at_once_and_no_others(place: Place, tmp_path: Path) -> None:
    roots = (Path("/music"),)
    jobs = [NewJob(Path(f"/music/{number}"), roots[0]) for number in range(4)]
    with taken(tmp_path / "a") as name:
        mine, other = Claimant(name, roots), Claimant("other", roots)
    with place.open() as store:
        store.jobs.add(mine, jobs)
        for who in (Claimant(f"{name}/1", roots), Claimant("other/1")):
            assert store.jobs.claim(who, lease_s=3600, attempts=3) is not None
        with taken(tmp_path / "a") as again:
            take_over(place.address, Claimant(again, roots))
        assert store.jobs.get_counts() == JobCounts(3, 0, 1, 0)
        take_over(place.address, other)
        assert store.jobs.get_counts() == JobCounts(4, 0, 0, 0)
