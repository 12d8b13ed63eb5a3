from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genretagger.causes import Cause, because
from genretagger.sentences import sentence
from genretagger.types import Decision
from genretagger.vocabulary.calibration import Scores
from genretagger.vocabulary.names import key, vocabulary
from genretagger.vocabulary.resolve import Rules, decide

NAMES = sorted(vocabulary().genres)
HOUSE = {"House": 0.9, "Techno": 0.8, "Hip-Hop": 0.7, "Rock": 0.1}


def heard(by_genre: dict[str, float], is_music: float = 1.0) -> Scores:
    """Scores as a calibration gives them: best first, each with its grounds."""
    ranked = dict(sorted(by_genre.items(), key=lambda item: (-item[1], item[0])))
    grounds = {name: f"{name.lower()} heard" for name in ranked}
    return Scores(MappingProxyType(ranked), MappingProxyType(grounds), is_music)


def genres(by_genre: dict[str, float], **rules: object) -> tuple[str, ...]:
    return decide(heard(by_genre), replace(Rules(), **rules), vocabulary()).genres  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param({}, ("House", "Techno"), id="defaults"),
        pytest.param({"max_genres": 1}, ("House",), id="one"),
        pytest.param({"max_genres": 3, "share_of_top": 0.5}, ("House", "Techno", "Hip-Hop"), id="three"),
        pytest.param({"max_genres": 20, "share_of_top": 0, "min_score": 0.05}, tuple(HOUSE), id="all"),
        pytest.param({"max_genres": 3, "share_of_top": 0, "min_score": 0.75}, ("House", "Techno"), id="least score"),
        pytest.param({"share_of_top": 0.95}, ("House",), id="share of the best"),
        pytest.param({"share_of_top": 1}, ("House",), id="as good as the best"),
        pytest.param({"min_score": 0.9}, ("House",), id="just enough"),
        pytest.param({"min_score": 0.91}, (), id="not enough"),
        pytest.param({"forbid": ("House",)}, ("Techno", "Hip-Hop"), id="forbidden"),
        pytest.param({"forbid": ("house music", "TECHNO", "rap")}, (), id="forbidden by other spellings"),
        pytest.param({"allow": ("Techno",)}, ("Techno",), id="allowed"),
        pytest.param({"allow": ("rap", "rock")}, ("Hip-Hop",), id="allowed by another spelling"),
        pytest.param({"allow": ("House", "Techno"), "forbid": ("house",)}, ("Techno",), id="allowed and forbidden"),
        pytest.param({"allow": ("Polka",)}, (), id="only what cannot be heard is allowed"),
        pytest.param({"add_parents": True}, ("House", "Techno", "Electronic"), id="parents once"),
        pytest.param({"add_parents": True, "forbid": ("Electronica",)}, ("House", "Techno"), id="forbidden parent"),
        pytest.param({"add_parents": True, "allow": ("House",)}, ("House",), id="parent that is not allowed"),
        pytest.param(
            {"add_parents": True, "allow": ("House", "Electronic")},
            ("House", "Electronic"),
            id="parent that is allowed",
        ),
        pytest.param({"aliases": {"house": "Haus"}}, ("Haus", "Techno"), id="own name"),
        pytest.param({"aliases": {"House Music": "Haus"}}, ("Haus", "Techno"), id="own name for another spelling"),
        pytest.param({"aliases": {"Techno": "HOUSE"}}, ("House",), id="own name that is there already"),
        pytest.param({"aliases": {"House": "Club", "Techno": "Club"}}, ("Club",), id="one own name for two"),
        pytest.param(
            {"aliases": {"Electronic": "E"}, "add_parents": True}, ("House", "Techno", "E"), id="own name of a parent"
        ),
        pytest.param({"aliases": {"Polka": "P"}}, ("House", "Techno"), id="own name of something else"),
        pytest.param({"capitalisation": "lower"}, ("house", "techno"), id="lower"),
        pytest.param({"capitalisation": "lower", "aliases": {"House": "HAUS"}}, ("HAUS", "techno"), id="own stays"),
    ],
)
def test_rules(rules: dict[str, object], expected: tuple[str, ...]) -> None:
    assert genres(HOUSE, **rules) == expected


