"""Pure rules about genres: an album's genres from its tracks, and the score of a decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from genretagger.config import Settings
from genretagger.steps.album import is_one_artist
from genretagger.vocabulary.names import key, vocabulary


def album_genres(tracks: Iterable[Sequence[str]], most: int) -> list[str]:
    """Choose an album's genres from those of its tracks.

    The genre that most tracks have comes first; another one counts if at least half as many tracks
    have it. Among equals, the genre that stands further in front in the tracks comes first, then
    that of an earlier track.

    Args:
        tracks: the genres of each track, best first.
    """
    counts: dict[str, int] = {}
    places: dict[str, int] = {}
    for genres in tracks:
        for place, genre in enumerate(dict.fromkeys(genres)):
            counts[genre] = counts.get(genre, 0) + 1
            places[genre] = places.get(genre, 0) + place
    ranked = sorted(counts, key=lambda genre: (-counts[genre], places[genre]))
    return [genre for genre in ranked if 2 * counts[genre] >= counts[ranked[0]]][:most]


def is_by_one_artist(album_artist: str) -> bool:
    """Whether an album is by one artist, and not "Various Artists": then it is decided as one."""
    return is_one_artist(album_artist)


def score_of(genre: str, scores: Mapping[str, float], settings: Settings) -> float:
    """The score of a chosen genre; the owner may have renamed it.

    Args:
        genre: the first genre of a decision, as it is written.
        scores: of that decision, best first.
        settings: those that the decision was made with.

    Returns:
        Its score, 0 to 1.
    """
    own = {key(vocabulary().canonical(spelling) or spelling): name for spelling, name in settings.aliases.items()}
    for name, score in scores.items():
        if key(own.get(key(name), name)) == key(genre):
            return score
    return 0.0
