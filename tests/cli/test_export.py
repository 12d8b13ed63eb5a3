"""`genretagger export`: csv, json and m3u of what is known."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from few import few
from library_helpers import Library

from genretagger.errors import AudioError
from genretagger.files.durable import OutputError, saved

Command = Callable[..., Any]

ODD = (
    b"new\nline.mp3",
    b"[b]bold[b].mp3",
    b"\xff\xfe latin.mp3",
    "rtl \u202e3pm.mp3".encode(),
    b"#hash.mp3",
    b"t\xc3\xa9.mp3",
)


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Three tracks in the database: decided, tagged by the owner, failed."""
    folder = tmp_path / "music"
    folder.mkdir()
    with Library.at(tmp_path / "data") as library:
        for name in ("rock.mp3", "jazz.mp3", "broken.mp3", "liveset.mp3"):
            (folder / name).touch()
        library.track(folder / "rock.mp3", (), ("Rock",), {"Rock": 0.9, "Jazz": 0.2})
        library.track(folder / "jazz.mp3", ("Jazz", "Hip Hop"), ("Rock",), {"Rock": 0.6, "Jazz": 0.55})
        library.failure(folder / "broken.mp3", AudioError("no frames"))
    return folder


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_csv_is_the_default_and_has_a_row_for_each_track(genretagger: Command, music: Path) -> None:
    ended = genretagger("export")
    assert ended.status == 0, ended.err
    broken, jazz, rock = rows(ended.out)
    assert [Path(row["path"]).name for row in (broken, jazz, rock)] == ["broken.mp3", "jazz.mp3", "rock.mp3"]
    assert (jazz["genres"], jazz["decided"], jazz["score"]) == ("Jazz; Hip Hop", "Rock", "0.6")
    assert (rock["genres"], rock["decided"], rock["score"]) == ("", "Rock", "0.9")
    assert (rock["kind"], rock["duration_s"], rock["model"], rock["sampling"]) == (
        "mp3",
        "215.25",
        "musicnn",
        "spread-16.1",
    )
    assert (broken["failure"], broken["failure_cause"], broken["score"]) == ("no frames", "undecodable", "")
    assert (rock["failure"], rock["failure_cause"]) == ("", "")


def test_json_gives_one_object_a_line(genretagger: Command, music: Path) -> None:
    ended = genretagger("export", "--format", "json")
    broken, jazz, rock = ended.lines
    assert jazz["genres"] == ["Jazz", "Hip Hop"]
    assert jazz["scores"] == {"Rock": 0.6, "Jazz": 0.55}
    assert rock["decided"] == ["Rock"]
    assert (broken["failure"], broken["failure_cause"]) == ("no frames", "undecodable")
    assert (broken["kind"], broken["scores"]) == (None, {})
    assert (rock["failure"], rock["failure_cause"]) == (None, None)


@pytest.mark.parametrize(
    ("flags", "expected"),
    few(
        [
            (["--genre", "rock"], ["rock.mp3"]),  # the owner's Jazz counts, not what was decided
            (["--genre", "JAZZ"], ["jazz.mp3"]),
            (["-g", "hip-hop"], ["jazz.mp3"]),  # another spelling
            (["-g", "Rock", "-g", "Jazz"], ["jazz.mp3", "rock.mp3"]),
            (["--min-score", "0.7"], ["rock.mp3"]),
            (["--genre", "Jazz", "--min-score", "0.55"], ["jazz.mp3"]),
            (["--genre", "Jazz", "--min-score", "0.56"], []),
            (["--genre", "Polka"], []),
        ],
        2,
        5,
        7,
    ),
    ids=lambda value: " ".join(map(str, value)),
)
def test_filters(genretagger: Command, music: Path, flags: list[str], expected: list[str]) -> None:
    ended = genretagger("export", "--format", "json", *flags)
    assert ended.status == 0, ended.err
    assert [Path(line["path"]).name for line in ended.lines] == expected
    assert ("no known track matches" in ended.err) == (not expected)


