from __future__ import annotations

import math
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from musicnn_labels import LABELS, NO_GENRES

from genretagger.model import InstalledModel
from genretagger.types import FloatArray
from genretagger.vocabulary.calibration import Calibration, LabelWitness, MusicTest, Profile, Scores, calibration
from genretagger.vocabulary.names import key, names_genre, vocabulary

DATA: dict[str, Any] = tomllib.loads(
    resources.files("genretagger.vocabulary").joinpath("musicnn.toml").read_text(encoding="utf-8")
)
MUSICNN = calibration("musicnn", LABELS)
ACTIVATIONS = arrays.arrays(np.float32, len(LABELS), elements=st.floats(0, 1, width=32))
"""(labels,) float32: what the default model could say of a track."""


def as_music(heard: FloatArray, name: str) -> float:
    """The score of a genre, were there no doubt that the track is music."""
    scores = MUSICNN.scores(heard)
    assume(scores.is_music > 1e-6)
    return scores.by_genre[name] / scores.is_music


def labels_of(entry: dict[str, Any], side: str) -> set[str]:
    return {label for witness in entry.get(side, ()) for label in witness["labels"]}


class TestDataOfMusicnn:
    """What must hold whatever the numbers are."""

    def test_the_labels_are_the_models(self, one_ear: InstalledModel) -> None:
        assert one_ear.card.classes == LABELS

    def test_it_is_used_for_that_model(self) -> None:
        assert MUSICNN.digest != "plain"
        assert set(MUSICNN.genres) == set(DATA["genres"])

    def test_usual_levels_are_of_labels_of_the_model(self) -> None:
        assert set(DATA["usual"]) <= set(LABELS)
        assert all(0 < level < 1 for level in DATA["usual"].values())

    @pytest.mark.parametrize("name", DATA["genres"])
    def test_a_genre(self, name: str) -> None:
        entry = DATA["genres"][name]
        speaking = labels_of(entry, "for")
        assert name in vocabulary().genres, "names and parents come from the vocabulary"
        assert not set("/;,") & set(name)
        assert names_genre(name)
        assert speaking <= set(DATA["usual"])
        assert labels_of(entry, "against") <= set(DATA["usual"])
        assert not speaking & labels_of(entry, "against"), "a label cannot speak for and against"
        assert any(names_genre(label.partition("/")[2]) for label in speaking), "no genre of moods and voices alone"
        assert all(witness["weight"] > 0 for side in ("for", "against") for witness in entry.get(side, ()))
        assert entry["threshold"] > 0
        assert set(entry) <= {"for", "against", "threshold"}

    def test_what_tells_music(self) -> None:
        test = DATA["music"]
        assert test["gain"] > 0
        assert test["threshold"] > 0
        assert set(test["playing"]) | set(test["saying"]) <= set(DATA["usual"])
        assert len({label.partition("/")[0] for label in test["saying"]}) == 1, "divergences of two networks do not add"
        voices = {"singing", "vocal", "vocals", "voice", "female voice", "male voice", "woman", "man", "female", "male"}
        assert not {label.partition("/")[2] for label in test["playing"]} & voices, "who speaks does not play"

    def test_what_says_the_same_of_everything_hears_no_music(self) -> None:
        usual = np.array([DATA["usual"].get(label, 0.05) for label in LABELS], np.float32)
        assert MUSICNN.scores(usual).is_music < 0.01

    def test_it_is_steep_upward(self) -> None:
        assert DATA["gain"] > 0

    def test_no_label_that_is_no_genre_is_a_genre(self) -> None:
        assert {key(name) for name in MUSICNN.genres} & {key(label) for label in NO_GENRES} == set()
        assert [label for label in NO_GENRES if names_genre(label)] == []
        assert {label.partition("/")[2] for label in LABELS} >= NO_GENRES

    def test_silence_is_no_genre(self) -> None:
        assert max(MUSICNN.scores(np.zeros(len(LABELS), np.float32)).by_genre.values()) < 0.5

    @pytest.mark.parametrize(
        ("labels", "genre"),
        [
            (["msd/metal", "msd/heavy metal", "mtt/metal", "msd/rock", "mtt/rock"], "Metal"),
            (["mtt/classical", "mtt/strings", "mtt/violin", "msd/instrumental"], "Classical"),
            (["msd/jazz", "mtt/piano", "mtt/drums"], "Jazz"),
            (["msd/Hip-Hop", "mtt/beat"], "Hip-Hop"),
        ],
    )
    def test_what_every_ear_would_say(self, labels: list[str], genre: str) -> None:
        heard = np.array([DATA["usual"].get(label, 0.05) / 4 for label in LABELS], np.float32)
        for label in labels:
            heard[LABELS.index(label)] = 0.9
        scores = MUSICNN.scores(heard)
        assert scores.by_genre[genre] > 0.5
        assert genre in list(scores.by_genre)[:4]

    def test_many_times_the_usual_level_of_a_rare_label_is_not_enough(self) -> None:
        """Of recordings heard like this, listeners called one in fifteen House."""
        heard = np.array([DATA["usual"].get(label, 0.05) for label in LABELS], np.float32)
        for label in ("mtt/guitar", "mtt/drums", "mtt/piano", "mtt/strings"):
            heard[LABELS.index(label)] = 0.9
        heard[LABELS.index("msd/House")] *= 4
        scores = MUSICNN.scores(heard)
        assert scores.is_music > 0.95
        assert 0.1 < scores.by_genre["House"] < 0.5
        heard[LABELS.index("msd/House")] = 0.4
        assert MUSICNN.scores(heard).by_genre["House"] > 0.5


