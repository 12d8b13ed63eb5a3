"""`genretagger history`: what was written, when, by which run, and what became of it.

Writes are read a page at a time and printed as they come, so that a long history takes no more
memory than a short one. Two runs at the same time are printed in the order of their writes, each
under its own line.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from genretagger.cli import describe, output
from genretagger.cli.describe import joined, state, when
from genretagger.cli.options import AsJson, any_path
from genretagger.database.lines import WriteLine
from genretagger.database.values import StoredRun, StoredWrite
from genretagger.errors import ConfigError
from genretagger.files.discover import whole
from genretagger.text import plural, printable


def history(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]...", parser=any_path, help="Only writes to these files, or to what is in these folders."
        ),
    ] = None,
    run: Annotated[int | None, typer.Option("--run", metavar="ID", help="Only writes of this run.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what was written to your files, newest first, run by run.

    A run can be undone with `genretagger undo --run ID`.
    """
    from genretagger.config import load
    from genretagger.database.store import Store

    settings = load()
    shown_run: StoredRun | None = None
    last_run = 0
    with Store.open(settings.database, create=False, read_only=True, libraries=settings.libraries) as store:
        if run is not None and not (
            0 < run < 1 << 63 and (store.runs.get(run) is not None or store.writes.has_taken_place(run_id=run))
        ):
            raise ConfigError(f"there is no run {run}", hint="`genretagger history` lists them")
        if as_json:
            for write in _writes(store.writes.get_all, paths or [], run):
                if write.run_id != last_run:
                    shown_run, last_run = store.runs.get(write.run_id), write.run_id
                output.say_json(
                    {**describe.write_json(write), "command": shown_run.command if shown_run is not None else ""}
                )
        else:
            for line in _writes(store.lines.get_writes, paths or [], run):
                if line.run_id != last_run:
                    shown_run, last_run = store.runs.get(line.run_id), line.run_id
                    output.say(
                        _head(shown_run)
                        if shown_run is not None
                        else f"run {last_run}: its row in the database is invalid"
                    )
                output.say("\n".join(_lines(line)))
    if not last_run:
        output.notice("nothing was written" if run is None else f"run {run} has written nothing")


_Write = TypeVar("_Write", StoredWrite, WriteLine)


def _writes(get: Callable[..., Iterator[_Write]], paths: list[Path], run: int | None) -> Iterator[_Write]:
    """The writes to these paths, or to all, newest first, each once."""
    roots = [whole(path) for path in paths]
    parts = [get(run_id=run, under=root) for root in roots] or [get(run_id=run)]
    last = 0
    for write in parts[0] if len(parts) == 1 else heapq.merge(*parts, key=lambda write: -write.id):
        if write.id != last:  # folders within one another give it several times, one after the other
            yield write
        last = write.id


def _head(run: StoredRun) -> str:
    """Word a run in one line, all of its writes counted."""
    total = sum(run.writes.values())
    states = ", ".join(f"{count:,} {state.value}" for state, count in sorted(run.writes.items()))
    end = "" if run.finished_at is not None else ", not finished"
    return f"run {run.id}: {printable(run.command)}, {when(run.started_at)}, {plural(total, 'write')} ({states}){end}"


def _lines(write: WriteLine) -> Iterator[str]:
    """Word a write: number and time, state and path; the change; who chose it and why."""
    yield f"  {write.id:>6}  {write.started_at.astimezone():%H:%M:%S}  {state(write):<10}  {printable(write.path)}"
    yield f"          {printable(f'{joined(write.before)} → {joined(write.after)}')}"
    model = "" if write.kind.value == "undo" else write.model  # no model chose the genres of an undo
    yield f"          {printable(f'{model}: {write.reason}' if model else write.reason)}"
