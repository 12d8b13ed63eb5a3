"""Genres at import, for new files and for files that are already in the library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from beets import ui
from beets.library import Item
from beetsplug._genretagger_albums import BeetsAlbums
from beetsplug._genretagger_models import (
    drop_album_notes,
    genres_of,
    give,
    is_ours,
    number,
    path_of,
    rename_album_notes,
    whose,
)
from beetsplug._genretagger_session import LIBRARY_ERRORS, BeetCommand, albums_of
from beetsplug._genretagger_tracks import BeetsTracks
from beetsplug._genretagger_writing import Scribe

from genretagger.errors import GenretaggerError

if TYPE_CHECKING:
    from beets.importer import ImportSession, ImportTask


@dataclass(eq=False)
class Importing:
    """The plugin's work while beets imports.

    Attributes:
        listens: whether to infer genres; if not, only the old genres of files that are imported
            again are kept.
        late: whether to wait until all other plugins are done.
    """

    _session: BeetCommand
    _tracks: BeetsTracks
    _albums: BeetsAlbums
    _scribe: Scribe
    listens: bool
    late: bool
    _deaf: bool = False

    def begun(self, session: ImportSession, **_: Any) -> None:
        """Prepare the library before anything is imported."""
        with self.guarded():
            rename_album_notes(session.lib)

    def imported(self, session: ImportSession, task: ImportTask) -> None:
        """Infer genres before the files are moved, so that later plugins see them."""
        del session
        with self.guarded():
            self._keep_what_was_known(task)
        with self.guarded():
            if self.listens and not self.late:
                self._hear(task)

    def files_in_place(self, task: ImportTask, **_: Any) -> None:
        """Write the genres that beets did not write.

        beets writes the tags of matches only, and it writes them before we infer if we come last.
        """
        with self.guarded():
            if self.listens and self.late:
                self._hear(task)
        with self.guarded():
            for item in task.imported_items():
                with self._session.one(item):
                    if (choice := self._scribe.unwritten(item)) is not None and ui.should_write():
                        self._scribe.write(item, choice)
                        item.store()

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Let the import go on after any error.

        Errors that every album would meet are reported once.
        """
        try:
            yield
        except GenretaggerError as error:
            self._deaf = True
            self._session.warn(f"the plugin stops: {error}")
        except LIBRARY_ERRORS as error:
            self._session.warn(f"no genres here, as beets' library cannot be written: {error}")
        except Exception as error:  # noqa: BLE001 - the boundary to beets: no import fails because of us
            self._session.warn(f"a bug, and no genres here: {type(error).__name__}: {error}")

    def _keep_what_was_known(self, task: ImportTask) -> None:
        """Undo what beets did to an album that it imported again.

        Its tracks took over the album's genres.
        """
        if not task.is_album:
            return
        task.album.load()
        if task.replaced_albums:
            for item in task.imported_items():
                item.load()
                drop_album_notes(item)
            self._albums.restore(task)
        self._albums.clean(task.album)

    def _hear(self, task: ImportTask) -> None:
        if self._deaf:
            return
        everything = list(task.imported_items())
        recognised = set()
        for item in everything:
            with self._session.one(item):
                if self._is_recognised(item):
                    recognised.add(number(item))
        items = [item for item in everything if not self._tracks.is_kept(item, "track")]
        paths, albums = [path_of(item) for item in items], albums_of(items)
        for item, heard in zip(items, self._session.listen().hear(paths, albums), strict=False):
            with self._session.one(item):
                if self._tracks.accepts(item, heard, choice := self._tracks.choice(heard)):
                    self._scribe.expect(item, self._tracks.set(item, choice))
                    item.store()
        if task.is_album:
            task.album.load()
            first = everything[0] if everything and number(everything[0]) in recognised else None
            self._follow(task, first, heard=bool(items))

    def _follow(self, task: ImportTask, first: Item | None, *, heard: bool) -> None:
        album = task.album
        if first is not None and not is_ours(album) and genres_of(album) == genres_of(first):
            # beets gave the album the genres of its first track, which are ours
            give(album, *whose(first))
            album.store(inherit=False)
            heard = True
        if heard:
            self._albums.follow(album)

    def _is_recognised(self, item: Item) -> bool:
        """Note genres in a file as ours if we wrote them, as on an import after `beet remove`."""
        genres = tuple(genres_of(item))
        if not genres or is_ours(item) or not self._session.listen().may_have_given(genres):
            return False
        return self._tracks.recognise(item)