@given(ACTIVATIONS)
@settings(deadline=None)
def test_every_genre_is_scored_from_0_to_1_best_first(heard: FloatArray) -> None:
    scores = MUSICNN.scores(heard)
    values = list(scores.by_genre.values())
    assert set(scores.by_genre) == set(scores.grounds) == set(DATA["genres"])
    assert all(0 <= value <= 1 for value in values)
    assert values == sorted(values, reverse=True)
    assert 0 <= scores.is_music <= 1


@given(ACTIVATIONS)
@settings(deadline=None)
def test_equal_activations_give_equal_scores(heard: FloatArray) -> None:
    again = calibration("musicnn", LABELS).scores(heard.copy())
    assert list(again.by_genre.items()) == list(MUSICNN.scores(heard).by_genre.items())
    assert again.grounds == MUSICNN.scores(heard).grounds


@given(ACTIVATIONS, st.sampled_from(sorted(DATA["genres"])), st.data())
@settings(deadline=None)
def test_hearing_more_of_a_witness_never_lowers_a_genre(heard: FloatArray, name: str, data: st.DataObject) -> None:
    louder = heard.copy()
    number = LABELS.index(data.draw(st.sampled_from(sorted(labels_of(DATA["genres"][name], "for")))))
    louder[number] = data.draw(st.floats(float(heard[number]), 1, width=32))
    assert as_music(louder, name) >= as_music(heard, name) - 1e-9


@given(ACTIVATIONS, st.sampled_from(sorted(DATA["genres"])), st.data())
@settings(deadline=None)
def test_hearing_more_of_what_speaks_against_never_raises_a_genre(
    heard: FloatArray, name: str, data: st.DataObject
) -> None:
    against = sorted(labels_of(DATA["genres"][name], "against"))
    if against:
        louder = heard.copy()
        number = LABELS.index(data.draw(st.sampled_from(against)))
        louder[number] = data.draw(st.floats(float(heard[number]), 1, width=32))
        assert as_music(louder, name) <= as_music(heard, name) + 1e-9


LETTERS = ("net/a", "net/b", "net/c", "net/d")


def of_letters(
    profiles: dict[str, Profile],
    *,
    gain: float = 2.0,
    music: MusicTest | None = None,
    usual: float = 0.1,
    trust: float = 1.0,
    common: float = 0.1,
) -> Calibration:
    usuals = dict.fromkeys(LETTERS, usual)
    return Calibration(LETTERS, usuals, profiles, gain=gain, trust=trust, common=common, music=music, digest="letters")


def one(*labels: str, weight: float = 1.0, threshold: float = 1.0) -> Profile:
    return Profile((LabelWitness(labels, weight),), (), threshold)


def score(calibration: Calibration, *heard: float) -> Scores:
    return calibration.scores(np.array(heard, np.float32))


