from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from database_helpers import EMPTY, JAZZ, ME, ROCK, SERVICE, activations, stamp, track
from databases import Place
from sqlalchemy import Engine, event

from genretagger.causes import Cause, because, recorded
from genretagger.database.store import Store
from genretagger.database.values import Handled, NewJob, WriteState
from genretagger.errors import AccessError, AudioError, DatabaseError, FileError, TagError
from genretagger.types import GenreField, Stamp, Track


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with place.open() as opened:
        yield opened


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(track(), id="plain"),
        pytest.param(track(genres=EMPTY, duration_s=None), id="without genre and length"),
        pytest.param(track(refusal=because(Cause.CONTAINER, says="a stream cannot hold a genre")), id="refused"),
        pytest.param(track(refusal=because(Cause.CONTAINER, says='{"cause": 3}')), id="refused in odd words"),
        pytest.param(track(refusal=because(Cause.INCOMPLETE, zeros=20_000)), id="not complete"),
        pytest.param(track(Path(os.fsdecode(b"/music/\xff\xfe[/]\n\x1b[2J.mp3"))), id="name that is no text"),
        pytest.param(track("/music/" + "é" * 120 + ".mp3"), id="name beyond ASCII"),
        pytest.param(track(genres=GenreField(("\udcff", "a\x00b"), {"k": ["\ud800"]}, "ID3v1")), id="odd genre"),
        pytest.param(track(at=stamp(0, -1, ctime_ns=-(2**40))), id="before 1970"),
        pytest.param(track(at=stamp(2**40, 2**63 + 5)), id="after 2262"),
        pytest.param(track(at=stamp(inode=2**64 - 1, device=2**63, links=65_000)), id="numbers of 64 bits"),
    ],
)
def test_what_was_read_comes_back_after_reopening(place: Place, known: Track) -> None:
    with place.open() as store:
        store.tracks.save(known)
    with place.open() as store:
        assert store.tracks.get(known.path, known.stamp) == known


@pytest.mark.parametrize("column", ["size_bytes", "mtime_ns", "ctime_ns", "inode"])
def test_a_touched_file_is_not_known(store: Store, column: str) -> None:
    known = track()
    store.tracks.save(known)
    touched = replace(known.stamp, **{column: getattr(known.stamp, column) + 1})
    assert store.tracks.get(known.path, touched) is None
    assert store.tracks.get(known.path, known.stamp) == known


def test_another_mount_and_another_link_leave_it_the_same_file(store: Store) -> None:
    known = track()
    store.tracks.save(known)
    mounted = replace(known.stamp, device=9, links=2)
    assert store.tracks.get(known.path, mounted) == replace(known, stamp=mounted)


def test_reading_it_again_replaces_what_was_known(store: Store) -> None:
    store.tracks.save(track())
    changed = track(genres=JAZZ, payload_hash="bb" * 32, at=stamp(5))
    store.tracks.save(changed)
    assert store.tracks.get(changed.path, changed.stamp) == changed
    assert store.reports.get_counts().tracks == 1


def test_how_its_audio_was_handled_survives_an_edit_of_the_tags_but_not_a_new_recording(store: Store) -> None:
    old, new = "aa" * 32, "bb" * 32
    known = track(payload_hash=old)
    store.tracks.save(known)
    store.jobs.add(SERVICE, [NewJob(known.path, known.path.parent)])
    assert store.jobs.claim(ME, lease_s=60, attempts=3) is not None
    store.jobs.finish(ME, known.path, "rules", Cause.NOT_CONFIDENT)
    store.tracks.save(track(payload_hash=old, genres=JAZZ, at=stamp(5)))
    assert store.tracks.get_handled(known.path, old) == Handled("rules", Cause.NOT_CONFIDENT)
    store.tracks.save(track(payload_hash=new, at=stamp(6)))
    assert store.tracks.get_handled(known.path, new) == Handled(None, None)
    (seen,) = store.tracks.get_seen_below(known.path.parent)
    assert seen.handled == Handled(None, None)


def test_a_failure_is_remembered_for_the_same_file_only(store: Store) -> None:
    path = Path("/music/broken.mp3")
    store.tracks.save_failure(path, stamp(), TagError("bad header", path=path, hint="repair it"))
    failure = store.tracks.get_failure(path, stamp())
    assert failure is not None
    assert type(failure.error) is TagError
    assert (failure.error.cause, failure.error.path, failure.error.hint) == ("bad header", path, "repair it")
    assert not failure.retry
    assert store.tracks.get_failure(path, stamp(1)) is None
    assert store.tracks.get(path, stamp()) is None


def test_the_same_failure_is_stored_once_whatever_its_words(store: Store) -> None:
    path = Path("/music/broken.mp3")
    store.tracks.save_failure(path, stamp(), TagError("bad header"))
    store.tracks.save_failure(path, stamp(), TagError("another bad header"))
    failure = store.tracks.get_failure(path, stamp())
    assert failure is not None
    assert failure.error.cause == "bad header"
    for error in (AudioError("no frames"), FileError("odd"), FileError("odder")):  # another cause, or none of its own
        store.tracks.save_failure(path, stamp(), error)
        failure = store.tracks.get_failure(path, stamp())
        assert failure is not None
        assert failure.error.cause == error.cause


