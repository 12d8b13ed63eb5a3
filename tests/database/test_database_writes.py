from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from database_helpers import EMPTY, JAZZ, ROCK, finish, stamp, start, track
from databases import SLOW_ON_POSTGRESQL, Place

from genretagger.causes import recorded
from genretagger.database.store import Store
from genretagger.database.values import StoredWrite, WriteKind, WriteState
from genretagger.errors import DatabaseError
from genretagger.sentences import sentence
from genretagger.types import GenreField

HASH = "aa" * 32
A, B = Path("/music/a.mp3"), Path("/music/b.mp3")


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with place.open() as opened:
        yield opened


def begin(
    store: Store,
    run: int,
    path: Path = A,
    before: GenreField = EMPTY,
    after: GenreField = ROCK,
    undo_of: int | None = None,
    payload_hash: str = HASH,
) -> int:
    return store.writes.begin(
        run, path, payload_hash, before, after, model="musicnn", reason=recorded("rock 0.9"), undo_of=undo_of
    )


def test_a_write_is_pending_until_it_is_settled(store: Store) -> None:
    run = store.runs.begin("tag", {"policy": "keep"})
    odd = os.fsdecode(b".genretagger-\xff.tmp")
    path = Path(os.fsdecode(b"/music/\xff.mp3"))
    number = store.writes.begin(
        run, path, HASH, JAZZ, ROCK, model="musicnn", reason=recorded(f"for {odd}"), temporary_name=odd
    )
    (write,) = store.writes.get_pending()
    assert (write.id, write.run_id, write.path, write.payload_hash) == (number, run, path, HASH)
    assert (write.before, write.after, write.model) == (JAZZ, ROCK, "musicnn")
    assert (write.temporary_name, sentence(write.reason)) == (odd, "for .genretagger-\\udcff.tmp")
    assert (write.state, write.finished_at, write.undo_of) == (WriteState.PENDING, None, None)
    assert store.writes.get_last(path, HASH) is None
    store.writes.finish(number, WriteState.DONE)
    assert store.writes.get_pending() == []
    written = store.writes.get_last(path, HASH)
    assert written is not None
    assert written.state is WriteState.DONE
    assert written.finished_at is not None
    assert written.finished_at >= written.started_at


def test_finishing_updates_what_is_known_of_the_file(store: Store) -> None:
    store.tracks.save(track(A, genres=EMPTY))
    number = begin(store, store.runs.begin("tag", {}))
    as_read = GenreField(("Rock",), {"TCON": ["Rock"]}, "ID3v2.4")
    store.writes.finish(number, WriteState.DONE, after=as_read, stamp=stamp(5_000))
    assert store.tracks.get(A, stamp()) is None
    assert store.tracks.get(A, stamp(5_000)) == track(A, genres=as_read, at=stamp(5_000))
    (write,) = store.writes.get_all()
    assert write.after == as_read


def test_an_abandoned_write_leaves_the_file_known_as_it_was(store: Store) -> None:
    store.tracks.save(track(A, genres=JAZZ))
    number = begin(store, store.runs.begin("tag", {}))
    store.writes.finish(number, WriteState.ABANDONED, stamp=stamp(5_000))
    assert store.tracks.get(A, stamp()) == track(A, genres=JAZZ)
    assert store.writes.get_last(A, HASH) is None
    assert store.writes.get_pending() == []


def test_a_write_does_not_describe_another_file_that_took_its_place(store: Store) -> None:
    number = begin(store, store.runs.begin("tag", {}))
    store.tracks.save(track(A, payload_hash="cc" * 32, genres=JAZZ))
    store.writes.finish(number, WriteState.DONE, stamp=stamp(5_000))
    assert store.tracks.get(A, stamp()) == track(A, payload_hash="cc" * 32, genres=JAZZ)


def test_settling_an_unknown_write_is_an_error(store: Store) -> None:
    with pytest.raises(DatabaseError, match="no write 7"):
        store.writes.finish(7, WriteState.DONE)


def test_an_undo_marks_what_it_undid(store: Store) -> None:
    run = store.runs.begin("tag", {})
    first = begin(store, run)
    store.writes.finish(first, WriteState.DONE)
    last = store.writes.get_last_run()
    assert last is not None
    assert last.id == run
    undo = begin(store, store.runs.begin("undo", {}), A, ROCK, EMPTY, undo_of=first)
    assert {write.id: write.state for write in store.writes.get_all()}[first] is WriteState.DONE
    store.writes.finish(undo, WriteState.DONE)
    assert {write.id: write.state for write in store.writes.get_all()} == {
        first: WriteState.UNDONE,
        undo: WriteState.DONE,
    }
    newest = store.writes.get_last(A, HASH)
    assert newest is not None
    assert (newest.id, newest.undo_of, newest.after) == (undo, first, EMPTY)
    assert store.writes.get_last_run() is None  # nothing is left to undo


