"""`genretagger archive`: the stages of `tag` on many machines, and how far they are."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genretagger.addresses import address_of, is_address, is_object, path_of
from genretagger.cli import output
from genretagger.cli.options import AsJson, any_path, existing_path, quiet_settings
from genretagger.cli.time_left import said
from genretagger.errors import ConfigError
from genretagger.files.discover import whole
from genretagger.text import plural, printable

if TYPE_CHECKING:
    from genretagger.archive.driver import Done
    from genretagger.config import Settings
    from genretagger.database.units import ArchiveProgress, Rate

_SHOWN = 20
_MINUTES = 10


def archive(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...|status", help="Folders or addresses (s3://…), or the word status (./status is a folder)."
        ),
    ],
    ray: Annotated[
        str, typer.Option("--ray", metavar="ADDRESS|local", help="Address of a Ray cluster, or local for one here.")
    ] = "local",
    database: Annotated[str | None, typer.Option(metavar="URL", help="postgresql://… [default: database_url]")] = None,
    parquet: Annotated[
        Path | None, typer.Option(metavar="DIR", parser=any_path, help="Also write the results there, as Parquet.")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the genres into the files.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Look again at folders that are done.")] = False,
    metrics: Annotated[str | None, typer.Option(metavar="[HOST:]PORT", help="Serve figures for Prometheus.")] = None,
    resource: Annotated[
        str,
        typer.Option(metavar="NAME", help="A resource of the Ray nodes that mount the music; by default all nodes."),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Listen to an archive with many machines, by Ray and PostgreSQL, or show its progress.

    Without --write, no file is changed. If it is interrupted or crashes, the same command
    continues it.
    """

    settings = quiet_settings(database_url=database)
    if paths == ["status"]:
        _status(settings, as_json=as_json)
        return
    from genretagger.archive.driver import ArchiveOptions, run
    from genretagger.archive.metrics import place, served
    from genretagger.archive.table import write as write_table
    from genretagger.database.store import Store

    roots = [_root(path) for path in paths]
    for root in roots:
        if not is_object(root) and not root.is_dir():
            raise ConfigError("archive takes folders", path=root, hint="genretagger tag takes single files")
    options = ArchiveOptions(settings, roots, address=ray, write=write, again=again, resource=resource)
    serving = served(settings, place(metrics)) if metrics else nullcontext()
    with serving, output.Bar("folders", shown=not as_json) as bar:

        def progress(done: Done) -> None:
            bar.update(f"{done.files:,} files", done.units, None)

        done = run(options, notice=bar.notice, progress=progress)
        rows = None
        if parquet is not None:
            bar.update("writing Parquet", done.units, None)
            with Store.open(settings.database, create=False, libraries=settings.libraries) as store:
                rows = write_table(store.reports, whole(parquet), roots, settings.libraries)
    with Store.open(settings.database, create=False, read_only=True, libraries=settings.libraries) as store:
        reached, failed = store.units.get_progress(), store.units.get_failed(_SHOWN)
        fetched = store.units.get_fetched()
    if as_json:
        output.say_json({**asdict(done), "parquet_rows": rows, "progress": asdict(reached), "fetched_bytes": fetched})
    else:
        output.say_aside(f"{plural(done.files, 'file')} in {plural(done.units, 'folder')} by this run. In all:")
        for line in _lines(reached, fetched):
            output.say_aside(line)
        for failure in done.failures[:_SHOWN]:
            output.say_aside(f"  not listed: {printable(failure)}")
        for unit in failed:
            output.say_aside(f"  failed: {printable(unit.folder)}: {printable(unit.reason)}")
        if write and reached.tagged:
            output.say_aside(f"To undo: genretagger undo --run {done.run_id}")
    if reached.failed or failed or done.failures:
        raise typer.Exit(1)


def _root(text: str) -> Path:
    """A folder, or a prefix of objects, as it was named."""
    if not is_address(text):
        return whole(existing_path(text))
    from genretagger.files.storage import see_readable

    see_readable(text)
    return path_of(text.rstrip("/") if text.rstrip("/") != text.partition("://")[0] + ":" else text)


def _status(settings: Settings, *, as_json: bool) -> None:
    from genretagger.database.store import Store

    with Store.open(settings.database, create=False, read_only=True, libraries=settings.libraries) as store:
        store.units.see_server()
        progress, rates = store.units.get_progress(), store.units.get_rates(_MINUTES)
        failures, failed = store.units.get_failures(), store.units.get_failed(_SHOWN)
        fetched = store.units.get_fetched()
    if as_json:
        output.say_json(
            {
                **asdict(progress),
                "stages": [asdict(rate) for rate in rates],
                "failures": failures,
                "failed_folders": [
                    {"path": address_of(each.folder), "cause": each.cause, "reason": each.reason} for each in failed
                ],
                "fetched_bytes": fetched,
                "seconds_left": _left_s(progress, rates),
            }
        )
        return
    for line in _lines(progress, fetched):
        output.say(line)
    for rate in rates:
        pace = (
            f"{rate.tracks / 60 / max(1, rate.minutes):.1f} tracks/s, {rate.seconds / max(1, rate.tracks):.2f} s each"
        )
        output.say(f"stage       {rate.stage:8} on {printable(rate.node)}: {pace}")
    for name, count in failures.items():
        output.say(f"failures    {name}: {count:,}")
    for unit in failed:
        output.say(f"set aside   {printable(unit.folder)}: {printable(unit.reason)}")
    left = _left_s(progress, rates)
    if left is not None:
        output.say(f"time left   {said(left)}")


def _left_s(progress: ArchiveProgress, rates: list[Rate]) -> float | None:
    """Seconds left at the pace of the last minutes; None if nothing is left or no pace is known."""
    from genretagger.database.units import UnitState

    pace = sum(rate.tracks / 60 / max(1, rate.minutes) for rate in rates if rate.stage == "finish")
    left = progress.files[UnitState.WAITING] + progress.files[UnitState.WORKING]
    return left / pace if left and pace else None


def _lines(progress: ArchiveProgress, fetched_bytes: int) -> list[str]:
    from genretagger.database.units import UnitState as State

    files, units = progress.files, progress.units
    whole_files = sum(files.values())
    share = f" ({files[State.DONE] / whole_files:.1%})" if whole_files else ""
    return [
        f"folders     {units[State.DONE]:,} done, {units[State.WORKING]:,} being done, "
        f"{units[State.WAITING]:,} waiting, {units[State.FAILED]:,} set aside",
        f"files       {files[State.DONE]:,} of {whole_files:,} done{share}",
        f"outcomes    {progress.tagged:,} tagged, {progress.unchanged:,} unchanged, {progress.skipped:,} skipped, "
        f"{progress.failed:,} failed",
        *([f"fetched     {fetched_bytes / 1e6:,.1f} MB from object storage"] if fetched_bytes else []),
    ]
