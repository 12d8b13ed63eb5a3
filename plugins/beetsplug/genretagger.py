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
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from beets import ui
from beets.dbcore import types
from beets.library import Album, Item
from beets.plugins import BeetsPlugin
from beets.util import displayable_path
from beetsplug._genretagger_models import (
    GIVEN,
    as_read_back,
    forget,
    genres_of,
    is_ours,
    needs,
    note,
    number,
    own,
    path_of,
)

from genretagger.errors import FileError, GenretaggerError
from genretagger.text import printable

if TYPE_CHECKING:
    from beets.importer import ImportSession, ImportTask
    from beets.library import Library

    from genretagger.beets.ears import Ears, Heard
    from genretagger.cli.output import Bar

DEFAULTS: dict[str, Any] = {
    "auto": True,
    "force": False,
    "keep_existing": False,
    "sources": "genretagger",
    "count": None,
    "min_weight": None,
    "whitelist": True,
    "canonical": None,
    "aliases": True,
    "title_case": None,
    "model": None,
    "device": None,
    "windows": None,
    "hard_links": None,
    "pretend": False,
    "quiet": False,
    "albums": False,
    "write": None,
}
"""Every option, the command's flags among them; None is "as genretagger's own configuration says"."""

UserError = ui.UserError  # type: ignore[attr-defined]  # its new home, beets.exceptions, is younger than 2.7
ORDERS = (["genretagger"], ["genretagger", "lastgenre"], ["lastgenre", "genretagger"])


class Choice(NamedTuple):
    """The genres for a track, why, how sure the first one is, and whether they come from the track or its album."""

    genres: tuple[str, ...]
    reason: str
    score: float
    source: str


