"""Brings the index up to date with the database."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from genretagger.database.listings import Listed
from genretagger.database.store import Store
from genretagger.shelf.flat import Row, flatten
from genretagger.shelf.index import Index
from genretagger.vocabulary.names import vocabulary

_PART = 500
"""Rows that are saved in one transaction: readers see a large library grow."""

_MANY = 2000
"""If more files than this changed, reading all of them is quicker than asking for each."""

_OVERLAP = timedelta(seconds=120)
"""How far back to look for changes again: machines that share a database differ in clocks."""

Counted = Callable[[int, int], None]


def refresh(store: Store, index: Index, *, most: int | None = None, progress: Counted = lambda *_: None) -> int | None:
    """Bring the rows up to date.

    Args:
        store: the database, for reading.
        most: do nothing if more rows than this are to be changed.
        progress: called with the rows done and all rows, if there are many.

    Returns:
        How many rows were changed, added or removed; None if nothing was done.
    """
    began = store.listings.get_now()
    there = {each.id: each for each in store.listings.get_listed()}
    known = index.marks()
    gone = [number for number in known if number not in there]
    changed = {
        number for number, each in there.items() if number not in known or known[number] != (each.mark, each.path)
    }
    if len(changed) < len(there):
        changed |= _touched(store, index, there)
    if most is not None and len(changed) + len(gone) > most:
        return None
    by_path = {there[number].path: there[number] for number in changed}
    with index.writing():
        index.remove(gone)
    done = 0
    rows = _rows(store, by_path)
    while part := list(islice(rows, _PART)):
        with index.writing():
            index.put(part)
        done += len(part)
        if len(by_path) > _PART:
            progress(done, len(by_path))
    with index.writing():
        index.set_note("looked_at", began.isoformat())
    return len(gone) + done


def refresh_paths(store: Store, index: Index, paths: Iterable[Path]) -> None:
    """Bring the rows of a few files up to date at once."""
    listed = {}
    for path in paths:
        number, raw = store.listings.get_id(path), os.fsencode(path)
        if number is not None:
            listed[raw] = Listed(number, raw, "")  # the next look at everything finds its mark
    rows = list(_each(store, listed))
    with index.writing():
        index.put(rows)


def _touched(store: Store, index: Index, there: dict[int, Listed]) -> set[int]:
    """Files with a decision or a write since the last update; their own rows may be unchanged."""
    since = index.note("looked_at")
    if since is None:
        return set(there)
    hashes = store.listings.get_changed_since(datetime.fromisoformat(since) - _OVERLAP)
    if not hashes:
        return set()
    paths = {os.fsencode(path) for path in store.listings.get_paths(hashes)}
    return {number for number, each in there.items() if each.path in paths}


def _rows(store: Store, wanted: dict[bytes, Listed]) -> Iterator[Row]:
    if len(wanted) < _MANY:
        yield from _each(store, wanted)
        return
    names = vocabulary()
    for known in store.reports.get_all():
        listed = wanted.get(os.fsencode(known.path))
        if listed is not None:
            yield flatten(listed.id, listed.mark, known, names)


def _each(store: Store, wanted: dict[bytes, Listed]) -> Iterator[Row]:
    names = vocabulary()
    for raw, listed in wanted.items():
        known = store.reports.get(Path(os.fsdecode(raw)))
        if known is not None:
            yield flatten(listed.id, listed.mark, known, names)
