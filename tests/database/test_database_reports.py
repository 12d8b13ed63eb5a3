from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from database_helpers import EMPTY, ROCK, activations, stamp, track
from databases import SLOW_ON_POSTGRESQL, Place

from genretagger.causes import recorded
from genretagger.database.store import Store
from genretagger.database.values import HearingResult, WriteState
from genretagger.errors import AudioError
from genretagger.types import Decision

MODEL = "1" * 64


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with place.open() as opened:
        yield opened


def fill(store: Store, path: str, payload_hash: str) -> None:
    known = track(path, payload_hash=payload_hash, genres=EMPTY)
    store.tracks.save(known)
    model = store.models.save("musicnn", MODEL, ["rock"])
    store.analyses.save(payload_hash, model, "16", activations(), seconds=1.5)
    store.decisions.save(payload_hash, model, "16", Decision(("Rock",), {"Rock": 0.9}, recorded("loud")), settings="v1")
    run = store.runs.begin("tag", {})
    number = store.writes.begin(run, known.path, payload_hash, EMPTY, ROCK, model="musicnn", reason=recorded("loud"))
    store.writes.finish(number, WriteState.DONE, stamp=stamp(5))


def test_a_path_is_described_with_everything(store: Store) -> None:
    fill(store, "/music/a.mp3", "aa")
    fill(store, "/music/b.mp3", "bb")
    known = store.reports.get(Path("/music/a.mp3"))
    assert known is not None
    assert known.track == track("/music/a.mp3", payload_hash="aa", genres=ROCK, at=stamp(5))
    assert known.failure is None
    (note,) = known.analyses
    assert (note.model, note.fingerprint, note.sampling) == ("musicnn", MODEL, "16")
    assert (note.provider, note.windows, note.seconds, note.cause) == ("CPUExecutionProvider", 16, 1.5, "")
    assert note.hearing is HearingResult.HEARD
    assert [stored.decision.genres for stored in known.decisions] == [("Rock",)]
    assert [(write.path, write.before, write.after) for write in known.writes] == [(Path("/music/a.mp3"), EMPTY, ROCK)]
    assert store.reports.get(Path("/music/c.mp3")) is None


def test_a_renamed_track_keeps_its_history(store: Store) -> None:
    fill(store, "/music/a.mp3", "aa")
    store.tracks.save_move(Path("/music/a.mp3"), Path("/music/new.mp3"))
    store.tracks.save(track("/music/new.mp3", payload_hash="aa", genres=ROCK))
    known, gone = store.reports.get(Path("/music/new.mp3")), store.reports.get(Path("/music/a.mp3"))
    assert known is not None
    assert [write.path for write in known.writes] == [Path("/music/a.mp3")]
    assert len(known.decisions) == 1
    assert gone is not None
    assert (gone.track, gone.seen_at, len(gone.writes)) == (None, None, 1)


def test_a_write_to_a_copy_is_no_history_of_an_older_file(store: Store) -> None:
    fill(
        store, "/copy/a.mp3", "aa"
    )  # the copy was tagged today, with what the owner had called the original long before
    day_ns = 24 * 3600 * 10**9
    store.tracks.save(track("/music/a.mp3", payload_hash="aa", genres=ROCK, at=stamp(ctime_ns=time.time_ns() - day_ns)))
    assert store.writes.get_history(Path("/music/a.mp3"), "aa") == []
    assert [write.path for write in store.writes.get_history(Path("/copy/a.mp3"), "aa")] == [Path("/copy/a.mp3")]
    store.tracks.save(track("/new/a.mp3", payload_hash="aa", genres=ROCK, at=stamp(ctime_ns=time.time_ns())))
    assert [write.path for write in store.writes.get_history(Path("/new/a.mp3"), "aa")] == [
        Path("/copy/a.mp3")
    ]  # moved or copied


def test_what_was_written_to_a_path_is_shown_after_other_audio_took_its_place(store: Store) -> None:
    fill(store, "/music/a.mp3", "aa")
    store.tracks.save(track("/music/a.mp3", payload_hash="bb"))
    known = store.reports.get(Path("/music/a.mp3"))
    assert known is not None
    assert [write.payload_hash for write in known.writes] == ["aa"]
    assert known.decisions == ()


