"""The real command on a real Ray and a real PostgreSQL, on this machine alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_helpers import albums, archive, expected, see_all_once, written
from postgres_server import Server

from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.database.units import NewUnit

pytestmark = pytest.mark.archive
TRACKS = 12


@pytest.fixture
def address(postgres: Server, template: str) -> Iterator[str]:
    """A new database on PostgreSQL."""
    with postgres.database(template) as address:
        yield address


def test_an_archive_is_tagged_as_by_tag(settings: Settings, address: str, music: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    albums(music, TRACKS)
    (music / "album 0" / "broken.mp3").write_text("no music\n" * 100)
    wanted = expected(settings, music, tmp_path / "copy")
    data = settings.data_dir

    heard = archive(data, music, "--database", address, "--json")
    assert heard.status == 1, heard.err
    assert heard.lines[0]["progress"]["tagged"] == TRACKS, "it says what would be"
    assert not any(written(music).values()), "without --write no file is changed"

    options = ("--database", address, "--write", "--json", "--parquet", tmp_path / "out")
    (answer,) = archive(data, music, *options).lines
    assert (answer["files"], answer["progress"]["tagged"], answer["progress"]["failed"]) == (TRACKS + 1, TRACKS, 1)
    assert written(music) == wanted
    with Store.open(address) as store:
        see_all_once(store, TRACKS)
    rows = parquet.read_table(tmp_path / "out").to_pylist()
    assert {row["path"]: row["genres"] for row in rows if row["failure"] is None} == {
        str(music / name): genres for name, genres in wanted.items() if genres
    }
    assert [row["failure_cause"] for row in rows if row["failure"] is not None] == ["unsupported"]
    assert {row["cause"] for row in rows if row["genres"]} == {"chosen"}

    (again,) = archive(data, music, *options).lines
    assert (again["files"], again["passes"]) == (0, 0), "what is done is not done again"

    status = archive(data, "status", "--database", address, "--json").lines[0]
    assert status["files"]["done"] == TRACKS + 1
    assert {stage["stage"] for stage in status["stages"]} == {"listen", "hear", "finish"}
    assert sum(status["failures"].values()) == 1
    people = archive(data, "status", "--database", address).out
    assert f"{TRACKS + 1} of {TRACKS + 1} done" in people


def test_a_second_driver_with_other_settings_is_told(settings: Settings, address: str, music: Path) -> None:
    albums(music, 1)
    with Store.open(address) as store:
        store.units.add([NewUnit(music / "album 0", music, 0, 1, 1, "n")], rules="other")
        assert store.units.claim("host/1", rules="other", roots=[music], lease_s=600, attempts=3) is not None
    ended = archive(settings.data_dir, music, "--database", address)
    assert ended.status == 2
    assert "other settings: host/1" in ended.err


def test_a_number_of_windows_that_depends_on_the_track_is_refused(
    settings: Settings, address: str, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENRETAGGER_WINDOWS", "auto")
    ended = archive(settings.data_dir, music, "--database", address)
    assert ended.status == 2
    assert "Set `windows` to a number" in ended.err


def test_sqlite_and_files_are_refused(settings: Settings, address: str, music: Path) -> None:
    (song,) = albums(music, 1)
    assert "PostgreSQL" in archive(settings.data_dir, music).err
    assert "archive takes folders" in archive(settings.data_dir, song, "--database", address).err
