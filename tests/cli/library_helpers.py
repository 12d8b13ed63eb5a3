"""A database that knows tracks nobody listened to, for commands that only tell what is known."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from genretagger.causes import recorded
from genretagger.database.store import Store
from genretagger.database.values import WriteState
from genretagger.errors import FileError
from genretagger.types import Activations, Decision, GenreField, Stamp, Track

SAMPLING = "spread-16.1"
FINGERPRINT = "f" * 64


class Library:
    """Fills a database; `Library.at(data_dir)` opens it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.model = store.models.save("musicnn", FINGERPRINT, ["rock", "jazz"])
        self.run = store.runs.begin("tag", {})

    @classmethod
    @contextmanager
    def at(cls, data_dir: Path) -> Iterator[Library]:
        with Store.open(data_dir / "library.sqlite3") as store:
            yield cls(store)

    def track(
        self,
        path: Path,
        genres: Sequence[str] = (),
        decided: Sequence[str] | None = None,
        scores: dict[str, float] | None = None,
        *,
        reason: str = "Rock 0.90: rock 0.5 (usual 0.1)",
        duration_s: float | None = 215.25,
        payload_hash: str = "",
    ) -> Track:
        """Know a track, and decide for it unless `decided` is None."""
        stamp = Stamp.of(path.stat()) if path.exists() else Stamp(1, 2, 3, 4, 5, 1)
        payload = payload_hash or hashlib.sha256(os.fsencode(path)).hexdigest()
        field = GenreField(tuple(genres), None, "ID3v2.4")
        track = Track(path, stamp, "mp3", duration_s, payload, field)
        self.store.tracks.save(track)
        if decided is not None:
            heard = Activations(np.full((16, 2), 0.5, np.float16), np.zeros(4, np.float32), "CPUExecutionProvider")
            self.store.analyses.save(payload, self.model, SAMPLING, heard, seconds=0.5)
            ranked = scores if scores is not None else dict.fromkeys(decided, 0.9)
            decision = Decision(tuple(decided), ranked, recorded(reason))
            self.store.decisions.save(payload, self.model, SAMPLING, decision, settings="x")
        return track

    def write(self, track: Track, after: Sequence[str], undo_of: int | None = None) -> int:
        """Note a finished write."""
        field = GenreField(tuple(after), None, "ID3v2.4")
        number = self.store.writes.begin(
            self.run,
            track.path,
            track.payload_hash,
            track.genres,
            field,
            model="musicnn",
            reason=recorded("r"),
            undo_of=undo_of,
        )
        self.store.writes.finish(number, WriteState.DONE)
        return number

    def failure(self, path: Path, error: FileError) -> None:
        """Know that a file failed."""
        self.store.tracks.save_failure(path, Stamp(1, 2, 3, 4, 5, 1), error)
