"""Questions about the rows: a page of them, counts, albums."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from genretagger.shelf.flat import GenreState
from genretagger.shelf.index import Index
from genretagger.types import Json

MOST_ROWS = 200
"""The most rows of a page."""

SORTS: Mapping[str, str] = MappingProxyType(
    {
        "artist": "artist_key {0}, album_key {0}, id {0}",
        "album": "album_key {0}, id {0}",
        "title": "title_key {0}, id {0}",
        "genre": "genre_key {0}, id {0}",
        "score": "score {0}, id {0}",
        "year": "year {0}, id {0}",
        "state": "state {0}, id {0}",
        "added": "id {0}",
    }
)
"""What rows can be sorted by."""

_COLUMNS = "id, name, artist, album, title, genres, state, top, score, cause, kind, duration_s, year, cover"
_SHOWN = tuple(_COLUMNS.split(", "))
_MOST_SEARCHED = 8
_MOST_YEARS = 200


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows, in which order.

    Attributes:
        search: words that must all occur in artist, album, title, genre or the name of the file.
        genre: only tracks of this genre.
        state: only in this state.
        artist, album: only of these, exactly.
        least, most: bounds of the best score.
        sort: one of `SORTS`.
    """

    search: str = ""
    genre: str = ""
    state: str = ""
    artist: str = ""
    album: str = ""
    least: float | None = None
    most: float | None = None
    sort: str = "artist"
    descending: bool = False


def page(index: Index, wanted: Wanted, *, start: int, count: int) -> Json:
    """Some rows of a selection, and how many it has in all."""
    where, values = _where(wanted)
    order = SORTS.get(wanted.sort, SORTS["artist"]).format("DESC" if wanted.descending else "ASC")
    total = index.connection.execute(f"SELECT count(*) FROM rows{where}", values).fetchone()[0]
    found = index.connection.execute(
        f"SELECT {_COLUMNS} FROM rows{where} ORDER BY {order} LIMIT ? OFFSET ?",
        (*values, min(count, MOST_ROWS), max(0, start)),
    )
    return {"total": total, "start": start, "rows": [short(row) for row in found]}


def short(row: sqlite3.Row) -> Json:
    """A row for a list."""
    return {
        **{name: row[name] for name in _SHOWN},
        "title": row["title"] or row["name"],
        "genres": json.loads(row["genres"]),
        "score": None if row["score"] is None else round(row["score"], 3),
        "cover": bool(row["cover"]),
    }


def get_rows(index: Index, numbers: Sequence[int]) -> list[Json]:
    """Rows by their numbers, in that order; those that are gone are left out."""
    found: dict[int, Json] = {}
    for start in range(0, len(numbers), 500):
        part = numbers[start : start + 500]
        marks = ",".join("?" * len(part))
        rows = index.connection.execute(f"SELECT {_COLUMNS} FROM rows WHERE id IN ({marks})", part)
        found.update({row["id"]: short(row) for row in rows})
    return [found[number] for number in numbers if number in found]


def _where(wanted: Wanted) -> tuple[str, list[Any]]:
    tests: list[tuple[str, Any]] = []
    for word in wanted.search.casefold().split()[:_MOST_SEARCHED]:
        escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        tests.append(("words LIKE ? ESCAPE '\\'", f"%{escaped}%"))
    tests += [
        ("id IN (SELECT row FROM genres WHERE key = ?)", wanted.genre.casefold() or None),
        ("state = ?", wanted.state if wanted.state in set(GenreState) else None),
        ("artist = ?", wanted.artist or None),
        ("album = ?", wanted.album or None),
        ("score >= ?", wanted.least),
        ("score <= ?", wanted.most),
    ]
    asked = [(test, value) for test, value in tests if value is not None]
    return (f" WHERE {' AND '.join(test for test, _ in asked)}" if asked else ""), [value for _, value in asked]