@pytest.mark.parametrize(
    ("capitalisation", "expected"),
    [
        ("standard", ("Drum and Bass", "Hip-Hop", "R&B")),
        ("lower", ("drum and bass", "hip-hop", "r&b")),
        ("title", ("Drum And Bass", "Hip-Hop", "R&B")),
    ],
)
def test_capitalisation(capitalisation: str, expected: tuple[str, ...]) -> None:
    scores = {"Drum and Bass": 0.9, "R&B": 0.8, "Hip-Hop": 0.8}
    assert genres(scores, capitalisation=capitalisation, max_genres=3) == expected


def test_a_genre_and_its_parent_are_both_named_once() -> None:
    assert genres({"House": 0.9, "Electronic": 0.9}, add_parents=True) == ("Electronic", "House")
    assert genres({"House": 0.9, "Heavy Metal": 0.8}, add_parents=True) == (
        "House",
        "Heavy Metal",
        "Electronic",
        "Metal",
    )


class TestScoresThatCoverChildren:
    """The score of Electronic is that of all that is electronic."""

    def genres(self, by_genre: dict[str, float], **rules: object) -> tuple[str, ...]:
        scores = replace(heard(by_genre), nested=True)
        return decide(scores, replace(Rules(), **rules), vocabulary()).genres  # type: ignore[arg-type]

    def test_a_child_that_is_not_clear_gives_way_to_its_parent(self) -> None:
        assert self.genres({"Electronic": 0.9, "Techno": 0.45, "House": 0.44}) == ("Electronic",)
        assert self.genres({"Electronic": 0.9, "Techno": 0.6, "House": 0.3}) == ("Electronic",), "not clear enough"

    def test_a_clear_child_takes_the_place_of_its_parent(self) -> None:
        assert self.genres({"Electronic": 0.9, "House": 0.8, "Techno": 0.05}) == ("House",)
        assert self.genres({"Electronic": 0.9, "House": 0.85, "UK Garage": 0.8}) == ("UK Garage",)

    def test_the_parent_is_written_as_well_if_the_owner_wants_it(self) -> None:
        found = self.genres({"Electronic": 0.9, "House": 0.8}, add_parents=True)
        assert found == ("House", "Electronic")

    def test_a_parent_does_not_count_as_a_second_genre(self) -> None:
        found = self.genres({"Electronic": 0.5, "House": 0.45, "Jazz": 0.44}, min_score=0.4)
        assert found == ("House", "Jazz")

    def test_a_second_genre_needs_evidence_of_its_own(self) -> None:
        assert self.genres({"Jazz": 0.6, "Electronic": 0.35}) == ("Jazz",)

    def test_a_child_that_is_not_allowed_leaves_its_parent(self) -> None:
        assert self.genres({"Electronic": 0.9, "House": 0.85}, forbid=("House",)) == ("Electronic",)
        assert self.genres({"Electronic": 0.9, "House": 0.85}, allow=("House",)) == ("House",)

    def test_nothing_below_the_limit(self) -> None:
        assert self.genres({"Electronic": 0.49, "House": 0.4}) == ()


def test_ties_are_settled_by_name() -> None:
    assert genres({"Rock": 0.7, "Blues": 0.7, "Jazz": 0.7}) == ("Blues", "Jazz")


def test_the_reason_names_scores_and_what_was_heard() -> None:
    decision = decide(heard(HOUSE), Rules(), vocabulary())
    assert sentence(decision.reason) == "House 0.90: house heard; Techno 0.80: techno heard"


def test_the_reason_keeps_the_names_of_the_vocabulary() -> None:
    rules = Rules(aliases={"House": "Haus"}, capitalisation="lower", max_genres=1, add_parents=True)
    assert decide(heard(HOUSE), rules, vocabulary()) == Decision(
        ("Haus", "electronic"), heard(HOUSE).by_genre, because(Cause.CHOSEN, genres=[["House", 0.9, "house heard"]])
    )


def test_nothing_is_confident() -> None:
    decision = decide(heard({"Hip-Hop": 0.26, "Rock": 0.2}), Rules(), vocabulary())
    assert decision.genres == ()
    assert sentence(decision.reason) == "no genre reaches 0.5: Hip-Hop is nearest with 0.26 (hip-hop heard)"
    assert decision.scores == {"Hip-Hop": 0.26, "Rock": 0.2}


