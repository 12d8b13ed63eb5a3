"""Records where another program moved files to, so that `genretagger undo` finds them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from genretagger.config import Settings
from genretagger.database.store import Store


def record(settings: Settings, moves: Iterable[tuple[Path, Path]]) -> None:
    """Note in the database that files were moved; this does not need the model.

    Args:
        moves: from where to where, in their order.

    Raises:
        GenretaggerError: the database cannot be opened or written.
    """
    if not settings.has_database:
        return
    with Store.open(settings.database, create=False, libraries=settings.libraries) as store:
        for source, target in moves:
            store.tracks.save_move(source, target)