def test_an_undo_that_failed_leaves_the_write_standing(store: Store) -> None:
    first = begin(store, store.runs.begin("tag", {}))
    store.writes.finish(first, WriteState.DONE)
    undo = begin(store, store.runs.begin("undo", {}), A, ROCK, EMPTY, undo_of=first)
    store.writes.finish(undo, WriteState.ABANDONED)
    newest = store.writes.get_last(A, HASH)
    assert newest is not None
    assert (newest.id, newest.state) == (first, WriteState.DONE)


def test_the_last_write_is_found_after_a_rename_and_prefers_the_own_path(store: Store) -> None:
    run = store.runs.begin("tag", {})
    old = begin(store, run, A)
    store.writes.finish(old, WriteState.DONE)
    moved = store.writes.get_last(B, HASH)
    assert moved is not None
    assert (moved.id, moved.path) == (old, A)
    copy = begin(store, run, B)
    store.writes.finish(copy, WriteState.DONE)
    own = store.writes.get_last(A, HASH)
    assert own is not None
    assert own.id == old
    assert store.writes.get_last(A, "bb" * 32) is None


def test_writes_come_newest_first_by_run_and_folder(store: Store) -> None:
    paths = [Path(name) for name in ("/music/live", "/music/live/a", "/music/live/b/c", "/music/liveset/d")]
    odd = Path(os.fsdecode(b"/music/live/\xff"))
    first, second = store.runs.begin("tag", {}), store.runs.begin("tag", {})
    for path in (*paths, odd):
        store.writes.finish(begin(store, first, path), WriteState.DONE)
    begin(store, second, paths[1])

    def names(writes: Iterator[StoredWrite]) -> list[Path]:
        return [write.path for write in writes]

    assert names(store.writes.get_all(run_id=first)) == [odd, *reversed(paths)]
    assert names(store.writes.get_all(under=Path("/music/live"))) == [paths[1], odd, paths[2], paths[1], paths[0]]
    assert names(store.writes.get_all(run_id=second, under=Path("/music/liveset"))) == []
    assert len(names(store.writes.get_all(under=Path("/")))) == 6


@SLOW_ON_POSTGRESQL
def test_many_writes_come_in_pages_while_others_are_added(store: Store) -> None:
    run = store.runs.begin("tag", {})
    with store.group():
        numbers = [begin(store, run, Path(f"/music/{number}")) for number in range(1_003)]
    seen = []
    for write in store.writes.get_all():
        seen.append(write.id)
        if len(seen) % 400 == 0:
            begin(store, run, B)
    assert seen == numbers[::-1]


def test_runs_tell_what_they_wrote(store: Store) -> None:
    first = store.runs.begin("tag", {"policy": "keep", "paths": ["/m/\udcff"]})
    for state in (WriteState.DONE, WriteState.DONE, WriteState.ABANDONED):
        store.writes.finish(begin(store, first), state)
    store.runs.finish(first)
    second = store.runs.begin("undo", {})
    newest, oldest = store.runs.get_all()
    assert (newest.id, newest.command, newest.finished_at, newest.writes) == (second, "undo", None, {})
    assert oldest.settings == {"policy": "keep", "paths": ["/m/\udcff"]}
    assert oldest.finished_at is not None
    assert oldest.writes == {WriteState.DONE: 2, WriteState.ABANDONED: 1}
    last = store.writes.get_last_run()
    assert last is not None
    assert last.id == first


BEGIN_AND_WAIT = """
import sys
from pathlib import Path
from database_helpers import EMPTY, ROCK
from genretagger.causes import recorded
from genretagger.database.store import Store
with Store.open(sys.argv[1]) as store:
    run = store.runs.begin("tag", {})
    number = store.writes.begin(run, Path("/music/a.mp3"), "aa" * 32, EMPTY, ROCK, model="m", reason=recorded("r"))
    print(number, flush=True)
    sys.stdin.read() if len(sys.argv) < 3 else None
"""


