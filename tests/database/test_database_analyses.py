from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest
from database_helpers import activations
from databases import Place

from genretagger.causes import Cause, because, recorded
from genretagger.database.store import Store
from genretagger.database.values import HearingResult
from genretagger.errors import AccessError, AudioError, DatabaseError
from genretagger.sentences import sentence
from genretagger.types import Activations, Decision

HASH, OTHER_HASH = "aa" * 32, "bb" * 32
MODEL, OTHER_MODEL = "1" * 64, "2" * 64


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with place.open() as opened:
        yield opened


def test_every_half_float_comes_back_bit_for_bit(store: Store) -> None:
    every = np.arange(65_536, dtype=np.uint16).view(np.float16).reshape(256, 256)  # NaN, infinity, -0 as well
    embedding = np.array([0x7FC00001, 0x80000000, 1, 0x3F800001], dtype=np.uint32).view(np.float32)
    model = store.models.save("musicnn", MODEL, ["rock"])
    store.analyses.save(HASH, model, "all", Activations(every, embedding, "CUDAExecutionProvider"), seconds=2.5)
    stored = store.analyses.get(HASH, MODEL, "all")
    assert stored is not None
    assert stored.activations is not None
    assert (stored.hearing, stored.model, stored.sampling) == (HearingResult.HEARD, "musicnn", "all")
    assert (stored.seconds, stored.activations.provider) == (2.5, "CUDAExecutionProvider")
    assert stored.activations.values.dtype == np.float16
    assert stored.activations.values.shape == (256, 256)
    assert np.array_equal(stored.activations.values.view(np.uint16), every.view(np.uint16))
    assert stored.activations.embedding.dtype == np.float32
    assert np.array_equal(stored.activations.embedding.view(np.uint32), embedding.view(np.uint32))


def test_the_order_of_memory_does_not_matter(store: Store) -> None:
    rows = activations(3, 5).values
    model = store.models.save("musicnn", MODEL, ["rock"])
    flipped = Activations(np.asfortranarray(rows), np.zeros(0, np.float32), "CPU")
    store.analyses.save(HASH, model, "all", flipped, seconds=1)
    stored = store.analyses.get(HASH, MODEL, "all")
    assert stored is not None
    assert stored.activations is not None
    assert np.array_equal(stored.activations.values, rows)
    assert stored.activations.embedding.shape == (0,)


def test_another_payload_model_or_plan_is_not_known(store: Store) -> None:
    model = store.models.save("musicnn", MODEL, ["rock"])
    store.analyses.save(HASH, model, "16", activations(), seconds=1)
    assert store.analyses.get(HASH, MODEL, "16") is not None
    assert store.analyses.get(OTHER_HASH, MODEL, "16") is None
    assert store.analyses.get(HASH, OTHER_MODEL, "16") is None
    assert store.analyses.get(HASH, MODEL, "all") is None


def test_silence_is_a_result(store: Store) -> None:
    model = store.models.save("musicnn", MODEL, ["rock"])
    store.analyses.save_unheard(HASH, model, "16", None, seconds=0.5)
    stored = store.analyses.get(HASH, MODEL, "16")
    assert stored is not None
    assert (stored.hearing, stored.activations, stored.error) == (HearingResult.SILENT, None, None)


def test_audio_that_cannot_be_decoded_is_a_result_with_its_error(store: Store) -> None:
    model = store.models.save("musicnn", MODEL, ["rock"])
    store.analyses.save_unheard(HASH, model, "16", AudioError("no frames in \udcff", hint="buy it again"))
    stored = store.analyses.get(HASH, MODEL, "16")
    assert stored is not None
    assert (stored.hearing, stored.activations) == (HearingResult.UNDECODABLE, None)
    assert type(stored.error) is AudioError
    assert (stored.error.cause, stored.error.hint) == ("no frames in \\udcff", "buy it again")


def test_an_error_that_may_pass_says_nothing_about_the_audio(store: Store) -> None:
    model = store.models.save("musicnn", MODEL, ["rock"])
    store.analyses.save_unheard(HASH, model, "16", AccessError("input/output error"))
    assert store.analyses.get(HASH, MODEL, "16") is None


def test_listening_again_replaces_the_result(store: Store) -> None:
    model = store.models.save("musicnn", MODEL, ["rock"])
    store.analyses.save_unheard(HASH, model, "16", AudioError("no frames"))
    heard = activations(seed=5)
    store.analyses.save(HASH, model, "16", heard, seconds=1)
    stored = store.analyses.get(HASH, MODEL, "16")
    assert stored is not None
    assert stored.error is None
    assert stored.activations is not None
    assert np.array_equal(stored.activations.values, heard.values)
    assert store.reports.get_counts().heard == 1


