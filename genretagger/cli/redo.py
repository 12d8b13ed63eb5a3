"""`genretagger redo`: put back the genres that an undo took away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from genretagger.cli.options import AsJson, DryRun, EvenChanged, LastRun, RunNumber, WrittenPaths
from genretagger.cli.undoing import Asked, Request, Words, carry_out
from genretagger.database.values import StoredWrite, WriteKind
from genretagger.errors import ConfigError

if TYPE_CHECKING:
    from genretagger.database.store import Store


def redo(
    paths: WrittenPaths = None,
    last: LastRun = False,
    run: RunNumber = None,
    dry_run: DryRun = False,
    force: EvenChanged = False,
    as_json: AsJson = False,
) -> None:
    """Put back the genres that `genretagger undo` took away.

    If somebody changed the genre since, it stays. Run again, it goes one step further; a redo can
    be undone.
    """
    words = Words("redo", done="put back", nothing="nothing is left to put back")
    carry_out(words, Asked(tuple(paths or ()), last, run, force), _chosen, dry_run=dry_run, as_json=as_json)


def _chosen(store: Store, request: Request) -> Iterable[StoredWrite]:
    """The undos to take back; none if all were, or something new was written since.

    Raises:
        ConfigError: nothing was ever undone there.
    """
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
