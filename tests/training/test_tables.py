"""Known genres by path: tables from spreadsheets of many countries, and the library of beets."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from genretagger.causes import recorded
from genretagger.errors import ConfigError
from genretagger.files.discover import Found
from genretagger.training.tables import from_beets, from_csv
from genretagger.types import Credits, Decision, GenreField, Heard, Stamp, Track


def labels(source: Any, path: Path | str, ours: Sequence[str] = ()) -> list[str]:
    """What a table says about a file if genretagger wrote some of its genres."""
    stamp, field = Stamp(1, 2, 3, 4, 5, 1), GenreField(tuple(ours), None, "ID3v2.4")
    track = Track(Path(path), stamp, "mp3", 1.0, "x", field)
    return list(
        source.labels(
            Heard(track, Credits(), None, Decision((), {}, recorded("")), tuple(ours)), Found(track.path, Path("/"))
        )
    )


def test_a_table(tmp_path: Path) -> None:
    table = tmp_path / "genres.csv"
    table.write_bytes(
        b"\xef\xbb\xbfPath,Genres,note\nsub/1.mp3,Jazz; Dub,x\n"
        + os.fsencode(tmp_path)
        + b"/2.mp3,Rock,\nsub/1.mp3,Blues,\n"
    )
    source = from_csv(table)
    assert labels(source, tmp_path / "sub/1.mp3") == ["Jazz", "Dub", "Blues"]
    assert labels(source, tmp_path / "2.mp3") == ["Rock"]
    assert labels(source, tmp_path / "3.mp3") == []


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("path;genres\n1.mp3;Jazz;Dub\n", id="semicolons, and genres parted like cells"),
        pytest.param('path;genres;note\n1.mp3;"Jazz;Dub";x\n', id="semicolons and quotes"),
        pytest.param("path\tgenres\r\n1.mp3\tJazz; Dub\r\n", id="tabs"),
        pytest.param('genre,file\rJazz,"1.mp3"\rDub,1.mp3\r\r,1.mp3\rJazz\r', id="old line ends, short lines"),
        pytest.param("path,genres,,\n1.mp3,Jazz;Dub,,\n,Rock,,\n", id="columns without a name"),
    ],
)
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_as_spreadsheets_write_them(tmp_path: Path, content: str, coding: str) -> None:
    table = tmp_path / "genres.csv"
    table.write_bytes(content.encode(coding))
    source = from_csv(table)
    assert labels(source, tmp_path / "1.mp3") == ["Jazz", "Dub"]
    assert len(source.rows) == 1


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        pytest.param(b"path,genres\n1.mp3,Jazz\nSun, Moon.mp3,Dub\n", "line 3 has more cells", id="an unquoted comma"),
        pytest.param("path,genres\n1.mp3,Chançon\n".encode("latin-1"), "line 2 is not UTF-8", id="another encoding"),
        pytest.param(b'path,genres\n1.mp3,"' + b"x" * 200_000, "field larger", id="a quote that never ends"),
    ],
)
def test_a_table_that_would_be_misread_is_refused(tmp_path: Path, content: bytes, answer: str) -> None:
    table = tmp_path / "genres.csv"
    table.write_bytes(content)
    with pytest.raises(ConfigError, match=answer) as caught:
        from_csv(table)
    assert caught.value.path == table


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe\x00"])
def test_what_is_no_table_is_told_by_name(tmp_path: Path, content: bytes) -> None:
    table = tmp_path / "genres.csv"
    table.write_bytes(content)
    with pytest.raises(ConfigError, match="table") as caught:
        from_csv(table)
    assert caught.value.path == table
    assert "path,genres" in caught.value.hint


def test_beets_library_is_only_looked_at(tmp_path: Path) -> None:
    library = tmp_path / "library.db"
    with sqlite3.connect(library) as connection:
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, path BLOB, genres TEXT)")
        rows = [(b"/m/1.mp3", "Jazz\\\u2400Dub"), (b"/m/\xff.mp3", "Rock; Pop"), (b"/m/3.mp3", "")]
        connection.executemany("INSERT INTO items (path, genres) VALUES (?, ?)", rows)
    connection.close()
    before = library.read_bytes()
    source = from_beets(library)
    assert labels(source, "/m/1.mp3") == ["Jazz", "Dub"]
    odd = os.fsdecode(b"/m/\xff.mp3")
    assert labels(source, odd, ["Pop"]) == ["Rock"]  # Pop came from us
    assert labels(source, "/m/3.mp3") == []
    assert library.read_bytes() == before
    library.write_bytes(b"no database at all, but long enough to be looked at as one" * 20)
    with pytest.raises(ConfigError, match="cannot be read"):
        from_beets(library)
    with pytest.raises(ConfigError, match="no such library"):
        from_beets(tmp_path / "nowhere.db")


def test_a_library_with_paths_from_its_music_folder(tmp_path: Path) -> None:
    library, music = tmp_path / "library.db", tmp_path / "music"
    (music / "Nina").mkdir(parents=True)
    (music / "Nina" / "1.mp3").write_bytes(b"")
    with sqlite3.connect(library) as connection:
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, path BLOB, genres TEXT)")
        rows = [(b"Gone/1.mp3", "Pop"), (b"Nina/1.mp3", "Jazz"), (b"/elsewhere/1.mp3", "Rock")]
        connection.executemany("INSERT INTO items (path, genres) VALUES (?, ?)", rows)
    connection.close()
    for named in (music, music / "Nina", music / "Nina" / "1.mp3"):
        source = from_beets(library, [tmp_path / "other", named])
        assert labels(source, music / "Nina" / "1.mp3") == ["Jazz"]
        assert labels(source, "/elsewhere/1.mp3") == ["Rock"]
    with pytest.raises(ConfigError, match="music folder") as caught:
        from_beets(library, [tmp_path / "other"])
    assert "--labels" in caught.value.hint
