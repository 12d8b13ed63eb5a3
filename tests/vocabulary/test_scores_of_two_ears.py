from __future__ import annotations

import csv
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from benchmarks.fit import contents
from benchmarks.fitting import FEWEST, Bench, fit
from benchmarks.labelled import Labelled, model_labels, read
from genretagger.types import FloatArray
from genretagger.vocabulary.calibration import Calibration
from genretagger.vocabulary.fitted import read_fitted
from genretagger.vocabulary.learned import scorer
from genretagger.vocabulary.names import names_genre, vocabulary
from genretagger.vocabulary.resolve import Rules, decide
from genretagger.vocabulary.two_ears import MODEL, TwoEars, built_in, hearing

LABELS = model_labels()
HEARING = hearing()
DIMENSIONS = 1424
ACTIVATIONS = arrays.arrays(np.float32, len(LABELS), elements=st.floats(0, 1, width=32))
EMBEDDINGS = arrays.arrays(np.float32, DIMENSIONS, elements=st.floats(-6, 8, width=32))


def about() -> dict[str, Any]:
    """What the committed data says that it was fitted on."""
    with resources.files("genretagger.vocabulary").joinpath(f"{MODEL}.npz").open("rb") as file:
        told: dict[str, Any] = json.loads(np.load(file)["about"].tobytes())
    return told


def two_ears() -> TwoEars:
    found = built_in(MODEL, LABELS)
    assert isinstance(found, TwoEars)
    return found


EARS = two_ears()
FITTED = EARS._fitted


def heard(**levels: float) -> FloatArray:
    """Activations of music in which only these labels of YAMNet stand out (spaces as `_`)."""
    return heard_labels({f"yamnet/{name.replace('_', ' ')}": level for name, level in levels.items()})


def heard_labels(levels: dict[str, float]) -> FloatArray:
    activations = np.full(len(LABELS), 0.001, np.float32)
    for witness, background in zip(HEARING.witnesses, FITTED.background, strict=True):
        for label in witness.labels:
            activations[LABELS.index(label)] = max(np.exp(background) - witness.floor, 0) / len(witness.labels)
    for label, level in {"yamnet/Music": 0.9, **levels}.items():
        activations[LABELS.index(label)] = level
    return activations


def no_opinion() -> FloatArray:
    """An embedding of which the head thinks the same for all genres, as closely as it can."""
    slopes = np.vstack([FITTED.head[0][:-1], FITTED.head[1][:-1]]).T / 2
    added = (FITTED.head[0][-1] + FITTED.head[1][-1]) / 2
    found: FloatArray = np.linalg.lstsq(slopes, -added, rcond=None)[0].astype(np.float32)
    return found


def test_the_model_of_that_name_is_scored_by_it() -> None:
    found = scorer(MODEL, LABELS, None)
    assert isinstance(found, TwoEars)
    assert found.genres == HEARING.genres


def test_a_model_of_the_owners_with_that_name_is_not() -> None:
    assert isinstance(built_in(MODEL, ["Rock", "Pop"]), Calibration)


def test_the_vocabulary_is_large_and_known() -> None:
    assert len(EARS.genres) >= 45
    assert set(EARS.genres) <= set(vocabulary().genres), "names and parents come from the vocabulary"
    for name in EARS.genres:
        assert names_genre(name)
        assert set(vocabulary().ancestors(name)) <= set(EARS.genres), "a child must be able to give way"
    asked = (
        "Reggae, Ska, Disco, Latin, Salsa, Flamenco, Gospel, Afrobeat, Middle Eastern, Drum and Bass, Dubstep, Trance, "
        "Hardcore, Breakbeat, Grunge, Bluegrass"
    )
    assert set(asked.split(", ")) <= set(EARS.genres)


def test_weights_and_priors_make_sense() -> None:
    totals = np.zeros(len(EARS.genres))
    for witness in HEARING.witnesses:
        assert witness.weight > 0
        assert len(set(witness.labels)) == len(witness.labels)
        totals[witness.genre] += witness.weight
    assert totals == pytest.approx(1)
    assert np.isfinite(HEARING.log_prior).all()


