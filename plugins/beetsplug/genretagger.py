"""Genres from the sound itself: `beet genretag`, and genres at import. See docs/beets.md.

This is beets' side of it: which items, whose genre is whose, what is shown and stored; beets writes the files by its
own rules. Listening, deciding and the history are genretagger's (`genretagger.beets.ears`), of which nothing is
imported until it is needed, because every `beet` command loads the plugins.
"""

from __future__ import annotations

import atexit
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from beets import ui
from beets.dbcore import types
from beets.library import Album, Item
from beets.plugins import BeetsPlugin
from beets.util import displayable_path
from beetsplug._genretagger_models import (
    GIVEN,
    KEPT,
    Choice,
    forget,
    genres_of,
    give,
    is_ours,
    needs,
    number,
    own,
    path_of,
    whose,
)
from beetsplug._genretagger_options import DEFAULTS, ORDERS, add_flags, order_of
from beetsplug._genretagger_writing import Scribe

from genretagger.errors import FileError, GenretaggerError
from genretagger.text import printable

if TYPE_CHECKING:
    from beets.importer import ImportSession, ImportTask
    from beets.library import Library

    from genretagger.beets.ears import Ears, Heard
    from genretagger.cli.output import Bar

UserError = ui.UserError  # type: ignore[attr-defined]  # its new home, beets.exceptions, is younger than 2.7