class GenretaggerPlugin(BeetsPlugin):
    """The plugin."""

    def __init__(self) -> None:
        super().__init__("genretagger")
        self.config.add(DEFAULTS)
        self._ears: Ears | None = None
        self._bar: Bar | None = None
        self._lock = threading.Lock()
        self._chosen: dict[int, Choice] = {}
        self._announced: dict[int, int] = {}
        self._tally: Counter[str] = Counter()
        self._deaf = False
        self._chatty = False
        sources = self.config["sources"].get()
        order = sources.replace(",", " ").split() if isinstance(sources, str) else sources
        self._fault = needs()
        if not self._fault and order not in ORDERS:
            choices = ", ".join(" ".join(names) for names in ORDERS)
            self._fault = f"genretagger.sources in beets' configuration cannot be {sources!r}. It is one of: {choices}"
        if self._fault:
            self._log.warning("{}", self._fault)  # to raise here would print a traceback
            return
        self._late = order[0] == "lastgenre"
        self.item_types = {
            "genretagger_source": types.STRING,
            "genretagger_score": types.Float(4),
            "genretagger_model": types.STRING,
            GIVEN: types.STRING,
        }
        self.album_types = {GIVEN: types.STRING}
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
        add = command.parser.add_option
        add("-p", "--pretend", action="store_true", help="show what would change, and change nothing")
        add("-f", "--force", action="store_true", help="replace also genres that genretagger did not give")
        add("-k", "--keep-existing", action="store_true", dest="keep_existing", help="with --force, add to them")
        add("-q", "--quiet", action="store_true", help="show errors only")
        add("-a", "--albums", action="store_true", help="match albums: one decision for all tracks of each")
        add("-w", "--write", action="store_true", default=None, help="write tags (default: as import.write says)")
        add("-W", "--nowrite", action="store_false", dest="write", help="change beets' library only")
        add("--model", help="name of the model to listen with")
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
            if self._is("albums"):
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
                    self._give(album, choice.genres)

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
            self._write(item, choice)
        item.store()
        return True

    def _summarise(self) -> None:
        if self._chatty:
            counts = ", ".join(f"{self._tally[each]} {each}" for each in ("tagged", "unsure", "kept", "failed"))
            self._log.info("{}{}", counts, " (pretended)" if self._is("pretend") else "")
            if self._tally["written"] and self._ears is not None:
                self._log.info("to undo: genretagger undo --run {}, then beet update", self._ears.run_id)

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
        for item in task.imported_items():
            choice = self._chosen.pop(number(item), None)
            if choice is not None and ui.should_write():
                with self._one(item):
                    self._settle(item)
                    self._write(item, choice)
                    item.store()

    def _hear_task(self, task: ImportTask) -> None:
        items = [item for item in task.imported_items() if not self._is_kept(item, "track")]
        if self._deaf or not items:
            return
        for item, heard in zip(items, self._listen().hear([path_of(item) for item in items]), strict=False):
            with self._one(item):
                if self._accepts(item, heard, choice := self._choice(heard)):
                    self._chosen[number(item)] = self._set(item, choice)
                    item.store()
        if task.is_album:
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
        from genretagger.pipeline import merged
        from genretagger.types import Policy

        settings = self._listen().settings
        before = () if is_ours(item) else tuple(genres_of(item))
        policy = Policy.ADD if self._is("keep_existing") else Policy.REPLACE
        choice = choice._replace(genres=merged(before, choice.genres, policy, settings.protect))
        item.genres = list(choice.genres)
        note(item)
        item["genretagger_source"] = choice.source
        item["genretagger_score"] = choice.score
        item["genretagger_model"] = settings.model
        return choice

    def _write(self, item: Item, choice: Choice) -> None:
        """Have beets write an item's file, unless genretagger's rules forbid it; the history gets to know."""
        path = path_of(item)
        if refusal := self._listen().refusal(path):
            self._say("library only", item, refusal)
            return
        if path.stat().st_nlink > 1:  # allowed by hard_links: beets would write into all names, we part this one
            self._listen().write(path, choice.genres, reason=choice.reason)
            item.mtime = item.current_mtime()
            self._tally["written"] += 1
            return
        self._chosen[number(item)] = choice
        item.try_write()
        self._chosen.pop(number(item), None)
        self._settle(item)

    def before_write(self, item: Item, path: bytes, tags: dict[str, Any], **_: Any) -> None:
        """Note in the history that beets is about to write genres of ours; where that fails it shall not write them."""
        choice = self._chosen.get(number(item))
        if choice is None or path != item.path or tuple(tags.get("genres") or ()) != choice.genres:
            return
        try:
            shown = as_read_back(item, choice.genres)
            write_id = self._listen().announce(path_of(item), shown, reason=choice.reason)
        except Exception as error:  # noqa: BLE001 - the boundary to beets
            tags.pop("genres", None)
            self._failed(item, f"its genre is in the library only, as the write could not be noted: {error}")
            return
        if write_id is not None:
            self._announced[number(item)] = write_id

    def after_write(self, item: Item, path: bytes, **_: Any) -> None:
        """Note that the write took place."""
        if path == item.path and number(item) in self._announced:
            self._chosen.pop(number(item), None)
            self._tally["written"] += 1
            self._settle(item)

    def _settle(self, item: Item) -> None:
        """See what became of a write that was announced, be it that beets failed."""
        write_id = self._announced.pop(number(item), None)
        if write_id is not None:
            with self._one(item):
                self._listen().settle(write_id)

    # Albums

    def _follow_tracks(self, album: Album) -> None:
        """Give an album the genres that most of its tracks have."""
        from genretagger.beets.genres import album_genres

        tracks = [genres_of(item) for item in album.items()]
        self._give(album, tuple(album_genres(tracks, self._listen().settings.max_genres)))

    def _give(self, album: Album, genres: tuple[str, ...]) -> None:
        """Store an album's genres, unless it has some that are not ours; its tracks keep theirs."""
        old = genres_of(album)
        if not genres or (old and not is_ours(album) and not self._is("force")) or old == list(genres):
            return
        album.genres = list(genres)
        note(album)
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
