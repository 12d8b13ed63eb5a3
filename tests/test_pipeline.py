"""One clip → a row in the database → a genre in the file; then the ways in which it may fail."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
from audio_factory import make
from command_helpers import genres_of, pipeline, tag, unexpected

from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.database.values import HearingResult, WriteState
from genretagger.files.discover import find
from genretagger.model import InstalledModel
from genretagger.sentences import sentence
from genretagger.types import Status

GOLDEN_SCORE = 0.8


def test_golden_clip(
    settings: Settings, music: Path, make_techno: Callable[..., Path], model: InstalledModel, store: Store
) -> None:
    song = make_techno(music / "song.flac")
    outcome = tag(settings, music)["song.flac"]
    assert outcome.status is Status.TAGGED
    assert "Trance" in outcome.genres
    assert outcome.genres_before == ()
    assert outcome.scores["Trance"] > GOLDEN_SCORE
    assert outcome.scores.get("Classical", 0.0) < 1 - GOLDEN_SCORE
    assert "trance" in sentence(outcome.reason)
    assert genres_of(song) == list(outcome.genres)

    known = store.reports.get(song)
    assert known is not None
    assert known.track is not None
    assert known.track.genres.values == outcome.genres
    assert known.decisions[0].decision.genres == outcome.genres
    assert [write.state for write in known.writes] == [WriteState.DONE]
    assert known.analyses[0].fingerprint == model.sha256
    analysis = store.analyses.get(known.track.payload_hash, model.sha256, known.analyses[0].sampling)
    assert analysis is not None
    assert analysis.activations is not None
    assert analysis.activations.values.shape == (1, 621)
    assert analysis.activations.windows == 4  # twelve seconds hold four windows
    assert analysis.activations.embedding.shape == (1424,)


@pytest.mark.parametrize("kind", ["mp3", "flac", "ogg", "opus", "mp4"])
def test_every_container_is_tagged(
    settings: Settings, music: Path, make_techno: Callable[..., Path], kind: str
) -> None:
    song = make_techno(music / f"song.{kind}", kind) if kind != "mp4" else make_techno(music / "song.m4a", kind)
    outcome = tag(settings, music)[song.name]
    assert outcome.status is Status.TAGGED
    assert genres_of(song) == list(outcome.genres)
    assert genres_of(song)


def test_one_bad_file_costs_one_file(
    settings: Settings, music: Path, make_techno: Callable[..., Path], store: Store
) -> None:
    make_techno(music / "good.flac")
    whole = make_techno(music / "truncated.flac").read_bytes()
    (music / "truncated.flac").write_bytes(whole[: len(whole) // 2])
    (music / "text.mp3").write_text("I am no music.\n" * 100)
    (music / "empty.ogg").touch()
    make(music / "silent.flac", "flac", samples=np.zeros(44100 * 10, np.float32))
    noise = np.random.default_rng(0).standard_normal(44100 * 10).astype(np.float32) * 0.1
    make(music / "noise.flac", "flac", samples=noise)
    make(music / "blip.flac", "flac", samples=np.ones(4410, np.float32) * 0.5)
    by_name = tag(settings, music)
    assert {name: outcome.status for name, outcome in by_name.items()} == {
        "good.flac": Status.TAGGED,
        "truncated.flac": Status.FAILED,
        "text.mp3": Status.FAILED,
        "empty.ogg": Status.FAILED,
        "silent.flac": Status.SKIPPED,
        "noise.flac": Status.SKIPPED,
        "blip.flac": Status.SKIPPED,
    }
    assert "truncated" in sentence(by_name["truncated.flac"].reason)
    assert "silence" in sentence(by_name["silent.flac"].reason)
    assert "noise" in sentence(by_name["noise.flac"].reason)
    assert "short" in sentence(by_name["blip.flac"].reason)
    silent = store.reports.get(music / "silent.flac")
    assert silent is not None
    assert silent.analyses[0].hearing is HearingResult.SILENT
    assert {name: outcome.reason for name, outcome in tag(settings, music).items() if name != "good.flac"} == {
        name: outcome.reason for name, outcome in by_name.items() if name != "good.flac"
    }


def test_short_tracks_are_left_out(settings: Settings, music: Path, make_techno: Callable[..., Path]) -> None:
    song = make_techno(music / "song.flac")
    data = song.read_bytes()
    outcome = tag(settings.model_copy(update={"min_duration_s": 12.5}), music)["song.flac"]
    assert (outcome.status, sentence(outcome.reason)) == (Status.SKIPPED, "it is shorter than 12.5 s")
    assert song.read_bytes() == data
    assert tag(settings.model_copy(update={"min_duration_s": 12.0}), music)["song.flac"].status is Status.TAGGED


def test_a_file_that_has_a_genre_keeps_it(settings: Settings, music: Path, make_techno: Callable[..., Path]) -> None:
    song = make_techno(music / "song.flac", genre="Mine")
    before = (song.read_bytes(), song.stat())
    outcome = tag(settings, music)["song.flac"]
    assert (outcome.status, sentence(outcome.reason), outcome.genres) == (Status.UNCHANGED, "it has a genre", ("Mine",))
    assert outcome.scores == {}  # what stays as it is costs no listening
    assert (song.read_bytes(), song.stat()) == before


def test_dry_run_writes_no_tag(settings: Settings, music: Path, make_techno: Callable[..., Path]) -> None:
    song = make_techno(music / "song.flac")
    before = (song.read_bytes(), song.stat())
    outcome = tag(settings, music, dry_run=True)["song.flac"]
    assert outcome.status is Status.TAGGED
    assert outcome.dry_run
    assert (song.read_bytes(), song.stat()) == before
    assert [path.name for path in music.iterdir()] == ["song.flac"]


def test_stop_ends_the_run(settings: Settings, music: Path, make_techno: Callable[..., Path]) -> None:
    for number in range(4):
        make_techno(music / f"{number}.flac")
    stop: Future[None] = Future()
    with pipeline(settings) as opened:
        this = opened.begin("test")
        ended = []
        for outcome in opened.tag(find([music], unexpected), this, stop=stop):
            ended.append(outcome)
            if not stop.done():
                stop.set_result(None)
    assert 1 <= len(ended) < 4
    tagged = {outcome.path for outcome in ended if outcome.status is Status.TAGGED}
    assert {path for path in music.iterdir() if genres_of(path)} == tagged  # nothing is written that was not recorded
    assert all(not path.name.startswith(".") for path in music.iterdir())
    assert len(tag(settings, music)) == 4
    assert all(genres_of(path) for path in music.iterdir())
