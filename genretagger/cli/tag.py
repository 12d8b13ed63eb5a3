"""`genretagger tag`: listen, decide, write."""

from __future__ import annotations

import os
import shlex
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genretagger.causes import Reason
from genretagger.cli import output
from genretagger.cli.in_order import InOrder
from genretagger.cli.interrupt import interruptible
from genretagger.cli.options import AsJson, ModelName, Paths, any_path, quiet_settings, share
from genretagger.cli.output import say_aside as line
from genretagger.cli.plan_file import plan_file
from genretagger.cli.rows import Rows, counted, given
from genretagger.errors import FileError
from genretagger.files.discover import Found, find
from genretagger.files.shards import Shard
from genretagger.sentences import matter, sentence
from genretagger.text import plural, printable
from genretagger.types import Albums, Outcome, Policy, Status

if TYPE_CHECKING:
    from genretagger.steps.run import Run

_FAILURES_SHOWN = 20
_GENRES_SHOWN = 20


def tag(
    paths: Paths,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Listen and decide, but write no tag.")] = False,
    as_json: AsJson = False,
    policy: Annotated[
        Policy | None,
        typer.Option(help="What happens to genres that a file already has. [default: keep]"),
    ] = None,
    model: ModelName = None,
    windows: Annotated[
        str | None,
        typer.Option(help='Stretches of 3 s to listen to, "all" or "auto". [default: 16]'),
    ] = None,
    album: Annotated[
        Albums | None,
        typer.Option(help="Tracks of one album by one artist: decide together or one by one. [default: pool]"),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", help="How many files to decode at once. [default: cores]")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="auto, cpu, cuda, tensorrt, rocm, migraphx, openvino, coreml or directml. [default: auto]"),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Listen again, also to what is known, undone or edited by you.")
    ] = False,
    plan: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", parser=any_path, help="Write no tag, but a plan of the changes into this file, for `apply`."
        ),
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(help="Least score of a genre that is written, 0 to 1. [default: 0.5]")
    ] = None,
    max_genres: Annotated[int | None, typer.Option(help="Most genres for a track. [default: 2]")] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Also leave out these files and folders; may be given several times."),
    ] = None,
    shard: Annotated[
        Shard | None,
        typer.Option(
            metavar="N/COUNT",
            parser=share,
            help="Only this share of the albums, for several machines: 3/16 is the third of sixteen.",
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also show unchanged files, scores and what was heard.")
    ] = False,
) -> None:
    """Listen to music and write the genre into the files that have none.

    A file that has a genre keeps it, unless --policy says otherwise. What is known is not listened
    to again. Every write can be undone with `genretagger undo`.
    """
    from genretagger.worker.pool import WorkerPool

    settings = quiet_settings(
        policy=policy,
        model=model,
        windows=windows,
        album=album,
        jobs=jobs,
        device=device,
        min_score=min_score,
        max_genres=max_genres,
    )
    tally = _Summary(dry_run=dry_run or plan is not None)
    rows = Rows(paths, verbose=verbose)
    unreadable: list[FileError] = []
    odd: list[Outcome] = []

    def pass_over(path: Path, reason: Reason) -> None:
        odd.append(Outcome(path, Status.SKIPPED, reason, dry_run=dry_run or plan is not None))

    with (
        output.Bar("tracks", shown=not as_json) as bar,
        WorkerPool.of(settings) as workers,
    ):
        bar.update("looking for music", 0, None)
        found = find(
            paths,
            unreadable.append,
            ignore=(*settings.ignore, *(ignore or ())),
            folders=settings.ignore_folders,
            passed_over=pass_over,
        )
        files = list(found if shard is None else in_shard(found, shard, settings.libraries))
        if files:
            workers.warm_up(1)  # it loads its libraries while this process loads its own

        from genretagger.pipeline import open_pipeline
        from genretagger.steps.album import beside_each_other

        if settings.album is Albums.POOL:
            files = beside_each_other(files)
        # Until here, Ctrl-C ends at once: the walk and the model's installation leave nothing half
        # done.
        with (
            plan_file(plan, files) if plan is not None else nullcontext() as planning,
            open_pipeline(settings, notice=bar.notice, progress=bar.update, workers=workers) as pipeline,
            interruptible() as stop,
        ):
            planned = planning.add if planning is not None else None
            run = pipeline.begin("tag", dry_run=dry_run, force=force, plan=planned)
            # A library may have thousands of links that lead nowhere: the summary counts them.
            outside = {outcome.path for outcome in odd} | {error.path for error in unreadable}
            total = len(files) + len(unreadable) + len(odd)
            bar.update("listening", 0, total)
            in_order: InOrder[Outcome] = InOrder(file.path for file in files)

            def show(outcomes: Iterable[Outcome]) -> None:
                for outcome in outcomes:
                    for line in rows.of(outcome):
                        bar.above(line)

            def outcomes() -> Iterator[Outcome]:
                yield from (pipeline.failed(error.path or Path(), error, run) for error in unreadable)
                yield from (replace(outcome, model=settings.model) for outcome in odd)
                yield from pipeline.tag(files, run, stop=stop)

            for outcome in outcomes():
                tally.add(outcome)
                if planning is not None:
                    planning.end(outcome.path)
                if as_json:
                    output.say_json(output.outcome_json(outcome))
                elif outcome.path in outside:
                    show([outcome] if verbose or outcome.status is not Status.SKIPPED else [])
                else:
                    shown = verbose or outcome.status is not Status.UNCHANGED
                    show(in_order.end(outcome.path, outcome if shown else None))
                bar.update(outcome.path.name, tally.total, total, tally.brief)
            show(in_order.rest())
            pipeline.finish(run)
            if stop.done():
                tally.summarise(run, left=total - tally.total)
                raise typer.Exit(130)  # inside the block, so that no partial plan is kept
    tally.summarise(run, plan=plan)
    if tally.failed:
        raise typer.Exit(1)


