"""Makes a database without its music: `python -m benchmarks.page_library DATA_DIR [TRACKS]`.

The rows are as `tag` leaves them: artists with a few albums each, genres that fit the artist,
scores, embeddings that lie near each other for the same genre, a write for each tag of ours. No
music file exists, so nothing plays.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from sqlalchemy import Table, create_engine, insert

from genretagger.audio.windows import sampling_key
from genretagger.database.models import ANALYSES, DECISIONS, MODELS, RUNS, TRACKS, WRITES
from genretagger.database.packing import packed
from genretagger.database.store import Store
from genretagger.types import Json

GENRES = (
    *("Rock", "Electronic", "Jazz", "Classical", "Hip-Hop", "Pop", "Folk", "Metal", "Techno", "House", "Ambient"),
    *("Blues", "Country", "Reggae", "Soul", "Punk", "Funk", "Disco", "Trance", "Latin", "Indie", "Soundtrack"),
)
LABELS, EMBEDDING, WINDOWS = 621, 1424, 16
_BASE = datetime(2026, 1, 1)
_PART = 1000
_SAMPLING = sampling_key(16)
_SYLLABLES = ("ka", "lo", "mi", "ra", "ven", "tor", "sil", "da", "nor", "el", "gus", "pha", "ori", "bel", "zan", "qui")


def make(data_dir: Path, tracks: int = 100_000, *, windows: int = WINDOWS, fingerprint: str = "f" * 64) -> None:
    """Make the database in a data folder that has none.

    Args:
        windows: of each analysis; fewer make a smaller file.
        fingerprint: of the model that seems to have listened.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    file = data_dir / "library.sqlite3"
    Store.open(file).close()
    engine = create_engine(f"sqlite:///{file}")
    random = np.random.default_rng(7)
    centres = random.normal(size=(len(GENRES), EMBEDDING)).astype(np.float32)
    noise = random.normal(size=(512, EMBEDDING)).astype(np.float32)
    activations = packed((random.random((1, LABELS)) * 0.2).astype("<f2"))
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA synchronous = OFF")
        connection.execute(
            insert(MODELS).values(
                id=1,
                name="musicnn-yamnet",
                fingerprint=fingerprint,
                labels=[f"label {n}" for n in range(LABELS)],
                added_at=_aware(0),
            )
        )
        connection.execute(
            insert(RUNS).values(
                id=1, command="tag", settings={}, host="here", pid=1, started_at=_aware(0), finished_at=_aware(1)
            )
        )
    batch: dict[str, list[Json]] = {}
    tables: dict[str, Table] = {t.name: t for t in (TRACKS, ANALYSES, DECISIONS, WRITES)}

    def flush() -> None:
        with engine.begin() as connection:
            for name, rows in batch.items():
                if rows:
                    connection.execute(insert(tables[name]), rows)
                    rows.clear()

    for number, (artist, album, title, genre) in enumerate(_catalogue(tracks, random)):
        for name, row in _rows(number, artist, album, title, genre, random, centres, noise, activations, windows):
            batch.setdefault(name, []).append(row)
        if number % _PART == _PART - 1:
            flush()
    flush()
    engine.dispose()
    Store.open(file).close()


def _aware(minutes: float) -> datetime:
    return (_BASE + timedelta(minutes=minutes)).astimezone()


def _catalogue(tracks: int, random: np.random.Generator) -> Iterator[tuple[str, str, str, int]]:
    made = 0
    while True:
        artist = _name(random, 2, 2)
        genre = int(random.zipf(1.4)) % len(GENRES)
        for _ in range(int(random.integers(1, 6))):
            album = _name(random, 1, 3)
            for each in range(int(random.integers(6, 14))):
                if made == tracks:
                    return
                odd = random.random() < 0.02
                yield artist, album, f"{each + 1:02} {_name(random, 1, 3)}", int(random.integers(22)) if odd else genre
                made += 1