def overview(index: Index) -> Json:
    """Counts for the first view: states, genres, genres by years."""
    states = dict.fromkeys((state.value for state in GenreState), 0)
    states.update({row[0]: row[1] for row in index.connection.execute("SELECT state, count(*) FROM rows GROUP BY 1")})
    genres = index.connection.execute(
        "SELECT min(name) AS name, count(*) AS count, key FROM genres GROUP BY key ORDER BY 2 DESC, 3 LIMIT 24"
    ).fetchall()
    years = index.connection.execute(
        "SELECT year, key, count(*) FROM genres WHERE year IS NOT NULL GROUP BY 1, 2 ORDER BY 1"
    ).fetchall()
    leading = [row["key"] for row in genres[:8]]
    by_year: dict[int, Counter[str]] = {}
    for year, name, count in years:
        by_year.setdefault(year, Counter())[name if name in leading else ""] += count
    unseen = index.connection.execute("SELECT count(*) FROM rows WHERE looked IS NULL").fetchone()[0]
    return {
        "tracks": sum(states.values()),
        "looked": sum(states.values()) - unseen,
        "states": states,
        "failed": index.connection.execute("SELECT count(*) FROM rows WHERE cause = 'failed'").fetchone()[0],
        "genres": [{"name": row["name"], "count": row["count"]} for row in genres],
        "leading": [row["name"] for row in genres[:8]],
        "years": [
            {"year": year, "counts": [counts[name] for name in leading], "others": counts[""]}
            for year, counts in list(by_year.items())[-_MOST_YEARS:]
        ],
    }


def genre_names(index: Index) -> list[str]:
    """Every genre that occurs, the most frequent first."""
    rows = index.connection.execute("SELECT min(name), count(*) FROM genres GROUP BY key ORDER BY 2 DESC, 1 LIMIT 1000")
    return [row[0] for row in rows]


def albums(index: Index, *, search: str, odd: bool, start: int, count: int) -> Json:
    """Albums with the number of their tracks and of those that differ from the others.

    Args:
        search: words that must all occur in the album's tracks.
        odd: only albums with a track that differs.
    """
    where, values = _where(Wanted(search=search))
    where = f"{where} AND album_id <> ''" if where else " WHERE album_id <> ''"
    if odd:
        where += " AND album_id IN (SELECT album_id FROM rows JOIN needs ON needs.row = id WHERE why = 'outlier')"
    total = index.connection.execute(
        f"SELECT count(DISTINCT album_id) FROM rows{where}",
        values,
    ).fetchone()[0]
    found = index.connection.execute(
        "SELECT album_id, min(id) AS first, min(album) AS album, min(album_key) AS place, count(*) AS tracks,"
        " min(CASE WHEN album_artist <> '' THEN album_artist ELSE artist END) AS artist,"
        " count(DISTINCT CASE WHEN album_artist <> '' THEN album_artist ELSE artist END) AS artists,"
        " min(year) AS year, max(cover) AS cover, min(CASE WHEN cover THEN id END) AS pictured"
        f" FROM rows{where} GROUP BY album_id ORDER BY place, album_id LIMIT ? OFFSET ?",
        (*values, min(count, MOST_ROWS), max(0, start)),
    ).fetchall()
    ids = [row["album_id"] for row in found]
    marks = ",".join("?" * len(ids))
    outliers = dict(
        index.connection.execute(
            "SELECT album_id, count(*) FROM rows JOIN needs ON needs.row = rows.id"
            f" WHERE why = 'outlier' AND album_id IN ({marks}) GROUP BY 1",
            ids,
        ).fetchall()
    )
    return {
        "total": total,
        "start": start,
        "albums": [
            {
                "id": row["first"],
                "album": row["album"],
                "artist": row["artist"] if row["artists"] == 1 else "various artists",
                "tracks": row["tracks"],
                "year": row["year"],
                "cover": row["pictured"] if row["cover"] else row["first"],
                "odd": outliers.get(row["album_id"], 0),
            }
            for row in found
        ],
    }


def album_of(index: Index, number: int) -> Json:
    """The tracks of a track's album, those that differ included; None if it has no album."""
    found = index.connection.execute("SELECT album_id FROM rows WHERE id = ?", (number,)).fetchone()
    if found is None or not found[0]:
        return None
    rows = index.connection.execute(
        f"SELECT {_COLUMNS} FROM rows WHERE album_id = ? ORDER BY name LIMIT 500",
        (found[0],),
    ).fetchall()
    says = dict(
        index.connection.execute(
            "SELECT row, says FROM needs JOIN rows ON rows.id = row WHERE why = 'outlier' AND album_id = ?", (found[0],)
        ).fetchall()
    )
    return {
        "album": rows[0]["album"],
        "tracks": [{**short(row), "odd": says.get(row["id"], "")} for row in rows],
    }
