"""One clip → a row in the database → a genre in the file; then the ways in which that may not be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import mutagen
import numpy as np
import pytest
from audio_factory import make

from genretagger.config import Settings, load
from genretagger.database.store import Store
from genretagger.database.values import Hearing, WriteState
from genretagger.discover import find
from genretagger.model import InstalledModel
from genretagger.pipeline import Pipeline, open_pipeline
from genretagger.types import Outcome, Policy, Status

GOLDEN_SCORE = 0.8


@pytest.fixture
def settings(data_dir: Path) -> Settings:
    return load(data_dir=data_dir, device="cpu", threads=1, jobs=1)


@pytest.fixture
def music(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    return folder


def unexpected(message: object) -> None:
    raise AssertionError(message)


def run(settings: Settings, music: Path, *, dry_run: bool = False, force: bool = False) -> dict[str, Outcome]:
    """Tag a folder and give what became of each file, by name."""
    with open_pipeline(settings, notice=unexpected, progress=lambda *_: None) as pipeline:
        return outcomes(pipeline, music, dry_run=dry_run, force=force)


def outcomes(pipeline: Pipeline, music: Path, *, dry_run: bool = False, force: bool = False) -> dict[str, Outcome]:
    this = pipeline.begin("test", dry_run=dry_run, force=force)
    found = pipeline.tag(find([music], unexpected), this, stop=Future())
    by_name = {outcome.path.name: outcome for outcome in found}
    pipeline.finish(this)
    return by_name


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with Store.open(settings.database) as opened:
        yield opened


def genres_of(path: Path) -> list[str]:
    """What a reader that is not ours finds."""
    tags = mutagen.File(path, easy=True)
    return list((tags or {}).get("genre", []))


def test_golden_clip(
    settings: Settings, music: Path, make_techno: Callable[..., Path], model: InstalledModel, store: Store
) -> None:
    song = make_techno(music / "song.flac")
    outcome = run(settings, music)["song.flac"]
    assert outcome.status is Status.TAGGED
    assert "Techno" in outcome.genres
    assert outcome.genres_before == ()
    assert outcome.scores["Techno"] > GOLDEN_SCORE
    assert outcome.scores["Classical"] < 1 - GOLDEN_SCORE
    assert "techno" in outcome.reason
    assert genres_of(song) == list(outcome.genres)

    known = store.describe(song)
    assert known is not None
    assert known.track is not None
    assert known.track.genres.values == outcome.genres
    assert known.decisions[0].decision.genres == outcome.genres
    assert [write.state for write in known.writes] == [WriteState.DONE]
    assert known.analyses[0].fingerprint == model.sha256
    analysis = store.analysis(known.track.payload_hash, model.sha256, known.analyses[0].plan)
    assert analysis is not None
    assert analysis.activations is not None
    assert analysis.activations.values.shape == (4, 100)  # twelve seconds hold four windows
    assert analysis.activations.embedding.shape == (400,)


def test_second_run_opens_nothing(
    settings: Settings, music: Path, make_techno: Callable[..., Path], store: Store
) -> None:
    song = make_techno(music / "song.flac")
    first = run(settings, music)["song.flac"]
    before = song.read_bytes()
    known = store.describe(song)
    second = run(settings, music)["song.flac"]
    assert second.status is Status.UNCHANGED
    assert second.genres == first.genres
    assert song.read_bytes() == before
    again = store.describe(song)
    assert known is not None
    assert again is not None
    assert again.analyses == known.analyses  # the same, down to the time
    assert again.seen_at == known.seen_at  # not even looked into


def test_same_audio_elsewhere_is_not_heard_again(
    settings: Settings, music: Path, make_techno: Callable[..., Path], store: Store
) -> None:
    make_techno(music / "song.mp3", "mp3")
    run(settings, music)
    analysed = store.describe(music / "song.mp3")
    (music / "song.mp3").rename(music / "renamed.mp3")
    outcome = run(settings, music)["renamed.mp3"]
    assert outcome.status is Status.UNCHANGED
    renamed = store.describe(music / "renamed.mp3")
    assert analysed is not None
    assert renamed is not None
    assert renamed.analyses == analysed.analyses


@pytest.mark.parametrize("kind", ["mp3", "flac", "ogg", "opus", "mp4"])
def test_every_container_is_tagged(
    settings: Settings, music: Path, make_techno: Callable[..., Path], kind: str
) -> None:
    song = make_techno(music / f"song.{kind}", kind) if kind != "mp4" else make_techno(music / "song.m4a", kind)
    outcome = run(settings, music)[song.name]
    assert outcome.status is Status.TAGGED
    assert genres_of(song) == list(outcome.genres)
    assert genres_of(song)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [(Policy.KEEP, ["Mine"]), (Policy.REPLACE, ["Techno"]), (Policy.ADD, ["Mine", "Techno"])],
    ids=str,
)
def test_policies(
    settings: Settings, music: Path, make_techno: Callable[..., Path], policy: Policy, expected: list[str]
) -> None:
    song = make_techno(music / "song.flac", genre="Mine")
    rules = settings.model_copy(update={"policy": policy, "max_genres": 1, "allow": ("Techno",)})
    outcome = run(rules, music)["song.flac"]
    assert genres_of(song) == expected
    assert outcome.status is (Status.UNCHANGED if policy is Policy.KEEP else Status.TAGGED)
    assert (outcome.scores == {}) is (policy is Policy.KEEP)  # what stays as it is costs no listening


def test_dry_run_writes_no_tag(settings: Settings, music: Path, make_techno: Callable[..., Path]) -> None:
    song = make_techno(music / "song.flac")
    before = (song.read_bytes(), song.stat())
    outcome = run(settings, music, dry_run=True)["song.flac"]
    assert outcome.status is Status.TAGGED
    assert outcome.dry_run
    assert (song.read_bytes(), song.stat()) == before
    assert [path.name for path in music.iterdir()] == ["song.flac"]


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
    by_name = run(settings, music)
    assert {name: outcome.status for name, outcome in by_name.items()} == {
        "good.flac": Status.TAGGED,
        "truncated.flac": Status.FAILED,
        "text.mp3": Status.FAILED,
        "empty.ogg": Status.FAILED,
        "silent.flac": Status.SKIPPED,
        "noise.flac": Status.SKIPPED,
        "blip.flac": Status.FAILED,
    }
    assert "truncated" in by_name["truncated.flac"].reason
    assert "silence" in by_name["silent.flac"].reason
    assert "noise" in by_name["noise.flac"].reason
    assert "short" in by_name["blip.flac"].reason
    silent = store.describe(music / "silent.flac")
    assert silent is not None
    assert silent.analyses[0].hearing is Hearing.SILENT
    assert {name: outcome.reason for name, outcome in run(settings, music).items() if name != "good.flac"} == {
        name: outcome.reason for name, outcome in by_name.items() if name != "good.flac"
    }


def test_the_owner_changed_the_genre_after_us(
    settings: Settings, music: Path, make_techno: Callable[..., Path]
) -> None:
    song = make_techno(music / "song.flac")
    run(settings, music)
    tags = mutagen.File(song)
    del tags["genre"]
    tags.save()
    replacing = settings.model_copy(update={"policy": Policy.REPLACE})
    for rules in (settings, replacing):
        outcome = run(rules, music)["song.flac"]
        assert outcome.status is Status.UNCHANGED
        assert "yours" in outcome.reason
        assert genres_of(song) == []
    assert run(settings, music, force=True)["song.flac"].status is Status.TAGGED
    assert genres_of(song)


def test_stop_ends_the_run(settings: Settings, music: Path, make_techno: Callable[..., Path]) -> None:
    for number in range(4):
        make_techno(music / f"{number}.flac")
    stop: Future[None] = Future()
    with open_pipeline(settings, notice=unexpected, progress=lambda *_: None) as pipeline:
        this = pipeline.begin("test")
        ended = []
        for outcome in pipeline.tag(find([music], unexpected), this, stop=stop):
            ended.append(outcome)
            if not stop.done():
                stop.set_result(None)
    assert 1 <= len(ended) < 4
    tagged = {outcome.path for outcome in ended if outcome.status is Status.TAGGED}
    assert {path for path in music.iterdir() if genres_of(path)} == tagged  # nothing is written that was not recorded
    assert all(not path.name.startswith(".") for path in music.iterdir())
    assert len(run(settings, music)) == 4
    assert all(genres_of(path) for path in music.iterdir())
