"""One clip → a row in the database → a genre in the file; then the ways in which that may not be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import mutagen
import numpy as np
import pytest
from audio_factory import make

from genretagger.config import Settings, load
from genretagger.database.store import Store
from genretagger.database.values import Hearing, WriteState
from genretagger.discover import find
from genretagger.errors import AccessError
from genretagger.listener import Listener
from genretagger.model import InstalledModel, ModelStore
from genretagger.opening import open_pipeline
from genretagger.pipeline import Pipeline
from genretagger.tags.api import WriteOptions
from genretagger.types import Outcome, Policy, Sound, Status, Track
from genretagger.vocabulary.names import vocabulary
from genretagger.vocabulary.resolve import merged
from genretagger.worker.pool import WorkerPool

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


def test_what_the_owner_calls_otherwise_is_not_added_again(
    settings: Settings, music: Path, make_techno: Callable[..., Path]
) -> None:
    song = make_techno(music / "song.flac", genre="Dance Music")  # the vocabulary knows it as Dance
    run(settings.model_copy(update={"policy": Policy.ADD, "allow": ("Techno", "Dance")}), music)
    assert genres_of(song) == ["Dance Music", "Techno"]


@pytest.mark.parametrize(
    ("policy", "before", "protect", "expected"),
    [
        pytest.param(Policy.REPLACE, ["Mine", "Pop"], [], ["Techno", "House"], id="nothing-protected"),
        pytest.param(Policy.REPLACE, ["Pop", "Mine"], ["Mine"], ["Mine", "Techno", "House"], id="one-stays-in-front"),
        pytest.param(Policy.REPLACE, ["B", "Pop", "A"], ["A", "B"], ["B", "A", "Techno", "House"], id="in-their-order"),
        pytest.param(Policy.REPLACE, ["hip hop"], ["Hip-Hop"], ["hip hop", "Techno", "House"], id="as-the-file-spells"),
        pytest.param(Policy.REPLACE, ["rap"], ["Hip-Hop"], ["rap", "Techno", "House"], id="an-alias"),
        pytest.param(Policy.REPLACE, ["house"], ["House"], ["house", "Techno"], id="chosen-too"),
        pytest.param(Policy.REPLACE, ["Mine", "Mine"], ["mine"], ["Mine", "Techno", "House"], id="named-twice"),
        pytest.param(Policy.REPLACE, ["♥", "♪"], ["♥"], ["♥", "Techno", "House"], id="no-letters"),
        pytest.param(Policy.REPLACE, [], ["Mine"], ["Techno", "House"], id="never-added"),
        pytest.param(Policy.ADD, ["Mine", "Pop"], ["Mine"], ["Mine", "Pop", "Techno", "House"], id="add-keeps-all"),
        pytest.param(Policy.KEEP, [], ["Mine"], ["Techno", "House"], id="keep"),
    ],
)
def test_what_is_protected_stays(policy: Policy, before: list[str], protect: list[str], expected: list[str]) -> None:
    assert merged(tuple(before), ("Techno", "House"), policy, tuple(protect), vocabulary()) == tuple(expected)


def test_a_protected_genre_survives_replace(settings: Settings, music: Path, make_techno: Callable[..., Path]) -> None:
    song = make_techno(music / "song.flac", genre="Christmas")
    options = {"policy": Policy.REPLACE, "max_genres": 1, "allow": ("Techno",), "protect": ("christmas", "Live")}
    rules = settings.model_copy(update=options)
    assert run(rules, music)["song.flac"].genres == ("Christmas", "Techno")
    assert genres_of(song) == ["Christmas", "Techno"]
    assert run(rules, music)["song.flac"].status is Status.UNCHANGED


def test_dry_run_writes_no_tag(settings: Settings, music: Path, make_techno: Callable[..., Path]) -> None:
    song = make_techno(music / "song.flac")
    before = (song.read_bytes(), song.stat())
    outcome = run(settings, music, dry_run=True)["song.flac"]
    assert outcome.status is Status.TAGGED
    assert outcome.dry_run
    assert (song.read_bytes(), song.stat()) == before
    assert [path.name for path in music.iterdir()] == ["song.flac"]


def test_short_tracks_are_left_out(settings: Settings, music: Path, make_techno: Callable[..., Path]) -> None:
    song = make_techno(music / "song.flac")
    data = song.read_bytes()
    outcome = run(settings.model_copy(update={"min_duration_s": 12.5}), music)["song.flac"]
    assert (outcome.status, outcome.reason) == (Status.SKIPPED, "it is shorter than 12.5 s")
    assert song.read_bytes() == data
    assert run(settings.model_copy(update={"min_duration_s": 12.0}), music)["song.flac"].status is Status.TAGGED


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


@pytest.mark.parametrize("policy", [Policy.KEEP, Policy.REPLACE])
@pytest.mark.parametrize("genre", [None, "Polka"])
def test_what_the_owner_changed_stays_theirs_when_the_file_is_moved(
    settings: Settings, music: Path, make_techno: Callable[..., Path], policy: Policy, genre: str | None
) -> None:
    song = make_techno(music / "song.flac")
    run(settings, music)
    tags = mutagen.File(song)
    del tags["genre"]
    if genre:
        tags["genre"] = [genre]
    tags.save()
    (music / "album").mkdir()
    moved = song.rename(music / "album" / "moved.flac")
    for _ in range(2):
        assert run(settings.model_copy(update={"policy": policy}), music)["moved.flac"].status is Status.UNCHANGED
        assert genres_of(moved) == ([genre] if genre else [])
        moved = moved.rename(moved.with_name("x moved.flac")).rename(moved)  # and wherever it goes from there


def test_what_the_owner_chose_stays_when_the_file_goes_to_another_disk(
    settings: Settings, music: Path, make_techno: Callable[..., Path]
) -> None:
    """Another inode: that its genre is neither what was written nor what was there before tells whose it is."""
    song = make_techno(music / "song.flac")
    run(settings, music)
    tags = mutagen.File(song)
    tags["genre"] = ["Polka"]
    tags.save()
    moved = music / "moved.flac"
    moved.write_bytes(song.read_bytes())
    song.unlink()
    outcome = run(settings.model_copy(update={"policy": Policy.REPLACE}), music)["moved.flac"]
    assert (outcome.status, genres_of(moved)) == (Status.UNCHANGED, ["Polka"])


def test_a_recording_that_was_deleted_and_comes_again_is_tagged_again(
    settings: Settings, music: Path, make_techno: Callable[..., Path]
) -> None:
    song = make_techno(music / "song.flac")
    fresh = song.read_bytes()
    run(settings, music)
    again = music / "again.flac"
    again.write_bytes(fresh)  # before the other goes, so that it cannot have its inode
    song.unlink()
    assert run(settings, music)["again.flac"].status is Status.TAGGED


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
    assert run(settings, music)["song.mp3"].status is Status.TAGGED


def test_a_file_that_a_program_holds_is_tagged_when_it_lets_go(
    settings: Settings, music: Path, make_techno: Callable[..., Path], store: Store
) -> None:
    song = make_techno(music / "song.flac")
    before = song.read_bytes()
    with song.open("r+b"):
        outcome = run(settings, music)["song.flac"]
        assert outcome.status is Status.FAILED
        assert "another program has the file open for writing" in outcome.reason
    assert (song.read_bytes(), list(music.iterdir())) == (before, [song])
    assert {write.state for write in store.writes()} == {WriteState.ABANDONED}
    assert run(settings, music)["song.flac"].status is Status.TAGGED


def test_a_closed_folder_is_told_and_is_no_track(settings: Settings, music: Path, store: Store) -> None:
    with open_pipeline(settings, notice=unexpected, progress=lambda *_: None) as pipeline:
        this = pipeline.begin("test")
        outcome = pipeline.failed(music, AccessError("the folder cannot be read", path=music), this)
    assert outcome.status is Status.FAILED
    assert list(store.everything()) == []  # nothing would ever take it back


def test_what_is_heard_in_a_file_that_took_the_place_of_another_is_not_taken_for_the_other(
    settings: Settings, music: Path, make_techno: Callable[..., Path], tmp_path: Path
) -> None:
    song = make_techno(music / "song.flac")
    other = make(tmp_path / "other.flac", "flac", seconds=8)

    class Swapping(WorkerPool):
        def decode(self, path: Path, **request: Any) -> Future[Sound]:
            if other.exists():  # after the first one was read, and before it is listened to
                song.rename(music / "moved.flac")
                other.rename(song)
            return super().decode(path, **request)

    model = ModelStore(settings.models_dir).get()
    with Store.open(settings.database) as store, Swapping(1) as workers:
        outcomes(Pipeline(settings, store, workers, Listener(settings, model, unexpected)), music)
    assert "Techno" in run(settings, music)["moved.flac"].genres


def test_a_genre_that_a_file_has_twice_is_written_once(
    settings: Settings, music: Path, make_techno: Callable[..., Path]
) -> None:
    song = make_techno(music / "song.flac", genre=["Mine", "Mine"])
    rules = settings.model_copy(update={"policy": Policy.ADD, "max_genres": 1, "allow": ("Techno",)})
    assert run(rules, music)["song.flac"].status is Status.TAGGED
    assert genres_of(song) == ["Mine", "Techno"]