class TestFormula:
    def test_the_usual_level_is_a_half_at_threshold_one(self) -> None:
        assert score(of_letters({"A": one("net/a")}), 0.1, 0, 0, 0).by_genre["A"] == pytest.approx(0.5)

    @pytest.mark.parametrize("threshold", [0.5, 2.0, 4.0])
    def test_threshold_times_the_usual_level_is_a_half(self, threshold: float) -> None:
        heard = threshold * 0.11 - 0.01  # the floor counts on both sides
        profiles = {"A": one("net/a", threshold=threshold)}
        assert score(of_letters(profiles), heard, 0, 0, 0).by_genre["A"] == pytest.approx(0.5, abs=1e-6)

    def test_the_written_formula(self) -> None:
        profile = Profile(
            (LabelWitness(("net/a", "net/b"), 0.7), LabelWitness(("net/c",), 0.3)),
            (LabelWitness(("net/d",), 0.5),),
            2.0,
        )
        evidence = 0.7 * math.log((0.5 + 0.02) / 0.22) + 0.3 * math.log((0.05 + 0.01) / 0.11)
        evidence -= 0.5 * math.log((0.4 + 0.01) / 0.11) + math.log(2)
        expected = 1 / (1 + math.exp(-3 * evidence))
        result = score(of_letters({"A": profile}, gain=3.0), 0.2, 0.3, 0.05, 0.4).by_genre["A"]
        assert result == pytest.approx(expected, abs=1e-6)

    def test_a_rare_label_is_measured_against_more_than_its_usual_level_and_a_frequent_one_against_less(self) -> None:
        for usual, common in ((0.01, 0.16), (0.25, 0.04)):
            level = math.sqrt(usual * common)
            between = of_letters({"A": one("net/a")}, usual=usual, trust=0.5, common=common)
            assert score(between, level, 0, 0, 0).by_genre["A"] == pytest.approx(0.5)
            expected = 1 / (1 + (1.1 * level / (0.3 + 0.1 * level)) ** 2)
            assert score(between, 0.3, 0, 0, 0).by_genre["A"] == pytest.approx(expected, abs=1e-6)

    def test_what_speaks_against_counts_only_above_its_usual_level(self) -> None:
        profile = Profile((LabelWitness(("net/a",), 1.0),), (LabelWitness(("net/b",), 1.0),), 1.0)
        plain = score(of_letters({"A": one("net/a")}), 0.3, 0, 0, 0).by_genre["A"]
        assert score(of_letters({"A": profile}), 0.3, 0.0, 0, 0).by_genre["A"] == plain
        assert score(of_letters({"A": profile}), 0.3, 0.1, 0, 0).by_genre["A"] == pytest.approx(plain)
        assert score(of_letters({"A": profile}), 0.3, 0.5, 0, 0).by_genre["A"] < plain / 2

    def test_what_is_not_like_music_lowers_all_alike(self) -> None:
        profiles = {"A": one("net/a"), "B": one("net/b")}
        heard = (0.5, 0.3, 0.01, 0)
        free, gated = of_letters(profiles), of_letters(profiles, music=MusicTest(("net/c",), ("net/a",), 1.0, 2.0))
        is_music = score(gated, *heard).is_music
        assert 0 < is_music < 0.1
        for name, value in score(free, *heard).by_genre.items():
            assert score(gated, *heard).by_genre[name] == pytest.approx(value * is_music)
        assert score(free, *heard).is_music == 1

    def test_music_is_told_by_what_is_playing_and_by_what_the_network_has_to_say(self) -> None:
        gated = of_letters({}, music=MusicTest(("net/a",), ("net/b",), 0.5, 2.0))
        playing = (0.3 + 0.01) / 0.11
        saying = 0.6 * math.log(0.6 / 0.1) + 0.4 * math.log(0.4 / 0.9)
        expected = 1 / (1 + (playing * math.sqrt(saying) / 0.5) ** -2)
        assert score(gated, 0.3, 0.6, 0, 0).is_music == pytest.approx(expected, abs=1e-6)
        assert score(gated, 0.3, 0.1, 0, 0).is_music < 0.01 < score(gated, 0.01, 0.6, 0, 0).is_music
        assert score(gated, 0.9, 0.6, 0, 0).is_music > expected

    def test_what_the_network_has_to_say_counts_as_much_as_its_weight(self) -> None:
        deaf = of_letters({}, music=MusicTest(("net/a",), ("net/b",), 0.5, 2.0, saying_weight=0.0))
        assert score(deaf, 0.3, 0.6, 0, 0).is_music == score(deaf, 0.3, 0.9, 0, 0).is_music

    @given(st.lists(st.floats(-1e-9, 1e-9), min_size=4, max_size=4))
    @settings(deadline=None)
    def test_nothing_to_say_is_no_error(self, off: list[float]) -> None:
        gated = of_letters({}, music=MusicTest(("net/a",), LETTERS, 0.5, 2.0))
        assert gated.scores(np.array([0.1 + more for more in off])).is_music < 0.01

    def test_equal_scores_are_in_the_order_of_their_names(self) -> None:
        profiles = {name: one("net/a") for name in ("C", "A", "B")}
        assert list(score(of_letters(profiles), 0.2, 0, 0, 0).by_genre) == ["A", "B", "C"]

    def test_the_grounds_name_the_two_loudest_labels(self) -> None:
        profiles = {"A": Profile((LabelWitness(("net/a", "net/b"), 0.5), LabelWitness(("net/c",), 0.5)), (), 1.0)}
        grounds = score(of_letters(profiles), 0.1, 0.25, 0.9, 1.0).grounds["A"]
        assert grounds == "c 0.90 (usual 0.10), b 0.25 (usual 0.10)"

    @pytest.mark.parametrize("label", ["net/e", "net/a"])
    def test_a_label_that_cannot_be_measured_is_refused(self, label: str) -> None:
        with pytest.raises(ValueError, match="not a label of the model, or has no usual level"):
            Calibration(LETTERS, {"net/b": 0.1, "net/e": 0.1}, {"A": one(label)}, gain=1, music=None, digest="")
        for music in (MusicTest((label,), ("net/b",), 1, 1), MusicTest(("net/b",), (label,), 1, 1)):
            with pytest.raises(ValueError, match="not a label of the model, or has no usual level"):
                Calibration(LETTERS, {"net/b": 0.1, "net/e": 0.1}, {}, gain=1, music=music, digest="")