def test_a_failure_that_might_have_passed_and_did_not_is_final(store: Store) -> None:
    known = track()
    store.tracks.save(known)
    store.tracks.save_failure(known.path, None, AudioError("the folder is gone"))
    store.tracks.save_failure(known.path, known.stamp, AudioError("no frames"))
    failure = store.tracks.get_failure(known.path, known.stamp)
    assert failure is not None
    assert not failure.retry


def test_a_failure_that_may_pass_says_so(store: Store) -> None:
    path = Path("/music/locked.mp3")
    store.tracks.save_failure(path, stamp(), AccessError("permission denied", path=path))
    failure = store.tracks.get_failure(path, stamp())
    assert failure is not None
    assert failure.retry


def test_failing_to_decode_keeps_what_the_tags_said(store: Store) -> None:
    known = track()
    store.tracks.save(known)
    store.tracks.save_failure(known.path, known.stamp, AudioError("no frames", path=known.path))
    assert store.tracks.get(known.path, known.stamp) == known
    assert store.tracks.get_failure(known.path, known.stamp) is not None


def test_a_failure_of_another_file_at_the_path_drops_what_was_read_of_the_first(store: Store) -> None:
    store.tracks.save(track())
    other = stamp(99)
    store.tracks.save_failure(track().path, other, AudioError("no frames"))
    known = store.reports.get(track().path)
    assert known is not None
    assert known.track is None
    assert store.tracks.get(track().path, other) is None
    assert store.tracks.get(track().path, track().stamp) is None


def test_a_file_that_was_out_of_reach_is_known_again_when_it_returns(store: Store) -> None:
    known = track()
    store.tracks.save(known)
    store.tracks.save_failure(known.path, None, AudioError("the folder is gone"))
    failure = store.tracks.get_failure(known.path, known.stamp)
    assert failure is not None
    assert failure.retry  # nothing tells whether the file is the same, so it must not be given up
    assert store.tracks.get(known.path, known.stamp) == known
    store.tracks.save(known)
    assert store.tracks.get_failure(known.path, known.stamp) is None


def test_a_failure_without_any_stamp_is_listed_and_never_matched(store: Store) -> None:
    path = Path("/music/never.mp3")
    store.tracks.save_failure(path, None, AccessError("permission denied", path=path))
    known = store.reports.get(path)
    assert known is not None
    assert known.failure is not None
    assert store.tracks.get_failure(path, stamp()) is None


def test_a_cause_that_quotes_an_odd_name_is_kept_readable(store: Store) -> None:
    path = Path(os.fsdecode(b"/music/\xff.mp3"))
    store.tracks.save_failure(path, stamp(), TagError(f"cannot read {path}\x00"))
    failure = store.tracks.get_failure(path, stamp())
    assert failure is not None
    assert failure.error.cause == "cannot read /music/\\udcff.mp3\\x00"
    assert failure.error.path == path


def test_an_error_class_that_is_gone_becomes_a_plain_file_error(store: Store) -> None:
    class OldError(TagError):
        pass

    store.tracks.save_failure(track().path, stamp(), OldError("once upon a time"))
    failure = store.tracks.get_failure(track().path, stamp())
    assert failure is not None
    assert type(failure.error).__name__ == "FileError"


def test_a_group_is_kept_whole_or_not_at_all(store: Store) -> None:
    class PlugPulledError(Exception):
        pass

    def half_a_group() -> None:
        with store.group():
            store.tracks.save(track("/music/b.mp3"))
            assert store.tracks.get(Path("/music/b.mp3"), stamp()) is not None  # seen inside
            raise PlugPulledError

    with store.group():
        store.tracks.save(track("/music/a.mp3"))
    with pytest.raises(PlugPulledError):
        half_a_group()
    assert store.tracks.get(Path("/music/a.mp3"), stamp()) is not None
    assert store.tracks.get(Path("/music/b.mp3"), stamp()) is None
    store.tracks.save(track("/music/c.mp3"))  # and the store goes on
    assert store.reports.get_counts().tracks == 2


def test_what_a_group_saves_is_kept_when_the_group_has_ended(place: Place) -> None:
    with place.open() as store, place.open() as other:
        assert store.kept().done()  # every save of its own is kept at once
        with store.group():
            store.tracks.save(track("/music/a.mp3"))
            kept = store.kept()
            assert not kept.done()
            assert other.reports.get_counts().tracks == 0
        assert kept.done()
        assert other.reports.get_counts().tracks == 1


