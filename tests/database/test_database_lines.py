"""Long listings: the quick way gives the same lines as the careful one, on both engines."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from database_helpers import EMPTY, JAZZ, ROCK, stamp, track
from databases import Place

from genretagger.causes import Cause, because, recorded
from genretagger.database import lines
from genretagger.database.lines import TrackLine, WriteLine
from genretagger.database.reports import KnownPart, Reports
from genretagger.database.store import Store
from genretagger.database.values import WriteKind, WriteState
from genretagger.database.writes import Writes
from genretagger.errors import AudioError
from genretagger.types import Credits, Decision

ODD_NAMES = (b"/music/\xff\xfe.mp3", "/music/ü.mp3".encode(), b"/music/a'\"\\,;.mp3", b"/music/new\nline.mp3")
CREDITS = Credits("An artist", "", "A title", "")
PARTS = frozenset({KnownPart.DECISIONS})


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with place.open() as opened:
        yield opened


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A clock that is not UTC, as stored times are."""
    with monkeypatch.context() as there:
        there.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


def fill(store: Store, tracks: int) -> None:
    """Files of all kinds: decided twice, by two models, with nothing decided, odd names."""
    models = [store.models.save(f"model {number}", f"{number}" * 64, ["rock"]) for number in range(2)]
    run = store.runs.begin("tag", {})
    names = [f"/music/{number:03}.mp3".encode() for number in range(tracks)]
    for number, name in enumerate((*names, *ODD_NAMES)):
        path, payload = Path(os.fsdecode(name)), f"{number:064x}"
        known = track(path, payload_hash=payload, genres=(EMPTY, ROCK, JAZZ)[number % 3], duration_s=None)
        store.tracks.save(known if number % 2 else replace(known, credits=CREDITS))
        for model in models[: number % 3]:
            samplings = [("16", {"Rock": 1.0, 'Post-"Rock"': 0.0001}), ("8", {"Rock": 0.25, "Ünder": 1e-05})]
            for sampling, scores in samplings[:: 1 if number % 4 else -1]:
                reason = because(Cause.CHOSEN, genres=[["Rock", 0.9, "sounds like rock"]])
                decision = Decision(("Rock",) if number % 2 else (), scores if number % 5 else {}, reason)
                store.decisions.save(payload, model, sampling, decision, settings="s")
        write = store.writes.begin(run, path, payload, EMPTY, ROCK, model="model 0", reason=recorded("it rocks"))
        if number % 7:
            store.writes.finish(write, WriteState.DONE)


def both(store: Store, under: Path | None = None) -> tuple[list[TrackLine], list[TrackLine]]:
    quick = list(store.lines.get_tracks(under, scores=True))
    return quick, [TrackLine.of(known) for known in store.reports.get_all(under, PARTS)]


@pytest.mark.usefixtures("tokyo")
def test_lines_are_those_of_the_careful_way(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, 40)
    careful_tracks = both(store)[1]
    careful_writes = [WriteLine.of(write) for write in store.writes.get_all()]
    monkeypatch.setattr(lines, "_ROWS", 7)  # so that there are pages
    for repository in (Reports, Writes):  # nothing here needs the careful way
        monkeypatch.setattr(repository, "get_all", lambda *_, **__: pytest.fail("the careful way was taken"))
    quick = list(store.lines.get_tracks(scores=True))
    assert quick == careful_tracks
    assert len({line.path for line in quick}) == len(quick) == 40 + len(ODD_NAMES)
    assert {line.score for line in quick} == {None, 1.0, 0.25}
    assert {line.artist for line in quick} == {"", "An artist"}
    assert [line._replace(scores={}) for line in careful_tracks] == list(store.lines.get_tracks(scores=False))
    assert list(store.lines.get_writes()) == careful_writes


@pytest.mark.parametrize("many", [20, 1])
def test_failures_and_undos_are_read_again(store: Store, monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    monkeypatch.setattr(lines, "_MANY", many)  # whole pages, or one row after the other
    fill(store, 40)
    store.tracks.save_failure(Path("/music/020.mp3"), stamp(9), AudioError("it is cut off", hint="Copy it"))
    store.tracks.save_failure(Path("/music/000a.mp3"), None, AudioError("no such thing"))
    (first,) = [write for write in store.writes.get_all() if write.path == Path("/music/003.mp3")]
    run = store.runs.begin("undo", {})
    undo = store.writes.begin(
        run, first.path, first.payload_hash, ROCK, EMPTY, model="", reason=recorded("undo"), undo_of=first.id
    )
    store.writes.finish(undo, WriteState.DONE)
    monkeypatch.setattr(lines, "_ROWS", 7)
    quick, careful = both(store)
    assert quick == careful
    assert len(quick) == 41 + len(ODD_NAMES)
    assert [line.failure for line in quick if line.failure] == ["no such thing", "it is cut off"]
    written = list(store.lines.get_writes())
    assert written == [WriteLine.of(write) for write in store.writes.get_all()]
    assert (written[0].kind, written[0].of_run) == (WriteKind.UNDO, first.run_id)
    (undone,) = [line for line in written if line.id == first.id]
    assert (undone.state, undone.undone_by) == (WriteState.UNDONE, run)


def test_only_what_lies_below_a_folder_or_belongs_to_a_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, 12)
    store.tracks.save(track("/musicals/a.mp3", payload_hash="f" * 64))
    store.tracks.save(track("/music/sub/a.mp3", payload_hash="e" * 64))
    monkeypatch.setattr(lines, "_ROWS", 3)
    quick, careful = both(store, Path("/music"))
    assert quick == careful
    assert len(quick) == 13 + len(ODD_NAMES)
    assert [line.path for line in both(store, Path("/music/sub"))[0]] == ["/music/sub/a.mp3"]
    assert [line.path for line in store.lines.get_writes(under=Path("/music/004.mp3"))] == ["/music/004.mp3"]
    assert list(store.lines.get_writes(run_id=99)) == []
    assert len(list(store.lines.get_writes(run_id=1))) == 12 + len(ODD_NAMES)
