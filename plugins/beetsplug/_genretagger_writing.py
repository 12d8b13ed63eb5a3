"""Writing by beets' rules: beets writes the tags, genretagger's history records each write.

beets writes in many places, and sends the events `write` and `after_write` for each. The writes
that we expect are noted here by item; genres that the library notes as ours are recognised as well.
So each write of our genres, by us, by an import or by `beet write`, goes through the history and
can be undone.
"""

from __future__ import annotations

from typing import Any

import mediafile  # type: ignore[import-untyped]
from beets.library import Item
from beets.util import syspath
from beetsplug._genretagger_models import WRITE, BeetsChoice, as_read_back, genres_of, is_ours, named, number, path_of
from beetsplug._genretagger_session import BeetCommand

from genretagger.causes import Cause, because
from genretagger.errors import FileError


class Scribe:
    """Makes sure that each genre of ours that beets writes can be undone."""

    def __init__(self, session: BeetCommand) -> None:
        self.written = 0
        self._session = session
        self._expected: dict[int, BeetsChoice] = {}
        self._allowed: set[int] = set()
        self._announced: dict[int, int] = {}

    def expect(self, item: Item, choice: BeetsChoice) -> None:
        """Note that beets may write this into the item's file."""
        self._expected[number(item)] = choice

    def unwritten(self, item: Item) -> BeetsChoice | None:
        """Return the expected choice if it was not written, and stop expecting it.

        None if the item has other genres.
        """
        choice = self._expected.pop(number(item), None)
        self._settle(number(item))
        return choice if choice is not None and tuple(genres_of(item)) == choice.genres else None

    def write(self, item: Item, choice: BeetsChoice) -> None:
        """Have beets write an item's tags, unless genretagger's rules exclude its file.

        Raises:
            FileError: the file cannot be read or written.
        """
        path, ears = path_of(item), self._session.listen()
        if refusal := ears.refusal(path):
            self._session.say("in the library only", item, refusal)
        elif path.stat().st_nlink > 1:
            # allowed by `hard_links`: beets would change all names, we separate this one
            if write_id := ears.write(path, choice.genres, reason=choice.reason):
                item[WRITE] = write_id
            item.mtime = item.current_mtime()
            self.written += 1
        else:
            self.expect(item, choice)
            self._allowed.add(number(item))
            try:
                done = item.try_write()
            finally:
                self._allowed.discard(number(item))
                self._expected.pop(number(item), None)
                self._settle(number(item))
            if not done:
                raise FileError("beets could not write the file, see above", path=path)

    def before_write(self, item: Item, path: bytes, tags: dict[str, Any], **_: Any) -> None:
        """Announce a write that beets is about to make; if that fails, the genre is left out of it.

        The genre is also left out if the path is a link to a file elsewhere, or one of several
        names of a file: beets writes its other tags through them, and our genre waits until the
        import is over.
        """
        if path != item.path or tags.get("genres") is None:
            return
        choice = self._expected.get(number(item)) or _noted(item)
        if choice is None or tuple(named(tags["genres"])) != choice.genres or number(item) in self._announced:
            return
        try:
            if self._leaves_alone(item):
                tags.pop("genres")
                return
            shown = as_read_back(item, choice.genres)
            write_id = self._session.listen().announce(path_of(item), shown, reason=choice.reason)
        except Exception as error:  # noqa: BLE001 - the boundary to beets
            tags.pop("genres")
            cause = f"its genre is in the library only, because it could not be noted in the history: {error}"
            self._session.failed(item, cause)
            return
        if write_id is not None:
            self._announced[number(item)] = write_id
            item[WRITE] = write_id

    def after_write(self, item: Item, path: bytes) -> None:
        """Settle a write that beets made."""
        if path == item.path and number(item) in self._announced:
            self._expected.pop(number(item), None)
            self.written += 1
            self._settle(number(item))

    def close(self) -> None:
        """Settle the writes that beets announced and never ended."""
        for item_number in list(self._announced):
            self._settle(item_number)

    def _leaves_alone(self, item: Item) -> bool:
        if number(item) in self._allowed:
            return False
        path = path_of(item)
        return path.stat().st_nlink > 1 or self._session.listen().refusal(path) is not None

    def _settle(self, item_number: int) -> None:
        """Record the result of an announced write, even if beets failed."""
        write_id = self._announced.pop(item_number, None)
        if write_id is not None:
            self._session.listen().settle(write_id)


def _noted(item: Item) -> BeetsChoice | None:
    """Genres that the library notes as ours and the file lacks.

    Nothing is inferred, and the history is not asked.
    """
    if not number(item) or not is_ours(item):
        return None
    genres = genres_of(item)
    try:
        held = mediafile.MediaFile(syspath(item.path)).genres
    except mediafile.UnreadableFileError:
        return None  # beets meets the same error, and reports it
    return None if held == genres else BeetsChoice(tuple(genres), because(Cause.IN_LIBRARY), 0.0, "")
