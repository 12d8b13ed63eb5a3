"""Opening the pipeline, with all that it needs, and closing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.listener import Listener
from genretagger.model.store import DEFAULT, ModelStore
from genretagger.pipeline import Pipeline
from genretagger.worker.pool import Limits, WorkerPool

Progress = Callable[[str, int, int | None], None]
"""Is told what is being done, how much of it is done, and of how much."""


@contextmanager
def open_pipeline(settings: Settings, *, notice: Callable[[str], None], progress: Progress) -> Iterator[Pipeline]:
    """Open the database, the model (fetching the default one on first use) and the child processes.

    Args:
        settings: from `config.load`.
        notice: is told what a person should know.
        progress: is told how far the model's installation is.

    Raises:
        GenretaggerError: the database or the model cannot be had.
    """
    models = ModelStore(settings.models_dir)
    if settings.model == DEFAULT and settings.model not in {model.name for model in models.installed()}:
        notice(f"fetching the model {settings.model}, once")
        models.pull(settings.model, progress=progress)
    model = models.get(settings.model)
    limits = Limits(memory_mb=settings.memory_limit_mb, time_s=settings.time_limit_s)
    with Store.open(settings.database) as store, WorkerPool(settings.worker_count, limits) as workers:
        pipeline = Pipeline(settings, store, workers, Listener(settings, model, notice))
        pipeline.recover()
        yield pipeline
