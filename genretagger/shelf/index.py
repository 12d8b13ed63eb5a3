"""The rows of the index, in their own SQLite file beside the database.

It is a cache: no `fsync`, and a file of another version, or a damaged one, is made again. An
`Index` belongs to the thread that opened it; any number of threads may read while one fills it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Self

from genretagger.errors import DatabaseError
from genretagger.files.durable import put_new
from genretagger.shelf.flat import Row
from genretagger.types import Json

VERSION = 3
FOLDER = "shelf"
"""The folder of the index in the data folder."""

_BUSY_S = 10.0
_CACHE_KIB = 8192

_SCHEMA = """
CREATE TABLE rows (
    id INTEGER PRIMARY KEY, path BLOB NOT NULL, folder TEXT, name TEXT, artist TEXT, album_artist TEXT, album TEXT,
    title TEXT, genres TEXT, state TEXT, top TEXT, score REAL, second REAL, own REAL, cause TEXT, kind TEXT,
    duration_s REAL, payload_hash TEXT, mark TEXT, year INTEGER, codec TEXT, cover INTEGER, looked TEXT,
    artist_key TEXT, album_key TEXT, title_key TEXT, genre_key TEXT, words TEXT, album_id TEXT
);
CREATE INDEX rows_path ON rows (path);
CREATE INDEX rows_artist ON rows (artist_key, album_key, id);
CREATE INDEX rows_album ON rows (album_key, id);
CREATE INDEX rows_title ON rows (title_key, id);
CREATE INDEX rows_genre ON rows (genre_key, id);
CREATE INDEX rows_score ON rows (score, id);
CREATE INDEX rows_year ON rows (year, id);
CREATE INDEX rows_state ON rows (state, id);
CREATE INDEX rows_payload ON rows (payload_hash);
CREATE INDEX rows_album_id ON rows (album_id);
CREATE INDEX rows_failed ON rows (id) WHERE cause = 'failed';
CREATE INDEX rows_looked ON rows (id) WHERE looked IS NULL;
CREATE TABLE genres (row INTEGER NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL, year INTEGER);
CREATE INDEX genres_row ON genres (row);
CREATE INDEX genres_key ON genres (key, row);
CREATE TABLE vectors (
    position INTEGER PRIMARY KEY, payload_hash TEXT UNIQUE NOT NULL, x REAL, y REAL
);
CREATE TABLE needs (row INTEGER NOT NULL, why TEXT NOT NULL, weight REAL NOT NULL, says TEXT, PRIMARY KEY (why, row));
CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


_DERIVED = ("artist_key", "album_key", "title_key", "genre_key", "words", "album_id")
_NAMES = (*(each.name for each in fields(Row)), *_DERIVED)
_PUT = (
    f"INSERT INTO rows ({', '.join(_NAMES)}) VALUES ({', '.join(f':{name}' for name in _NAMES)})"
    f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _NAMES[1:])},"
    " looked = CASE WHEN payload_hash IS excluded.payload_hash THEN looked END"
)


def folder_of(data_dir: Path) -> Path:
    """Where the index of a data folder is."""
    return data_dir / FOLDER


