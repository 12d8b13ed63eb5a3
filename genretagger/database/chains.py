"""Rows of `writes` as values with their place in a chain: a write, its undo, the redo of that …

A row names in `undo_of` the one that it took back, and nothing else. The undo of a write is an
undo, and the undo of an undo is a redo, which counts like a write and can be undone again. So
the length of its chain shows what a row is, also in databases that are older than the word "redo".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Connection, select

from genretagger.database.models import WRITES
from genretagger.database.reasons import reason_of
from genretagger.database.rules import number
from genretagger.database.values import StoredWrite, WriteKind, WriteState, field_from_json

_Links: TypeAlias = Mapping[int, tuple[int | None, int]]
"""Number of a write → the write that it took back, and its run."""

SETTLED = (WriteState.DONE.value, WriteState.UNDONE.value)
"""The states of writes that took place."""


def stored_writes(connection: Connection, rows: Sequence[Any]) -> list[StoredWrite]:
    """The writes that sound rows of `writes` hold, in their order.

    It asks the database again only if some of them are undos, or were undone.
    """
    links = _links(connection, rows)
    undone = [row.id for row in rows if row.state == WriteState.UNDONE.value]
    undone_by: dict[int, int] = {}
    if undone:
        wanted = select(WRITES.c.undo_of, WRITES.c.run_id).where(
            WRITES.c.undo_of.in_(undone), WRITES.c.state.in_(SETTLED)
        )
        found = connection.execute(wanted)
        undone_by = {undone: run for undone, run in found if undone is not None and number(run) is not None}
    return [_stored(row, links, undone_by.get(row.id)) for row in rows]


def _links(connection: Connection, rows: Sequence[Any]) -> _Links:
    """The links of these rows, and of all that they lead back to."""
    links = {row.id: (row.undo_of, row.run_id) for row in rows}
    while missing := {parent for parent, _ in links.values() if parent is not None and parent not in links}:
        wanted = select(WRITES.c.id, WRITES.c.undo_of, WRITES.c.run_id).where(WRITES.c.id.in_(missing))
        parents = {row.id: (number(row.undo_of), number(row.run_id) or 0) for row in connection.execute(wanted)}
        links.update({each: parents.get(each, (None, 0)) for each in missing})
    return links


def _stored(row: Any, links: _Links, undone_by: int | None) -> StoredWrite:
    length, seen, taken = 0, {row.id}, row.undo_of
    while taken is not None and taken not in seen:  # a damaged database may lead in a circle
        length += 1
        seen.add(taken)
        taken = links[taken][0]
    kind, of_run = WriteKind.WRITE, None
    if length % 2:
        kind, of_run = WriteKind.UNDO, links[row.undo_of][1]
    elif length:
        kind = WriteKind.REDO
        original = links[row.undo_of][0]
        of_run = None if original is None else links[original][1]
    return StoredWrite(
        id=row.id,
        run_id=row.run_id,
        path=row.path,
        payload_hash=row.payload_hash,
        before=field_from_json(row.before),
        after=field_from_json(row.after),
        model=row.model,
        reason=reason_of(row),
        temporary_name=None if row.temporary_name is None else str(row.temporary_name),
        state=WriteState(row.state),
        undo_of=row.undo_of,
        started_at=row.started_at,
        finished_at=row.finished_at,
        kind=kind,
        of_run=of_run,
        undone_by=undone_by,
        said=row.reason,
    )