def in_shard(files: Iterable[Found], shard: Shard, libraries: Mapping[str, Path]) -> Iterator[Found]:
    """The files with an album in a share: by its folder, relative to its library if it has one."""
    from genretagger.database.libraries import Libraries
    from genretagger.steps.album import home

    stored = Libraries(libraries).to_stored
    return (file for file in files if stored(home(file.path)) in shard)


class _Summary:
    """Counts what became of the files, for the summary."""

    def __init__(self, *, dry_run: bool) -> None:
        self._tagged = "would be tagged" if dry_run else "tagged"
        self._started = time.monotonic()
        self._counts: Counter[Status] = Counter()
        self._skipped: Counter[str] = Counter()
        self._genres: Counter[str] = Counter()
        self.failed: list[Outcome] = []

    @property
    def total(self) -> int:
        return self._counts.total()

    @property
    def brief(self) -> str:
        """What became of the files so far, for the bar."""
        words = {Status.TAGGED: self._tagged, Status.SKIPPED: "skipped", Status.FAILED: "failed"}
        return ", ".join(f"{self._counts[status]:,} {word}" for status, word in words.items() if self._counts[status])

    def add(self, outcome: Outcome) -> None:
        self._counts[outcome.status] += 1
        if outcome.status is Status.TAGGED:
            self._genres.update(genre for genre in outcome.genres if genre not in outcome.genres_before)
        if outcome.status is Status.FAILED:
            self.failed.append(outcome)
        elif outcome.status is Status.SKIPPED:
            self._skipped[matter(outcome.reason)] += 1

    def summarise(self, run: Run, *, left: int | None = None, plan: Path | None = None) -> None:
        """Print the summary for people on standard error.

        Args:
            left: how many files an interrupt left; None if there was none.
        """
        seconds = time.monotonic() - self._started
        line()
        if self._genres:
            line("Genres that would be given:" if run.dry_run else "Genres given:")
            for text in given(self._genres.most_common(_GENRES_SHOWN)):
                line(text)
            if len(self._genres) > _GENRES_SHOWN:
                line(f"  … and {plural(len(self._genres) - _GENRES_SHOWN, 'other')}")
            line()
        line(f"{plural(self.total, 'file')} in {seconds:.1f} s: {counted(self._counts, self._tagged)}")
        for reason, count in self._skipped.most_common():
            line(f"  skipped {count:,}: {printable(reason)}")
        for outcome in self.failed[:_FAILURES_SHOWN]:
            line(f"  failed: {printable(outcome.path)}: {printable(sentence(outcome.reason))}")
        if len(self.failed) > _FAILURES_SHOWN:
            line(f"  … and {len(self.failed) - _FAILURES_SHOWN:,} more; `--json` lists them all")
        if left is not None:
            kept = (
                "What was heard is kept, but there is no plan" if run.plan is not None else "What is finished is kept"
            )
            line(f"Interrupted with {plural(left, 'file')} left. {kept}; run it again to go on.")
        if plan is not None:
            column = "genres" if plan.suffix.lower() == ".tsv" else "after"
            line(f'The plan is in {printable(plan)}: look at it, delete lines, edit "{column}". To write it:')
            line(f"  genretagger apply {printable(shlex.quote(os.fspath(plan)))}")
        elif run.plan is not None:
            line("Nothing was written.")
        elif run.dry_run:
            line("Nothing was written (--dry-run).")
        elif self._counts[Status.TAGGED]:
            line(f"To undo: genretagger undo --run {run.id}")