def test_nothing_sounds_like_music() -> None:
    decision = decide(heard({"Hip-Hop": 0.26}, is_music=0.3), Rules(), vocabulary())
    assert decision.genres == ()
    assert sentence(decision.reason) == "it does not sound like music (Hip-Hop would be the nearest, with 0.26)"
    far = decide(heard({"Hip-Hop": 0.004}, is_music=0.3), Rules(), vocabulary())
    assert sentence(far.reason) == "it does not sound like music", "no genre is the nearest with 0.00"


@pytest.mark.parametrize("rules", [Rules(allow=("Polka",)), Rules(forbid=tuple(HOUSE))], ids=["allow", "forbid"])
def test_nothing_is_allowed(rules: Rules) -> None:
    decision = decide(heard(HOUSE), rules, vocabulary())
    assert decision == Decision((), heard(HOUSE).by_genre, because(Cause.NONE_ALLOWED))


def test_a_model_that_hears_no_genre() -> None:
    assert decide(heard({}), Rules(), vocabulary()).genres == ()


def test_all_scores_are_told_also_of_what_is_forbidden() -> None:
    assert decide(heard(HOUSE), Rules(forbid=("House",)), vocabulary()).scores == HOUSE


def test_genres_that_the_vocabulary_does_not_know() -> None:
    scores = {"Celtic": 0.9, "RnB & Swing": 0.8}
    assert genres(scores, add_parents=True) == ("Celtic", "RnB & Swing")
    assert genres(scores, forbid=("celtic",)) == ("RnB & Swing",)
    assert genres(scores, aliases={"CELTIC": "Keltisch"}) == ("Keltisch", "RnB & Swing")


SCORES = st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1), max_size=12)
SOME = st.lists(st.sampled_from(NAMES), max_size=6).map(tuple)
RULES = st.builds(
    Rules,
    max_genres=st.integers(1, 20),
    min_score=st.floats(0.01, 1),
    share_of_top=st.floats(0, 1),
    allow=SOME,
    forbid=SOME,
    add_parents=st.booleans(),
    capitalisation=st.sampled_from(["standard", "lower", "title"]),
)


@given(SCORES, RULES)
@settings(deadline=None)
def test_what_the_rules_promise(scores: dict[str, float], rules: Rules) -> None:
    decision = decide(heard(scores), rules, vocabulary())
    chosen = [vocabulary().canonical(name) for name in decision.genres]
    assert len({key(name) for name in decision.genres}) == len(decision.genres), "each name once"
    assert not set(chosen) & set(rules.forbid)
    assert not rules.allow or set(chosen) <= set(rules.allow)
    assert sentence(decision.reason)
    themselves = [name for name in chosen if name in scores and scores[name] >= rules.min_score]
    if chosen:
        assert chosen[0] in themselves, "a parent is never alone"
        assert scores[str(chosen[0])] == max(scores[str(name)] for name in themselves)
    if not rules.add_parents:
        assert len(chosen) <= rules.max_genres
        assert themselves == chosen
        assert [scores[str(name)] for name in chosen] == sorted((scores[str(name)] for name in chosen), reverse=True)
        assert all(scores[str(name)] >= rules.share_of_top * scores[str(chosen[0])] for name in chosen)


@given(SCORES, RULES)
@settings(deadline=None)
def test_equal_scores_and_rules_make_equal_decisions(scores: dict[str, float], rules: Rules) -> None:
    backwards = dict(reversed(scores.items()))
    assert decide(heard(scores), rules, vocabulary()) == decide(heard(backwards), replace(rules), vocabulary())


@given(SCORES, st.floats(0.01, 1))
@settings(deadline=None)
def test_a_genre_is_found_exactly_where_one_is_confident(scores: dict[str, float], least: float) -> None:
    decision = decide(heard(scores), Rules(min_score=least), vocabulary())
    assert bool(decision.genres) == any(score >= least for score in scores.values())


def test_a_score_below_the_limit_never_looks_as_if_it_reached_it() -> None:
    decision = decide(heard({"Jazz": 0.4999}), Rules(), vocabulary())
    assert sentence(decision.reason).startswith("no genre reaches 0.5: Jazz is nearest with 0.49 ")
