"""The genres of a track over time, as the browser takes them: listened to once, then kept.

They are kept as files beside the index and not in the database: one takes up to 200 kB, is quickly
made again, and would make every backup of the database larger. The oldest ones go when all of them
take more than `MOST_BYTES`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
from pathlib import Path

from genretagger.files.durable import save
from genretagger.types import FloatArray, Json, Timeline
from genretagger.web.room import make_room

MOST_BYTES = 512 << 20
COLUMNS = 1200
_SHOWN = 9
_LEAST = 0.25
_FOLDER = "timelines"
_VERSION = 1


class Timelines:
    """Kept timelines.

    Args:
        folder: of the index.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / _FOLDER

    def get(self, payload_hash: str, model: str) -> bytes | None:
        """What a model heard in some audio, as it is kept; None if nothing is."""
        file = self._file(payload_hash, model)
        try:
            data = file.read_bytes()
            os.utime(file)  # the last to go
        except OSError:
            return None
        return data

    def put(self, payload_hash: str, model: str, timeline: Timeline) -> bytes:
        """Keep one, and give it as it is sent."""
        data = json.dumps(to_json(timeline), separators=(",", ":")).encode()
        with contextlib.suppress(OSError):
            make_room(self._folder, MOST_BYTES - len(data))
            save(self._file(payload_hash, model), data, mode=0o600)
        return data

    def _file(self, payload_hash: str, model: str) -> Path:
        name = hashlib.sha256(f"{_VERSION} {payload_hash} {model}".encode()).hexdigest()[:40]
        return self._folder / f"{name}.json"


def to_json(timeline: Timeline) -> Json:
    """A timeline for the browser: scores and picture as bytes, in base64.

    The genres that are heard anywhere, at most nine. `scores` are (windows, genres) from 0 to 255
    for 0 to 1. `levels` are (columns, bands) from 0 to 255 for -80 dB to 0. `envelope` are
    (columns, 2) from 0 to 255 for -1 to 1.
    """
    import numpy as np

    mean, most = timeline.scores.mean(axis=0), timeline.scores.max(axis=0, initial=0)
    order = [int(each) for each in np.argsort(-(mean + 0.25 * most), kind="stable")]
    shown = [each for each in order if most[each] >= _LEAST][:_SHOWN] or order[:3]
    picture = timeline.picture

    def packed(values: FloatArray) -> str:
        return base64.b64encode(np.ascontiguousarray(np.clip(np.rint(values), 0, 255), "u1").tobytes()).decode()

    return {
        "seconds": [round(float(each), 3) for each in timeline.seconds],
        "window_s": timeline.window_s,
        "genres": [timeline.genres[each] for each in shown],
        "scores": packed(timeline.scores[:, shown] * 255),
        "heard": [bool(each) for each in timeline.heard],
        "columns": int(picture.levels_db.shape[1]),
        "bands": int(picture.levels_db.shape[0]),
        "bands_hz": [round(float(each)) for each in picture.bands_hz],
        "levels": packed(((picture.levels_db.T + 80) / 80 * 255).astype(np.float32)),
        "envelope": packed(((picture.envelope + 1) / 2 * 255).astype(np.float32)),
        "column_s": picture.column_s,
        "length_s": picture.length_s,
        "model": timeline.model,
    }