def test_a_genre_that_was_undone_is_no_longer_the_tracks(genretagger: Command, music: Path, tmp_path: Path) -> None:
    with Library.at(tmp_path / "data") as library:
        track = library.track(music / "rock.mp3", (), ("Rock",))
        library.write(track, (), undo_of=library.write(track, ("Rock",)))
    assert genretagger("export", "--format", "json", "--genre", "Rock").lines == []


def test_paths_choose_by_parts_and_each_track_once(genretagger: Command, tmp_path: Path) -> None:
    with Library.at(tmp_path / "data") as library:
        for name in ("live/a.mp3", "live/deep/b.mp3", "liveset/c.mp3"):
            library.track(tmp_path / name)
    ended = genretagger(
        "export", tmp_path / "live", tmp_path / "live" / "deep", tmp_path / "live/a.mp3", "--format", "json"
    )
    assert [Path(line["path"]).name for line in ended.lines] == ["a.mp3", "b.mp3"]


def test_formulas_of_hostile_tags_are_defused(genretagger: Command, tmp_path: Path) -> None:
    hostile = ("=cmd()", "+1", "-1", "@SUM(A1)", "\t=1", "\uff1dcmd()")
    with Library.at(tmp_path / "data") as library:
        for number, genre in enumerate(hostile):
            library.track(tmp_path / f"{number}.mp3", (genre,), ("Rock",), reason="=HYPERLINK(1)")
    found = rows(genretagger("export").out)
    assert [row["genres"] for row in found] == [f"'{genre}" for genre in hostile]
    assert {row["reason"] for row in found} == {"'=HYPERLINK(1)"}
    assert {row["score"] for row in found} == {"0.9"}


def test_odd_names_survive_every_format(genretagger: Command, tmp_path: Path) -> None:
    folder = tmp_path / "music"
    folder.mkdir()
    with Library.at(tmp_path / "data") as library:
        for name in ODD:
            file = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
            file.touch()
            library.track(file, ("Rock",))
    exact = {os.fsencode(line["path"]) for line in genretagger("export", "--format", "json").lines}
    assert exact == {os.fsencode(folder) + b"/" + name for name in ODD}

    table = [row["path"] for row in rows(genretagger("export").out)]  # valid UTF-8, or decoding fails
    assert f"{folder}/new\nline.mp3" in table
    assert f"{folder}/\\xff\\xfe latin.mp3" in table

    playlist = folder / "all.m3u8"
    assert genretagger("export", "--output", playlist).status == 0
    text = playlist.read_bytes().decode("utf-8")
    entries = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(entries) == len(ODD)
    reached = {
        unquote_to_bytes(entry.removeprefix("file://")) if entry.startswith("file://") else os.fsencode(folder / entry)
        for entry in entries
    }
    assert reached == {os.fsencode(folder) + b"/" + name for name in ODD}
    assert "./#hash.mp3" in entries


def test_m3u_has_durations_titles_and_relative_paths(genretagger: Command, music: Path, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    assert genretagger("export", "--genre", "Rock", "-o", lists / "rock.m3u").status == 0
    assert (lists / "rock.m3u").read_text() == "#EXTM3U\n#EXTINF:215,rock\n../music/rock.mp3\n"
    ended = genretagger("export", "--genre", "Rock", "--format", "m3u")
    assert ended.out == f"#EXTM3U\n#EXTINF:215,rock\n{music}/rock.mp3\n"


def test_m3u_through_a_linked_folder_leads_to_the_files(genretagger: Command, music: Path, tmp_path: Path) -> None:
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "lists").symlink_to(tmp_path / "far" / "away")
    assert genretagger("export", "--genre", "Rock", "-o", tmp_path / "lists" / "rock.m3u").status == 0
    entry = (tmp_path / "lists" / "rock.m3u").read_text().splitlines()[-1]
    assert (tmp_path / "lists" / entry).samefile(music / "rock.mp3")