def _name(random: np.random.Generator, least: int, most: int) -> str:
    count = int(random.integers(least, most + 1))
    syllables = [str(each) for each in random.choice(_SYLLABLES, 2 * count)]
    return " ".join("".join(syllables[each : each + 2]).capitalize() for each in range(0, 2 * count, 2))


def _rows(
    number: int,
    artist: str,
    album: str,
    title: str,
    genre: int,
    random: np.random.Generator,
    centres: np.ndarray,
    noise: np.ndarray,
    activations: bytes,
    windows: int,
) -> Iterator[tuple[str, Json]]:
    path = Path(f"/music/{artist}/{album}/{title} ({number}).flac")
    payload_hash = hashlib.sha256(f"{number}".encode()).hexdigest()
    draw = random.random()
    name = GENRES[genre]
    owner, unsure = draw < 0.15, 0.15 <= draw < 0.27
    untagged = 0.27 <= draw < 0.32
    top = float(random.uniform(0.3, 0.499)) if unsure else float(random.uniform(0.5, 0.97))
    scores = sorted(
        ((each, top if each == name else float(random.uniform(0, 0.28))) for each in GENRES), key=lambda p: -p[1]
    )
    own = [GENRES[int(random.integers(22))] if random.random() < 0.05 else name] if owner else [name]
    genres = [] if unsure or untagged else own
    at = _aware(number / 50)
    field = {"values": genres, "raw": {"GENRE": genres}, "form": "Vorbis comment"}
    yield (
        "tracks",
        {
            **{
                "id": number + 1,
                "path": path,
                "size_bytes": 30_000_000,
                "mtime_ns": 1_767_225_600_000_000_000 + number,
            },
            **{"ctime_ns": 1_767_225_600_000_000_000, "inode": number + 1, "device": 1, "links": 1, "kind": "flac"},
            **{"duration_s": float(random.uniform(90, 420)), "payload_hash": payload_hash, "genres": genres},
            **{"genre_raw": {"GENRE": genres}, "genre_form": "Vorbis comment", "refusal": None, "title": title[3:]},
            **{"artist": artist, "album_artist": "", "album": album, "failure": None, "failure_hint": None},
            **{"failure_class": None, "failure_retry": None, "seen_at": at, "handled": None, "handled_as": None},
        },
    )
    embedding = centres[genre] + 0.9 * noise[number % 512] + 0.5 * noise[(number * 7 + 3) % 512]
    yield (
        "analyses",
        {
            **{"payload_hash": payload_hash, "model_id": 1, "sampling": _SAMPLING, "hearing": "heard"},
            **{"provider": "CPUExecutionProvider", "windows": windows, "labels": LABELS, "activations": activations},
            **{"embedding": packed(embedding.astype("<f2")), "failure": None, "failure_hint": None},
            **{"failure_class": None, "seconds": 0.2, "analysed_at": at},
        },
    )
    grounds = f"sounds like {name.lower()} {top:.2f}, where 0.05 is usual"
    chosen = {"cause": "chosen", "figures": {"genres": [[name, top, grounds]]}}
    doubt = {"score": top, "least": 0.5, "nearest": name, "grounds": grounds}
    ground = {"cause": "not_confident", "figures": doubt} if unsure else chosen
    yield (
        "decisions",
        {
            **{"payload_hash": payload_hash, "model_id": 1, "sampling": _SAMPLING, "genres": [] if unsure else [name]},
            **{"scores": scores, "reason": grounds, "settings": "s", "decided_at": at, **ground},
        },
    )
    if genres and not owner:
        empty: Json = {"values": [], "raw": None, "form": "Vorbis comment"}
        yield (
            "writes",
            {
                **{"run_id": 1, "path": path, "payload_hash": payload_hash, "before": empty, "after": field},
                **{"model": "musicnn-yamnet", "reason": grounds, "temporary_name": None, "state": "done"},
                **{"undo_of": None, "started_at": at, "finished_at": at, **chosen},
            },
        )


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 100_000)
    print(json.dumps({"made": sys.argv[1]}))