@pytest.mark.parametrize("name", HEARING.genres)
def test_each_genre_can_come_out(name: str) -> None:
    number = HEARING.genres.index(name)
    own = {label: 0.8 for witness in HEARING.witnesses if witness.genre == number for label in witness.labels}
    embedding = no_opinion()
    if name in HEARING.taught:  # the head hears it as well
        column = HEARING.taught.index(name)
        slopes = np.concatenate([FITTED.head[0][:-1, column], FITTED.head[1][:-1, column]]) / 2
        embedding = (embedding + slopes * 4 / (slopes**2).sum()).astype(np.float32)
    scores = EARS.scores(heard_labels(own), embedding)
    assert scores.by_genre[name] >= 0.5
    rules = Rules(allow=(name, *vocabulary().ancestors(name)), share_of_top=0.5)
    assert name in decide(scores, rules, vocabulary()).genres


@given(ACTIVATIONS, EMBEDDINGS)
@settings(deadline=None, max_examples=50)
def test_scores_are_probabilities(activations: FloatArray, embedding: FloatArray) -> None:
    scores = EARS.scores(activations, embedding)
    found = scores.by_genre
    assert set(found) == set(scores.grounds) == set(EARS.genres)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert all(0 <= score <= scores.is_music + 1e-9 for score in found.values())
    roots = [name for name in found if not list(vocabulary().ancestors(name))]
    assert sum(found[name] for name in roots) == pytest.approx(scores.is_music), "one of them is right, if it is music"
    for name, score in found.items():
        for parent in vocabulary().ancestors(name):
            assert found[parent] >= score - 1e-9, "who plays House plays Electronic"


@given(ACTIVATIONS, EMBEDDINGS)
@settings(deadline=None, max_examples=20)
def test_equal_input_gives_equal_scores(activations: FloatArray, embedding: FloatArray) -> None:
    first = EARS.scores(activations, embedding)
    again = two_ears().scores(activations.copy(), embedding.copy())
    assert list(first.by_genre.items()) == list(again.by_genre.items())
    assert first.grounds == again.grounds


def test_the_mean_of_several_tracks_is_surer_of_the_same_genre() -> None:
    alone, *together = (EARS.scores(heard(Reggae=0.02), no_opinion(), tracks=count) for count in (1, 2, 5, 12, 500))
    best = next(iter(alone.by_genre))
    said = [scores.by_genre[best] for scores in (alone, *together)]
    assert said == sorted(said)
    assert said[0] < said[1] < said[2] < said[3] == said[4]
    assert alone.by_genre == EARS.scores(heard(Reggae=0.02), no_opinion()).by_genre
    assert {scores.is_music for scores in together} == {alone.is_music}


def test_what_only_the_second_ear_hears() -> None:
    scores = EARS.scores(heard(Reggae=0.71), no_opinion())
    assert next(iter(scores.by_genre)) == "Reggae"
    assert scores.grounds["Reggae"].startswith("sounds like reggae 0.71, where ")
    assert scores.grounds["Reggae"].endswith(" is usual")


def test_of_two_ears_that_know_a_word_the_one_that_hears_more_is_quoted() -> None:
    scores = EARS.scores(heard_labels({"mtt/classical": 0.6, "yamnet/Classical music": 0.1}), no_opinion())
    assert "classical 0.60, where " in scores.grounds["Classical"]
    assert scores.grounds["Classical"].count("classical") == 1


@pytest.mark.parametrize("ear", ["musicnn", "yamnet"])
def test_an_ear_that_hears_more_of_everything_says_nothing(ear: str) -> None:
    """As of a short or dull recording: each witness of the ear times three; the scores stay."""
    levels = np.exp(FITTED.background)[None]
    louder = levels * 3
    floors = np.array([witness.floor for witness in HEARING.witnesses])
    of_ear = np.array([witness.labels[0].startswith("yamnet/") == (ear == "yamnet") for witness in HEARING.witnesses])
    plain = HEARING.lifts(levels - floors, FITTED.background)
    more = HEARING.lifts(np.where(of_ear, louder, levels) - floors, FITTED.background)
    assert more == pytest.approx(plain, abs=1e-9)
    one = levels.copy()
    one[0, 0] *= 3
    assert HEARING.lifts(one - floors, FITTED.background)[0, 0] > 1, "but what stands out is heard"


