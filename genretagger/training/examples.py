"""What is learned from: tracks with their embedding, their genres, and what ties them to others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from genretagger.files.discover import Found
from genretagger.training import split
from genretagger.training.labels import NameMap, Source, spelled
from genretagger.types import Heard
from genretagger.vocabulary.names import key

if TYPE_CHECKING:
    from genretagger.types import FloatArray

_ID_DIGITS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A track whose genres are known.

    Attributes:
        path: where it lies.
        id: of its audio, short.
        genres: the known genres.
        ties: what holds it together with others; see `split.ties`.
        heard: everything else.
    """

    path: Path
    id: str
    genres: tuple[str, ...]
    ties: tuple[str, ...]
    heard: Heard


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """What there is to learn from.

    Attributes:
        examples: tracks with a known genre that could be heard, in the order of their audio.
        own: how many tracks only have genres that genretagger wrote.
        unlabelled: how many others have no known genre.
        unheard: how many have one and nothing to hear.
    """

    examples: tuple[Example, ...]
    own: int
    unlabelled: int
    unheard: int


def collect(heard: Iterable[Heard], files: Mapping[Path, Found], source: Source, names: NameMap) -> Lessons:
    """Find the known genres of tracks; copies of one recording are one track, with the genres of all of them.

    Args:
        heard: tracks, in any order.
        files: how each was found.
        source: knows genres.
        names: the owner's names for them.
    """
    found: dict[str, Example] = {}
    own = unlabelled = unheard = 0
    for each in sorted(heard, key=lambda one: one.track.path):
        track = each.track
        genres = names.apply(source.labels(each, files[track.path]))
        if not genres:
            own += bool(each.ours)
            unlabelled += not each.ours
        elif each.activations is None:
            unheard += 1
        else:
            ties = tuple(split.ties(track.path, each.credits, track.payload_hash))
            known = found.get(track.payload_hash)
            if known is not None:
                genres, ties = (*known.genres, *genres), (*known.ties, *ties)
                each = known.heard
            found[track.payload_hash] = Example(each.track.path, track.payload_hash[:_ID_DIGITS], genres, ties, each)
    chosen = spelled(example.genres for example in found.values())
    examples = [
        replace(found[name], genres=tuple(dict.fromkeys(chosen[key(genre)] for genre in found[name].genres)))
        for name in sorted(found)
    ]
    return Lessons(tuple(examples), own, unlabelled, unheard)


def frequent(examples: Sequence[Example], least: int) -> tuple[tuple[str, ...], dict[str, int]]:
    """The genres to learn, by name, and those left out: too rare, or of every track; with their counts.

    A genre of every track tells nothing. Which tracks there are depends on the genres, so it is asked until it holds.
    """
    counts = Counter(genre for example in examples for genre in example.genres)
    kept = {genre for genre, count in counts.items() if count >= least}
    while True:
        tracks = sum(not kept.isdisjoint(example.genres) for example in examples)
        everywhere = {genre for genre in kept if counts[genre] == tracks}
        if not everywhere:
            break
        kept -= everywhere
    return tuple(sorted(kept)), {genre: count for genre, count in sorted(counts.items()) if genre not in kept}


def matrix(examples: Sequence[Example], value: Callable[[Example], FloatArray]) -> FloatArray:
    """Stack a value of each track."""
    import numpy as np

    return np.stack([value(example) for example in examples]).astype(np.float32)
