"""The genres of albums: what most of their tracks have, unless the owner set others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from beets.library import Album, Item
from beetsplug._genretagger_models import genres_of, give, has_blank, is_ours, whose
from beetsplug._genretagger_session import BeetCommand

if TYPE_CHECKING:
    from beets.importer import ImportTask
    from beets.library import Library


class BeetsAlbums:
    """Keeps albums in step with their tracks."""

    def __init__(self, session: BeetCommand) -> None:
        self._session = session

    def parts(self, model: Item | Album, chosen: Sequence[str], *, add: bool) -> tuple[list[str], list[str]]:
        """Split the new genres into the owner's that stay and ours; what we gave before is dropped.

        Args:
            chosen: the genres that it should have.
            add: whether the owner's genres stay beside them.
        """
        from genretagger.types import Policy
        from genretagger.vocabulary.names import vocabulary
        from genretagger.vocabulary.resolve import merged

        before, _ = whose(model)
        policy, protect = Policy.ADD if add else Policy.REPLACE, self._session.listen().settings.protect
        kept = merged(before, (), policy, protect, vocabulary())
        both = merged(before, chosen, policy, protect, vocabulary())
        return list(kept), list(both[len(kept) :])

    def follow(self, album: Album) -> None:
        """Give an album the genres that most of its tracks have."""
        self.give(album, self._most_have(album), add=self._session.adds)

    def complete(self, lib: Library, album_id: int) -> None:
        """Give an album genres if it has none, as after an interruption."""
        album = lib.get_album(album_id)
        if album is not None and not genres_of(album):
            self.follow(album)

    def follow_undo(self, album: Album) -> None:
        """Take back an album's genres from us, after some of its tracks lost theirs.

        A genre that the owner gave a track is the owner's in the album too.
        """
        if not is_ours(album):
            return
        items = list(album.items())
        kept = whose(album)[0]
        most: tuple[str, ...] = ()
        # otherwise the owner set the album's genres, and only those stay
        if not kept or any(map(is_ours, items)):
            most = self._most_have(album)
        theirs = {genre for item in items for genre in whose(item)[0]}
        kept += [genre for genre in most if genre in theirs and genre not in kept]
        self._store(album, kept, [genre for genre in most if genre not in kept])

    def give(self, album: Album, genres: Sequence[str], *, add: bool) -> None:
        """Store an album's genres, unless all of its old ones are its owner's.

        Its tracks keep theirs.
        """
        old = genres_of(album)
        if is_ours(album) or (genres and (not old or self._session.on("force"))):
            # an empty result never replaces genres
            kept, given = self.parts(album, genres, add=add or not genres)
            self._store(album, kept, given)

    def restore(self, task: ImportTask) -> None:
        """Give an album that was imported again its old genres.

        beets gave it those of its first track.

        If the import found new genres for that track, they stay.
        """
        replaced, album, items = list(task.replaced_albums.values()), task.album, list(task.imported_items())
        if len(replaced) != 1 or not items:
            return
        (old,) = replaced
        first = next(iter(task.replaced_items.get(items[0], ())), None)
        unchanged = first is not None and genres_of(first) == genres_of(items[0]) == genres_of(album)
        if unchanged and genres_of(old):
            self._store(album, *whose(old))

    def clean(self, album: Album) -> None:
        """Remove blank genres, which beets gave an album because its first track has them."""
        if has_blank(album) and not self._session.on("pretend"):
            album.genres = genres_of(album)
            album.store(inherit=False)

    def _store(self, album: Album, kept: Sequence[str], given: Sequence[str]) -> None:
        if (genres_of(album), whose(album)[1]) == ([*kept, *given], list(given)) and not has_blank(album):
            return
        give(album, kept, given)
        if not self._session.on("pretend"):
            album.store(inherit=False)  # a plain store() would give every track the album's genres

    def _most_have(self, album: Album) -> tuple[str, ...]:
        from genretagger.beets.genres import album_genres

        tracks = [genres_of(item) for item in album.items()]
        return tuple(album_genres(tracks, self._session.listen().settings.max_genres))