class TestMusic:
    """Music, singing and rap are music; speech is not, nor an audio book with a jingle."""

    def level(self, **levels: float) -> float:
        return EARS.is_music(heard(**levels))

    def test_music(self) -> None:
        assert self.level() > 0.9

    def test_silence(self) -> None:
        assert EARS.is_music(np.zeros(len(LABELS), np.float32)) < 0.1

    def test_speech(self) -> None:
        assert self.level(Music=0.001, Speech=0.95) < 0.1

    def test_an_audio_book_with_a_jingle(self) -> None:
        """Two windows in sixteen are music."""
        assert self.level(Music=0.12, Speech=0.85) < 0.3

    def test_rap(self) -> None:
        assert self.level(Music=0.6, Speech=0.4, Rapping=0.3) > 0.7

    def test_singing_without_instruments(self) -> None:
        assert self.level(Music=0.4, Singing=0.7, Speech=0.1) > 0.7

    def test_a_dog(self) -> None:
        assert self.level(Music=0.01, Dog=0.9) < 0.1

    def test_scores_of_what_is_not_music_are_low(self) -> None:
        scores = EARS.scores(heard(Music=0.001, Speech=0.95), no_opinion())
        assert max(scores.by_genre.values()) < 0.1
        assert decide(scores, Rules(), vocabulary()).genres == ()


def test_it_says_what_it_was_fitted_on() -> None:
    answer = about()
    assert answer["recordings"] > 0
    assert answer["input"].startswith("sha256 ")
    assert any(source.startswith("gtzan") for source in answer["sources"])


def synthetic(count: int = 240) -> Labelled:
    """Recordings of three genres and of speech, from two sources; each genre has its own sound."""
    random = np.random.default_rng(3)
    genre = np.array(["Rock", "House", "Reggae", "Non-music"])[np.arange(count) % 4]
    activations = random.uniform(0, 0.05, (count, len(LABELS)))
    activations[:, LABELS.index("yamnet/Music")] = np.where(genre == "Non-music", 0.01, 0.9)
    activations[:, LABELS.index("yamnet/Speech")] = np.where(genre == "Non-music", 0.9, 0.02)
    embedding = random.normal(0, 1, (count, DIMENSIONS))
    for column, name in enumerate(("Rock", "House", "Reggae")):
        embedding[genre == name, column * 5 : column * 5 + 5] += 3
    return Labelled(
        source=np.where(np.arange(count) // 4 % 2 == 0, "one", "two"),
        genre=genre,
        truth=tuple(frozenset({name, *vocabulary().ancestors(name)}) for name in genre),
        is_speech=genre == "Non-music",
        fold=np.arange(count) // 8 % 5,
        used=np.ones(count, bool),
        activations=activations,
        embedding=embedding,
        digest="0" * 64,
    )


def test_fitting_gives_the_same_bytes_and_learns() -> None:
    data = synthetic()
    bench = Bench.of(data, HEARING)
    everything = np.ones(len(data.genre), bool)
    first, second = (contents(fit(bench, everything), data) for _ in range(2))
    assert first == second
    fitted = read_fitted(first)
    ears = TwoEars(LABELS, HEARING, fitted, "")
    odds = dict(zip(HEARING.taught, (fitted.head[0][0] + fitted.head[0][1]), strict=True))
    assert odds["Rock"] > max(odds["House"], odds["Reggae"])
    assert ears.is_music(data.activations[0].astype(np.float32)) > 0.9
    assert ears.is_music(data.activations[3].astype(np.float32)) < 0.1


class TestWhatAHeadLearns:
    """Rock comes from one source, House from the other; Reggae, in both, has its own sound."""

    SIDE, REGGAE = 40, 41
    """Coordinates of the embedding: of how a source sounds, and of Reggae."""

    def data(self, *, reggae: int = 30) -> Labelled:
        names = np.array(["Rock"] * 60 + ["Reggae"] * reggae + ["House"] * 60 + ["Reggae"] * reggae)
        source = np.array(["old"] * (60 + reggae) + ["new"] * (60 + reggae))
        random = np.random.default_rng(5)
        embedding = random.normal(0, 1, (len(names), DIMENSIONS))
        embedding[:, self.SIDE] += np.where(source == "old", 6, -6)
        embedding[:, self.REGGAE] += np.where(names == "Reggae", 6, 0)
        activations = random.uniform(0, 0.05, (len(names), len(LABELS)))
        return Labelled(
            source=np.append(source, ["sounds", "sounds"]),
            genre=np.append(names, ["Non-music", "Non-music"]),
            truth=tuple(frozenset({name}) for name in (*names, "Non-music", "Non-music")),
            is_speech=np.append(np.zeros(len(names), bool), [True, True]),
            fold=np.zeros(len(names) + 2, int),
            used=np.ones(len(names) + 2, bool),
            activations=np.vstack([activations, np.full((2, len(LABELS)), 0.01)]),
            embedding=np.vstack([embedding, np.zeros((2, DIMENSIONS))]),
            digest="0" * 64,
        )

    def slopes(self, data: Labelled, name: str) -> FloatArray:
        fitted = fit(Bench.of(data, HEARING), np.ones(len(data.genre), bool))
        found: FloatArray = np.abs(fitted.head[0][:-1, HEARING.taught.index(name)])
        return found

    def test_it_does_not_learn_how_a_source_sounds(self) -> None:
        """Against House, Rock would be its source's sound; so only Reggae from there counts."""
        slopes = self.slopes(self.data(), "Rock")
        assert slopes.argmax() == self.REGGAE
        assert slopes[self.SIDE] < slopes[self.REGGAE] / 4

    def test_a_few_recordings_teach_nothing(self) -> None:
        assert np.isnan(self.slopes(self.data(reggae=FEWEST - 1), "Reggae")).all()
        assert np.isfinite(self.slopes(self.data(reggae=FEWEST), "Reggae")).all()


def test_data_for_another_list_of_genres_is_refused() -> None:
    from dataclasses import replace

    with pytest.raises(ValueError, match=r"run benchmarks\.fit again"):
        TwoEars(LABELS, HEARING, replace(FITTED, background=FITTED.background[:-1]), "")


def test_a_label_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="yamnet/Reggae"):
        TwoEars([label for label in LABELS if label != "yamnet/Reggae"], HEARING, FITTED, "")


