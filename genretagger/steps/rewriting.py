"""The stages that need no model: writing what a plan says, and taking back what was written.

Whatever happens with one file, the others go on: see `one_file`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.database.values import StoredWrite
from genretagger.steps.apply import apply
from genretagger.steps.choose import Choice, choose
from genretagger.steps.one_file import failed_at, safely, timed
from genretagger.steps.plan.entry import Planned
from genretagger.steps.run import Run
from genretagger.steps.schedule import Flow, Then, interleave
from genretagger.steps.undo import chooser, take_back
from genretagger.steps.writer import Writer
from genretagger.types import Json, Outcome
from genretagger.worker.pool import WorkerPool

_Result = TypeVar("_Result")


class Rewriting:
    """The stages that need no model; made by `pipeline.open_rewriting`.

    Args:
        settings: how to write.
        store: the database.
        workers: the child processes.
    """

    def __init__(self, settings: Settings, store: Store, workers: WorkerPool) -> None:
        self._settings = settings
        self._workers = workers
        self.store = store
        self.writer = Writer(settings, store, workers)

    def recover(self) -> None:
        """Settle the writes that a kill interrupted, by what is in the files."""
        self.writer.recover()

    def begin(
        self,
        command: str,
        *,
        dry_run: bool = False,
        force: bool = False,
        plan: Callable[[Planned], None] | None = None,
        once: bool = False,
        hear_only: bool = False,
        notes: Mapping[str, Json] | None = None,
    ) -> Run:
        """Begin a run; its writes can be undone together; see `Run`.

        `notes` are kept with the settings of the run.
        """
        number = self.store.runs.begin(command, {**self._settings.recorded(), **(notes or {})})
        return Run(number, dry_run or plan is not None or hear_only, force, plan, once, hear_only)

    def finish(self, run: Run) -> None:
        """End a run."""
        self.store.runs.finish(run.id)

    def apply(self, plan: Iterable[Planned], run: Run, *, stop: Future[None]) -> Iterator[Outcome]:
        """Write a plan; for `stop` and what is yielded see `pipeline.Pipeline.tag`.

        Args:
            plan: each file once.
            run: from `begin`; a dry run only says what would be done.
            stop: when done, what was begun is finished and nothing new begins.
        """

        def flow(each: Planned) -> Flow[Outcome]:
            work = safely(
                each.path, partial(apply, each, run, self.writer, self._settings.protect), failed_at(each.path)
            )
            return timed(work, model=each.model, scores=each.scores, dry_run=run.dry_run)

        yield from self._run(map(flow, plan), stop)

    def choose(self, choices: Iterable[Choice], run: Run) -> list[Outcome]:
        """Write what the owner chose, one file after the other, and wait for it.

        Args:
            choices: each file once.
            run: from `begin`.
        """
        undos, writer = self.store.writes, self.writer
        flows = (safely(each.path, partial(choose, each, run, undos, writer), failed_at(each.path)) for each in choices)
        return list(self._run(flows, Future(), width=1))

    def undo(self, writes: Iterable[StoredWrite], run: Run, *, stop: Future[None]) -> Iterator[Outcome]:
        """Take back writes, in their order; undos as well, which is a redo.

        Args:
            writes: newest first; those that did not take place, or were undone, are passed over.
            run: from `begin`; with `force`, the old genre comes back even if somebody changed it
                since.
            stop: when done, what was begun is finished and nothing new begins.
        """

        def flow(write: StoredWrite) -> Flow[Outcome]:
            work = safely(write.path, partial(take_back, write, run, self.store, self.writer), failed_at(write.path))
            return timed(work, model=chooser(self.store.writes, write), dry_run=run.dry_run)

        # One at a time: two writes to one file must be undone in their order.
        yield from self._run((flow(write) for write in writes if write.stands), stop, width=1)

    def _run(
        self, flows: Iterable[Flow[_Result | Then[_Result]]], stop: Future[None], *, width: int | None = None
    ) -> Iterator[_Result]:
        width = width or 2 * self._settings.worker_count + 1
        yield from interleave(flows, width=width, stop=stop, together=self.store.group)
        if stop.done():
            self._workers.close(finish=False)  # nobody waits for what they still read or decode