def test_a_failed_path_is_described_with_its_failure(store: Store) -> None:
    path = Path("/music/broken.mp3")
    store.tracks.save_failure(path, stamp(), AudioError("no frames", path=path))
    known = store.reports.get(path)
    assert known is not None
    assert known.failure is not None
    assert known.failure.error.cause == "no frames"
    assert (known.track, known.analyses, known.decisions, known.writes) == (None, (), (), ())


@pytest.mark.parametrize(
    ("under", "expected"),
    [
        (b"/music/live", [b"/music/live", b"/music/live/\x01", b"/music/live/a", b"/music/live/\xff\xff"]),
        (b"/music/live/", [b"/music/live", b"/music/live/\x01", b"/music/live/a", b"/music/live/\xff\xff"]),
        (b"/music/live/a", [b"/music/live/a"]),
        (b"/music/liv", []),
        (b"/music/100%_", [b"/music/100%_/x"]),
        (b"/mus\xefc", [b"/mus\xefc/b"]),
    ],
)
def test_a_folder_is_told_by_whole_parts(store: Store, under: bytes, expected: list[bytes]) -> None:
    paths = [
        b"/music/live",
        b"/music/live/a",
        b"/music/live/\x01",
        b"/music/live/\xff\xff",
        b"/music/liveset/a",
        b"/music/live.mp3",
        b"/music/live0",
        b"/music/Live/a",
        b"/music/100%_/x",
        b"/music/100abc/x",
        b"/mus\xefc/b",
    ]
    for path in paths:
        store.tracks.save(track(Path(os.fsdecode(path))))
    found = [os.fsencode(known.path) for known in store.reports.get_all(Path(os.fsdecode(under)))]
    assert found == expected
    assert len(list(store.reports.get_all(Path("/")))) == len(paths)
    assert [os.fsencode(known.path) for known in store.reports.get_all()] == sorted(paths)


@SLOW_ON_POSTGRESQL
def test_everything_streams_and_the_caller_may_write_meanwhile(store: Store) -> None:
    total = 1_800
    with store.group():
        for number in range(total):
            store.tracks.save(track(f"/music/{number:05}.mp3", payload_hash=f"{number:05}" * 20))
    seen = 0
    tracemalloc.start()
    try:
        for known in store.reports.get_all():
            seen += 1
            if seen % 700 == 0:
                store.tracks.save(track(known.path, genres=EMPTY))
            if seen == 600:
                peak_of_two_pages = tracemalloc.get_traced_memory()[1]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seen == total
    assert peak < 1.5 * peak_of_two_pages


def test_an_export_finds_each_track_its_own_history(store: Store) -> None:
    for number in range(4):
        fill(store, f"/music/{number}.mp3", f"{number}" * 8)
    for number, known in enumerate(store.reports.get_all()):
        assert known.track is not None
        assert known.track.payload_hash == f"{number}" * 8
        assert [write.path for write in known.writes] == [known.path]
        assert len(known.decisions) == len(known.analyses) == 1


def test_counts(store: Store) -> None:
    assert store.reports.get_counts().tracks == 0
    fill(store, "/music/a.mp3", "aa")
    store.tracks.save_failure(Path("/music/b.mp3"), None, AudioError("no frames"))
    run = store.runs.begin("tag", {})
    store.writes.begin(run, Path("/music/a.mp3"), "aa", EMPTY, ROCK, model="m", reason=recorded("r"))
    counts = store.reports.get_counts()
    assert (counts.tracks, counts.failed, counts.heard, counts.decided) == (2, 1, 1, 1)
    assert counts.writes == {WriteState.DONE: 1, WriteState.PENDING: 1}


def test_a_sound_database_has_no_faults(store: Store) -> None:
    fill(store, "/music/a.mp3", "aa")
    assert store.reports.get_faults() == []


def test_a_lost_row_is_found(place: Place, store: Store) -> None:
    fill(store, "/music/a.mp3", "aa")
    place.execute("DELETE FROM runs")
    lost = ["row 1 of writes refers to a missing row of runs"]
    assert store.reports.get_faults() == (lost if place.is_file else [])  # a server looks after itself
    assert len(store.reports.get(Path("/music/a.mp3")).writes) == 1  # type: ignore[union-attr]
