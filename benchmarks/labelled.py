"""Recordings with known genres, as numbers: what `benchmarks.fit` learns from and measures with.

A folder of two files. `labels.csv` has a row for each recording: source, genre, genre_as_labelled,
group (one artist or one origin). `features.npz` has, in the same order, the mean over the windows
of `mus_act` (n, 100), `yam_act` (n, 521), `mus_emb` (n, 400) and `yam_emb` (n, 1024).
"""

from __future__ import annotations

import csv
import hashlib
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genretagger.vocabulary.names import vocabulary

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

NO_MUSIC = "Non-music"
NEVER_USED = {"librosa-data"}
"""The clips that the tests use: nothing is fitted, tuned or measured with them."""

NOT_AS_LABELLED = {("deb-freedroidrpg-data", "game music (no tag)"), ("deb-warmux-data", "Ambiance")}
"""Three readings and one brook that came with the music of two games; left out."""

FOLDS = 5


def model_labels() -> list[str]:
    """The 621 labels of the default model, in its order."""
    here = Path(__file__).resolve()
    sys.path.insert(0, str(here.parents[1] / "tests/vocabulary"))
    from musicnn_labels import LABELS  # the one list of them in the repository

    names = here.with_name("yamnet_classes.txt").read_text(encoding="utf-8").splitlines()
    return [*LABELS, *(f"yamnet/{name}" for name in names)]


@dataclass(frozen=True, slots=True)
class Labelled:
    """The recordings.

    Attributes:
        source: (n,) a family of sources: all games count as one.
        genre: (n,) in plain names.
        truth: for each recording, the genres that are right: its own, those above it, and the finer
            one of its label.
        is_speech: (n,) readings and talk.
        fold: (n,) 0 to 4; a group is in one fold.
        used: (n,) whether anything may be done with it.
        activations: (n, 621).
        embedding: (n, 1424).
        digest: sha256 of both files.
    """

    source: npt.NDArray[np.str_]
    genre: npt.NDArray[np.str_]
    truth: tuple[frozenset[str], ...]
    is_speech: Flags
    fold: npt.NDArray[np.int_]
    used: Flags
    activations: Array
    embedding: Array
    digest: str

    @property
    def is_music(self) -> Flags:
        """(n,) by its label."""
        return np.asarray(self.genre != NO_MUSIC)


def read(folder: Path) -> Labelled:
    """Read the two files of the folder."""
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with np.load(folder / "features.npz", allow_pickle=False) as arrays:
        parts = {name: arrays[name].astype(np.float64) for name in ("mus_act", "yam_act", "mus_emb", "yam_emb")}
    used = [
        row["source"] not in NEVER_USED and (row["source"], row["genre_as_labelled"]) not in NOT_AS_LABELLED
        for row in rows
    ]
    contents = b"".join((folder / name).read_bytes() for name in ("labels.csv", "features.npz"))
    return Labelled(
        source=np.array([row["source"].partition("-")[0] for row in rows]),
        genre=np.array([row["genre"] for row in rows]),
        truth=tuple(_truth(row["genre"], row["genre_as_labelled"]) for row in rows),
        is_speech=np.array([row["genre"] == NO_MUSIC and row["genre_as_labelled"] == "speech" for row in rows]),
        fold=np.array([zlib.crc32(row["group"].encode()) % FOLDS for row in rows]),
        used=np.array(used),
        activations=np.hstack([parts["mus_act"], parts["yam_act"]]),
        embedding=np.hstack([parts["mus_emb"], parts["yam_emb"]]),
        digest=hashlib.sha256(contents).hexdigest(),
    )


def _truth(genre: str, label: str) -> frozenset[str]:
    names = {genre, *vocabulary().ancestors(genre)}
    finer = vocabulary().canonical(label)
    if finer is not None and genre in set(vocabulary().ancestors(finer)):
        names |= {finer, *vocabulary().ancestors(finer)}
    return frozenset(names)
