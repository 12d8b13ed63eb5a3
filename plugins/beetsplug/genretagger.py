"""Genres from the audio itself: `beet genretag`, and genres at import. See docs/beets.md.

This is the side of beets: which items, who gave which genre, what is shown and stored; beets writes
the files by its own rules. Inference, decisions and the history are genretagger's
(`genretagger.beets.ears`). None of that is imported until it is needed, because every `beet`
command loads the plugins.

Each part is a module beside this one: the notes in the library (models), what all parts share
(session), the rules for a track and for an album (tracks, albums), writing, and the three tasks of
the plugin: importing, tagging, undoing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from beets import ui
from beets.library import Item
from beets.plugins import BeetsPlugin
from beets.util import displayable_path
from beetsplug._genretagger_albums import BeetsAlbums
from beetsplug._genretagger_importing import Importing
from beetsplug._genretagger_models import ALBUM_TYPES, TRACK_TYPES, is_ours, needs, rename_album_notes
from beetsplug._genretagger_options import DEFAULTS, ORDERS, add_flags, order_of
from beetsplug._genretagger_session import LIBRARY_ERRORS, BeetCommand
from beetsplug._genretagger_tagging import Tagging
from beetsplug._genretagger_tracks import BeetsTracks
from beetsplug._genretagger_undoing import Undoing
from beetsplug._genretagger_writing import Scribe

from genretagger.errors import GenretaggerError
from genretagger.text import printable

if TYPE_CHECKING:
    from beets.library import Library

UserError = ui.UserError  # type: ignore[attr-defined]  # its new home, beets.exceptions, is younger than 2.7

FAILED, INTERRUPTED = 1, 130
"""The exit status of `beet genretag` if some files failed, and after a Ctrl-C."""


class GenretaggerPlugin(BeetsPlugin):
    """The beets plugin: the command `genretag`, and genres at import."""

    def __init__(self) -> None:
        super().__init__("genretagger")
        self.config.add(DEFAULTS)
        order = order_of(self.config["sources"].get())
        self._fault = needs() or (
            "" if order else f"genretagger.sources in beets' configuration must be one of: {ORDERS}"
        )
        if self._fault:
            self._log.warning("{}", self._fault)  # an exception here would print a traceback
            return
        self._session = session = BeetCommand(self.config, self._log)
        albums = BeetsAlbums(session)
        tracks = BeetsTracks(session, albums)
        self._scribe = scribe = Scribe(session)
        session.before_close = scribe.close
        self._tagging = Tagging(session, tracks, albums, scribe)
        self._undoing = Undoing(session, tracks, albums)
        listens, late = self.config["auto"].get(bool), order[0] == "lastgenre"
        self._importing = Importing(session, tracks, albums, scribe, listens=listens, late=late)
        self.item_types, self.album_types = TRACK_TYPES, ALBUM_TYPES
        self.early_import_stages = [self._importing.imported]
        self.register_listener("import_begin", self._importing.begun)
        self.register_listener("import_task_files", self._importing.files_in_place)
        self.register_listener("write", scribe.before_write)
        self.register_listener("after_write", self.after_write)
        self.register_listener("item_moved", self.moved)
        self.register_listener("cli_exit", session.close)

    def _set_log_level_and_params(self, base_log_level: int, func: Any) -> Any:
        """Return our functions unchanged.

        beets' own wrapper sets the level of a logger that all threads share and asserts that none
        of our functions runs already. That makes an import fail: ours run in several of its
        threads, and inside each other.
        """
        del base_log_level
        return func

    def commands(self) -> list[ui.Subcommand]:
        """Return the command `beet genretag`."""
        command = ui.Subcommand("genretag", help="write genres by listening to the music")
        add_flags(command.parser)
        command.func = self.command
        return [command]

    def command(self, lib: Library, options: Any, query: list[str]) -> None:
        """Run `beet genretag`."""
        if self._fault:
            raise UserError(self._fault)
        session = self._session
        self.config.set_args(vars(options))
        session.tally.clear()
        session.chatty = not session.on("quiet")
        try:
            self._run(lib, query)
        except KeyboardInterrupt:
            self._summarise()
            self._log.warning("interrupted: run the same command again to continue")
            self._end_with(INTERRUPTED)
            return
        except GenretaggerError as error:
            raise UserError(printable(str(error))) from error
        except LIBRARY_ERRORS as error:
            raise UserError(_about_library(lib, error)) from error
        self._summarise()
        if session.tally["failed"]:
            self._end_with(FAILED)

    def _run(self, lib: Library, query: list[str]) -> None:
        session = self._session
        if not session.on("pretend"):
            rename_album_notes(lib)
        if session.on("undo"):
            groups = [album.items() for album in lib.albums(query)] if session.on("albums") else [lib.items(query)]
            self._undoing.undo(lib, [item for group in groups for item in group])
        elif session.on("albums"):
            self._tagging.tag_albums(lib, list(lib.albums(query)))
        else:
            self._tagging.tag_items(lib, list(lib.items(query)))

    def _summarise(self) -> None:
        session = self._session
        if not session.chatty:
            return
        states = ["undone", "failed"] if session.on("undo") else ["tagged", "unsure", "kept", "failed"]
        states += ["written"] * bool(session.tally["written"])
        counts = ", ".join(f"{session.tally[each]} {each}" for each in states)
        self._log.info("{}{}", counts, " (pretended)" if session.on("pretend") else "")

    def _end_with(self, status: int) -> None:
        """End `beet` with this status after every plugin is done: the last listener does it."""

        def end(**_: Any) -> None:
            raise SystemExit(status)

        self.register_listener("cli_exit", end)

    def after_write(self, item: Item, path: bytes, **_: Any) -> None:
        """Record in the history that they were written."""
        with self._importing.guarded():
            self._scribe.after_write(item, path)

    def moved(self, item: Item, source: bytes, destination: bytes, **_: Any) -> None:
        """Record the move of a file with genres of ours."""
        if is_ours(item):
            self._session.moved(source, destination)


def _about_library(lib: Library, error: Exception) -> str:
    text = printable(str(error))
    place = printable(displayable_path(lib.path))
    if "locked" in text:
        advice = "Another program is using it: let it finish, and run the same command again"
    else:
        advice = "Make the file and its folder writable, and run the same command again"
    return f"beets' library {place} cannot be written ({text.rstrip('.')}). {advice}"
