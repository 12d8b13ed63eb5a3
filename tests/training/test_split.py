"""Tracks of one album or artist are never separated."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genretagger.training.split import FOLDS, dealt, grouped, ties
from genretagger.types import Credits


def groups(*tracks: tuple[str, Credits]) -> list[str]:
    return grouped([ties(Path(path), credits, path) for path, credits in tracks])


def test_artists_and_albums_hold_together_whatever_the_spelling() -> None:
    found = groups(
        ("/a/1", Credits("Nina", "", "First")),
        ("/b/2", Credits("NINA ", "", "Second")),
        ("/c/3", Credits("Guest", "Nina", "Second")),
        ("/c/4", Credits("guest", "", "")),
        ("/d/5", Credits("Otis", "", "First")),
    )
    assert found[0] == found[1] == found[2] == found[3]
    assert found[4] != found[0]


def test_a_compilation_ties_its_tracks_but_not_all_compilations() -> None:
    found = groups(
        ("/hits/1", Credits("A", "Various Artists", "Hits")),
        ("/hits/2", Credits("B", "Various Artists", "Hits")),
        ("/best/1", Credits("C", "Various Artists", "Hits")),  # same name, another folder
        ("/best/2", Credits("D", "VA", "Others")),
    )
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_folders_stand_in_where_tags_are_missing() -> None:
    found = groups(("/x/1", Credits()), ("/x/2", Credits("Unknown Artist", "", "")), ("/y/1", Credits()))
    assert found[0] == found[1] != found[2]


def test_copies_of_one_recording_are_together() -> None:
    first, second = (ties(Path(path), Credits(artist), "same") for path, artist in (("/a/1", "A"), ("/b/2", "B")))
    assert len(set(grouped([first, second]))) == 1


def test_each_fold_gets_something_of_each_genre() -> None:
    names = [f"{genre} {artist}" for genre in ("Jazz", "Dub") for artist in range(5) for _ in range(3)]
    folds = dealt(names, [[name.split()[0]] for name in names], {}, 5)
    for genre in ("Jazz", "Dub"):
        assert {fold for fold, name in zip(folds, names, strict=True) if name.startswith(genre)} == set(range(5))


def test_known_groups_stay_where_they_were() -> None:
    names = [f"g{number}" for number in range(12)]
    genres = [["Jazz"]] * 12
    before = dict(zip(names, dealt(names, genres, {}, 5), strict=True))
    more = [*names, "new 1", "new 2"]
    after = dict(zip(more, dealt(more, [["Jazz"]] * 14, before, 5), strict=True))
    assert {name: after[name] for name in names} == before
    assert dealt(["only"], [["Jazz"]], {}, FOLDS) == [0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=3), min_size=1, max_size=25))
def test_whoever_shares_a_tie_shares_a_fold(tracks: list[list[str]]) -> None:
    found = grouped(tracks)
    folds = dealt(found, [["x"]] * len(found), {}, 5)
    for own, group, fold in zip(tracks, found, folds, strict=True):
        for other, other_group, other_fold in zip(tracks, found, folds, strict=True):
            if set(own) & set(other):
                assert (group, fold) == (other_group, other_fold)


def test_the_ties_hold_no_name() -> None:
    assert all(len(tie) == 16 and int(tie, 16) >= 0 for tie in ties(Path("/a/b"), Credits("Nina", "", "First"), "x"))


@pytest.mark.parametrize("name", [b"/m/\xff\xfe.flac", "/m/üñ/ß.flac".encode()])
def test_odd_names_do_not_matter(name: bytes) -> None:
    import os

    assert ties(Path(os.fsdecode(name)), Credits(), "x") == ties(Path(os.fsdecode(name)), Credits(), "x")
