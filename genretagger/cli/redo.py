"""`genretagger redo`: put back the genres that an undo took away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from genretagger.cli.undoing import UndoRequest, Words, undo_command
from genretagger.database.values import StoredWrite, WriteKind
from genretagger.errors import ConfigError

if TYPE_CHECKING:
    from genretagger.database.undos import Undos


def _chosen(undos: Undos, request: UndoRequest) -> Iterable[StoredWrite]:
    """The undos to take back; none if all were, or something new was written since.

    Raises:
        ConfigError: nothing was ever undone there.
    """
    for path in request.paths:
        if not any(write.kind is WriteKind.UNDO for write in undos.get_all(under=path)):
            raise ConfigError("nothing was undone there", path=path)
    if request.paths:
        return request.newest(lambda path: undos.get_redoable(under=path))
    if request.last:
        newest = request.name_last(undos.get_last_undo)
        if newest is None:
            if not any(write.kind is WriteKind.UNDO for write in undos.get_all()):
                raise ConfigError("nothing was undone yet")
            return []
        return (write for write in undos.get_redoable(run_id=newest) if write.run_id == newest)
    run = request.run
    undone = any(write.kind is WriteKind.UNDO or write.undone_by is not None for write in undos.get_all(run_id=run))
    if not undone:
        raise ConfigError(f"run {run} has undone nothing", hint="`genretagger history` lists the runs")
    return undos.get_redoable(run_id=run or 0)


redo = undo_command(
    Words("redo", done="put back", nothing="nothing is left to put back"),
    _chosen,
    """Put back the genres that `genretagger undo` took away.

    If somebody changed the genre since, it stays. If you run it again, it goes
    one step further. A redo can be undone.
    """,
)