class GenretaggerPlugin(BeetsPlugin):
    """The plugin."""

    def __init__(self) -> None:
        super().__init__("genretagger")
        self.config.add(DEFAULTS)
        self._ears: Ears | None = None
        self._bar: Bar | None = None
        self._lock = threading.Lock()
        self._scribe = Scribe(self._listen, partial(self._say, "in the library only"), self._failed)
        self._tally: Counter[str] = Counter()
        self._deaf = False
        self._chatty = False
        order = order_of(self.config["sources"].get())
        self._fault = needs() or ("" if order else f"genretagger.sources in beets' configuration is none of: {ORDERS}")
        if self._fault:
            self._log.warning("{}", self._fault)  # to raise here would print a traceback
            return
        self._late = order[0] == "lastgenre"
        self.item_types = {
            "genretagger_source": types.STRING,
            "genretagger_score": types.Float(4),
            "genretagger_model": types.STRING,
            GIVEN: types.STRING,
            KEPT: types.STRING,
        }
        self.album_types = {GIVEN: types.STRING, KEPT: types.STRING}
        self.register_listener("write", self.before_write)
        self.register_listener("after_write", self.after_write)
        self.register_listener("cli_exit", self.close)
        if self.config["auto"].get(bool):
            if not self._late:
                self.early_import_stages = [self.imported]
            self.register_listener("import_task_files", self.files_in_place)

    def _set_log_level_and_params(self, base_log_level: int, func: Any) -> Any:
        """Leave our functions as they are.

        beets' own wrapper sets the level of a logger that all threads share and asserts that none of our functions runs
        already, which fails an import: ours run in several of its threads, and inside each other.
        """
        del base_log_level
        return func

    # The command

    def commands(self) -> list[ui.Subcommand]:
        """Give `beet genretag`."""
        command = ui.Subcommand("genretag", help="write genres by listening to the music")
        add_flags(command.parser)
        command.func = self.command
        return [command]

    def command(self, lib: Library, options: Any, query: list[str]) -> None:
        """Do what `beet genretag` was asked to."""
        if self._fault:
            raise UserError(self._fault)
        self.config.set_args(vars(options))
        self._tally.clear()
        self._chatty = not self._is("quiet")
        try:
            if self._is("undo"):
                groups = [album.items() for album in lib.albums(query)] if self._is("albums") else [lib.items(query)]
                self._undo(lib, [item for group in groups for item in group])
            elif self._is("albums"):
                self._tag_albums(list(lib.albums(query)))
            else:
                self._tag_items(lib, list(lib.items(query)))
        except GenretaggerError as error:
            raise UserError(printable(str(error))) from error
        self._summarise()

    def _tag_items(self, lib: Library, items: Sequence[Item]) -> None:
        items = [item for item in items if not self._is_kept(item, "track")]
        albums: dict[int, None] = {}
        with self._heard(items) as stream:
            for item, heard in zip(items, stream, strict=False):
                with self._one(item):
                    if self._take(item, heard, self._choice(heard)) and item.album_id:
                        albums[item.album_id] = None
        for album_id in albums:
            if (album := lib.get_album(album_id)) is not None:
                self._follow_tracks(album)

    def _tag_albums(self, albums: Sequence[Album]) -> None:
        todo = []
        for album in albums:
            items = list(album.items())
            empty = {number(item) for item in items if not self._is_kept(item, "album")}
            if items and (empty or not genres_of(album)):
                todo.append((album, items, empty))
        with self._heard([item for _, items, _ in todo for item in items]) as stream:
            for album, items, empty in todo:
                results = list(islice(stream, len(items)))
                decision = self._listen().decide_together([path_of(item) for item in items])
                choice = self._made(decision.genres, decision.reason, decision.scores, "album")
                for item, heard in zip(items, results, strict=False):
                    with self._one(item):
                        if number(item) in empty:
                            self._take(item, heard, choice)
                with self._one(album):
                    self._give(album, choice.genres, add=self._adds())

    def _undo(self, lib: Library, items: Sequence[Item]) -> None:
        albums: dict[int, None] = {}
        for item in filter(is_ours, items):
            with self._one(item):
                write = ui.should_write(self.config["write"].get()) and not self._is("pretend")
                item.genres = list(self._listen().undo(path_of(item), write=write))
                self._tally["undone"] += 1
                if self._chatty:
                    ui.show_model_changes(item, fields=["genres"])
                if not self._is("pretend"):
                    item.mtime = item.current_mtime()
                    forget(item)
                    albums[item.album_id or 0] = None
        for album_id in albums:
            album = lib.get_album(album_id)
            if album is not None and is_ours(album):
                # An album whose owner gave it genres gets only those back, where no track has any of ours left.
                follows = not whose(album)[0] or any(is_ours(item) for item in album.items())
                self._give(album, self._most_have(album) if follows else (), add=True)

    @contextmanager
    def _heard(self, items: Sequence[Item]) -> Iterator[Iterator[Heard]]:
        """Listen to items in their order, with a bar on a terminal."""
        from genretagger.cli.output import Bar

        def stream() -> Iterator[Heard]:
            for done, heard in enumerate(self._listen().hear([path_of(item) for item in items]), 1):
                yield heard
                bar.update(heard.outcome.path.name, done, len(items))

        with Bar("tracks", shown=bool(items) and self._chatty) as bar:
            bar.update("listening", 0, len(items))
            self._bar = bar
            try:
                yield stream() if items else iter(())
            finally:
                self._bar = None

    def _take(self, item: Item, heard: Heard, choice: Choice) -> bool:
        """Show, write and store what was chosen for an item; whether there was something."""
        if not self._accepts(item, heard, choice):
            return False
        old = genres_of(item)
        choice = self._set(item, choice)
        self._tally["tagged" if genres_of(item) != old else "kept"] += 1
        if self._chatty:
            ui.show_model_changes(item, fields=["genres"])
        if self._is("pretend"):
            return True
        if ui.should_write(self.config["write"].get()):
            self._scribe.write(item, choice)
        item.store()
        return True

    def _summarise(self) -> None:
        if self._chatty:
            states = ("undone", "failed") if self._is("undo") else ("tagged", "unsure", "kept", "failed")
            counts = ", ".join(f"{self._tally[each]} {each}" for each in states)
            self._log.info("{}{}", counts, " (pretended)" if self._is("pretend") else "")

    # Import

    def imported(self, session: ImportSession, task: ImportTask) -> None:
        """Listen where the files came from, so that what comes after us sees the genres."""
        del session
        with self._import():
            self._hear_task(task)

    def files_in_place(self, task: ImportTask, **_: Any) -> None:
        """Write what beets did not: it writes the tags of matches only, and before we listened where we come last."""
        with self._import():
            if self._late:
                self._hear_task(task)
        with self._import():
            for item in task.imported_items():
                with self._one(item):
                    if (choice := self._scribe.unwritten(item)) is not None and ui.should_write():
                        self._scribe.write(item, choice)
                        item.store()

    def before_write(self, item: Item, path: bytes, tags: dict[str, Any], **_: Any) -> None:
        """Let the history know of genres of ours that beets is about to write."""
        self._scribe.before_write(item, path, tags)

    def after_write(self, item: Item, path: bytes, **_: Any) -> None:
        """Let the history know that they were written."""
        with self._import():
            self._scribe.after_write(item, path)

    def _hear_task(self, task: ImportTask) -> None:
        if self._deaf:
            return
        items = [item for item in task.imported_items() if not self._is_kept(item, "track")]
        for item, heard in zip(items, self._listen().hear([path_of(item) for item in items]), strict=False):
            with self._one(item):
                if self._accepts(item, heard, choice := self._choice(heard)):
                    self._scribe.expect(item, self._set(item, choice))
                    item.store()
        if items and task.is_album:
            task.album.load()
            self._follow_tracks(task.album)

    @contextmanager
    def _import(self) -> Iterator[None]:
        """Whatever happens, the import goes on; what would happen with every album is told once."""
        try:
            yield
        except GenretaggerError as error:
            self._deaf = True
            self._log.warning("no genres from here on: {}", printable(str(error)))
        except Exception as error:  # noqa: BLE001 - the boundary to beets: no import fails because of us
            self._log.warning("a bug, and no genres here: {}: {}", type(error).__name__, error)

    # One item

    def _is_kept(self, item: Item, source: str) -> bool:
        """Whether an item's genre stays, without listening to it."""
        if not genres_of(item) or self._is("force"):
            return False
        if not is_ours(item):
            self._tally["kept"] += 1
            if not self._is("pretend"):
                forget(item)
            return True
        model, origin = own(item, "genretagger_model"), own(item, "genretagger_source")
        kept = model == self._listen().settings.model and (source == "track" or origin == source)
        self._tally["kept"] += kept
        return kept

    def _choice(self, heard: Heard) -> Choice:
        outcome = heard.outcome
        return self._made(outcome.genres, outcome.reason, outcome.scores, "track")

    def _made(self, genres: tuple[str, ...], reason: str, scores: Mapping[str, float], source: str) -> Choice:
        from genretagger.beets.genres import score_of

        score = score_of(genres[0], scores, self._listen().settings) if genres else 0.0
        return Choice(genres, reason, score, source)

    def _accepts(self, item: Item, heard: Heard, choice: Choice) -> bool:
        """Whether an item takes what was chosen for it; why not is told."""
        outcome = heard.outcome
        if outcome.status == "failed":
            self._failed(item, outcome.reason)
            return False
        before, forced = outcome.genres_before, self._is("force")
        if heard.owned and not forced:
            self._say("kept", item, heard.owned)
        elif before and not (genres_of(item) or heard.ours or forced or before == choice.genres):
            self._say("kept", item, f"its file has the genre {', '.join(before)}: `beet update` reads it")
        elif not choice.genres:
            self._say("unsure", item, choice.reason)
        else:
            return True
        return False

    def _set(self, item: Item, choice: Choice) -> Choice:
        """Change an item, not yet stored; give the choice with what stays of its own genres."""
        kept, given = self._parts(item, choice.genres, add=self._adds())
        give(item, kept, given)
        if given:
            item["genretagger_source"] = choice.source
            item["genretagger_score"] = choice.score
            item["genretagger_model"] = self._listen().settings.model
        return choice._replace(genres=(*kept, *given))

    def _adds(self) -> bool:
        """Whether the owner's genres stay beside ours."""
        return self._is("keep_existing") or not self._is("force")

    def _parts(self, model: Item | Album, chosen: tuple[str, ...], *, add: bool) -> tuple[list[str], list[str]]:
        """Say which of the owner's genres stay, and what we add; what we gave before counts for nothing."""
        from genretagger.types import Policy
        from genretagger.vocabulary.names import vocabulary
        from genretagger.vocabulary.resolve import merged

        before, _ = whose(model)
        policy, protect = Policy.ADD if add else Policy.REPLACE, self._listen().settings.protect
        kept = merged(before, (), policy, protect, vocabulary())
        both = merged(before, chosen, policy, protect, vocabulary())
        return list(kept), list(both[len(kept) :])

    # Albums

    def _follow_tracks(self, album: Album) -> None:
        """Give an album the genres that most of its tracks have."""
        self._give(album, self._most_have(album), add=self._adds())

    def _most_have(self, album: Album) -> tuple[str, ...]:
        from genretagger.beets.genres import album_genres

        tracks = [genres_of(item) for item in album.items()]
        return tuple(album_genres(tracks, self._listen().settings.max_genres))

    def _give(self, album: Album, genres: tuple[str, ...], *, add: bool) -> None:
        """Store an album's genres, unless all that it has are its owner's; its tracks keep theirs."""
        old = genres_of(album)
        if not (is_ours(album) or (genres and (not old or self._is("force")))):
            return
        kept, given = self._parts(album, genres, add=add or not genres)  # nothing is put in the place of nothing
        if old == [*kept, *given]:
            return
        give(album, kept, given)
        if not self._is("pretend"):
            album.store(inherit=False)  # a plain store() would give every track the album's genres

    # The rest

    def _is(self, option: str) -> bool:
        return bool(self.config[option].get(bool))

    def _listen(self) -> Ears:
        """Give the ears, which open the pipeline when they are first asked something.

        Raises:
            ConfigError: an option makes no sense.
        """
        with self._lock:
            if self._ears is None:
                from genretagger.beets.ears import Ears
                from genretagger.beets.options import settings_for

                settings = settings_for({name: self.config[name].get() for name in DEFAULTS})
                self._ears = Ears(settings, notice=self._notice, progress=self._progress)
                atexit.register(self._ears.close)  # `cli_exit` is not sent where a command fails
            return self._ears

    def close(self, **_: Any) -> None:
        """End the run and the child processes."""
        with self._lock:
            ears, self._ears = self._ears, None
        if ears is not None:
            ears.close()
            atexit.unregister(ears.close)

    def _notice(self, text: str) -> None:
        self._log.warning("{}", printable(text))

    def _progress(self, what: str, done: int, total: int | None) -> None:
        if self._bar is not None:
            self._bar.update(what, done, total)

    @contextmanager
    def _one(self, model: Item | Album) -> Iterator[None]:
        """Whatever happens with one of many, the others go on; the bar is not in the way of what is printed."""
        with self._bar.hidden() if self._bar is not None else nullcontext():
            try:
                yield
            except FileError as error:
                self._failed(model, str(error))
            except GenretaggerError:
                raise  # the database or the model: no other item would fare better
            except Exception as error:  # noqa: BLE001 - the boundary to beets
                self._failed(model, f"a bug: {type(error).__name__}: {error}")

    def _say(self, state: str, item: Item, reason: str) -> None:
        self._tally[state] += 1
        tell = self._log.info if self._chatty else self._log.debug
        tell("{}: {}: {}", state, printable(str(item)), printable(reason))

    def _failed(self, model: Item | Album, reason: str) -> None:
        self._tally["failed"] += 1
        where = model.path if isinstance(model, Item) else str(model)
        self._log.error("{}: {}", printable(displayable_path(where)), printable(reason))