def test_m3u_is_relative_also_where_a_link_leads_to_both(genretagger: Command, tmp_path: Path) -> None:
    home = tmp_path / "real" / "home"
    home.mkdir(parents=True)
    (tmp_path / "home").symlink_to(home)
    song = tmp_path / "home" / "song.mp3"
    song.touch()
    with Library.at(tmp_path / "data") as library:
        library.track(song, ("Rock",))
    assert genretagger("export", "-o", tmp_path / "home" / "list.m3u").status == 0
    assert (home / "list.m3u").read_text().splitlines()[-1] == "song.mp3"


def test_m3u_leaves_out_what_is_gone(genretagger: Command, music: Path, tmp_path: Path) -> None:
    (music / "rock.mp3").unlink()
    ended = genretagger("export", "--format", "m3u")
    assert "rock.mp3" not in ended.out
    assert "jazz.mp3" in ended.out
    assert "left out 1 file" in ended.err


def test_m3u_of_an_unmounted_drive_keeps_the_old_playlist(genretagger: Command, music: Path, tmp_path: Path) -> None:
    playlist = tmp_path / "old.m3u"
    playlist.write_text("old")
    music.rename(tmp_path / "elsewhere")
    ended = genretagger("export", "-o", playlist)
    assert ended.status == 2
    assert "mounted" in ended.err
    assert playlist.read_text() == "old"
    assert not list(tmp_path.glob(".genretagger-*"))


def test_without_a_database_it_says_so_and_makes_none(genretagger: Command, tmp_path: Path) -> None:
    out = tmp_path / "x.csv"
    ended = genretagger("export", "-o", out)
    assert (ended.status, ended.out) == (2, "")
    assert "there is no database yet" in ended.err
    assert not (tmp_path / "data").exists()
    assert not out.exists()


def test_output_never_replaces_music_or_a_folder(genretagger: Command, music: Path) -> None:
    (music / "rock.mp3").write_bytes(b"precious")
    ended = genretagger("export", "--format", "csv", "-o", music / "rock.mp3")
    assert ended.status == 2
    assert (music / "rock.mp3").read_bytes() == b"precious"
    assert genretagger("export", "-o", music).status == 2


def test_output_to_a_device_is_written_through(genretagger: Command, music: Path) -> None:
    ended = genretagger("export", "--format", "json", "-o", "/dev/stdout")
    assert len(ended.lines) == 3


def test_a_reader_that_goes_away_ends_it_quietly(genretagger: Command, tmp_path: Path) -> None:
    with Library.at(tmp_path / "data") as library, library.store.group():
        for number in range(3000):
            library.track(tmp_path / f"{number:04}.mp3", reason="x" * 200, decided=("Rock",))
    command = subprocess.Popen(
        [sys.executable, "-m", "genretagger", "export", "--format", "json"],
        env={**os.environ, "GENRETAGGER_DATA_DIR": str(tmp_path / "data")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert command.stdout is not None
    assert command.stderr is not None
    assert json.loads(command.stdout.readline())["path"].endswith("0000.mp3")
    command.stdout.close()
    assert command.stderr.read() == b""
    command.stderr.close()
    assert command.wait(60) == 1


def test_saving_leaves_the_old_file_when_it_fails_half_way(tmp_path: Path) -> None:
    target = tmp_path / "x.csv"
    target.write_text("old")

    def rows() -> Iterator[bytes]:
        yield b"half"
        assert target.read_text() == "old"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), saved(target) as file:
        file.writelines(rows())
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


def test_saving_does_not_overwrite_unless_told_to(tmp_path: Path) -> None:
    target = tmp_path / "x.csv"
    with saved(target, overwrite=False) as file:
        file.write(b"new")
        target.write_bytes(b"somebody was faster")
        with pytest.raises(OutputError, match="there is a file already"), saved(target, overwrite=False):
            pass
        target.unlink()
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
