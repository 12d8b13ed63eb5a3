"""What happens to genres that a file has: they are kept, replaced, added to, or protected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_helpers import genres_of, tag

from genretagger.config import Settings
from genretagger.types import Policy, Status
from genretagger.vocabulary.names import vocabulary
from genretagger.vocabulary.resolve import merged


@pytest.mark.parametrize(
    ("policy", "expected"),
    [(Policy.KEEP, ["Mine"]), (Policy.REPLACE, ["Trance"]), (Policy.ADD, ["Mine", "Trance"])],
    ids=str,
)
def test_policies(
    settings: Settings, music: Path, make_techno: Callable[..., Path], policy: Policy, expected: list[str]
) -> None:
    song = make_techno(music / "song.flac", genre="Mine")
    rules = settings.model_copy(update={"policy": policy, "max_genres": 1, "allow": ("Trance",)})
    outcome = tag(rules, music)["song.flac"]
    assert genres_of(song) == expected
    assert outcome.status is (Status.UNCHANGED if policy is Policy.KEEP else Status.TAGGED)
    assert (outcome.scores == {}) is (policy is Policy.KEEP)  # what stays as it is costs no listening


def test_what_the_owner_calls_otherwise_is_not_added_again(
    settings: Settings, music: Path, make_techno: Callable[..., Path]
) -> None:
    song = make_techno(music / "song.flac", genre="Dance Music")  # the vocabulary knows it as Dance
    tag(settings.model_copy(update={"policy": Policy.ADD, "allow": ("Trance", "Dance")}), music)
    assert genres_of(song) == ["Dance Music", "Trance"]


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
    options = {"policy": Policy.REPLACE, "max_genres": 1, "allow": ("Trance",), "protect": ("christmas", "Live")}
    rules = settings.model_copy(update=options)
    assert tag(rules, music)["song.flac"].genres == ("Christmas", "Trance")
    assert genres_of(song) == ["Christmas", "Trance"]
    assert tag(rules, music)["song.flac"].status is Status.UNCHANGED


def test_a_genre_that_a_file_has_twice_is_written_once(
    settings: Settings, music: Path, make_techno: Callable[..., Path]
) -> None:
    song = make_techno(music / "song.flac", genre=["Mine", "Mine"])
    rules = settings.model_copy(update={"policy": Policy.ADD, "max_genres": 1, "allow": ("Trance",)})
    assert tag(rules, music)["song.flac"].status is Status.TAGGED
    assert genres_of(song) == ["Mine", "Trance"]
