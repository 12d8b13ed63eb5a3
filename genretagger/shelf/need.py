"""Which tracks their owner should listen to, and why.

- **unsure**: the model is not sure enough of any genre. Those nearest to being sure come first:
  they are the quickest to decide.
- **outlier**: on an album of at least four tracks by one artist, it sounds much less like the
  others than they sound like each other (by a robust distance, in units of the album's own spread).
- **mislabelled**: the model knows its owner's genre but gives it a low score, and gives another
  one a high score.
- **lesson**: training would learn most from it: the model is unsure (the best score is near one
  half), many tracks sound like it (its nearest tracks are near), and it is far from all tracks
  that have a genre of their owner's. The product of the three; at most two by one artist.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter

import numpy as np

from genretagger.shelf.index import Index
from genretagger.shelf.likeness import Likeness, is_one_of_few
from genretagger.shelf.pages import short
from genretagger.types import FloatArray, Json

WHYS = ("unsure", "outlier", "mislabelled", "lesson")
_MOST = 2000
"""The most tracks of a list; the lists are made again before anybody gets through more."""

_LEAST_ALBUM = 4
_FAR = 4.0
_HARDLY = 0.2
_CLEARLY = 0.6
_CANDIDATES = 600


def refresh(index: Index) -> None:
    """Make the lists again."""
    likeness = Likeness(index)
    found = {
        "unsure": _unsure(index),
        "mislabelled": _mislabelled(index),
        "outlier": _outliers(index, likeness),
        "lesson": _lessons(index, likeness),
    }
    with index.writing() as connection:
        connection.execute("DELETE FROM needs")
        for why, rows in found.items():
            connection.executemany(
                "INSERT OR REPLACE INTO needs VALUES (?, ?, ?, ?)",
                [(number, why, weight, says) for number, weight, says in rows[:_MOST]],
            )


def get_list(index: Index, why: str, *, start: int, count: int) -> Json:
    """Some tracks of a list, the most urgent first."""
    total = index.connection.execute("SELECT count(*) FROM needs WHERE why = ?", (why,)).fetchone()[0]
    rows = index.connection.execute(
        "SELECT rows.*, says, weight FROM needs JOIN rows ON rows.id = needs.row WHERE why = ?"
        " ORDER BY weight DESC, rows.id LIMIT ? OFFSET ?",
        (why, min(count, 200), max(0, start)),
    )
    return {"total": total, "start": start, "rows": [{**short(row), "says": row["says"]} for row in rows]}


def counts(index: Index) -> dict[str, int]:
    """How many tracks each list has."""
    found = {row[0]: row[1] for row in index.connection.execute("SELECT why, count(*) FROM needs GROUP BY why")}
    return {why: found.get(why, 0) for why in WHYS}


def drop(index: Index, number: int) -> None:
    """Take a track off all lists: its owner has decided."""
    with index.writing() as connection:
        connection.execute("DELETE FROM needs WHERE row = ?", (number,))


def _unsure(index: Index) -> list[tuple[int, float, str]]:
    rows = index.connection.execute(
        "SELECT id, score, top FROM rows WHERE state = 'unsure' AND score IS NOT NULL ORDER BY score DESC LIMIT ?",
        (_MOST,),
    )
    return [(row[0], row[1], f"{row[2]} is nearest with {_below(row[1])}") for row in rows]


def _below(score: float) -> str:
    """A score with two digits; rounded up, it would seem to reach the limit."""
    return f"{math.floor(100 * score) / 100:.2f}"


def _mislabelled(index: Index) -> list[tuple[int, float, str]]:
    rows = index.connection.execute(
        "SELECT id, own, score, top FROM rows WHERE state = 'yours' AND own < ? AND score >= ?"
        " ORDER BY score - own DESC LIMIT ?",
        (_HARDLY, _CLEARLY, _MOST),
    )
    return [(row[0], row[2] - row[1], f"score of your genre {row[1]:.2f}, of {row[3]} {row[2]:.2f}") for row in rows]


def _outliers(index: Index, likeness: Likeness) -> list[tuple[int, float, str]]:
    rows = index.connection.execute(
        "SELECT id, album_id, position, CASE WHEN album_artist <> '' THEN album_artist ELSE artist END AS artist"
        " FROM rows JOIN vectors USING (payload_hash) WHERE album_id <> '' AND position < ? ORDER BY album_id",
        (len(likeness),),
    )
    found: list[tuple[int, float, str]] = []
    for _, tracks in groupby(rows, key=itemgetter("album_id")):
        album = list(tracks)
        if len(album) < _LEAST_ALBUM or len({row["artist"] for row in album}) > 1:
            continue
        vectors = likeness.vectors[[row["position"] for row in album]]
        alike = vectors @ vectors.T
        np.fill_diagonal(alike, np.nan)
        own = np.nanmedian(alike, axis=1)
        middle = float(np.median(own))
        spread = max(0.05, 1.4826 * float(np.median(np.abs(own - middle))))
        for row, each in zip(album, own, strict=True):
            far = (middle - float(each)) / spread
            if far >= _FAR:
                found.append((row["id"], far, f"likeness to the album {max(0, each):.2f}, usual is {middle:.2f}"))
    return sorted(found, key=lambda each: -each[1])


def _lessons(index: Index, likeness: Likeness) -> list[tuple[int, float, str]]:
    rows = index.connection.execute(
        "SELECT id, score, top, position, artist_key, artist FROM rows JOIN vectors USING (payload_hash)"
        " WHERE state IN ('unsure', 'tagged', 'untagged') AND score BETWEEN 0.2 AND 0.8"
        " ORDER BY abs(score - 0.5), id LIMIT ?",
        (_CANDIDATES,),
    ).fetchall()
    rows = [row for row in rows if row["position"] < len(likeness)]
    if not rows:
        return []
    taught = [
        row[0]
        for row in index.connection.execute(
            "SELECT position FROM rows JOIN vectors USING (payload_hash) WHERE state = 'yours' ORDER BY id LIMIT 20000"
        )
        if row[0] < len(likeness)
    ]
    common = _common(likeness.vectors, [row["position"] for row in rows])
    new = _new(likeness.vectors, [row["position"] for row in rows], taught)
    weighed = []
    for row, density, novelty in zip(rows, common, new, strict=True):
        doubt = 1 - abs(row["score"] - 0.5) * 2
        says = f"{row['top']} {row['score']:.2f}; likeness to its nearest tracks {density:.2f}"
        says += f", to the nearest one with a genre of yours {1 - novelty:.2f}" if taught else ""
        weighed.append((row, doubt * max(0.0, density) * novelty, says))
    weighed.sort(key=lambda each: -each[1])
    by_artist = Counter[str]()
    return [(row["id"], weight, says) for row, weight, says in weighed if is_one_of_few(row, by_artist)]


def _common(vectors: FloatArray, positions: Sequence[int]) -> list[float]:
    """Mean likeness to the ten nearest tracks; 1 is the same sound."""
    near: list[float] = []
    for alike in _alike(vectors, positions, vectors):
        best = min(11, alike.shape[1])
        top = np.sort(np.partition(alike, alike.shape[1] - best, axis=1)[:, -best:], axis=1)[:, :-1]
        near += [float(each) for each in (top.mean(axis=1) if top.shape[1] else np.zeros(len(alike)))]
    return near


def _new(vectors: FloatArray, positions: Sequence[int], taught: Sequence[int]) -> list[float]:
    """1 minus the likeness to the nearest of the tracks in `taught`; 1 if there are none."""
    if not taught:
        return [1.0] * len(positions)
    some = _alike(vectors, positions, vectors[list(taught)])
    return [float(1 - max(0.0, each)) for alike in some for each in alike.max(axis=1)]


def _alike(vectors: FloatArray, positions: Sequence[int], others: FloatArray) -> Iterator[FloatArray]:
    """How alike some tracks are to others; takes some tracks at a time, to save memory."""
    for start in range(0, len(positions), 50):
        yield vectors[positions[start : start + 50]] @ others.T
