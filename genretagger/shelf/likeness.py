"""Tracks that sound alike, and the map, from the embeddings that the model left in the database.

An embedding has a thousand numbers and more, and 100,000 of them fill half a gigabyte. So each is
projected on the 64 directions in which the library varies most (principal components of a sample),
and brought to length one: the product of two such vectors says how alike two tracks sound. 100,000
of them take 26 MB on disk, and a look at all of them takes some milliseconds. The first two
directions are the map. Principal components and not UMAP: they need no further package (UMAP brings
numba, and takes minutes), a new track gets its place without moving the others, and the same
library gives the same map.

The vectors are kept beside the rows of the index and appended to. They are made again when the
library has doubled, or another model has heard most of it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from genretagger.database.listings import Listings
from genretagger.files.durable import save
from genretagger.shelf.filling import Counted
from genretagger.shelf.index import Index, row_path
from genretagger.types import FloatArray

DIMENSIONS = 64
_WIDTH = 4 * DIMENSIONS
"""Bytes of a vector."""

_SAMPLE = 8000
"""Tracks from which the directions are found; their embeddings take 50 MB."""

_FEW = 3
_NO_MIDDLE = 50
"""The mean of all tracks is subtracted only if there are at least so many."""
_MOST_OF_ARTIST = 2
_LOOKED_AT = 400
_AT_ONCE = 1000
"""Tracks that are compared and saved in one transaction."""
_NOTE = "likeness"


def refresh(listings: Listings, index: Index, *, progress: Counted = lambda *_: None) -> int:
    """Bring the vectors up to date with the database.

    Args:
        progress: called with the embeddings read so far and the number of analyses.

    Returns:
        How many vectors are new.
    """
    last = listings.get_last_analysis()
    note = index.note(_NOTE) or {}
    if note.get("last") == last and _sound(index, note):
        return 0
    ear = listings.get_main_ear()
    if ear is None:
        return 0
    is_same = note.get("ear") == list(ear) and _sound(index, note)
    if not is_same or note["count"] + _new(listings, ear, note["last"], note["count"]) > 2 * note["fitted"]:
        note = _fit(listings, index, ear)
    return _append(listings, index, ear, note, last, progress)


def is_behind(listings: Listings, index: Index) -> bool:
    """Whether something was heard that has no vector yet; quick to find out."""
    note = index.note(_NOTE) or {}
    return not (note and note.get("last") == listings.get_last_analysis() and _sound(index, note))


def _sound(index: Index, note: dict[str, object]) -> bool:
    """Whether the stored vectors are complete, by the notes about them."""
    try:
        size = _vectors_file(index).stat().st_size
        return bool(note) and size >= _WIDTH * int(str(note["count"])) and _axes_file(index).exists()
    except (OSError, KeyError, ValueError):
        return False


def _new(listings: Listings, ear: tuple[int, str], after: int, most: int) -> int:
    """How many embeddings are new, counted only up to the number that matters."""
    return sum(1 for _ in islice(listings.get_embeddings(ear, after=after), most + 2))


def _fit(listings: Listings, index: Index, ear: tuple[int, str]) -> dict[str, object]:
    """Find the directions from a sample, and begin with no vectors."""
    sample: list[FloatArray] = []
    random = np.random.default_rng(0)
    for number, (_, _, row) in enumerate(listings.get_embeddings(ear)):
        if sample and len(row) != len(sample[0]):
            continue
        if len(sample) < _SAMPLE:
            sample.append(row)
        elif (place := int(random.integers(number + 1))) < _SAMPLE:
            sample[place] = row
    matrix = np.stack(sample) if sample else np.zeros((0, DIMENSIONS), np.float32)
    fitted = len(matrix)
    # Relative to the mean of a few tracks, even two similar ones point in opposite directions.
    mean = matrix.mean(axis=0) if fitted >= _NO_MIDDLE else np.zeros(matrix.shape[1], np.float32)
    spread = np.sqrt(np.mean((matrix - mean) ** 2, axis=0)) if fitted else np.ones(matrix.shape[1], np.float32)
    scale = 1 / np.maximum(spread, 1e-6)
    matrix = np.nan_to_num((matrix - mean) * scale).clip(-8, 8)
    _, vectors = np.linalg.eigh(matrix.T @ matrix)
    axes = vectors[:, ::-1][:, :DIMENSIONS]
    # the sign of a direction is arbitrary: the same library must give the same map everywhere
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] < 0, -1, 1)
    if axes.shape[1] < DIMENSIONS:
        axes = np.pad(axes, ((0, 0), (0, DIMENSIONS - axes.shape[1])))
    with _axes_file(index).open("wb") as file:
        np.savez(file, mean=mean, scale=scale, axes=axes.astype(np.float32))
    save(_vectors_file(index), b"", mode=0o600)
    note = {"ear": list(ear), "fitted": max(fitted, _FEW), "count": 0, "last": 0}
    with index.writing() as connection:
        connection.execute("DELETE FROM vectors")
        index.set_note(_NOTE, note)
    return note


def _append(
    listings: Listings, index: Index, ear: tuple[int, str], note: dict[str, object], last: int, progress: Counted
) -> int:
    stored = np.load(_axes_file(index))
    mean, scale, axes = stored["mean"], stored["scale"], stored["axes"]
    begun, after = int(str(note["count"])), int(str(note["last"]))
    count = begun
    embeddings = iter(listings.get_embeddings(ear, after=after))
    while part := list(islice(embeddings, _AT_ONCE)):
        after = part[-1][0]
        fitting = [(payload_hash, row) for _, payload_hash, row in part if len(row) == len(mean)]
        if not fitting:
            continue
        flat = np.nan_to_num((np.stack([row for _, row in fitting]) - mean) * scale).clip(-8, 8) @ axes
        length = np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)
        vectors = (flat / length).astype("<f4")
        with index.writing() as connection:
            fresh: list[FloatArray] = []
            for (payload_hash, _), vector, place in zip(fitting, vectors, flat, strict=True):
                added = connection.execute(
                    "INSERT INTO vectors VALUES (?, ?, ?, ?) ON CONFLICT (payload_hash) DO NOTHING",
                    (count + len(fresh), payload_hash, float(place[0]), float(place[1])),
                )
                if added.rowcount:
                    fresh.append(vector)
            with _vectors_file(index).open("r+b") as file:
                file.seek(_WIDTH * count)
                file.write(b"".join(vector.tobytes() for vector in fresh))
                file.truncate()
            count += len(fresh)
            index.set_note(_NOTE, {**note, "count": count, "last": after})
        if len(part) == _AT_ONCE:
            progress(after, last)
    with index.writing():
        index.set_note(_NOTE, {**note, "count": count, "last": max(after, last)})
    return count - begun


class Likeness:
    """All vectors in memory: 26 MB for 100,000 tracks."""

    def __init__(self, index: Index) -> None:
        self._index = index
        count = int((index.note(_NOTE) or {}).get("count", 0))
        numbers = np.zeros(0, "<f4")
        with contextlib.suppress(OSError):
            numbers = np.fromfile(_vectors_file(index), "<f4", DIMENSIONS * count)
        whole = numbers[: len(numbers) // DIMENSIONS * DIMENSIONS].reshape(-1, DIMENSIONS)
        self.vectors: FloatArray = whole.astype(np.float32, copy=False)

    def __len__(self) -> int:
        return len(self.vectors)

    def for_index(self, index: Index) -> Likeness:
        """The same vectors, for another thread, which has its own index."""
        other = Likeness.__new__(Likeness)
        other._index, other.vectors = index, self.vectors
        return other

    def position(self, payload_hash: str) -> int | None:
        """The position of some audio's vector; None if the audio was not analysed."""
        row = self._index.connection.execute(
            "SELECT position FROM vectors WHERE payload_hash = ?", (payload_hash,)
        ).fetchone()
        return None if row is None or row[0] >= len(self) else int(row[0])

    def nearest(self, payload_hash: str, count: int) -> list[tuple[int, Path, float]]:
        """The tracks that sound most like one, nearest first, at most two by one artist.

        Args:
            payload_hash: of the track.
            count: how many.

        Returns:
            Number and path of each file, and how alike it is: 1 is the same, 0 has nothing in
                common.
        """
        position = self.position(payload_hash)
        if position is None:
            return []
        alike = self.vectors @ self.vectors[position]
        looked = min(len(alike), max(_LOOKED_AT, 20 * count))
        best = np.argpartition(-alike, looked - 1)[:looked]
        best = best[np.argsort(-alike[best], kind="stable")]
        return self._chosen([int(each) for each in best if each != position], alike, count)

    def _chosen(self, positions: Sequence[int], alike: FloatArray, count: int) -> list[tuple[int, Path, float]]:
        chosen: list[tuple[int, Path, float]] = []
        by_artist = Counter[str]()
        for start in range(0, len(positions), 100):
            part = positions[start : start + 100]
            marks = ",".join("?" * len(part))
            found = self._index.connection.execute(
                "SELECT position, min(id) AS id, path, artist_key, artist FROM vectors JOIN rows USING (payload_hash)"
                f" WHERE position IN ({marks}) GROUP BY position",
                part,
            )
            rows = {row["position"]: row for row in found}
            for position in part:
                row = rows.get(position)
                if row is None or not is_one_of_few(row, by_artist):
                    continue
                chosen.append((row["id"], row_path(row), round(max(0.0, float(alike[position])), 4)))
                if len(chosen) == count:
                    return chosen
        return chosen


def is_one_of_few(row: sqlite3.Row, by_artist: Counter[str]) -> bool:
    """Whether a track is one of the first two by its artist; counts it."""
    by_artist[row["artist_key"]] += 1
    return not row["artist"] or by_artist[row["artist_key"]] <= _MOST_OF_ARTIST


def _vectors_file(index: Index) -> Path:
    return index.folder / "vectors.f32"


def _axes_file(index: Index) -> Path:
    return index.folder / "axes.npz"