def test_a_write_at_work_elsewhere_is_left_alone_and_one_left_behind_is_found(place: Place, store: Store) -> None:
    child = start(BEGIN_AND_WAIT.replace("sys.stdin.read()", "__import__('signal').pause()"), place.address)
    assert child.stdout is not None
    number = int(child.stdout.readline())
    assert store.writes.get_pending() == []
    assert [write.id for write in store.writes.get_pending(command="tag")] == [number]
    assert store.writes.get_pending(command="undo") == []
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert [write.id for write in store.writes.get_pending()] == [number]


def test_an_old_pending_write_is_found_whoever_has_its_number_now(place: Place, store: Store) -> None:
    finish(start(BEGIN_AND_WAIT, place.address, "and end"))
    place.execute("UPDATE runs SET pid = :pid", pid=os.getppid())  # a process that lives
    assert store.writes.get_pending() == []
    place.execute("UPDATE writes SET started_at = :long_ago", long_ago="2020-01-01 00:00:00.000000")
    assert len(store.writes.get_pending()) == 1


def test_a_write_taken_for_abandoned_may_still_be_finished(store: Store) -> None:
    number = begin(store, store.runs.begin("tag", {}))
    store.writes.finish(number, WriteState.ABANDONED)
    store.writes.finish(number, WriteState.DONE)
    newest = store.writes.get_last(A, HASH)
    assert newest is not None
    assert newest.state is WriteState.DONE


def test_the_last_write_that_can_be_read_counts(place: Place, store: Store) -> None:
    run = store.runs.begin("tag", {})
    first, second = begin(store, run), begin(store, run, after=JAZZ)
    for number in (first, second):
        store.writes.finish(number, WriteState.DONE)
    place.execute("UPDATE writes SET after = '[]' WHERE id = :number", number=second)
    last = store.writes.get_last(A, HASH)
    assert last is not None
    assert last.id == first


def test_what_was_written_to_a_copy_later_is_no_history_of_a_file(store: Store) -> None:
    number = begin(store, store.runs.begin("tag", {}))
    store.writes.finish(number, WriteState.DONE)
    (write,) = store.writes.get_all()
    began_ns = int(write.started_at.timestamp() * 1e9)
    day_ns = 24 * 3600 * 10**9
    for changed_ns, history in ((began_ns - day_ns, []), (began_ns + day_ns, [number])):
        store.tracks.save(track(B, at=stamp(ctime_ns=changed_ns)))
        assert [each.id for each in store.writes.get_history(B, HASH)] == history


def test_an_undo_can_be_put_back_until_something_new_is_written(store: Store) -> None:
    undos = {}
    for path in (A, B):
        written = begin(store, store.runs.begin("tag", {}), path)
        store.writes.finish(written, WriteState.DONE)
        undos[path] = begin(store, store.runs.begin("undo", {}), path, ROCK, EMPTY, undo_of=written)
        store.writes.finish(undos[path], WriteState.DONE)
    assert [write.id for write in store.writes.get_redoable()] == [undos[B], undos[A]]

    newer = begin(store, store.runs.begin("tag", {}), B, EMPTY, JAZZ)
    assert [write.id for write in store.writes.get_redoable()] == [undos[B], undos[A]], "it is only begun"
    store.writes.finish(newer, WriteState.DONE)
    assert [write.id for write in store.writes.get_redoable()] == [undos[A]]
    assert list(store.writes.get_redoable(run_id=store.writes.get(undos[B]).run_id)) == []
    assert list(store.writes.get_redoable(under=B)) == []
    last = store.writes.get_last_undo()
    assert last is not None
    assert last.id == store.writes.get(undos[A]).run_id


@pytest.mark.parametrize(
    ("taken_back", "kinds"),
    [
        pytest.param((1, None, None), [WriteKind.WRITE] * 3, id="itself"),
        pytest.param((2, 1, None), [WriteKind.UNDO, WriteKind.UNDO, WriteKind.WRITE], id="each other"),
        pytest.param((2, 3, 1), [WriteKind.REDO] * 3, id="all in a circle"),
    ],
)
def test_writes_that_take_back_each_other_in_a_circle_are_still_given(
    place: Place, store: Store, taken_back: tuple[int | None, ...], kinds: list[WriteKind]
) -> None:
    """No write can take back a later one, but a damaged database may say so."""
    run = store.runs.begin("tag", {})
    numbers = [begin(store, run) for _ in taken_back]
    for number, other in zip(numbers, taken_back, strict=True):
        place.execute("UPDATE writes SET undo_of = :other WHERE id = :id", other=other, id=number)
    assert [(write.id, write.kind) for write in store.writes.get_all()] == list(zip(numbers, kinds, strict=True))[::-1]
