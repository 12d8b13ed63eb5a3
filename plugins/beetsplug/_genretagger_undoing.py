"""`beet genretag --undo`: take back what genretagger gave, in the library and in the files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from beets.library import Item
from beetsplug._genretagger_albums import BeetsAlbums
from beetsplug._genretagger_models import UNDONE, genres_of, is_noted, is_ours, own, path_of, split, written
from beetsplug._genretagger_session import BeetCommand, check_library, holding
from beetsplug._genretagger_tracks import BeetsTracks

if TYPE_CHECKING:
    from beets.library import Library


class Undoing:
    """The undo of the command."""

    def __init__(self, session: BeetCommand, tracks: BeetsTracks, albums: BeetsAlbums) -> None:
        self._session = session
        self._tracks = tracks
        self._albums = albums

    def undo(self, lib: Library, items: Sequence[Item]) -> None:
        """Undo items, and then their albums.

        If an item was undone in the library only, its file follows as soon as files are written.
        """
        if not self._session.on("pretend") and any(map(is_noted, items)):
            check_library(lib)
        todo = [item for item in items if self._tracks.has_ours(item) or (own(item, UNDONE) and self._session.writes)]
        albums: dict[int, None] = {}
        try:
            for item in todo:
                with self._session.one(item):
                    self._undo(lib, item)
                    albums[item.album_id or 0] = None
        finally:
            if not self._session.on("pretend"):
                for album_id in albums:
                    if (album := lib.get_album(album_id)) is not None:
                        self._albums.follow_undo(album)

    def _undo(self, lib: Library, item: Item) -> None:
        write, pretend = self._session.writes, self._session.on("pretend")
        ours = tuple(genres_of(item) if is_ours(item) else split(own(item, UNDONE)))

        def back() -> tuple[str, ...]:
            ears = self._session.listen()
            return ears.undo(path_of(item), ours, written(item), write=write, pretend=pretend)

        if pretend:
            self._restore(item, back(), write=write)
            return
        with holding(lib, item):
            self._restore(item, back(), write=write)
            # otherwise `beet update` would read the old genres from the file
            item.mtime = item.current_mtime()
            item.store()

    def _restore(self, item: Item, genres: tuple[str, ...], *, write: bool) -> None:
        if is_ours(item):
            self._tracks.unset(item, genres, in_library_only=not write)
            self._session.show(item)
        else:  # the library already has the owner's genres, and only the file had ours
            self._tracks.unset(item, tuple(genres_of(item)), in_library_only=False)
        self._session.tally["undone"] += 1
