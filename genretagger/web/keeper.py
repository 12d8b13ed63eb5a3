"""Keeps the index up to date with the database, in its own thread.

A large change (the first start, a new model) is worked through by a child process (`python -m
genretagger.shelf`): it takes a minute of one core for 100,000 tracks, and memory that the server
then never needs. Small changes are taken in here, within a second or two of being made. When
nothing else is to be done, files are looked at for their year and cover, slowly.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from dataclasses import asdict
from pathlib import Path

from genretagger import launch
from genretagger.database.store import Store
from genretagger.errors import FileError, GenretaggerError
from genretagger.files.replace import stamp_of
from genretagger.shelf import filling
from genretagger.shelf.errand import Errand, ProgressLine
from genretagger.shelf.index import Index, row_path
from genretagger.strict import read
from genretagger.text import printable
from genretagger.web.desk import Desk

_LOOK_S = 1.0
"""Seconds between two looks for changes."""

_LISTS_S = 60.0
"""Seconds between two renewals of vectors and lists, which take some seconds of a core each."""

_SMALL = 500
_LOOKED = 20
"""Files that are looked at between two looks for changes."""


class Keeper:
    """The thread.

    Args:
        desk: for the settings, the child processes, and all pages.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._end = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="genretagger-keeper", daemon=True)

    def start(self) -> None:
        """Keep the index until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """End, and with it the child."""
        self._end.set()
        child = self._child
        if child is not None:
            with contextlib.suppress(OSError):
                child.kill()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._end.is_set():
            settings = self._desk.settings
            where, libraries = settings.database, settings.libraries
            try:
                with (
                    Store.open(where, create=False, read_only=True, libraries=libraries) as store,
                    Index(settings.data_dir) as index,
                ):
                    self._keep(store, index)
            except (GenretaggerError, FileNotFoundError) as error:
                cause = error.message if isinstance(error, GenretaggerError) else str(error)
                self._desk.hub.tell("notice", printable(f"the index cannot be kept: {cause}"))
                self._end.wait(10 * _LOOK_S)

    def _keep(self, store: Store, index: Index) -> None:
        version: tuple[int, ...] | None = None
        lists_at_s = look_at_s = 0.0
        changed = True
        while not self._end.is_set():
            now = store.listings.get_version()
            if now != version and time.monotonic() >= look_at_s:
                version = now
                began_s = time.monotonic()
                done = filling.refresh(store, index, most=_SMALL)
                # a large library takes a second to compare: never more than a tenth of a core for
                # that
                look_at_s = time.monotonic() + 10 * (time.monotonic() - began_s)
                changed |= done != 0
                if done is None:
                    lists_at_s = 0.0
                elif done:
                    self._desk.hub.tell("changed", {})
            if changed and time.monotonic() >= lists_at_s:
                changed = False
                self._in_child()
                lists_at_s = time.monotonic() + _LISTS_S
                self._desk.hub.tell("changed", {})
            self._desk.rest()
            if not self._look_at_some(index):
                self._end.wait(_LOOK_S)

    def _in_child(self) -> None:
        """Have a child process bring everything up to date, and pass on its progress."""
        settings = self._desk.settings
        libraries = {name: str(folder) for name, folder in settings.libraries.items()}
        asked = Errand(str(settings.database), str(settings.data_dir), libraries)
        with subprocess.Popen(
            launch.command("shelf", warnings=False),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=launch.environment(),
            cwd=launch.root_folder(),
        ) as child:
            self._child = child
            if child.stdin is None or child.stdout is None:
                return
            with contextlib.suppress(OSError):
                child.stdin.write(json.dumps(asdict(asked)).encode())
                child.stdin.close()
            for line in child.stdout:
                with contextlib.suppress(ValueError):
                    self._desk.hub.tell("progress", asdict(read(ProgressLine, json.loads(line))))
        self._child = None
        if child.returncode and not self._end.is_set():
            self._desk.hub.tell("notice", f"the index could not be updated (status {child.returncode})")

    def _look_at_some(self, index: Index) -> int:
        """Look at some files for their year, codec and cover; returns how many are left."""
        rows = index.connection.execute(
            "SELECT id, path FROM rows WHERE looked IS NULL ORDER BY id LIMIT ?", (_LOOKED,)
        ).fetchall()
        if not rows:
            return 0
        for row in rows:
            if self._end.is_set():
                return 0
            self._look_at(index, row["id"], row_path(row))
        self._desk.hub.tell("changed", {"looked": True})
        return len(rows)

    def _look_at(self, index: Index, number: int, path: Path) -> None:
        year, codec, cover = None, "", False
        mark = "gone"
        try:
            stamp_of(path)
            found = self._desk.showing.look(path).result()
            year, codec, cover, mark = found.year, found.codec, found.cover, "seen"
        except FileError:
            pass
        except RuntimeError:  # the children are being ended
            return
        with index.writing():
            index.put_look(number, mark, year, codec, cover)
