from __future__ import annotations

import dataclasses
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genretagger.vocabulary.names import Genre, Vocabulary, key, names_genre, vocabulary

GENRES = list(vocabulary().genres.values())


@pytest.mark.parametrize("genre", GENRES, ids=lambda genre: genre.name)
def test_names_can_be_written_to_any_file(genre: Genre) -> None:
    assert not set("/;,") & set(genre.name), "players split genres on these"
    assert genre.name == unicodedata.normalize("NFC", genre.name).strip()
    assert genre.name.isprintable()
    assert key(genre.name)


@pytest.mark.parametrize("genre", GENRES, ids=lambda genre: genre.name)
def test_each_spelling_leads_to_its_genre(genre: Genre) -> None:
    for spelling in (genre.name, *genre.aliases):
        for variant in (spelling, spelling.upper(), spelling.lower(), f" {spelling}. ", spelling.replace(" ", "-")):
            assert vocabulary().canonical(variant) == genre.name


@pytest.mark.parametrize("genre", GENRES, ids=lambda genre: genre.name)
def test_no_genre_is_its_own_ancestor(genre: Genre) -> None:
    ancestors = list(vocabulary().ancestors(genre.name))
    assert genre.name not in ancestors
    assert len(set(ancestors)) == len(ancestors)
    assert ancestors[: len(genre.parents)] == list(genre.parents), "nearest first"


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("hip hop", "Hip-Hop"),
        ("HipHop", "Hip-Hop"),
        ("rap", "Hip-Hop"),
        ("r and b", "R&B"),
        ("RNB", "R&B"),
        ("drum & bass", "Drum and Bass"),
        ("classical music", "Classical"),
    ],
)
def test_well_known_spellings(spelling: str, name: str) -> None:
    assert vocabulary().canonical(spelling) == name


@pytest.mark.parametrize("spelling", ["", "   ", "!!!", "Polka-Dot", "female vocalists", "80s", "guitar", "beautiful"])
def test_what_is_no_genre(spelling: str) -> None:
    assert vocabulary().canonical(spelling) is None


@given(st.text())
@settings(deadline=None)
def test_a_key_is_its_own_key_and_knows_no_case(text: str) -> None:
    assert key(key(text)) == key(text)
    assert key(f" {text}-") == key(text)
    if text.isascii():
        assert key(text.upper()) == key(text.lower())


@given(st.text())
@settings(deadline=None)
def test_a_canonical_name_is_canonical(text: str) -> None:
    name = vocabulary().canonical(text)
    assert name is None or vocabulary().canonical(name) == name


def test_ancestors_come_nearest_first_and_once_even_in_a_circle() -> None:
    genres = {"A": Genre("A", ("B", "C")), "B": Genre("B", ("D",)), "C": Genre("C", ("D",)), "D": Genre("D", ("B",))}
    names = Vocabulary(genres)
    assert list(names.ancestors("A")) == ["B", "C", "D"]
    assert list(names.ancestors("unknown")) == []


def test_a_spelling_that_means_two_genres_is_refused() -> None:
    with pytest.raises(ValueError, match="'Hip-Hop' means both Rap and Hip-Hop"):
        Vocabulary({"Rap": Genre("Rap", aliases=("HipHop",)), "Hip-Hop": Genre("Hip-Hop", aliases=("hip hop",))})


def test_an_unknown_parent_is_refused() -> None:
    with pytest.raises(ValueError, match="House has the unknown parent 'Electronic'"):
        Vocabulary({"House": Genre("House", ("Electronic",))})


def test_nobody_can_change_it() -> None:
    with pytest.raises(TypeError):
        vocabulary().genres["Rock"] = Genre("Rock")  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        vocabulary().genres["Rock"].name = "Pop"  # type: ignore[misc]


@pytest.mark.parametrize("label", ["female vocalists", "Female-Vocalists", "80s", "guitar", "Mellow", "no vocals", ""])
def test_labels_that_name_no_genre(label: str) -> None:
    assert not names_genre(label)


def test_labels_that_name_a_genre() -> None:
    assert [genre.name for genre in GENRES if not names_genre(genre.name)] == []
    assert names_genre("Field Recording")
    assert not names_genre("Field Recording", "Non-Music")
