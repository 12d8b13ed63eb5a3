"""The training data: tracks with their embedding, their genres, and their ties to other tracks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from genretagger.files.discover import Found
from genretagger.training import split
from genretagger.training.labels import LabelSource, NameMap, spelled
from genretagger.types import Heard
from genretagger.vocabulary.names import key

_ID_DIGITS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A track with known genres.

    Attributes:
        path: of the file.
        id: of its audio, short.
        genres: the known genres.
        ties: connect it with other tracks; see `split.ties`.
        heard: everything else.
    """

    path: Path
    id: str
    genres: tuple[str, ...]
    ties: tuple[str, ...]
    heard: Heard


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """All training data.

    Attributes:
        examples: tracks with a known genre and stored activations, ordered by their audio.
        own: how many tracks only have genres that genretagger wrote.
        unlabelled: how many others have no known genre.
        unheard: how many have a known genre but no activations.
    """

    examples: tuple[Example, ...]
    own: int
    unlabelled: int
    unheard: int


def collect(heard: Iterable[Heard], files: Mapping[Path, Found], source: LabelSource, names: NameMap) -> Lessons:
    """Find the known genres of tracks.

    Copies of one recording become one track with all their genres.

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
    """The genres to learn, by name, and the counts of those left out: too rare, or on every track.

    A genre on every track cannot be learned. Leaving out a genre may leave out tracks, so this
    repeats until nothing changes.
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
