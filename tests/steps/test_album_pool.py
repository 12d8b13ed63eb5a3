"""Who belongs to an album by sound, with scores and embeddings that the tests make up."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from genretagger.steps.pool import NESTED, Voice, members
from genretagger.vocabulary.calibration import Scores

GENRES = ("Ambient", "Classical", "Electronic", "House", "Jazz", "Metal", "Techno")


def voice(place: float = 0.0, *, is_music: float = 1.0, is_known: float = 1.0, **scores: float) -> Voice:
    """A track with these scores and 0.05 for other genres; its embedding is on a line."""
    by_genre = {genre: scores.get(genre, 0.05) for genre in GENRES}
    ranked = dict(sorted(by_genre.items(), key=lambda item: -item[1]))
    grounds = dict.fromkeys(ranked, "")
    embedding = np.array([place, 1.0, 0.0], dtype=np.float32)
    best = max(ranked.values())
    return Voice(Scores(ranked, grounds, is_music, is_known), embedding, best >= 0.5 and is_music >= 0.5)


def album() -> list[Voice]:
    """Seven tracks of House, more or less; two of them have another answer by themselves."""
    clear = [voice(place / 10, House=0.6 + place / 50) for place in range(5)]
    return [*clear, voice(0.1, House=0.45, Jazz=0.55), voice(0.3, House=0.4, Ambient=0.5)]


def test_tracks_that_are_a_little_different_belong() -> None:
    assert members(album()) == [True] * 7


def test_a_model_without_genres_has_no_album() -> None:
    silent = Voice(Scores({}, {}, 1.0), np.ones(3, dtype=np.float32), has_answer=False)
    assert members([silent, silent, silent]) == [False] * 3


def test_a_track_that_truly_differs_does_not() -> None:
    assert members([*album(), voice(4, Metal=0.97)]) == [*[True] * 7, False]


def test_a_track_that_sounds_like_the_others_belongs_for_longer() -> None:
    """What the embedding says counts as well."""
    tracks, odd = album(), {"House": 0.05, "Jazz": 0.7}
    assert members([*tracks, voice(0.2, **odd)])[-1]
    assert not members([*tracks, voice(5, **odd)])[-1]


def test_a_track_that_prefers_its_own_genre_only_slightly_belongs_to_the_surest_album() -> None:
    sure = [voice(place / 10, House=0.99) for place in range(5)]
    assert members([*sure, voice(1, House=0.4, Jazz=0.55)], NESTED) == [True] * 6
    assert members([*sure, voice(1, House=0.1, Jazz=0.8)], NESTED) == [*[True] * 5, False]


def test_the_same_family_belongs() -> None:
    assert members([*album(), voice(4, Techno=0.97)]) == [True] * 8


@pytest.mark.parametrize("odd", [{"is_music": 0.2}, {"is_known": 0.2}])
def test_what_is_no_music_has_no_say(odd: dict[str, float]) -> None:
    assert members([*album(), voice(0.2, House=0.4, **odd)]) == [*[True] * 7, False]


def test_a_track_without_an_answer_follows_its_album() -> None:
    assert members([*album(), voice(0.2, Jazz=0.4)]) == [True] * 8


def test_an_album_without_a_middle() -> None:
    tracks = [voice(index * 5, **{genre: 0.97}) for index, genre in enumerate(("Ambient", "Jazz", "Metal", "House"))]
    assert members(tracks) == [False] * 4


def test_few_tracks() -> None:
    assert members([]) == []
    assert members([voice(House=0.7)]) == [False]
    assert members([voice(House=0.6, Jazz=0.5), voice(House=0.5, Jazz=0.6)]) == [True, True]
    assert members([voice(House=0.9), voice(Jazz=0.9)]) == [False, False]


def test_equal_tracks() -> None:
    assert members([voice(House=0.7)] * 3) == [True] * 3


def test_the_order_makes_no_difference() -> None:
    tracks = [*album(), voice(4, Metal=0.97), voice(3, Classical=0.8, House=0.1), voice(is_music=0.1)]
    expected = dict(zip(map(id, tracks), members(tracks), strict=True))
    shuffled = random.Random(3)
    for _ in range(20):
        shuffled.shuffle(tracks)
        assert dict(zip(map(id, tracks), members(tracks), strict=True)) == expected


def test_no_numbers_are_too_odd() -> None:
    for low, high in itertools.product((0.0, 1e-30), (1.0, 1 - 1e-16)):
        tracks = [voice(House=high, Jazz=low), voice(House=high, Jazz=low), voice(1e30, House=low, Jazz=high)]
        assert members(tracks) == [True, True, False]