def test_nothing_is_said_to_be_kept_by_a_group_that_failed(store: Store) -> None:
    answer: list[Future[None]] = []

    def a_group_that_fails() -> None:
        with store.group():
            store.tracks.save(track())
            answer.append(store.kept())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        a_group_that_fails()
    with store.group():
        store.tracks.save(track("/music/b.mp3"))
    assert not answer[0].done()


def test_a_save_that_fails_inside_of_a_group_leaves_no_half_of_itself(store: Store) -> None:
    run = store.runs.begin("tag", {})
    first = track("/music/a.mp3", genres=EMPTY)
    store.tracks.save(first)
    number = store.writes.begin(run, first.path, first.payload_hash, EMPTY, ROCK, model="m", reason=recorded("r"))
    with store.group():
        store.tracks.save(track("/music/b.mp3"))
        with pytest.raises(TypeError):  # the second of its changes: a bug, which costs one file
            store.writes.finish(number, WriteState.DONE, after=JAZZ, stamp=cast("Stamp", "no stamp"))
    assert store.writes.get(number).state is WriteState.PENDING
    assert store.writes.get(number).after == ROCK
    assert store.reports.get_counts().tracks == 2


def test_an_error_inside_of_a_group_is_translated_there(store: Store) -> None:
    with store.group(), pytest.raises(DatabaseError):
        store.analyses.save("aa", 999, "16", activations(), seconds=1)

    def a_group_that_fails() -> None:
        with store.group():
            store.tracks.save(track())
            store.analyses.save("aa", 999, "16", activations(), seconds=1)

    with pytest.raises(DatabaseError):
        a_group_that_fails()
    assert store.reports.get_counts().tracks == 0


def test_names_that_differ_in_one_byte_are_two_files(store: Store) -> None:
    names = [b"/music/e\xcc\x81.mp3", b"/music/\xc3\xa9.mp3", b"/music/\xe9.mp3", b"/music/E\xcc\x81.mp3"]
    for size, name in enumerate(names):
        store.tracks.save(track(Path(os.fsdecode(name)), at=stamp(size), genres=ROCK))
    for size, name in enumerate(names):
        assert store.tracks.get(Path(os.fsdecode(name)), stamp(size)) is not None
    assert store.reports.get_counts().tracks == 4


def test_the_stamp_of_a_real_file_fits(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(b"x")
    known = track(path, at=Stamp.of(path.stat()))
    store.tracks.save(known)
    assert store.tracks.get(path, Stamp.of(path.stat())) == known


def test_a_failure_that_is_known_is_not_written_again(store: Store) -> None:
    path, damaged, full = Path("/music/a.mp3"), AudioError("damaged", path=None), AccessError("full", path=None)
    store.tracks.save_failure(path, stamp(), damaged)
    first = store.tracks.get_failure(path, stamp())
    store.tracks.save_failure(path, stamp(), damaged)
    again = store.tracks.get_failure(path, stamp())
    assert first is not None
    assert again is not None
    assert again.seen_at == first.seen_at
    store.tracks.save_failure(path, stamp(), full)  # another failure, or another attempt at what may pass, is news
    later = store.tracks.get_failure(path, stamp())
    assert later is not None
    assert later.error.cause == "full"
    assert later.seen_at > first.seen_at


def test_what_is_known_of_a_file_comes_in_one_look(store: Store) -> None:
    known, path = track(), track().path
    assert store.tracks.get_known(path, known.stamp) == (None, None)
    store.tracks.save(known)
    assert store.tracks.get_known(path, known.stamp) == (known, None)
    assert store.tracks.get_known(path, stamp(7)) == (None, None)
    store.tracks.save_failure(path, known.stamp, AudioError("no frames", path=path))
    found, failure = store.tracks.get_known(path, known.stamp)
    assert found == known
    assert failure is not None
    assert (type(failure.error), failure.error.cause) == (AudioError, "no frames")
    store.tracks.save_failure(path, stamp(9), TagError("bad header", path=path))
    found, failure = store.tracks.get_known(path, stamp(9))
    assert found is None
    assert failure is not None
    assert failure.error.cause == "bad header"


def test_saving_a_track_is_one_statement_in_sqlite_new_or_not(tmp_path: Path) -> None:
    """The main loop waits for each of them, a quarter of a millisecond."""
    executed: list[str] = []

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        executed.append(statement.split()[0])

    event.listen(Engine, "before_cursor_execute", count)
    try:
        with Store.open(tmp_path / "library.sqlite3") as store, store.group():
            executed.clear()
            store.tracks.save(track())
            store.tracks.save(track(genres=JAZZ))
    finally:
        event.remove(Engine, "before_cursor_execute", count)
    assert [each for each in executed if each not in ("BEGIN", "PRAGMA")] == ["INSERT", "INSERT"]


def test_a_save_that_fails_in_a_group_leaves_the_others(store: Store) -> None:
    good = track()
    with store.group():
        store.tracks.save(good)
        with pytest.raises(DatabaseError):
            store.analyses.save("aa", 999, "16", activations(), seconds=1)  # of a model that is not there
    assert store.tracks.get(good.path, good.stamp) == good
