"""From scores to the genres that are written, by the owner's rules; pure.

In order: only names that the rules allow, the best first; the best one must reach `min_score`, a
further one also `share_of_top` of the best; if a genre's score covers those below it, a genre gives
way to a clear one below it, and one that is not clear to its parent; at most `max_genres`; then
parents, the owner's own names and capitalisation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from genretagger.causes import Cause, Reason, because
from genretagger.types import Decision, Policy
from genretagger.vocabulary.calibration import Scores
from genretagger.vocabulary.names import Vocabulary, key


@dataclass(frozen=True, slots=True)
class Rules:
    """What the owner set; see the options of the same names in `config`."""

    max_genres: int = 2
    min_score: float = 0.5
    share_of_top: float = 0.8
    allow: tuple[str, ...] = ()
    forbid: tuple[str, ...] = ()
    aliases: dict[str, str] = field(default_factory=dict)
    add_parents: bool = False
    capitalisation: str = "standard"


LEAST_SCORE = 0.001
"""Lower scores are not kept: 35 of 61 genres of a track have one, which nobody looks at."""


def decide(scores: Scores, rules: Rules, vocabulary: Vocabulary) -> Decision:
    """Choose the genres of a track.

    Returns:
        The decision; without genres if none is confident enough. Its reason names the labels
        that were heard.
    """
    allowed = _names(rules.allow, vocabulary)
    forbidden = _names(rules.forbid, vocabulary)

    def may_be(name: str) -> bool:
        return (not allowed or key(name) in allowed) and key(name) not in forbidden

    ranked = [(name, score) for name, score in scores.by_genre.items() if may_be(name)]
    kept = {name: round(float(score), 4) for name, score in scores.by_genre.items() if score >= LEAST_SCORE}
    if not ranked:
        return Decision((), kept, because(Cause.NONE_ALLOWED))
    best, top = ranked[0]
    if top < rules.min_score:
        return Decision((), kept, _not_confident(best, top, scores, rules))
    limit = max(rules.min_score, rules.share_of_top * top)
    clear = [(name, score) for name, score in ranked if score >= limit]
    if scores.nested:
        above = {parent for name, _ in clear for parent in vocabulary.ancestors(name)}
        clear = [(name, score) for name, score in clear if name not in above]
    chosen = clear[: rules.max_genres]
    reason = because(Cause.CHOSEN, genres=[[name, float(score), scores.grounds[name]] for name, score in chosen])
    names = [name for name, _ in chosen]
    if rules.add_parents:
        parents = [parent for name in names for parent in _parents(name, scores, vocabulary)]
        names += filter(may_be, parents)
    return Decision(_spell(names, rules, vocabulary), kept, reason)


def _parents(name: str, scores: Scores, vocabulary: Vocabulary) -> Iterator[str]:
    """The vocabulary's, and if it has none the model's own."""
    yield from list(vocabulary.ancestors(name)) or scores.parents.get(name, ())


def protected(genres: Iterable[str], protect: Iterable[str], vocabulary: Vocabulary) -> tuple[str, ...]:
    """Give those of a file's genres that the owner protects, as the file spells them, each once."""
    names = {identity(spelling, vocabulary) for spelling in protect}
    return tuple(dict.fromkeys(name for name in genres if identity(name, vocabulary) in names))


def own_names(aliases: Mapping[str, str], vocabulary: Vocabulary) -> dict[str, str]:
    """The owner's names, by the letters of what they stand for."""
    own = {key(vocabulary.canonical(spelling) or spelling): name for spelling, name in aliases.items()}
    return own | {key(spelling): name for spelling, name in aliases.items()}


def identity(spelling: str, vocabulary: Vocabulary) -> str:
    """What the spellings of one genre share; a name without letters is only itself."""
    return key(vocabulary.canonical(spelling) or spelling) or spelling


def _names(spellings: Iterable[str], vocabulary: Vocabulary) -> set[str]:
    """The genre that a spelling means, and the spelling itself, which an owner's model may use."""
    return {key(name) for spelling in spellings for name in (spelling, vocabulary.canonical(spelling) or spelling)}


def _not_confident(best: str, top: float, scores: Scores, rules: Rules) -> Reason:
    score = float(top)
    if scores.is_music < 0.5:  # more likely not than so
        return because(Cause.NOT_MUSIC, nearest=best, score=score)
    if scores.is_known < 0.5:
        return because(Cause.UNLIKE_LEARNED, nearest=best, score=score)
    least = rules.min_score
    return because(Cause.NOT_CONFIDENT, nearest=best, score=score, least=least, grounds=scores.grounds[best])


def _spell(names: Iterable[str], rules: Rules, vocabulary: Vocabulary) -> tuple[str, ...]:
    """Apply the owner's names and capitalisation; each name once."""
    own = own_names(rules.aliases, vocabulary)
    spelled: dict[str, str] = {}
    for name in names:
        chosen = own.get(key(name))
        if chosen is None:
            chosen = {"lower": str.lower, "title": str.title}.get(rules.capitalisation, str)(name)
        spelled.setdefault(key(chosen) or chosen, chosen)
    return tuple(spelled.values())


def merged(
    before: Sequence[str], chosen: Sequence[str], policy: Policy, protect: Sequence[str], vocabulary: Vocabulary
) -> tuple[str, ...]:
    """Say which genres a file will have: those that stay (all, or protected), then the chosen.

    Args:
        before: the genres that it has.
        chosen: the genres of the decision.
        policy: `ADD` keeps all; the others what is protected.
        protect: names that are never removed.
        vocabulary: knows which names mean the same.
    """
    stays = before if policy is Policy.ADD else protected(before, protect, vocabulary)
    had = {identity(name, vocabulary) for name in stays}
    return (*stays, *(name for name in chosen if identity(name, vocabulary) not in had))
