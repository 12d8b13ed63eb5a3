"""Tracks: who gave which genre, and the choice for a track, at import and by the command.

A note in the library says which genres are ours. It counts if it matches the track's genres and
genretagger's history does not contradict it. If there is no such note, the history may still know
the genres in the file as ours, by the file's audio.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from beets.library import Item
from beetsplug._genretagger_albums import BeetsAlbums
from beetsplug._genretagger_models import (
    GIVEN,
    KEPT,
    MODEL,
    SCORE,
    SOURCE,
    UNDONE,
    WRITE,
    BeetsChoice,
    forget,
    genres_of,
    give,
    is_noted,
    is_ours,
    joined,
    named,
    number,
    own,
    path_of,
    split,
    whose,
    written,
)
from beetsplug._genretagger_session import BeetCommand

from genretagger.causes import Cause, Reason, because
from genretagger.errors import FileError
from genretagger.sentences import sentence

if TYPE_CHECKING:
    from genretagger.beets.ears import Inferred


class BeetsTracks:
    """The rules for a track."""

    def __init__(self, session: BeetCommand, albums: BeetsAlbums) -> None:
        self._session = session
        self._albums = albums

    def is_kept(self, item: Item, source: str) -> bool:
        """Whether an item's genre stays, so that nothing is inferred.

        Args:
            source: `track` or `album`: what would be inferred.
        """
        session = self._session
        if session.on("force"):
            return False
        if own(item, UNDONE) is not None and not is_ours(item):
            session.say("kept", item, "you undid its genre in the library; -f gives it again")
            return True
        if not genres_of(item):
            return False
        if not self.has_ours(item):
            session.tally["kept"] += 1
            if not session.on("pretend"):
                forget(item)
            return True
        model, origin = own(item, MODEL), own(item, SOURCE)
        kept = model == session.listen().settings.model and (source == "track" or origin == source)
        session.tally["kept"] += kept
        return kept

    def has_ours(self, item: Item) -> bool:
        """Whether some of an item's genres are ours.

        A note that does not match is corrected if possible.
        """
        return is_ours(item) or (is_noted(item) and (self.recognise(item) or self._is_restored(item)))

    def recognise(self, item: Item) -> bool:
        """Note an item's genres as ours if the history knows that we gave them.

        Returns whether it does.
        """
        genres = genres_of(item)
        try:
            origin = self._session.listen().origin(path_of(item), written(item), tuple(genres))
        except FileError:
            return False
        kept, given = list(origin.kept), list(origin.given)
        if not given or [*kept, *given] != genres:
            return False
        source = own(item, SOURCE)
        give(item, kept, given)
        item[SOURCE] = source or "track"
        item[MODEL] = origin.model
        item[WRITE] = origin.write
        if not self._session.on("pretend"):
            item.store()
        return True

    def _is_restored(self, item: Item) -> bool:
        """Restore an item's genres if beets replaced them by its album's; returns whether it did.

        They are not its owner's choice if we gave them to the album or to another of its tracks.
        """
        kept, given = split(own(item, KEPT)), split(own(item, GIVEN))
        genres, album = genres_of(item), item.get_album()
        if album is None or genres != genres_of(album):
            return False
        others = (other for other in album.items() if number(other) != number(item))
        if not is_ours(album) and not any(is_ours(other) and genres_of(other) == genres for other in others):
            return False
        try:
            origin = self._session.listen().origin(path_of(item), written(item), (*kept, *given))
        except FileError:
            return False
        in_file = named(origin.genres)
        if in_file and not (origin.given and in_file == [*kept, *given]):
            return False
        item.genres = [*kept, *given]
        item.mtime = item.current_mtime()
        if not self._session.on("pretend"):
            item.store()
        return True

    def choice(self, heard: Inferred) -> BeetsChoice:
        """The choice for one track."""
        outcome = heard.outcome
        return self.made(outcome.genres, outcome.reason, outcome.scores, "track")

    def made(self, genres: tuple[str, ...], reason: Reason, scores: Mapping[str, float], source: str) -> BeetsChoice:
        """A choice from a decision."""
        from genretagger.beets.genres import score_of

        score = score_of(genres[0], scores, self._session.listen().settings) if genres else 0.0
        return BeetsChoice(genres, reason, score, source)

    def held(self, item: Item) -> BeetsChoice:
        """The library's genres for an item, as a choice."""
        score = own(item, SCORE)
        source = str(own(item, SOURCE) or "track")
        known = float(score) if isinstance(score, int | float) else 0.0
        return BeetsChoice(tuple(genres_of(item)), because(Cause.IN_LIBRARY), known, source)

    def accepts(self, item: Item, heard: Inferred, choice: BeetsChoice) -> bool:
        """Whether an item takes the choice for it; if not, the reason is logged."""
        session, outcome = self._session, heard.outcome
        if outcome.status == "failed":
            session.failed(item, sentence(outcome.reason))
            return False
        before, forced = tuple(named(outcome.genres_before)), session.on("force")
        if heard.owned and not forced:
            session.say("kept", item, heard.owned)
        elif before and not (genres_of(item) or heard.ours or forced or before == choice.genres):
            session.say("kept", item, unread(before))
        elif not forced and self._is_contradicted(item, heard):
            session.say("kept", item, "genretagger's history has no record of its genre; -f replaces it")
            if not session.on("pretend"):
                forget(item)
        elif not choice.genres:
            session.say("unsure", item, choice.reason)
        else:
            return True
        return False

    def set(self, item: Item, choice: BeetsChoice) -> BeetsChoice:
        """Change an item without storing.

        Returns the choice with the item's own genres that stay.
        """
        kept, given = self._albums.parts(item, choice.genres, add=self._session.adds)
        write_id = written(item)
        give(item, kept, given)
        if given:
            item[SOURCE] = choice.source
            item[SCORE] = choice.score
            item[MODEL] = self._session.listen().settings.model
            if write_id:
                item[WRITE] = write_id
        return choice._replace(genres=(*kept, *given))

    def unset(self, item: Item, genres: tuple[str, ...], *, in_library_only: bool) -> None:
        """Give an item back its genres from before us, without storing.

        Args:
            genres: those that it had.
            in_library_only: its file was not written, so it may still have our genres.
        """
        write_id, given = written(item), whose(item)[1] or split(own(item, UNDONE))
        give(item, named(genres), [])
        if in_library_only:
            item[UNDONE] = joined(given)
            if write_id:
                item[WRITE] = write_id

    def _is_contradicted(self, item: Item, heard: Inferred) -> bool:
        """Whether a note calls genres in the file ours that the history does not know."""
        if heard.ours or not own(item, GIVEN) or not is_ours(item):
            return False
        genres = tuple(genres_of(item))
        origin = self._session.listen().origin(path_of(item), written(item), genres)
        return origin.genres == genres and not origin.given


def unread(genres: tuple[str, ...]) -> str:
    """Say that a file has genres that beets does not know."""
    return f"its file has the genre {', '.join(genres)}: `beet update` reads it"
