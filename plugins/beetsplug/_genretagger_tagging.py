"""`beet genretag`: give genres to tracks, or to albums as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from beets.library import Album, Item
from beetsplug._genretagger_albums import BeetsAlbums
from beetsplug._genretagger_models import BeetsChoice, genres_of, is_ours, named, number, path_of, whose, written
from beetsplug._genretagger_session import BeetCommand, check_library, holding
from beetsplug._genretagger_tracks import BeetsTracks, unread
from beetsplug._genretagger_writing import Scribe

if TYPE_CHECKING:
    from beets.library import Library


class Tagging:
    """The work of `beet genretag`: infers genres for items and writes them."""

    def __init__(self, session: BeetCommand, tracks: BeetsTracks, albums: BeetsAlbums, scribe: Scribe) -> None:
        self._session = session
        self._tracks = tracks
        self._albums = albums
        self._scribe = scribe

    def tag_items(self, lib: Library, items: Sequence[Item]) -> None:
        """Tag items one by one, then their albums.

        Albums that an interrupted run left without a genre are included.
        """
        kept = {number(item) for item in items if self._tracks.is_kept(item, "track")}
        todo = [item for item in items if number(item) not in kept]
        stood = [item for item in items if number(item) in kept and is_ours(item)]
        taken: dict[int, None] = {}
        with self._albums_at_the_end(lib, taken, {item.album_id: None for item in stood if item.album_id}):
            if todo:
                self._check(lib)
            self._write_held(lib, stood)
            with self._session.hearing(todo) as stream:
                for item, heard in zip(todo, stream, strict=False):
                    with self._session.one(item):
                        choice = self._tracks.choice(heard)
                        if self._tracks.accepts(item, heard, choice):
                            taken[item.album_id or 0] = None
                            self._take(lib, item, choice)

    def tag_albums(self, lib: Library, albums: Sequence[Album]) -> None:
        """Tag albums, each by the activations of all its tracks."""
        todo = []
        for album in albums:
            items = list(album.items())
            empty = {number(item) for item in items if not self._tracks.is_kept(item, "album")}
            self._write_held(lib, [item for item in items if number(item) not in empty and is_ours(item)])
            if items and (empty or not genres_of(album)):
                todo.append((album, items, empty))
        if todo:
            self._check(lib)
        with self._session.hearing([item for _, items, _ in todo for item in items]) as stream:
            for album, items, empty in todo:
                results = list(islice(stream, len(items)))
                decision = self._session.listen().decide_together([path_of(item) for item in items])
                choice = self._tracks.made(decision.genres, decision.reason, decision.scores, "album")
                for item, heard in zip(items, results, strict=False):
                    with self._session.one(item):
                        if number(item) in empty and self._tracks.accepts(item, heard, choice):
                            self._take(lib, item, choice)
                with self._session.one(album):
                    self._albums.give(album, choice.genres, add=self._session.adds)

    def _take(self, lib: Library, item: Item, choice: BeetsChoice) -> None:
        """Show, write and store the choice for an item."""
        old = genres_of(item)
        choice = self._tracks.set(item, choice)
        state = "tagged" if genres_of(item) != old else "kept"
        if self._session.on("pretend"):
            self._session.show(item)
            self._session.tally[state] += 1
        else:
            with holding(lib, item):
                if self._session.writes:
                    self._scribe.write(item, choice)
                self._session.show(item)  # shows the difference to the stored item
                item.store()
                self._session.tally[state] += 1

    def _write_held(self, lib: Library, items: Iterable[Item]) -> None:
        """Write the library's genres into files that lack them, if the owner asked for it."""
        if not self._session.asked_to_write:
            return
        for item in items:
            with self._session.one(item):
                if self._lacks(item):
                    if not self._session.on("pretend"):
                        with holding(lib, item):
                            self._scribe.write(item, self._tracks.held(item))
                            item.store()
                    self._session.tally["written"] += 1

    def _lacks(self, item: Item) -> bool:
        """Whether a file has neither the genres of its item nor any from another program."""
        genres = tuple(genres_of(item))
        origin = self._session.listen().origin(path_of(item), written(item), genres)
        held = tuple(named(origin.genres))
        if held == genres:
            return False
        if origin.owned or (held and not origin.given and held != tuple(whose(item)[0])):
            self._session.say("not written", item, origin.owned or unread(held))
            return False
        return True

    def _check(self, lib: Library) -> None:
        if not self._session.on("pretend"):
            check_library(lib)

    @contextmanager
    def _albums_at_the_end(self, lib: Library, taken: dict[int, None], stood: dict[int, None]) -> Iterator[None]:
        """Update albums after their tracks, even after a Ctrl-C.

        No later run would look at these tracks again.
        """
        try:
            yield
        except KeyboardInterrupt:
            self._follow(lib, taken, {})
            raise
        self._follow(lib, taken, stood)

    def _follow(self, lib: Library, taken: dict[int, None], stood: dict[int, None]) -> None:
        for album_id in taken:
            if (album := lib.get_album(album_id)) is not None:
                self._albums.follow(album)
        for album_id in stood.keys() - taken.keys():
            self._albums.complete(lib, album_id)
