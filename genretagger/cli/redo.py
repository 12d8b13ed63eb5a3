"""`genretagger redo`: put back the genres that an undo took away."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genretagger.cli.options import MOST, AsJson, any_path

if TYPE_CHECKING:
    from genretagger.cli.undoing import Request
    from genretagger.database import Store, StoredWrite


def redo(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH...", parser=any_path, help="Put back what the last undo took from these files."),
    ] = None,
    last: Annotated[bool, typer.Option("--last", help="Put back what the last undo took away.")] = False,
    run: Annotated[
        int | None,
        typer.Option(
            "--run",
            metavar="ID",
            min=1,
            max=MOST,
            help="Put back what this run wrote, or took away.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would be done.")] = False,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Put back also where the genre was changed since.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put back the genres that `genretagger undo` took away.

    If somebody changed the genre since, it stays. Run again, it goes one step further; a redo can be undone.
    """
    from genretagger.cli.undoing import Asked, Words, carry_out

    words = Words("redo", done="put back", nothing="nothing is left to put back")
    asked = Asked(tuple(paths or ()), last=last, run=run, force=force)
    carry_out(words, asked, _chosen, dry_run=dry_run, as_json=as_json)


def _chosen(store: Store, request: Request) -> Iterable[StoredWrite]:
    """The undos to take back; none if all were, or something new was written since.

    Raises:
        ConfigError: nothing was ever undone there.
    """
    from genretagger.database import WriteKind
    from genretagger.errors import ConfigError

    for path in request.paths:
        if not any(write.kind is WriteKind.UNDO for write in store.writes.get_all(under=path)):
            raise ConfigError("nothing was undone there", path=path)
    if request.paths:
        return request.newest(lambda path: store.writes.get_redoable(under=path))
    if request.last:
        newest = request.name_last(store.writes.get_last_undo)
        if newest is None:
            if not any(write.kind is WriteKind.UNDO for write in store.writes.get_all()):
                raise ConfigError("nothing was undone yet")
            return []
        return (write for write in store.writes.get_redoable(run_id=newest) if write.run_id == newest)
    run = request.run
    undone = any(
        write.kind is WriteKind.UNDO or write.undone_by is not None for write in store.writes.get_all(run_id=run)
    )
    if not undone:
        raise ConfigError(f"run {run} has undone nothing", hint="`genretagger history` lists the runs")
    return store.writes.get_redoable(run_id=run or 0)
