"""Decides which tracks belong together, and which are held out; an album or artist is never split.

Tracks that share an artist or an album are one group, directly or through other tracks. If tags
name neither, the folder is the group. Groups are dealt to folds so that each fold has some tracks
of every genre.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from genretagger.types import Credits
from genretagger.vocabulary.names import key

FOLDS = 5
_VARIOUS = {"various", "variousartists", "va", "unknown", "unknownartist", ""}
_DIGITS = 16


def ties(path: Path, credits: Credits, payload_hash: str) -> list[str]:
    """The ties of a track to others, as hashes."""
    folder = os.fsencode(path.parent).decode("utf-8", "surrogateescape")
    artists = {key(name) for name in (credits.artist, credits.album_artist)} - _VARIOUS
    found = [f"artist {name}" for name in sorted(artists)]
    if key(credits.album):
        by = key(credits.album_artist) or key(credits.artist)
        found.append(f"album {key(credits.album)} by {by}" if by not in _VARIOUS else f"album {credits.album} {folder}")
    if not found:
        found.append(f"folder {folder}")
    found.append(f"audio {payload_hash}")
    return [hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:_DIGITS] for text in found]


def grouped(tracks: Sequence[Sequence[str]]) -> list[str]:
    """Join tracks that share a tie, directly or through others.

    Args:
        tracks: the ties of each track.

    Returns:
        The group of each track: the lowest of all its ties.
    """
    above: dict[str, str] = {}

    def root(tie: str) -> str:
        while above.setdefault(tie, tie) != tie:
            above[tie] = above[above[tie]]
            tie = above[tie]
        return tie

    for own in tracks:
        first = root(own[0])
        for tie in own[1:]:
            low, high = sorted((first, root(tie)))
            above[high] = first = low
    return [root(own[0]) for own in tracks]


def dealt(groups: Sequence[str], genres: Sequence[Sequence[str]], known: Mapping[str, int], count: int) -> list[int]:
    """Deal groups to folds.

    Args:
        groups: the group of each track.
        genres: the genres of each track.
        known: group → fold, from an earlier time; those stay.
        count: how many folds.

    Returns:
        The fold of each track; all 0 if there is only one group.
    """
    of_group: dict[str, Counter[str]] = defaultdict(Counter)
    for group, names in zip(groups, genres, strict=True):
        of_group[group].update(names)
    folds: dict[str, int] = {group: known[group] % count for group in of_group if group in known}
    held: list[Counter[str]] = [Counter() for _ in range(count)]
    for group, fold in folds.items():
        held[fold].update(of_group[group])
    for group in sorted(of_group.keys() - folds.keys(), key=lambda name: (-of_group[name].total(), name)):
        main = max(sorted(of_group[group]), key=lambda name: of_group[group][name], default="")
        fold = min(range(count), key=lambda number: (held[number][main], held[number].total(), number))
        folds[group] = fold
        held[fold].update(of_group[group])
    return [folds[group] for group in groups]
