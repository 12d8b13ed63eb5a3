"""Known genres by path, from a table or from beets' library."""

from __future__ import annotations

import csv
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from genretagger.errors import ConfigError
from genretagger.text import without_quote
from genretagger.textfile import decoded, open_binary
from genretagger.training.labels import LARGEST_TABLE_BYTES, Table, parted

_PATH_COLUMNS, _GENRE_COLUMNS = ("path", "file", "filename"), ("genres", "genre", "label", "labels")
_OWN_EXPORT = {"path", "genres", "decided", "decided_at"}
_SEPARATORS = (",", ";", "\t")
_EXAMPLE = "It begins with the line `path,genres`; several genres of a file are separated by `;`"
_QUOTES = 'A cell that contains the separator needs quotes: "Sun, Moon.mp3"'
_MOST_TRIED = 1_000


def from_csv(path: Path) -> Table:
    """Read a table of paths and genres; relative paths begin at the table's folder.

    Cells are separated by commas, semicolons or tabs; the first of these that makes the first line
    name both columns is used.

    Raises:
        ConfigError: the table cannot be read, has no such columns, or has a line that makes no
            sense.
    """
    rows: dict[bytes, tuple[str, ...]] = {}
    folder = path.absolute().parent
    try:
        # file names need not be UTF-8, so other bytes pass; genres are checked
        with decoded(open_binary(path, most_bytes=LARGEST_TABLE_BYTES), errors="surrogateescape") as file:
            separator, heads = _heads(file.readline(), path)
            own = heads.keys() >= _OWN_EXPORT
            for number, name, genres in _rows(file, separator, heads):
                try:
                    genres.encode()
                except UnicodeEncodeError as error:
                    raise ConfigError(
                        f"a genre in line {number} is not UTF-8", path=path, hint="Save the table as UTF-8"
                    ) from error
                place = os.fsencode(os.path.normpath(folder / (without_quote(name) if own else name)))
                rows[place] = (*rows.get(place, ()), *parted(without_quote(genres) if own else genres))
    except (OSError, csv.Error, ValueError) as error:
        raise ConfigError(
            f"the table cannot be read: {getattr(error, 'strerror', None) or error}", path=path, hint=_EXAMPLE
        ) from error
    # `genretagger export` writes what the tags say, including genres that genretagger wrote
    return Table(f"the table {path.name}", rows, ours_too=not own)


def _heads(line: str, path: Path) -> tuple[str, Mapping[str, int]]:
    """The separator of the cells, and the place of each column.

    Raises:
        ConfigError: there are no columns of paths and genres.
    """
    for separator in _SEPARATORS:
        cells = next(csv.reader([line], delimiter=separator), [])
        heads = {cell.strip().lower(): place for place, cell in reversed(list(enumerate(cells)))}
        if all(any(name in heads for name in names) for names in (_PATH_COLUMNS, _GENRE_COLUMNS)):
            return separator, heads
    raise ConfigError("the table has no columns for paths and genres", path=path, hint=_EXAMPLE)


def _rows(lines: Iterable[str], separator: str, heads: Mapping[str, int]) -> Iterator[tuple[int, str, str]]:
    """The number of each line after the first, its path and its genres.

    Raises:
        ValueError: a line has more cells than there are columns.
    """
    where, what = (next(heads[name] for name in names if name in heads) for names in (_PATH_COLUMNS, _GENRE_COLUMNS))
    width = max(heads.values()) + 1
    reader = csv.reader(lines, delimiter=separator)
    for row in reader:
        number = reader.line_num + 1
        genres = row[what : what + 1]
        if any(row[width:]):
            if separator != ";" or what != width - 1:
                raise ValueError(f"line {number} has more cells than the first line; {_QUOTES}")
            genres = row[what:]  # several genres, with the separator of the cells
        if (name := "".join(row[where : where + 1])) and genres:
            yield number, name, ";".join(genres)


def from_beets(library: Path | None = None, music: Sequence[Path] = ()) -> Table:
    """Read the genres of beets' library; nothing is written.

    Args:
        library: its database; None for the one in beets' own configuration.
        music: where its files may be. Since 2.10, beets stores paths relative to its music folder,
            which the database does not name.

    Raises:
        ConfigError: there is no such library; or beets is not installed here and no file was named;
            or the paths are relative to a folder that is not known.
    """
    folders = [place for path in music for place in (path.absolute(), *path.absolute().parents)]
    if library is None:
        library, folder = _beets_library()
        folders = [folder]
    elif (configured := _configured_for(library)) is not None:
        folders = [configured]
    if not library.is_file():
        raise ConfigError("there is no such library of beets", path=library, hint="`beet config` shows where it is")
    rows: dict[bytes, tuple[str, ...]] = {}
    try:
        with closing(sqlite3.connect(f"{library.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            columns = {row[1] for row in connection.execute("PRAGMA table_info(items)")}
            column = next((name for name in ("genres", "genre") if name in columns), None)
            if column is None:
                raise ConfigError("it is not a library of beets", path=library, hint="`beet config` shows where it is")
            for place, genres in connection.execute(f"SELECT path, {column} FROM items"):  # noqa: S608 - one of two
                name = place if isinstance(place, bytes) else os.fsencode(str(place))
                rows[name] = tuple(parted(str(genres or "")))
    except sqlite3.Error as error:
        raise ConfigError(f"the library cannot be read: {error}", path=library) from error
    return Table("beets' library", _placed(rows, folders, library), ours_too=False)


def _placed(
    rows: Mapping[bytes, tuple[str, ...]], folders: Sequence[Path], library: Path
) -> dict[bytes, tuple[str, ...]]:
    """The rows with absolute paths.

    Raises:
        ConfigError: the relative paths begin at none of the folders.
    """
    relative = sorted(name for name in rows if not name.startswith(b"/"))
    if not relative:
        return dict(rows)
    tried = [os.fsdecode(name) for name in relative[:_MOST_TRIED]]
    folder = next((each for each in folders if any((each / name).is_file() for name in tried)), None)
    if folder is None:
        raise ConfigError(
            "its paths are relative to beets' music folder, which is not known",
            path=library,
            hint="Name it: genretagger train /path/to/music --labels library.db",
        )
    return {os.fsencode(folder / os.fsdecode(name)): genres for name, genres in rows.items()}


def _configured_for(library: Path) -> Path | None:
    """The music folder of a library, if it is the library of the owner's beets."""
    try:
        known, folder = _beets_library()
        return folder if known.samefile(library) else None
    except (ConfigError, OSError):
        return None


def _beets_library() -> tuple[Path, Path]:
    """The database and the music folder of the owner's beets."""
    try:
        from beets import config
        from beets.util import syspath
    except ImportError as error:
        raise ConfigError(
            "beets is not installed beside genretagger, so its library cannot be found",
            hint="Name it: --labels /path/to/library.db, or install genretagger[beets]",
        ) from error
    config.read()
    library, folder = (os.fspath(config[name].as_filename()) for name in ("library", "directory"))
    return Path(os.fsdecode(syspath(library))), Path(os.fsdecode(syspath(folder)))