@pytest.fixture(scope="module")
def labelled() -> Path:
    folder = Path(__file__).resolve().parents[2].parent / "shared" / "labelled"
    if not folder.is_dir():
        pytest.skip("needs ../shared/labelled, recordings with known genres as numbers")
    return folder


class TestOnRecordings:
    """The numbers of real recordings; the clips of the tests were not fitted on."""

    def test_the_clips_of_the_tests(self, labelled: Path) -> None:
        data = read(labelled)
        clips = np.flatnonzero(data.source == "librosa")
        assert len(clips) > 5
        for row in clips:
            scores = EARS.scores(data.activations[row].astype(np.float32), data.embedding[row].astype(np.float32))
            decision = decide(scores, Rules(), vocabulary())
            if data.genre[row] == "Non-music":
                assert decision.genres == ()
            else:
                assert scores.is_music > 0.5, data.genre[row]

    def test_animals_rain_and_machines_get_no_genre(self, labelled: Path) -> None:
        data = read(labelled)
        given = [
            row
            for row in np.flatnonzero((data.genre == "Non-music") & (data.source == "esc10"))
            if decide(
                EARS.scores(data.activations[row].astype(np.float32), data.embedding[row].astype(np.float32)),
                Rules(),
                vocabulary(),
            ).genres
        ]
        assert given == []

    def test_the_data_file_names_its_input(self, labelled: Path) -> None:
        assert about()["input"] == f"sha256 {read(labelled).digest}"
        with (labelled / "labels.csv").open(encoding="utf-8", newline="") as file:
            assert about()["recordings"] < len(list(csv.DictReader(file)))

    @pytest.mark.slow
    @pytest.mark.timeout(900)
    def test_the_fitting_script_makes_the_committed_file(self, labelled: Path) -> None:
        """With another number of threads than the script was run with."""
        import os
        import subprocess
        import sys

        result = subprocess.run(
            [sys.executable, "-m", "benchmarks.fit", str(labelled), "--check", "--no-report"],
            cwd=Path(__file__).resolve().parents[2],
            env={**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr
