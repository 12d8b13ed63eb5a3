"""`genretagger undo`: put back the genres that were there before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from genretagger.cli.undoing import UndoRequest, Words, undo_command
from genretagger.database.values import StoredWrite, WriteKind
from genretagger.errors import ConfigError

if TYPE_CHECKING:
    from genretagger.database.undos import Undos


def _chosen(undos: Undos, request: UndoRequest) -> Iterable[StoredWrite]:
    """The writes to undo; none if all were undone before.

    Raises:
        ConfigError: nothing was ever written there.
    """
    for path in request.paths:
        if not undos.has_taken_place(under=path):
            raise ConfigError("nothing was written there that could be undone", path=path)
    if request.paths:
        return request.newest(lambda path: undos.get_undoable(under=path))
    if request.last:
        newest = request.name_last(undos.get_last_run)
        if newest is None:
            if not undos.has_taken_place():
                raise ConfigError("there is nothing to undo")
            return []
        return undos.get_undoable(run_id=newest)
    run = request.run
    if not undos.has_taken_place(run_id=run):
        raise ConfigError(f"run {run} has written nothing", hint="`genretagger history` lists the runs")
    if all(write.kind is WriteKind.UNDO for write in undos.get_all(run_id=run)):
        hint = f"`genretagger redo --run {run}` puts back what it took back"
        raise ConfigError(f"run {run} is an undo; use redo to reverse it", hint=hint)
    return undos.get_undoable(run_id=run)


undo = undo_command(
    Words("undo", done="undone", nothing="nothing is left to undo"),
    _chosen,
    """Put back the genres that files had before genretagger wrote them.

    If somebody changed the genre since, it stays. If you run it again, it goes
    one step further back. `genretagger redo` reverses an undo.
    """,
)