class Index:
    """The rows; see the module.

    Args:
        data_dir: of the database.
    """

    def __init__(self, data_dir: Path) -> None:
        self.folder = folder_of(data_dir)
        self._path = self.folder / "rows.sqlite3"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.connection = self._open()
        except OSError as error:
            raise DatabaseError(
                f"the index of the page cannot be written: {error.strerror or error}",
                path=self.folder,
                hint="The data folder must be writable",
            ) from error

    def _open(self) -> sqlite3.Connection:
        if self._path.exists():
            with contextlib.suppress(sqlite3.DatabaseError):
                connection = self._connect(self._path)
                if connection.execute("PRAGMA user_version").fetchone()[0] == VERSION:
                    return connection
                connection.close()
            for end in ("", "-wal", "-shm"):
                Path(f"{self._path}{end}").unlink(missing_ok=True)
        try:
            self._make()
            return self._connect(self._path)
        except sqlite3.Error as error:
            raise DatabaseError(f"the index of the page cannot be made: {error}", path=self._path) from error

    def _make(self) -> None:
        """Make it under another name, and rename it when whole: others may do so meanwhile."""
        temporary = self.folder / f".{os.getpid()}-{threading.get_ident()}.new"
        try:
            os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
            with contextlib.closing(self._connect(temporary)) as connection:
                connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
            with contextlib.suppress(FileExistsError):  # another thread or process was faster
                put_new(temporary, self._path)
        finally:
            for end in ("", "-wal", "-shm"):
                Path(f"{temporary}{end}").unlink(missing_ok=True)

    def _connect(self, path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        return connection

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction.

        Raises:
            DatabaseError: it cannot be saved.
        """
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
            except BaseException:
                self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise DatabaseError(f"the index of the page cannot be saved: {error}", path=self._path) from error

    def version(self) -> int:
        """Changes when another connection saved rows."""
        return int(self.connection.execute("PRAGMA data_version").fetchone()[0])

    def note(self, name: str) -> Json:
        """What was noted under a name; None if nothing was."""
        found = self.connection.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return None if found is None else json.loads(found[0])

    def set_note(self, name: str, value: Json) -> None:
        """Note something; inside of `writing`, or by itself."""
        self.connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, json.dumps(value)))

    def marks(self) -> dict[int, tuple[str, bytes]]:
        """Number of each row → its mark and path."""
        return {row[0]: (row[1], row[2]) for row in self.connection.execute("SELECT id, mark, path FROM rows")}

    def put(self, rows: Iterable[Row]) -> None:
        """Add rows, or replace those of equal number; keep what was read from unchanged files."""
        for row in rows:
            self.connection.execute(_PUT, _values(row))
            self.connection.execute("DELETE FROM genres WHERE row = ?", (row.id,))
            year = self.connection.execute("SELECT year FROM rows WHERE id = ?", (row.id,)).fetchone()[0]
            self.connection.executemany(
                "INSERT INTO genres VALUES (?, ?, ?, ?)",
                [(row.id, name, name.casefold(), year) for name in dict.fromkeys(row.genres)],
            )

    def remove(self, numbers: Iterable[int]) -> None:
        """Remove rows by their numbers."""
        ids = [(number,) for number in numbers]
        for table, column in (("rows", "id"), ("genres", "row"), ("needs", "row")):
            self.connection.executemany(f"DELETE FROM {table} WHERE {column} = ?", ids)

    def put_look(self, number: int, mark: str, year: int | None, codec: str, cover: bool) -> None:
        """Keep what was looked up in a file itself."""
        self.connection.execute(
            "UPDATE rows SET year = ?, codec = ?, cover = ?, looked = ? WHERE id = ?",
            (year, codec, int(cover), mark, number),
        )
        self.connection.execute("UPDATE genres SET year = ? WHERE row = ?", (year, number))


def _values(row: Row) -> dict[str, object]:
    """The columns of a row, by their names."""
    words = "\n".join((row.artist, row.album_artist, row.album, row.title, " ".join(row.genres), row.name, row.folder))
    return {
        **{each.name: getattr(row, each.name) for each in fields(Row)},
        "genres": json.dumps(row.genres, ensure_ascii=False),
        "state": row.state.value,
        "artist_key": _key(row.artist or row.album_artist),
        "album_key": _key(row.album),
        "title_key": _key(row.title or row.name),
        "genre_key": _key(row.genres[0] if row.genres else ""),
        "words": words.casefold(),
        "album_id": f"{row.folder}\n{row.album.casefold()}" if row.album else "",
    }


def _key(text: str) -> str:
    """A text to sort by; empty names come last."""
    return text.casefold().removeprefix("the ") or "\U0010ffff"


def row_path(row: sqlite3.Row) -> Path:
    """The path of a row."""
    return Path(os.fsdecode(row["path"]))