def test_a_damaged_row_is_listened_to_again(place: Place, store: Store) -> None:
    model = store.models.save("musicnn", MODEL, ["rock"])
    store.analyses.save(HASH, model, "16", activations(), seconds=1)
    place.execute("UPDATE analyses SET activations = :short", short=b"\0\x11")
    assert store.analyses.get(HASH, MODEL, "16") is None


def test_a_model_has_one_number_whatever_it_is_called(place: Place) -> None:
    with place.open() as store:
        first = store.models.save("musicnn", MODEL, ["rock", "pop"])
        assert store.models.save("other", OTHER_MODEL, ["rock"]) != first
        store.analyses.save(HASH, first, "16", activations(), seconds=1)
    with place.open() as store:
        assert store.models.save("renamed", MODEL, ["rock", "pop"]) == first
        stored = store.analyses.get(HASH, MODEL, "16")
    assert stored is not None
    assert stored.model == "renamed"


def test_the_latest_decision_counts(store: Store) -> None:
    model = store.models.save("musicnn", MODEL, ["rock"])
    first = Decision(("Rock",), {"Rock": 0.9, "Pop": 0.125, "Ambient": 0.5}, recorded("why"))
    second = Decision((), {"Pop": 0.2, "Rock": 0.1}, recorded("nothing sure in " + os.fsdecode(b"/m/\xff")))
    store.decisions.save(HASH, model, "16", first, settings="v1")
    stored = store.decisions.get(HASH, MODEL)
    assert stored is not None
    assert (stored.decision, stored.settings, stored.model) == (first, "v1", "musicnn")
    assert list(stored.decision.scores) == ["Rock", "Pop", "Ambient"]  # the order tells the rank
    store.decisions.save(HASH, model, "16", second, settings="v2")
    stored = store.decisions.get(HASH, MODEL)
    assert stored is not None
    assert stored.decision.genres == ()
    assert sentence(stored.decision.reason) == "nothing sure in /m/\\udcff"
    assert store.decisions.get(HASH, OTHER_MODEL) is None
    assert store.reports.get_counts().decided == 1


def test_decisions_from_two_plans_stand_side_by_side(store: Store) -> None:
    model = store.models.save("musicnn", MODEL, ["rock"])
    for sampling, genre in (("16", "Rock"), ("all", "Jazz")):
        store.decisions.save(HASH, model, sampling, Decision((genre,), {}, recorded("")), settings="v1")
    newest, short = store.decisions.get(HASH, MODEL), store.decisions.get(HASH, MODEL, "16")
    assert newest is not None
    assert short is not None
    assert (newest.decision.genres, short.decision.genres) == (("Jazz",), ("Rock",))
    assert store.decisions.get(HASH, MODEL, "8") is None


def test_scores_may_be_numpy_numbers(store: Store) -> None:
    model = store.models.save("musicnn", MODEL, ["rock"])
    store.decisions.save(HASH, model, "16", Decision((), {"Rock": np.float32(0.5)}, recorded("")), settings="")  # type: ignore[dict-item]
    stored = store.decisions.get(HASH, MODEL)
    assert stored is not None
    assert stored.decision.scores == {"Rock": 0.5}


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.1, 1.1])
def test_a_score_that_is_none_is_refused(store: Store, score: float) -> None:
    model = store.models.save("musicnn", MODEL, ["rock"])
    with pytest.raises(DatabaseError, match="outside of 0 to 1"):
        store.decisions.save(HASH, model, "16", Decision((), {"Rock": score}, recorded("")), settings="")
    assert store.decisions.get(HASH, MODEL) is None


def test_an_analysis_needs_its_model(store: Store) -> None:
    with pytest.raises(DatabaseError):
        store.analyses.save(HASH, 999, "16", activations(), seconds=1)


def test_a_reason_comes_back_with_its_cause_and_its_figures(store: Store) -> None:
    model = store.models.save("musicnn", "f1", ["rock"])
    reason = because(Cause.CHOSEN, genres=[["Rock", 0.9, "rock 0.5"]])
    store.decisions.save(HASH, model, "16", Decision(("Rock",), {"Rock": 0.9}, reason), settings="v1")
    stored = store.decisions.get(HASH, "f1")
    assert stored is not None
    assert stored.decision.reason == reason
    assert sentence(stored.decision.reason) == "Rock 0.90: rock 0.5"


def test_what_a_model_without_labels_said_comes_back(store: Store) -> None:
    """It gives embeddings only, to learn from."""
    heard = Activations(np.zeros((1, 0), np.float16), np.arange(128, dtype=np.float32), "CPU", 16)
    model = store.models.save("vggish", "cc" * 32, [])
    store.analyses.save(HASH, model, "16", heard, seconds=1)
    stored = store.analyses.get(HASH, "cc" * 32, "16")
    assert stored is not None
    assert stored.activations is not None
    assert stored.activations.values.shape == (1, 0)
    assert stored.activations.windows == 16
    assert stored.activations.embedding.tolist() == heard.embedding.tolist()
