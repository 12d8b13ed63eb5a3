"""`genretagger apply`: write what a plan says, once its owner has seen it."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from genretagger.cli import output
from genretagger.cli.interrupt import interruptible
from genretagger.cli.options import AsJson, DryRun, any_path, quiet_settings
from genretagger.cli.output import say_aside
from genretagger.cli.rows import counted, in_two_lines
from genretagger.errors import ConfigError
from genretagger.text import plural, printable
from genretagger.textfile import open_binary
from genretagger.types import Stamp, Status

if TYPE_CHECKING:
    from genretagger.steps.plan.entry import Planned

_GENRES_SHOWN = 12


def apply(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", parser=any_path, help="A plan, from `genretagger tag --plan FILE`.")
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Write the genres of a plan into the files that are still as they were when it was made.

    Lines of the plan may be deleted, and its genres ("after") edited. Every write can be undone by
    `genretagger undo`.
    """
    from genretagger.pipeline import open_rewriting
    from genretagger.steps.plan.entry import PlanError
    from genretagger.steps.plan.reading import read
    from genretagger.steps.run import Run

    settings = quiet_settings()
    counts = dict.fromkeys(Status, 0)
    with _opened(file) as stream:
        stamp = Stamp.of(os.fstat(stream.fileno()))
        total = _summarise(read(stream, file))
        if not (total and (dry_run or yes or _agreed(total))):
            output.notice("nothing was written")
            return
        if Stamp.of(os.fstat(stream.fileno())) != stamp:  # an editor saved it while we asked
            raise PlanError("the plan was changed meanwhile, so nothing was written", path=file, hint="Apply it again")
        stream.seek(0)
        with (
            open_rewriting(settings) as pipeline,
            interruptible() as stop,
            output.Bar("files", shown=not as_json) as bar,
        ):
            run = Run(0, dry_run=True) if dry_run else pipeline.begin("apply")
            for outcome in pipeline.apply(read(stream, file), run, stop=stop):
                counts[outcome.status] += 1
                if as_json:
                    output.say_json(output.outcome_json(outcome))
                else:
                    genres = outcome.genres or ("(none)",)
                    shown = genres if outcome.status is Status.TAGGED else outcome.genres_before
                    bar.above(in_two_lines(outcome, shown, done="tagged", would="would tag"))
                bar.update(outcome.path.name, sum(counts.values()), total)
            if not dry_run:
                pipeline.finish(run)
    ended = sum(counts.values())
    output.say_aside()
    output.say_aside(f"{plural(ended, 'file')}: {counted(counts, 'would be tagged' if dry_run else 'tagged')}")
    if stop.done():
        left = plural(total - ended, "file")
        output.say_aside(f"Interrupted with {left} left. What is written is kept; apply it again to go on.")
    if dry_run:
        output.say_aside("Nothing was written (--dry-run).")
    elif counts[Status.TAGGED]:
        output.say_aside(f"To undo: genretagger undo --run {run.id}")
    if stop.done() or counts[Status.FAILED]:
        raise typer.Exit(130 if stop.done() else 1)


def _opened(path: Path) -> BinaryIO:
    """Open a plan, which is read twice: once to check all of it, once to write it.

    Raises:
        PlanError: it cannot be read.
    """
    from genretagger.steps.plan.entry import PlanError

    try:
        return open_binary(path)
    except ValueError as error:
        raise PlanError(str(error), path=path, hint="Name a plan from `genretagger tag --plan FILE`") from error
    except OSError as error:
        cause = f"the plan cannot be read: {error.strerror or error}"
        raise PlanError(cause, path=path, hint="Check the spelling and the permissions") from error


def _summarise(plan: Iterable[Planned]) -> int:
    """Show people what a plan would do, and check all of it; returns its number of files."""
    changes: Counter[str] = Counter()
    added: Counter[str] = Counter()
    removed: Counter[str] = Counter()
    for planned in plan:
        before, after = planned.before.values, planned.after
        if before == after:
            changes["already have theirs"] += 1
        else:
            changes["lose theirs" if not after else "get other genres" if before else "get their first genre"] += 1
        changes["as edited by you"] += planned.edited
        had, gets = dict.fromkeys(before), dict.fromkeys(after)  # in order: equal plans give equal output
        added.update(name for name in gets if name not in had)
        removed.update(name for name in had if name not in gets)
    edited = changes.pop("as edited by you", 0)
    say_aside(f"{plural(changes.total(), 'file')} in the plan{f', {edited:,} edited by you' if edited else ''}")
    for what, count in changes.most_common():
        say_aside(f"  {count:,} {what}")
    for head, names in (("adds", added), ("removes", removed)):
        if names:
            shown = ", ".join(f"{printable(name[:80])} {count:,}" for name, count in names.most_common(_GENRES_SHOWN))
            more = f" and {len(names) - _GENRES_SHOWN:,} more" if len(names) > _GENRES_SHOWN else ""
            say_aside(f"  {head}: {shown}{more}")
    return changes.total()


def _agreed(total: int) -> bool:
    """Ask on the terminal whether to write.

    Raises:
        ConfigError: there is no terminal on which to ask.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigError("there is no terminal to ask on, so nothing was written", hint="--yes writes without asking")
    try:
        return typer.confirm(f"Write the genres of {plural(total, 'file')}?", err=True)
    except typer.Abort:  # the end of the input, or Ctrl-C
        return False
