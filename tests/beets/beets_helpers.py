"""Helpers for the tests of the beets plugin: the real `beet` on a scratch library of real files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import command_helpers
import mutagen
import numpy as np
import numpy.typing as npt
import yaml  # type: ignore[import-untyped]
from audio_factory import FORMATS, make, metadata
from beets.library import Item, Library
from conftest import Ended

from genretagger.model import install

KINDS = ("mp3", "flac", "opus", "mp4")
Samples = npt.NDArray[np.float32]
SILENCE = "silence.flac"
SOURCES = Path(__file__).parent / "sources"


@dataclass(frozen=True)
class Row:
    """An item or an album in the library."""

    title: str
    genres: list[str]
    fields: dict[str, Any]
    path: Path | None = None


class Beet:
    """The real `beet`, with its own configuration and library.

    Args:
        folder: holds `music` (to be imported), `library` and `beets` (configuration, database).
        data_dir: genretagger's data.
        recordings: techno of every kind, without a genre.
    """

    def __init__(self, folder: Path, data_dir: Path, recordings: Path) -> None:
        self.folder, self.data_dir, self.recordings = folder, data_dir, recordings
        self.music, self.library = folder / "music", folder / "library"
        self.database = folder / "beets" / "library.db"
        for each in (self.music, self.library, self.database.parent):
            each.mkdir()
        self.configure()

    def configure(self, plugins: str = "genretagger", importing: dict[str, Any] | None = None, **options: Any) -> None:
        """Write beets' configuration; a keyword is a section: `genretagger={"auto": False}`."""
        document = {
            "directory": str(self.library),
            "library": str(self.database),
            "plugins": plugins,
            "pluginpath": str(SOURCES),
            "create_backup_before_migrations": False,
            "ui": {"color": False},
            "paths": {"default": "$album/$title", "singleton": "$title", "comp": "$album/$title"},
            "import": {"autotag": False, "copy": True, "quiet": True, "log": None, **(importing or {})},
            **options,
        }
        (self.database.parent / "config.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")

    def __call__(self, *arguments: str | Path, status: int = 0, environment: dict[str, str] | None = None) -> Ended:
        """Run a command and check its exit status."""
        ended = subprocess.run(
            [Path(sys.executable).with_name("beet"), *arguments],
            env={
                **os.environ,
                "BEETSDIR": str(self.database.parent),
                "GENRETAGGER_DATA_DIR": str(self.data_dir),
                "GENRETAGGER_DEVICE": "cpu",
                "GENRETAGGER_JOBS": "1",
                **(environment or {}),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=100,
        )
        answer = Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())
        assert answer.status == status, answer
        assert "Traceback" not in answer.err
        assert "a bug" not in answer.err
        return answer

    def copies(self, folder: Path, names: Sequence[str] = KINDS, album: str = "Album", **tags: Any) -> list[Path]:
        """Copy recordings into a folder as the tracks of an album, each titled by its kind."""
        folder.mkdir(parents=True, exist_ok=True)
        made = []
        for kind in names:
            path = folder / f"{kind}{FORMATS[kind][2]}"
            shutil.copy(self.recordings / path.name, path)
            set_tags(path, album=album, title=kind, artist="Me", **tags)
            made.append(path)
        return made

    def add(self, *names: str, album: str = "Album") -> None:
        """Put recordings into the library as one album, like an import without plugins."""
        library = Library(str(self.database), str(self.library))
        try:
            items = [Item.from_path(path) for path in self.copies(self.library / album, names or KINDS, album)]
            library.add_album(items)
        finally:
            library._close()

    def tracks(self) -> dict[str, Row]:
        """All items by title."""
        return {row.title: row for row in self._rows(albums=False)}

    def genres(self) -> dict[str, list[str]]:
        """The genres of all items in the library, by title."""
        return {title: row.genres for title, row in self.tracks().items()}

    def albums(self) -> dict[str, list[str]]:
        """The genres of all albums, by title."""
        return {row.title: row.genres for row in self._rows(albums=True)}

    def in_files(self) -> dict[str, list[str]]:
        """The genres in the files of all items, by title, as mutagen sees them."""
        return {title: read(row.path) for title, row in self.tracks().items() if row.path is not None}

    def _rows(self, *, albums: bool) -> list[Row]:
        library = Library(str(self.database), str(self.library))
        try:
            rows = []
            for model in library.albums() if albums else library.items():
                own: dict[str, Any] = dict(model._values_flex)
                if isinstance(model, Item):
                    genres: Any = model.get("genres", None, with_album=False)
                    rows.append(Row(model.title, list(genres), own, Path(os.fsdecode(model.path))))
                else:
                    rows.append(Row(model.album, list(model.genres), own))
            return rows
        finally:
            library._close()


def set_tags(path: Path, **tags: Any) -> None:
    """Set tags by mutagen."""
    file = mutagen.File(path, easy=True)
    for name, value in tags.items():
        file[name] = value
    file.save()


def read(path: Path) -> list[str]:
    """The genres in a file: what mutagen finds, with which FFmpeg must agree."""
    tags = mutagen.File(path, easy=True)
    genres = [str(genre) for genre in (tags or {}).get("genre", [])]
    seen = metadata(path).get("genre", "")
    assert seen.startswith(genres[0]) if genres else not seen, (genres, seen)  # it gives the first of several in ID3
    return genres


def plays(path: Path) -> float:
    """Seconds of audio that FFmpeg decodes from a file."""
    with av.open(str(path)) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


def scratch(folder: Path, data_dir: Path, samples: Samples, shared: Path) -> Beet:
    """Make a `beet` whose genretagger knows the recordings already, so no test loads the model.

    Args:
        folder: the folder of the test.
        data_dir: genretagger's data folder, with a model.
        samples: the samples of the recordings.
        shared: a folder of this test session; the first process makes what all of them share.
    """
    kept = (shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared) / "beets"
    database = kept / "library.sqlite3"
    with install.exclusive(kept, lambda: None):
        if not database.exists():
            for kind in KINDS:
                make(kept / f"{kind}{FORMATS[kind][2]}", kind, samples=samples)
            make(kept / SILENCE, "flac", samples=np.zeros(4 * 44100, np.float32))
            command_helpers.tag(command_helpers.settings(data_dir), kept, dry_run=True)
            (data_dir / "library.sqlite3").rename(database)
    shutil.copy(database, data_dir / "library.sqlite3")
    return Beet(folder, data_dir, kept)


TECHNO = ["Trance"]
OTHER = ["yamnet & Music", "mtt & techno"]


def path_of(beet: Beet, title: str) -> Path:
    path = beet.tracks()[title].path
    assert path is not None
    return path


def lend(beet: Beet, **fields: str) -> None:
    """Give an album fields and store it as beets does by default: its tracks take them over."""
    library = Library(str(beet.database), str(beet.library))
    try:
        (album,) = library.albums()
        for name, value in fields.items():
            album[name] = value
        album.store()
    finally:
        library._close()
