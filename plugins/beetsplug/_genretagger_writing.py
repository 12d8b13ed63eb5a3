"""Writing by beets' rules: beets writes the tags, and genretagger's history gets to know before and after.

beets writes at many places, and tells of each with the events `write` and `after_write`. So what is expected to be
written is noted here by item, and whoever makes beets write it, we or an import, it goes through the history.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from beets.library import Item
from beetsplug._genretagger_models import Choice, as_read_back, genres_of, number, path_of

if TYPE_CHECKING:
    from genretagger.beets.ears import Ears


class Scribe:
    """Sees to it that each genre of ours that beets writes can be undone.

    Args:
        listen: gives the ears.
        tell: is told of an item whose file was left alone, and why.
        failed: is told of an item whose write failed, and why.
    """

    def __init__(
        self, listen: Callable[[], Ears], tell: Callable[[Item, str], None], failed: Callable[[Item, str], None]
    ) -> None:
        self.written = 0
        self._listen, self._tell, self._failed = listen, tell, failed
        self._expected: dict[int, Choice] = {}
        self._announced: dict[int, int] = {}

    def expect(self, item: Item, choice: Choice) -> None:
        """Note that beets may write this into the item's file."""
        self._expected[number(item)] = choice

    def unwritten(self, item: Item) -> Choice | None:
        """Give what was expected and not written, and expect it no longer; nothing where the item has other genres."""
        choice = self._expected.pop(number(item), None)
        self._settle(item)
        return choice if choice is not None and tuple(genres_of(item)) == choice.genres else None

    def write(self, item: Item, choice: Choice) -> None:
        """Have beets write an item's tags, unless genretagger's rules keep us from its file.

        Raises:
            FileError: the file cannot be read, or not be written by genretagger's own protocol.
        """
        path, ears = path_of(item), self._listen()
        if refusal := ears.refusal(path):
            self._tell(item, refusal)
        elif path.stat().st_nlink > 1:  # allowed by `hard_links`: beets would change all names, we part this one
            ears.write(path, choice.genres, reason=choice.reason)
            item.mtime = item.current_mtime()
            self.written += 1
        else:
            self.expect(item, choice)
            item.try_write()
            self._expected.pop(number(item), None)
            self._settle(item)

    def before_write(self, item: Item, path: bytes, tags: dict[str, Any]) -> None:
        """Announce a write that beets is about to make; where that fails, the genre is left out of it."""
        choice = self._expected.get(number(item))
        if choice is None or path != item.path or tuple(tags.get("genres") or ()) != choice.genres:
            return
        try:
            shown = as_read_back(item, choice.genres)
            write_id = self._listen().announce(path_of(item), shown, reason=choice.reason)
        except Exception as error:  # noqa: BLE001 - the boundary to beets
            tags.pop("genres", None)
            self._failed(item, f"its genre is in the library only, as it could not be noted in the history: {error}")
            return
        if write_id is not None:
            self._announced[number(item)] = write_id

    def after_write(self, item: Item, path: bytes) -> None:
        """Settle a write that beets made."""
        if path == item.path and number(item) in self._announced:
            self._expected.pop(number(item), None)
            self.written += 1
            self._settle(item)

    def _settle(self, item: Item) -> None:
        """Record what became of a write that was announced, be it that beets failed."""
        write_id = self._announced.pop(number(item), None)
        if write_id is not None:
            self._listen().settle(write_id)