class TestPlain:
    """Models that genretagger has no calibration for."""

    LABELS = (
        "Electronic---House",
        "Hip Hop---RnB/Swing",
        "Folk, World, & Country---Celtic",
        "Non-Music---Interview",
        "Electronic---Disco",
        "Funk / Soul---Disco",
        "female vocalists",
        "rap",
    )

    @pytest.fixture
    def plain(self) -> Calibration:
        return calibration("discogs-effnet", self.LABELS)

    def scores(self, plain: Calibration, **heard: float) -> Scores:
        return plain.scores(np.array([heard.get(f"n{number}", 0.0) for number in range(len(self.LABELS))], np.float32))

    def test_labels_become_names_that_can_be_written(self, plain: Calibration) -> None:
        assert plain.genres == ("House", "RnB & Swing", "Celtic", "Disco", "Hip-Hop")

    def test_labels_that_are_no_genres_speak_for_none(self, plain: Calibration) -> None:
        assert max(self.scores(plain, n3=1.0, n6=1.0).by_genre.values()) < 0.1

    @given(arrays.arrays(np.float32, 30, elements=st.floats(0, 1, width=16)))
    @settings(deadline=None)
    def test_scores_are_in_the_order_of_the_activations(self, heard: FloatArray) -> None:
        plain = calibration("other", [f"genre {number:02}" for number in range(len(heard))])
        by_activation = [f"genre {number:02}" for number in np.argsort(-heard, kind="stable")]
        assert list(plain.scores(heard).by_genre) == by_activation

    @pytest.mark.parametrize("heard", [0.0, 0.25, 0.5, 0.75])
    def test_scores_are_close_to_the_activations(self, plain: Calibration, heard: float) -> None:
        assert self.scores(plain, n0=heard).by_genre["House"] == pytest.approx(heard, abs=0.1)
        assert self.scores(plain, n0=0.5).by_genre["House"] == pytest.approx(0.5)

    def test_one_of_two_labels_of_a_genre_is_enough(self, plain: Calibration) -> None:
        alone = self.scores(plain, n0=0.9).by_genre["House"]
        assert self.scores(plain, n4=0.9).by_genre["Disco"] == pytest.approx(alone)
        assert self.scores(plain, n4=0.45, n5=0.45).by_genre["Disco"] == pytest.approx(alone)

    @pytest.mark.parametrize("name", ["musicnn", "genres", "not_genres", "class", "a b", "../musicnn", ""])
    def test_another_model_is_calibrated_plainly_whatever_its_name(self, name: str) -> None:
        assert calibration(name, ["rock", "jazz"]).genres == ("Rock", "Jazz")

    def test_a_published_model_with_400_labels(self) -> None:
        card = Path(__file__).resolve().parents[2].parent / "shared/reference/essentia_cards"
        if not card.is_dir():
            pytest.skip("the published cards are not there")
        import json

        labels = json.loads((card / "genre_discogs400-discogs-effnet-1.json").read_text())["classes"]
        genres = calibration("genre_discogs400-discogs-effnet-1", labels).genres
        assert 350 < len(genres) < 400
        assert [name for name in genres if set("/;,") & set(name) or "---" in name] == []
        assert "Field Recording" not in genres


def test_grounds_name_a_label_once() -> None:
    profile = Profile((LabelWitness(("one/jazz",), 0.5), LabelWitness(("two/jazz", "two/horn"), 0.5)), (), 2.0)
    labels = ("one/jazz", "two/jazz", "two/horn")
    made = Calibration(labels, dict.fromkeys(labels, 0.1), {"Jazz": profile}, gain=2.0, music=None, digest="x")
    grounds = made.scores(np.array([0.9, 0.8, 0.3], np.float32)).grounds["Jazz"]
    assert grounds == "jazz 0.90 (usual 0.10), horn 0.30 (usual 0.10)"
