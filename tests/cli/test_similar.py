"""`similar`, and `export --similar-to`: what sounds alike, from what was heard."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from audio_factory import make, tone
from command_helpers import settings as settings_of
from command_helpers import tag
from conftest import Ended

from genretagger.database.store import Store
from genretagger.shelf import filling, likeness
from genretagger.shelf.index import Index
from genretagger.types import Activations, Credits, GenreField, Stamp, Track


def test_the_nearest_come_first(
    heard: Path, music: Path, techno_samples: npt.NDArray[np.float32], genretagger: Callable[..., Ended]
) -> None:
    make(music / "a.flac", "flac", samples=techno_samples[: 11 * 44100], artist="One")
    make(music / "b.mp3", "mp3", samples=techno_samples[: 10 * 44100], artist="Two")
    make(music / "tone.flac", "flac", samples=tone(12.0), artist="Three")
    tag(settings_of(heard), music, dry_run=True)
    found = genretagger("similar", music / "a.flac", "--json")
    assert found.status == 0, found.err
    ours = [each for each in found.lines if each["path"].startswith(str(music))]
    assert [each["path"] for each in ours] == [str(music / "b.mp3")]  # a steady tone has nothing to compare
    assert ours[0]["alike"] > 0.5  # also in a library of a few tracks
    assert all(0 <= each["alike"] <= 1 for each in found.lines)
    assert [each["alike"] for each in found.lines] == sorted((each["alike"] for each in found.lines), reverse=True)
    assert str(music / "a.flac") not in [each["path"] for each in found.lines]
    playlist = music / "list.m3u8"
    assert genretagger("export", "--similar-to", music / "a.flac", "-o", playlist, "--count", "5").status == 0
    lines = [line for line in playlist.read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "a.flac"
    assert "b.mp3" in lines


def test_a_track_in_a_library_with_a_name_is_found(
    heard: Path, music: Path, techno_samples: npt.NDArray[np.float32], genretagger: Callable[..., Ended]
) -> None:
    for number, name in enumerate(("a.flac", "b.flac")):
        make(music / name, "flac", samples=techno_samples[: (11 - number) * 44100], artist=name)
    named = json.dumps({"albums": str(music)})
    assert genretagger("tag", "--dry-run", music, GENRETAGGER_LIBRARIES=named).status == 0
    found = genretagger("similar", music / "a.flac", "--json", GENRETAGGER_LIBRARIES=named)
    assert found.status == 0, found.err
    assert str(music / "b.flac") in [each["path"] for each in found.lines]


def test_what_nobody_listened_to_is_told(heard: Path, music: Path, genretagger: Callable[..., Ended]) -> None:
    make(music / "new.flac", "flac", samples=tone(8.0))
    found = genretagger("similar", music / "new.flac")
    assert found.status == 2
    assert "genretagger has not listened to it yet" in found.err
    assert "tag --dry-run" in found.err
    both = genretagger("export", music, "--similar-to", music / "new.flac")
    assert both.status == 2


@pytest.fixture
def many(store: Store) -> Store:
    """Tracks of a few artists, whose embeddings lie around one point for each genre."""
    random = np.random.default_rng(0)
    model = store.models.save("m", "f" * 64, ["x"])
    centres = random.normal(size=(3, 128)).astype(np.float32) * 3
    for number in range(120):
        put(store, model, number, centres[number % 3] + random.normal(size=128).astype(np.float32))
    return store


def put(store: Store, model: int, number: int, embedding: npt.NDArray[np.float32]) -> None:
    credits = Credits(f"Artist {number % 12}", "", "", f"Title {number}")
    stamp = Stamp(1000, number, number, number, 1, 1)
    field = GenreField((f"Genre {number % 3}",), None, "ID3v2.4")
    payload_hash = f"{number:064x}"
    path = Path(f"/music/{number:03}.mp3")
    store.tracks.save(Track(path, stamp, "mp3", 200.0, payload_hash, field, None, credits))
    heard = Activations(np.zeros((1, 1), np.float16), embedding.astype(np.float32), "CPUExecutionProvider")
    store.analyses.save(payload_hash, model, "p", heard, seconds=0.1)


def test_not_all_are_by_one_artist_and_genres_keep_together(many: Store, data_dir: Path) -> None:
    with Index(data_dir) as index:
        filling.refresh(many, index)
        likeness.refresh(many.listings, index)
        found = likeness.Likeness(index).nearest(f"{0:064x}", 8)
    assert len(found) == 8
    numbers = [int(path.stem) for _, path, _ in found]
    assert {number % 3 for number in numbers} == {0}
    artists = [number % 12 for number in numbers]
    assert max(artists.count(artist) for artist in artists) <= 2
    assert 0 not in numbers


def test_a_new_track_moves_no_other_and_a_doubled_library_is_compared_anew(many: Store, data_dir: Path) -> None:
    model = many.models.save("m", "f" * 64, ["x"])
    with Index(data_dir) as index:
        filling.refresh(many, index)
        assert likeness.refresh(many.listings, index) == 120
        assert likeness.refresh(many.listings, index) == 0
        before = likeness.Likeness(index).vectors
        put(many, model, 500, np.ones(128, np.float32))
        filling.refresh(many, index)
        assert likeness.refresh(many.listings, index) == 1
        after = likeness.Likeness(index).vectors
        assert np.array_equal(after[:120], before)
        for number in range(600, 900):
            put(many, model, number, np.full(128, number / 100, np.float32))
        filling.refresh(many, index)
        assert likeness.refresh(many.listings, index) == 421
        assert len(likeness.Likeness(index)) == 421


@pytest.mark.parametrize("damage", [b"", b"x" * 100, None])
def test_vectors_that_are_damaged_are_made_again(many: Store, data_dir: Path, damage: bytes | None) -> None:
    with Index(data_dir) as index:
        filling.refresh(many, index)
        likeness.refresh(many.listings, index)
        whole = likeness.Likeness(index).vectors
        file = index.folder / "vectors.f32"
        if damage is None:
            file.unlink()
        else:
            file.write_bytes(damage)
        assert len(likeness.Likeness(index)) < 120
        likeness.refresh(many.listings, index)
        assert np.array_equal(likeness.Likeness(index).vectors, whole)
