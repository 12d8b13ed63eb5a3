"""Shared by `undo` and `redo`: which writes they take, also when repeated, and the final report.

A run of either records its arguments. It counts as finished only if nothing failed and no
permission was missing. Until then the same command continues with the rest, and does not go a
second step back for the files that are done.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genretagger.cli import output
from genretagger.cli.describe import when
from genretagger.cli.interrupt import interruptible
from genretagger.cli.options import AsJson, DryRun, any_path, quiet_settings
from genretagger.cli.rows import in_two_lines
from genretagger.database.values import StoredRun, StoredWrite, WriteState
from genretagger.errors import ConfigError
from genretagger.files.discover import whole
from genretagger.text import plural
from genretagger.types import Json, Outcome, Status

if TYPE_CHECKING:
    from genretagger.database.store import Store
    from genretagger.database.undos import Undos

_MOST = 2**63 - 1
"""The largest number that a database takes."""

_ASKED = "asked"
"""The key in a run's settings under which its arguments are stored."""


@dataclass(frozen=True, slots=True)
class Words:
    """The words of `undo` or `redo` for what it does.

    Attributes:
        done: what it has done to a write.
        nothing: what it says when there is nothing to do.
    """

    command: str
    done: str
    nothing: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says; see the options of `undo`."""

    paths: tuple[Path, ...]
    last: bool
    run: int | None
    force: bool


Choose = Callable[["Undos", "UndoRequest"], Iterable["StoredWrite"]]
"""Gives the writes to take back, newest first; raises ConfigError if there never were any."""


def undo_command(words: Words, choose: Choose, text: str) -> Callable[..., None]:
    """Make `undo` or `redo`, which take the same options; `text` is the help."""

    def chosen(
        paths: Annotated[
            list[Path] | None,
            typer.Argument(metavar="PATH...", parser=any_path, help="Only these files, or those in these folders."),
        ] = None,
        last: Annotated[
            bool, typer.Option("--last", help="The newest run that can still be undone (or redone).")
        ] = False,
        run: Annotated[int | None, typer.Option("--run", metavar="ID", min=1, max=_MOST, help="This run.")] = None,
        dry_run: DryRun = False,
        force: Annotated[
            bool, typer.Option("--force", "-f", help="Also change files whose genre somebody changed since.")
        ] = False,
        as_json: AsJson = False,
    ) -> None:
        asked = Asked(tuple(paths or ()), last, run, force)
        carry_out(words, asked, choose, dry_run=dry_run, as_json=as_json)

    chosen.__doc__ = text
    return chosen


class UndoRequest:
    """What was asked for, and how much of it earlier runs of the same command have done.

    Args:
        tell: called with the run that `--last` means.
    """

    def __init__(self, words: Words, asked: Asked, store: Store, tell: Callable[[str], None]) -> None:
        self.words, self.last, self.run, self.force = words, asked.last, asked.run, asked.force
        self.paths = tuple(map(whole, asked.paths))
        self._store, self._tell = store, tell

    def newest(self, writes: Callable[[Path], Iterable[StoredWrite]]) -> list[StoredWrite]:
        """The newest write to each file, except files that an unfinished run has handled."""
        done = self._done_already()
        chosen: dict[Path, StoredWrite] = {}
        for path in self.paths:
            for write in writes(path):
                if write.id > done.get(write.path, 0):
                    chosen.setdefault(write.path, write)
        return sorted(chosen.values(), key=lambda write: -write.id)

    def name_last(self, find: Callable[[Mapping[int, datetime]], StoredRun | None]) -> int | None:
        """Find the newest run with anything left to do, name it, and return its number.

        Runs that were already taken back to their end are skipped: what is left of them was left
        for a reason.
        """
        found = find(self._tried())
        if found is None:
            return None
        self.run = found.id
        self._tell(f"{self.words.command} of run {found.id} ({found.command}, {when(found.started_at)})")
        return found.id

    def as_json(self) -> Json:
        """What a run of the command notes, for later ones."""
        return {"run": self.run, "paths": self._key(), "force": self.force}

    def _key(self) -> str | None:
        if not self.paths:
            return None
        names = b"\0".join(sorted({os.fsencode(path) for path in self.paths}))
        return hashlib.blake2b(names, digest_size=16).hexdigest()

    def _earlier(self) -> Iterator[tuple[StoredRun, Json]]:
        """Earlier runs of the same command and what they were asked for, newest first."""
        for run in self._store.runs.get_all():
            asked = run.settings.get(_ASKED) if isinstance(run.settings, dict) else None
            if run.command == self.words.command and isinstance(asked, dict):
                yield run, asked

    def _tried(self) -> dict[int, datetime]:
        """Run → when it was last taken back to its end."""
        tried: dict[int, datetime] = {}
        for run, asked in self._earlier():
            number, force = asked.get("run"), asked.get("force") is True
            if run.finished_at is not None and isinstance(number, int) and number and force >= self.force:
                tried.setdefault(number, run.started_at)
        return tried

    def _done_already(self) -> dict[Path, int]:
        """File → the newest write that unfinished runs of the same command made to it."""
        done: dict[Path, int] = {}
        for run, asked in self._earlier():
            if asked.get("paths") != self._key():
                continue
            if run.finished_at is not None:
                break
            for write in self._store.writes.get_all(run_id=run.id):
                if write.state is not WriteState.ABANDONED:
                    done[write.path] = max(write.id, done.get(write.path, 0))
        return done


def carry_out(words: Words, asked: Asked, choose: Choose, *, dry_run: bool, as_json: bool) -> None:
    """Run the command: choose, take back, and report.

    Raises:
        ConfigError: nothing, or too much, was asked for.
    """
    from genretagger.pipeline import open_rewriting
    from genretagger.steps.run import Run

    if sum((bool(asked.paths), asked.last, asked.run is not None)) != 1:
        raise ConfigError(f"`{words.command}` needs one of --last, --run ID or files")
    settings = quiet_settings()
    counts = dict.fromkeys(Status, 0)
    finished = True
    with interruptible() as stop, open_rewriting(settings, create=False) as pipeline:
        request = UndoRequest(words, asked, pipeline.store, output.notice)
        writes = list(choose(pipeline.store.writes, request))  # before any is taken back: each undo is a write as well
        if not writes:
            output.notice(words.nothing)
            return
        run = Run(0, dry_run=True, force=asked.force)
        if not dry_run:
            run = pipeline.begin(words.command, force=asked.force, notes={_ASKED: request.as_json()})
        for outcome in pipeline.undo(writes, run, stop=stop):
            counts[outcome.status] += 1
            finished &= _settled(outcome)
            if as_json:
                output.say_json(output.outcome_json(outcome))
            else:
                genres = (outcome.genres or ("(none)",)) if outcome.status is Status.TAGGED else ()
                output.say(in_two_lines(outcome, genres, done=words.done, would=f"would {words.command}"))
        if finished and not stop.done() and not dry_run:  # otherwise the same command continues with the rest
            pipeline.finish(run)
    verb = f"would be {words.done}" if dry_run else words.done
    done, skipped, failed = counts[Status.TAGGED], counts[Status.SKIPPED], counts[Status.FAILED]
    output.notice(f"{plural(done, 'write')} {verb}, {skipped:,} skipped, {failed:,} failed")
    if stop.done():
        output.notice("interrupted: run the same command again to continue")
        raise typer.Exit(130)
    if failed:
        if not finished and not dry_run:
            output.notice("run the same command again to retry the failed ones")
        raise typer.Exit(1)


def _settled(outcome: Outcome) -> bool:
    """Whether a second try would end the same way: done, deleted, or changed by its owner."""
    from genretagger.steps.undo import is_theirs

    if outcome.status in (Status.FAILED, Status.SKIPPED) and not is_theirs(outcome):
        path = outcome.path
        return not os.path.lexists(path) and os.path.isdir(path.parent)  # noqa: PTH112 - is_dir() raises
    return True
