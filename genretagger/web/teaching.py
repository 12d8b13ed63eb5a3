"""Training in its own process: the command `train`, as its owner would run it, with progress.

So the server's memory stays small, the same code learns, and a training that fails harms nothing
here.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from genretagger import launch
from genretagger.errors import GenretaggerError
from genretagger.model.store import DEFAULT, ModelStore
from genretagger.shelf.errand import ProgressLine
from genretagger.shelf.index import Index
from genretagger.strict import read
from genretagger.text import printable
from genretagger.types import Json
from genretagger.web.actions import BadRequestError
from genretagger.web.desk import Books, Desk

NAME = "mine"
_LEAST_OWN = 10
_MOST_ROOTS = 20


class Teacher:
    """Trains, one training at a time.

    Args:
        desk: for the settings, and all pages.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._state: Json = {"running": False}
        self.corrections = 0
        """How many choices were made since the last training."""

    def state(self, books: Books) -> Json:
        """What can be trained, and how the last training went."""
        settings = self._desk.settings
        name = self._learned(settings.model)
        own = books.index.connection.execute("SELECT count(*) FROM rows WHERE state = 'yours'").fetchone()[0]
        return {
            **self._state,
            "model": settings.model,
            "updates": name,
            "own": own,
            "least": _LEAST_OWN,
            "corrections": self.corrections,
        }

    def _learned(self, used: str) -> str:
        """The model to learn again: the one in use, or the one made here; "" if neither exists."""
        store = ModelStore(self._desk.settings.models_dir)
        for name in (used, NAME):
            if name != DEFAULT:
                with contextlib.suppress(GenretaggerError):
                    if store.get(name).card.says_learned:
                        return name
        return ""

    def start(self, books: Books) -> None:
        """Begin to train.

        Raises:
            BadRequestError: it is being done already, or there is nothing to learn from.
        """
        name = self._learned(self._desk.settings.model)
        folders = [] if name else list(map(str, roots(books.index)))
        arguments = ["--update", name] if name else ["--name", NAME, *folders]
        if not name and not folders:
            raise BadRequestError("no track has a genre that you chose, so there is nothing to learn from")
        with self._lock:
            if self._process is not None:
                raise BadRequestError("it is training already")
            self._process = subprocess.Popen(
                launch.command("__main__", "train", "--json", "--progress", *arguments, warnings=False),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=launch.environment(GENRETAGGER_DATA_DIR=os.fspath(self._desk.settings.data_dir)),
                cwd=launch.root_folder(),
            )
        self._tell({"running": True, "what": "starting", "done": 0, "of": None, "name": name or NAME})
        threading.Thread(target=self._follow, args=(name or NAME,), daemon=True).start()

    def stop(self) -> None:
        """End a training that is going on; what was heard is kept."""
        process = self._process
        if process is not None:
            with contextlib.suppress(OSError):
                process.terminate()

    def use(self, name: str) -> None:
        """Make a model the default, as `models use` does.

        Raises:
            BadRequestError: that is refused.
        """
        ended = subprocess.run(
            launch.command("__main__", "models", "use", "--", name, warnings=False),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=launch.environment(GENRETAGGER_DATA_DIR=os.fspath(self._desk.settings.data_dir)),
            cwd=launch.root_folder(),
            timeout=60,
        )
        if ended.returncode:
            raise BadRequestError(printable(ended.stderr.decode("utf-8", "replace").strip().splitlines()[-1][:300]))
        self._desk.reload()

    def _follow(self, name: str) -> None:
        process = self._process
        if process is None or process.stdout is None or process.stderr is None:
            return
        said: list[bytes] = []
        reader = threading.Thread(target=lambda: said.append(process.stdout.read()), daemon=True)  # type: ignore[union-attr]
        reader.start()
        words = ""
        for line in process.stderr:
            try:
                self._tell({"running": True, "name": name, **asdict(read(ProgressLine, json.loads(line)))})
            except ValueError:
                words = line.decode("utf-8", "replace").strip() or words
        process.wait()
        reader.join(5)
        self._process = None
        result = _result(b"".join(said))
        if result is None:
            self._tell(
                {"running": False, "failed": printable(words)[:500] or "it ended without a result", "name": name}
            )
            return
        self.corrections = 0
        self._tell({"running": False, "name": name, "result": result})

    def _tell(self, state: Json) -> None:
        self._state = state
        self._desk.hub.tell("teaching", state, keep=True)


@dataclass(frozen=True, slots=True)
class _GenreChange:
    """How well a genre was known before the training, and after it; None if nobody can say."""

    genre: str
    tracks: int
    f1_before: float | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class _Taught:
    """What is shown of the line that `train --json` prints."""

    model: str
    tracks: int
    genres: dict[str, int]
    changes: tuple[_GenreChange, ...]
    warnings: tuple[str, ...]
    seconds: float


def _result(said: bytes) -> Json:
    """What is shown of a training's result; None if there is none."""
    with contextlib.suppress(ValueError, IndexError):
        lesson = read(_Taught, json.loads(said.splitlines()[-1]))
        return {
            **asdict(lesson),
            "model": printable(lesson.model),
            "genres": [[printable(name), count] for name, count in list(lesson.genres.items())[:60]],
            "changes": [
                {**asdict(change), "genre": printable(change.genre)}
                for change in lesson.changes
                if change.f1_before is not None and change.f1 is not None
            ],
            "warnings": [printable(text) for text in lesson.warnings],
        }
    return None


def roots(index: Index) -> list[Path]:
    """A few folders, as high as needed, that hold all tracks with genres of their owner's."""
    folders = {
        Path(os.fsdecode(row[0])).parent
        for row in index.connection.execute("SELECT path FROM rows WHERE state = 'yours'")
    }
    while len(folders) > _MOST_ROOTS:
        deepest = max(len(folder.parts) for folder in folders)
        folders = {folder.parent if len(folder.parts) == deepest else folder for folder in folders}
        if deepest <= 2:
            break
    return sorted(folder for folder in folders if not any(other in folder.parents for other in folders))
