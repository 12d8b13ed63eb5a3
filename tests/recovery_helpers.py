"""Shared by the tests of recovery: checks of the end, and a pipeline over a store and children."""

from __future__ import annotations

from pathlib import Path

import command_helpers as helpers

from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.database.values import WriteState
from genretagger.model import ModelStore
from genretagger.model.listener import Listener
from genretagger.pipeline import Pipeline
from genretagger.worker.pool import WorkerPool


def done(data_dir: Path) -> list[str]:
    """The files that were written, by the history."""
    return [write.path.name for write in helpers.writes(data_dir) if write.state is WriteState.DONE]


def settled(data_dir: Path, music: Path, songs: list[Path]) -> None:
    """Assert that everything is tagged once, as the history says, and nothing is left over."""
    assert sorted(done(data_dir)) == [song.name for song in songs]
    assert all(helpers.genres_of(song) for song in songs)
    assert [write for write in helpers.writes(data_dir) if write.state is WriteState.PENDING] == []
    assert helpers.failures(data_dir) == []
    assert sorted(music.iterdir()) == songs


def pipeline_of(options: Settings, store: Store, workers: WorkerPool) -> Pipeline:
    model = ModelStore(options.models_dir).get()
    return Pipeline(options, store, workers, Listener(options, model, helpers.unexpected))
