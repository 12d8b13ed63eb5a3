"""`genretagger undo`: put back the genres that were there before."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genretagger.cli.options import AsJson
from genretagger.types import Outcome, Status

if TYPE_CHECKING:
    from genretagger.database.store import Store
    from genretagger.database.values import StoredWrite


def undo(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH...", help="Undo the last write to these files.")
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
        store.finish_run(run_id)
    verb = "would be undone" if dry_run else "undone"
    done, skipped, failed = counts[Status.TAGGED], counts[Status.SKIPPED], counts[Status.FAILED]
    output.notice(f"{plural(done, 'write')} {verb}, {skipped:,} skipped, {failed:,} failed")
    if stop.done():
        raise typer.Exit(130)
    if failed:
        raise typer.Exit(1)


def _chosen(store: Store, paths: list[Path], *, last: bool, run: int | None) -> Iterator[StoredWrite]:
    """Give the writes to undo, newest first."""
    from genretagger.database.values import WriteState
    from genretagger.errors import ConfigError

    if paths:
        for path in paths:
            newest: dict[Path, StoredWrite] = {}  # of each file, in a folder
            for write in store.writes(under=path.absolute()):
                if write.state is WriteState.DONE:
                    newest.setdefault(write.path, write)
            if not newest:
                raise ConfigError("genretagger has written nothing there", path=path)
            yield from newest.values()
        return
    if last:
        number = next((each.id for each in store.runs() if each.writes.get(WriteState.DONE)), None)
        if number is None:
            raise ConfigError("there is nothing to undo")
        run = number
    writes = store.writes(run_id=run)
    first = next(writes, None)
    if first is None:
        raise ConfigError(f"run {run} has written nothing", hint="`genretagger show PATH` names the run of a write")
    yield from itertools.chain((first,), writes)


def _row(outcome: Outcome) -> str:
    from genretagger.text import printable

    if outcome.status is Status.TAGGED:
        state = "would undo" if outcome.dry_run else "undone"
        genres = ", ".join(outcome.genres) or "(none)"
        return f"{state:<10} {printable(genres):<26} {printable(outcome.path)}"
    return f"{outcome.status:<10} {'':<26} {printable(outcome.path)}\n{'':<11}{printable(outcome.reason)}"
