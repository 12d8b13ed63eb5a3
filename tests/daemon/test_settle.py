"""When a file is complete, from stamps and a clock that the tests control."""

from __future__ import annotations

from pathlib import Path

import pytest

from genretagger.daemon.settle import Completeness, Settling
from genretagger.types import Stamp

SONG, OTHER, ROOT = Path("/music/song"), Path("/music/other"), Path("/music")


def stamp(size: int = 1000, mtime_ns: int = 1) -> Stamp:
    return Stamp(size, mtime_ns, mtime_ns, 1, 1, 1)


@pytest.fixture
def settling() -> Settling:
    return Settling(10)


def judge(settling: Settling, now_s: float, found: Stamp | None, *, untouched_s: float = 0, busy: bool = False) -> str:
    assert settling.due(now_s) == [(SONG, ROOT)]
    return settling.verdict(SONG, found, untouched_s=untouched_s, being_written=busy, now_s=now_s).value


def test_a_file_that_was_moved_in_is_complete_after_the_quiet_period(settling: Settling) -> None:
    settling.touch(SONG, ROOT, 100)
    assert settling.next_due_s() == 110
    assert settling.due(109.9) == []
    assert judge(settling, 110, stamp(), untouched_s=10) == Completeness.COMPLETE
    assert (len(settling), settling.next_due_s()) == (0, None)


def test_each_change_that_is_heard_of_starts_the_wait_anew(settling: Settling) -> None:
    settling.touch(SONG, ROOT, 100)
    settling.touch(OTHER, ROOT, 101)
    settling.touch(SONG, ROOT, 109)
    assert settling.due(112) == [(OTHER, ROOT)]
    settling.forget(OTHER)
    assert settling.next_due_s() == 119


def test_changes_that_are_not_heard_of_are_seen(settling: Settling) -> None:
    settling.touch(SONG, ROOT, 100)
    for now_s, size in ((110, 10), (120, 20), (130, 30)):
        assert judge(settling, now_s, stamp(size)) == Completeness.WAIT
    assert judge(settling, 140, stamp(30)) == Completeness.COMPLETE


def test_the_clock_of_a_file_server_is_not_relied_on(settling: Settling) -> None:
    """What counts is that nothing changed between two looks."""
    settling.touch(SONG, ROOT, 100)
    assert judge(settling, 110, stamp(), untouched_s=-3600) == Completeness.WAIT
    assert judge(settling, 120, stamp(), untouched_s=-3590) == Completeness.COMPLETE


def test_a_file_that_is_open_for_writing_waits(settling: Settling) -> None:
    settling.touch(SONG, ROOT, 100)
    for now_s in (110, 120, 130):
        assert judge(settling, now_s, stamp(), untouched_s=now_s, busy=True) == Completeness.WAIT
    assert judge(settling, 140, stamp(), untouched_s=40) == Completeness.COMPLETE


def test_a_file_that_is_gone(settling: Settling) -> None:
    settling.touch(SONG, ROOT, 100)
    assert judge(settling, 110, None) == Completeness.GONE
    assert settling.due(1000) == []


def test_thousands_of_files_cost_little_to_ask_for(settling: Settling) -> None:
    paths = [Path(f"/music/{number}") for number in range(20_000)]
    for now_s in (0, 1, 2):
        for path in paths:
            settling.touch(path, ROOT, now_s)
    assert settling.due(11.9) == []
    assert [path for path, _ in settling.due(12, 5)] == paths[:5]
    assert [path for path, _ in settling.due(12)] == paths[5:]
