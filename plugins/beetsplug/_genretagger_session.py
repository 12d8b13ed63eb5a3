"""Shared by all parts of the plugin: its options, the ears, the counts and the messages."""

from __future__ import annotations

import atexit
import os
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beets import ui
from beets.dbcore.db import DBAccessError
from beets.library import Album, Item
from beets.util import displayable_path
from beetsplug._genretagger_models import path_of
from beetsplug._genretagger_options import DEFAULTS

from genretagger.causes import Reason
from genretagger.errors import FileError, GenretaggerError
from genretagger.sentences import sentence
from genretagger.text import printable

if TYPE_CHECKING:
    from beets.library import Library

    from genretagger.beets.ears import Ears, Inferred
    from genretagger.cli.output import Bar
    from genretagger.config import Settings

LIBRARY_ERRORS = (sqlite3.Error, DBAccessError)
"""The errors of beets if its library cannot be read or written.

`DBAccessError` does not derive from a database error.
"""


class BeetCommand:
    """One `beet` command."""

    def __init__(self, config: Any, log: Any) -> None:
        self.config = config
        self._log = log
        self.tally: Counter[str] = Counter()
        self.chatty = False
        self.before_close: Callable[[], None] = lambda: None
        """Called before the ears are closed, if there are any."""
        self._moves: list[tuple[Path, Path]] = []
        self._ears: Ears | None = None
        self._bar: Bar | None = None
        self._lock = threading.Lock()

    def on(self, option: str) -> bool:
        """Whether an option is on."""
        return bool(self.config[option].get(bool))

    @property
    def adds(self) -> bool:
        """Whether the owner's genres stay beside ours."""
        return self.on("keep_existing") or not self.on("force")

    @property
    def writes(self) -> bool:
        """Whether files should be written, by our options or else by beets'."""
        return bool(ui.should_write(self.config["write"].get()))

    @property
    def asked_to_write(self) -> bool:
        """Whether our own options ask to write files, as with `-w`."""
        return self.config["write"].get() is True

    # The ears

    def listen(self) -> Ears:
        """Return the ears, which open the pipeline at their first request.

        Raises:
            ConfigError: an option is invalid.
        """
        with self._lock:
            if self._ears is None:
                from genretagger.beets.ears import Ears

                self._ears = Ears(self._settings(), notice=self.warn, progress=self._progress)
                atexit.register(self.close)  # `cli_exit` is not sent if a command fails
            return self._ears

    @contextmanager
    def hearing(self, items: Sequence[Item]) -> Iterator[Iterator[Inferred]]:
        """Infer genres of items in their order, with a bar on a terminal."""
        from genretagger.cli.output import Bar

        def stream() -> Iterator[Inferred]:
            paths, albums = [path_of(item) for item in items], albums_of(items)
            for done, heard in enumerate(self.listen().hear(paths, albums), 1):
                yield heard
                bar.update(heard.outcome.path.name, done, len(items))

        with Bar("tracks", shown=bool(items) and self.chatty) as bar:
            bar.update("listening", 0, len(items))
            self._bar = bar
            try:
                yield stream() if items else iter(())
            finally:
                self._bar = None

    def close(self, **_: Any) -> None:
        """End the run and the child processes."""
        if self._ears is not None:
            self.before_close()
        with self._lock:
            ears, self._ears = self._ears, None
        if ears is not None:
            ears.close()
            atexit.unregister(self.close)
        self._record_moves()

    def moved(self, source: bytes, target: bytes) -> None:
        """Note that beets moved a file with genres of ours."""
        self._moves.append((Path(os.fsdecode(source)), Path(os.fsdecode(target))))

    def _record_moves(self) -> None:
        moves, self._moves = self._moves, []
        if not moves:
            return
        from genretagger.beets.moves import record

        try:
            record(self._settings(), moves)
        except GenretaggerError as error:
            self._log.debug("the moves of files could not be recorded: {}", printable(str(error)))

    def _settings(self) -> Settings:
        from genretagger.beets.options import settings_for

        return settings_for({name: self.config[name].get() for name in DEFAULTS})

    # Messages

    @contextmanager
    def one(self, model: Item | Album) -> Iterator[None]:
        """Go on with the others after an error of one; hide the bar while something is printed."""
        with self._bar.hidden() if self._bar is not None else nullcontext():
            try:
                yield
            except FileError as error:
                self.failed(model, str(error))
            except (GenretaggerError, *LIBRARY_ERRORS):
                # the database, the model or beets' library: all other items would fail as well
                raise
            except Exception as error:  # noqa: BLE001 - the boundary to beets
                self.failed(model, f"a bug: {type(error).__name__}: {error}")

    def show(self, item: Item) -> None:
        """Show how an item's genres change."""
        if self.chatty:
            ui.show_model_changes(item, fields=["genres"])

    def say(self, state: str, item: Item, reason: Reason | str) -> None:
        """Count an item, and log its outcome and the reason."""
        self.tally[state] += 1
        why = sentence(reason) if isinstance(reason, Reason) else reason
        tell = self._log.info if self.chatty else self._log.debug
        name = str(item) if item.title else displayable_path(item.path)
        tell("{}: {}: {}", state, printable(name), printable(why))

    def failed(self, model: Item | Album, reason: str) -> None:
        """Count a failure, and log why."""
        self.tally["failed"] += 1
        name = displayable_path(model.path) if isinstance(model, Item) else str(model)
        self._log.error("{}: {}", printable(name), printable(reason))

    def warn(self, text: str) -> None:
        """Log something that a person should know."""
        self._log.warning("{}", printable(text))

    def _progress(self, what: str, done: int, total: int | None) -> None:
        if self._bar is not None:
            self._bar.update(what, done, total)


def albums_of(items: Sequence[Item]) -> list[list[Path]]:
    """The files of each one-artist album that some items belong to; they are decided together."""
    from genretagger.beets.genres import is_by_one_artist

    albums = {item.album_id: item.get_album() for item in items if item.album_id}
    found = []
    for album in albums.values():
        if album is None or album.comp:
            continue
        tracks = list(album.items())
        artists = {album.albumartist or track.artist for track in tracks}
        if len(artists) == 1 and is_by_one_artist(artists.pop()):
            found.append([path_of(track) for track in tracks])
    return found


def check_library(lib: Library) -> None:
    """Check that beets' library can be written, before any file is.

    Raises:
        sqlite3.Error, DBAccessError: it is read-only, or another program holds it.
    """
    with lib.transaction() as transaction:
        transaction.mutate("UPDATE items SET id = id WHERE id = (SELECT min(id) FROM items)")


@contextmanager
def holding(lib: Library, item: Item) -> Iterator[None]:
    """Hold the library's lock while a file and its item change; Ctrl-C waits until both are done.

    Raises:
        sqlite3.Error, DBAccessError: the library cannot be written.
    """
    with _uninterrupted(), lib.transaction() as transaction:
        transaction.mutate("UPDATE items SET id = id WHERE id = ?", (item.id,))
        yield


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put a Ctrl-C off; only the main thread gets any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: asked.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if asked:
            raise KeyboardInterrupt
