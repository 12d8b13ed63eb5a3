"""`genretagger undo`: put back the genres that were there before."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genretagger.cli.options import AsJson, any_path
from genretagger.types import Outcome, Status

if TYPE_CHECKING:
    from genretagger.database.store import Store
    from genretagger.database.values import StoredWrite


def undo(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH...", parser=any_path, help="Undo the last write to these files."),
    ] = None,
    last: Annotated[bool, typer.Option("--last", help="Undo the last run that wrote anything.")] = False,
    run: Annotated[int | None, typer.Option("--run", metavar="ID", help="Undo this run.", show_default=False)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would be done.")] = False,
    force: Annotated[bool, typer.Option("--force", "-f", help="Undo also where the genre was changed since.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put back the genres that files had before genretagger wrote them.

    Where somebody changed the genre since, it stays. An undo can be undone as well: it is a run like any other.
    """
    from genretagger.cli import output
    from genretagger.cli.interrupt import interruptible
    from genretagger.config import load
    from genretagger.database.store import Store
    from genretagger.errors import ConfigError
    from genretagger.text import plural
    from genretagger.undo import undo as undo_writes
    from genretagger.worker.pool import Limits, WorkerPool
    from genretagger.writer import Writer

    output.quieten()
    if sum((bool(paths), last, run is not None)) != 1:
        raise ConfigError("undo what?", hint="Give either --last, or --run ID, or files")
    settings = load()
    limits = Limits(memory_mb=settings.memory_limit_mb, time_s=settings.time_limit_s)
    counts = dict.fromkeys(Status, 0)
    with (
        interruptible() as stop,
        Store.open(settings.database, create=False) as store,
        WorkerPool(settings.worker_count, limits) as workers,
    ):
        Writer(settings, store, workers).recover()  # what a kill left unsettled may be what shall be undone
        writes = _chosen(store, paths or [], last=last, run=run)
        run_id = store.begin_run("undo", settings.recorded())
        outcomes = undo_writes(
            writes,
            settings=settings,
            store=store,
            workers=workers,
            run_id=run_id,
            dry_run=dry_run,
            force=force,
            stop=stop,
        )
        for outcome in outcomes:
            counts[outcome.status] += 1
            if as_json:
                output.say_json(output.outcome_json(outcome))
            else:
                output.say(_row(outcome))
        if not stop.done():  # what did not come to its end is gone on with, see _last
            store.finish_run(run_id)
    verb = "would be undone" if dry_run else "undone"
    done, skipped, failed = counts[Status.TAGGED], counts[Status.SKIPPED], counts[Status.FAILED]
    output.notice(f"{plural(done, 'write')} {verb}, {skipped:,} skipped, {failed:,} failed")
    if stop.done():
        output.notice("interrupted: the same command, run again, goes on")
        raise typer.Exit(130)
    if failed:
        raise typer.Exit(1)


def _chosen(store: Store, paths: list[Path], *, last: bool, run: int | None) -> list[StoredWrite]:
    """Give the writes to undo, newest first, before any is undone: each undo is a write as well.

    Raises:
        ConfigError: there are none.
    """
    from genretagger.database.values import WriteState
    from genretagger.errors import ConfigError

    if paths:
        newest: dict[Path, StoredWrite] = {}
        for path in paths:
            whole = Path(os.path.abspath(path))  # noqa: PTH100 - as the files were found; resolve() follows links
            done = [write for write in store.writes(under=whole) if write.state is WriteState.DONE]
            if not done:
                raise ConfigError("nothing was written there that could be undone", path=whole)
            for write in done:
                newest.setdefault(write.path, write)
        return sorted(newest.values(), key=lambda write: -write.id)
    if last:
        run = _last(store)
        if run is None:
            raise ConfigError("there is nothing to undo")
    writes = list(store.writes(run_id=run))
    if not writes:
        raise ConfigError(f"run {run} has written nothing", hint="`genretagger show PATH` names the run of a write")
    if all(write.state is not WriteState.DONE for write in writes):
        raise ConfigError(f"nothing of run {run} is left to undo", hint="Its writes were undone, or never took place")
    return writes


def _last(store: Store) -> int | None:
    """Give the newest run of which a write stands; or what the newest one was undoing when it was interrupted."""
    from genretagger.database.values import WriteState

    newest = next((each for each in store.runs() if each.writes.get(WriteState.DONE)), None)
    if newest is None:
        return None
    first = next(store.writes(run_id=newest.id))
    if newest.finished_at is None and first.undo_of is not None:
        interrupted = store.run(store.write(first.undo_of).run_id)
        if interrupted is not None and interrupted.writes.get(WriteState.DONE):
            return interrupted.id
    return newest.id


def _row(outcome: Outcome) -> str:
    from genretagger.text import printable

    if outcome.status is Status.TAGGED:
        state = "would undo" if outcome.dry_run else "undone"
        genres = ", ".join(outcome.genres) or "(none)"
        return f"{state:<10} {printable(genres):<26} {printable(outcome.path)}"
    return f"{outcome.status:<10} {'':<26} {printable(outcome.path)}\n{'':<11}{printable(outcome.reason)}"
