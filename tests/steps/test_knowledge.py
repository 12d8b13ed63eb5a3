"""What is known is not done again, nothing is kept for the wrong file, and failures pass."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from audio_factory import make
from command_helpers import outcomes, pipeline, tag, unexpected

from genretagger.causes import recorded
from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.errors import AccessError, FileBusyError
from genretagger.model import ModelStore
from genretagger.model.listener import Listener
from genretagger.pipeline import Pipeline
from genretagger.sentences import sentence
from genretagger.steps.schedule import wait_for
from genretagger.tags.api import WriteOptions
from genretagger.types import Decision, Frames, Status, Track
from genretagger.worker.pool import WorkerPool


def test_second_run_opens_nothing(
    settings: Settings, music: Path, make_techno: Callable[..., Path], store: Store
) -> None:
    song = make_techno(music / "song.flac")
    first = tag(settings, music)["song.flac"]
    before = song.read_bytes()
    known = store.reports.get(song)
    second = tag(settings, music)["song.flac"]
    assert second.status is Status.UNCHANGED
    assert second.genres == first.genres
    assert song.read_bytes() == before
    again = store.reports.get(song)
    assert known is not None
    assert again is not None
    assert again.analyses == known.analyses  # the same, down to the time
    assert again.seen_at == known.seen_at  # not even looked into


def test_same_audio_elsewhere_is_not_heard_again(
    settings: Settings, music: Path, make_techno: Callable[..., Path], store: Store
) -> None:
    make_techno(music / "song.mp3", "mp3")
    tag(settings, music)
    analysed = store.reports.get(music / "song.mp3")
    (music / "song.mp3").rename(music / "renamed.mp3")
    outcome = tag(settings, music)["renamed.mp3"]
    assert outcome.status is Status.UNCHANGED
    renamed = store.reports.get(music / "renamed.mp3")
    assert analysed is not None
    assert renamed is not None
    assert renamed.analyses == analysed.analyses


def test_what_is_heard_in_a_file_that_took_the_place_of_another_is_not_taken_for_the_other(
    settings: Settings, music: Path, make_techno: Callable[..., Path], tmp_path: Path
) -> None:
    song = make_techno(music / "song.flac")
    other = make(tmp_path / "other.flac", "flac", seconds=8)

    class Swapping(WorkerPool):
        def hear(self, path: Path, **request: Any) -> Future[Frames]:
            if other.exists():  # after the first one was read, and before it is listened to
                song.rename(music / "moved.flac")
                other.rename(song)
            return super().hear(path, **request)

    model = ModelStore(settings.models_dir).get()
    with Store.open(settings.database) as store, Swapping(1) as workers:
        outcomes(Pipeline(settings, store, workers, Listener(settings, model, unexpected)), music)
    assert "Trance" in tag(settings, music)["moved.flac"].genres


def test_a_copy_that_ends_while_its_first_half_fails_is_not_forgotten(
    settings: Settings, music: Path, make_techno: Callable[..., Path]
) -> None:
    song = make_techno(music / "song.mp3", "mp3")
    whole = song.read_bytes()
    song.write_bytes(whole[:100])

    class Copying(WorkerPool):
        def inspect(self, path: Path, *, options: WriteOptions = WriteOptions()) -> Future[Track]:  # noqa: B008
            future = super().inspect(path, options=options)
            future.exception()
            song.write_bytes(whole)  # the last byte arrives after the attempt, before its failure is recorded
            return future

    model = ModelStore(settings.models_dir).get()
    with Store.open(settings.database) as store, Copying(1) as workers:
        pipeline = Pipeline(settings, store, workers, Listener(settings, model, unexpected))
        assert outcomes(pipeline, music)["song.mp3"].status is Status.FAILED
    assert tag(settings, music)["song.mp3"].status is Status.TAGGED


def test_a_file_that_a_program_holds_is_tagged_when_it_lets_go(
    settings: Settings, music: Path, make_techno: Callable[..., Path], store: Store
) -> None:
    song = make_techno(music / "song.flac")
    before = song.read_bytes()
    with song.open("r+b"):
        outcome = tag(settings, music)["song.flac"]
        assert outcome.status is Status.FAILED
        assert "another program has the file open for writing" in sentence(outcome.reason)
    assert (song.read_bytes(), list(music.iterdir())) == (before, [song])
    assert list(store.writes.get_all()) == []  # it is known before a write is announced
    failure = store.tracks.get_last_failure(song)
    assert failure is not None
    assert isinstance(failure.error, FileBusyError)
    assert failure.retry
    assert tag(settings, music)["song.flac"].status is Status.TAGGED


def test_what_decided_last_is_told_first_also_where_it_was_known_before(
    settings: Settings, music: Path, make_techno: Callable[..., Path], store: Store
) -> None:
    song = make_techno(music / "song.flac")
    assert tag(settings, music)["song.flac"].status is Status.TAGGED
    first = store.reports.get(song)
    assert first is not None
    assert first.track is not None
    other = store.models.save("other", "0" * 64, ["Waltz"])
    store.decisions.save(
        first.track.payload_hash, other, "all", Decision((), {"Waltz": 0.0}, recorded("other")), settings="x"
    )
    make_techno(music / "copy.flac")
    assert tag(settings, music)["copy.flac"].status is Status.TAGGED
    found = store.reports.get(music / "copy.flac")
    assert found is not None
    assert [each.model for each in found.decisions] == ["musicnn-yamnet", "other"]
    assert found.decisions[0].decision == first.decisions[0].decision


def test_a_closed_folder_is_told_and_is_no_track(settings: Settings, music: Path, store: Store) -> None:
    with pipeline(settings) as opened:
        this = opened.begin("test")
        outcome = opened.failed(music, AccessError("the folder cannot be read", path=music), this)
    assert outcome.status is Status.FAILED
    assert list(store.reports.get_all()) == []  # nothing would ever take it back


def test_what_is_heard_anew_replaces_what_was_heard_lately(
    settings: Settings, music: Path, make_techno: Callable[..., Path]
) -> None:
    """What was heard last is kept in memory; a newer result must not hide behind it."""
    song = make_techno(music / "song.flac")
    with pipeline(settings) as opened:
        first = opened.decide(song)
        track = wait_for(opened.knowledge.track(song, force=False))
        heard = opened.knowledge.heard(track)
        assert heard is not None
        assert heard.activations is not None
        nothing = replace(heard.activations, values=heard.activations.values * np.float16(0))
        opened.knowledge.keep_heard(track.payload_hash, nothing, seconds=0)
        now = opened.knowledge.heard(track)
        assert now is not None
        assert now.activations is not None
        assert not now.activations.values.any()
        again = wait_for(opened.knowledge.analysis(track, force=True))
        assert again.activations is not None
        assert (again.activations.values == heard.activations.values).all()
        assert opened.decide(song) == first
