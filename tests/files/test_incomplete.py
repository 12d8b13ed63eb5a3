"""Files of full size that lack some sound, and files with silence that only looks like that."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import command_helpers as helpers
import numpy as np
import pytest
from audio_factory import make, make_dsf
from conftest import SHARED, Ended
from daemon_helpers import Watcher, tagged_once

from genretagger.files.kinds import kind_of
from genretagger.files.unfinished import companion
from genretagger.sentences import sentence
from genretagger.tags import api
from genretagger.tags.gaps import Zeros
from genretagger.types import FloatArray

MakeTechno = Callable[..., Path]
Command = Callable[..., Ended]

COMPRESSED = ("mp3", "flac", "ogg", "opus", "oggflac", "mp4", "alac", "asf", "wavpack")
PCM = ("wav", "aiff")


def gap(path: Path) -> str | None:
    with path.open("rb") as file:
        kind = kind_of(file)
        assert kind is not None
        digest, found = api.survey(file, kind)
        assert digest == api.payload_hash(file, kind)
    return None if found is None else sentence(found)


def punch(path: Path, start: float, end: float) -> None:
    """Make a part of a file a hole, as if it had never been written; from 0 to 1."""
    data, size = path.read_bytes(), path.stat().st_size
    first, last = int(start * size), int(end * size)
    with path.open("wb") as file:
        file.write(data[:first])
        file.seek(last)
        file.write(data[last:])
        file.truncate(size)


@pytest.mark.parametrize("kind", COMPRESSED)
def test_zeros_in_compressed_sound(tmp_path: Path, make_techno: MakeTechno, kind: str) -> None:
    path = make_techno(tmp_path / "song", kind)
    assert gap(path) is None
    data = path.read_bytes()
    third = len(data) // 3
    path.write_bytes(data[:third] + bytes(third) + data[2 * third :])
    assert "it is not complete" in (gap(path) or "")


@pytest.mark.parametrize("kind", ["mp3", "flac", "ogg", "asf", "aiff", "wav", "dsf"])
def test_an_end_that_was_never_written(tmp_path: Path, make_techno: MakeTechno, kind: str) -> None:
    path = tmp_path / "song"
    if kind == "dsf":
        make_dsf(path, title=None, artist=None)
    else:
        make_techno(path, kind, title=None, artist=None)
    assert gap(path) is None
    punch(path, 0.6, 1)
    if kind in ("aiff", "wav", "dsf") and path.stat().st_blocks * 512 > 0.9 * path.stat().st_size:
        pytest.skip("no holes here")
    assert "it is not complete" in (gap(path) or "")


@pytest.mark.parametrize("kind", [*COMPRESSED, *PCM])
def test_digital_silence_is_sound(tmp_path: Path, kind: str) -> None:
    """A minute of silence in the middle and half a minute at the end, if possible as holes."""
    noise = np.random.default_rng(1).standard_normal(44100, np.float32) / np.float32(8)
    silence = np.zeros(44100, np.float32)
    sounds: dict[str, list[FloatArray]] = {
        "middle": [noise, *[silence] * 60, noise],
        "end": [noise] * 3 + [silence] * 30,
    }
    for name, parts in sounds.items():
        path = make(tmp_path / name, kind, samples=np.concatenate(parts))
        assert gap(path) is None
    if kind in PCM and shutil.which("cp"):
        sparse = tmp_path / "sparse"
        subprocess.run(["cp", "--sparse=always", tmp_path / "middle", sparse], check=True)
        assert gap(sparse) is None
        short = make(tmp_path / "short end", kind, samples=np.concatenate([noise] * 20 + [silence] * 4))
        subprocess.run(["cp", "--sparse=always", short, sparse], check=True)
        assert gap(sparse) is None, "four seconds of silence at the end of a CD track"


def test_nothing_but_silence_is_silence(tmp_path: Path) -> None:
    path = make(tmp_path / "song", "wav", samples=np.zeros(44100 * 20, np.float32))
    punch(path, 0.01, 1)
    assert gap(path) is None


def test_padding_pictures_and_free_atoms_are_no_sound(tmp_path: Path) -> None:
    import mutagen.flac
    import mutagen.id3
    import mutagen.mp4

    path = make(tmp_path / "song.mp3", "mp3")
    tags = mutagen.id3.ID3(path)  # type: ignore[no-untyped-call]
    tags.add(mutagen.id3.APIC(encoding=3, mime="image/png", type=3, desc="", data=bytes(100_000)))  # type: ignore[no-untyped-call]
    tags.save(path, padding=lambda _: 100_000)
    assert gap(path) is None
    path = make(tmp_path / "song.flac", "flac")
    flac = mutagen.flac.FLAC(path)  # type: ignore[no-untyped-call]
    flac.save(padding=lambda _: 100_000)
    assert gap(path) is None
    path = make(tmp_path / "song.m4a", "mp4")
    mp4 = mutagen.mp4.MP4(path)  # type: ignore[no-untyped-call]
    mp4["covr"] = [mutagen.mp4.MP4Cover(bytes(100_000))]  # type: ignore[no-untyped-call]
    mp4.save(padding=lambda _: 100_000)  # type: ignore[no-untyped-call]
    assert gap(path) is None


def test_zeros_are_counted_across_pieces() -> None:
    random = np.random.default_rng(7)
    for _ in range(60):
        data = bytearray(random.bytes(200_000))
        start, length = int(random.integers(200_000)), int(random.integers(9000, 90_000))
        data[start : start + length] = bytes(min(length, 200_000 - start))
        data[max(0, start - 1) : start] = b"x"[: min(1, start)]
        data[start + length : start + length + 1] = b"x"[: max(0, 200_000 - start - length)]
        got: list[bytes] = []
        zeros, position = Zeros(got.append), 0
        while position < len(data):
            step = int(random.choice([1, 500, 4096, 5000, 70_000]))
            zeros(bytes(data[position : position + step]))
            position += step
        assert b"".join(got) == data
        length = min(length, 200_000 - start)
        if length >= 8192:
            assert (zeros.start, zeros.length) == (start, length)


@pytest.mark.parametrize(
    "name",
    [
        *("song.mp3.aria2", "song.mp3.st", "song.mp3.lftp-pget-status", "song.mp3.td.cfg", "song.mp3.part"),
        *("song.mp3.!qB", "song.mp3.crdownload", ".syncthing.song.mp3.tmp"),
    ],
)
def test_companions(tmp_path: Path, name: str) -> None:
    song = tmp_path / "song.mp3"
    assert companion(song, tmp_path) == ""
    for other in ("song2.mp3.aria2", "song.aria2", "song.mp3.bak", "song.mp3.lrc", "song.flac.part"):
        (tmp_path / other).touch()
    assert companion(song, tmp_path) == ""
    (tmp_path / name).touch()
    assert companion(song, tmp_path) == name


def test_a_folder_that_aria2_downloads_as_a_whole(tmp_path: Path) -> None:
    song = tmp_path / "library/album/cd 1/song.mp3"
    (tmp_path / "library/album.aria2").parent.mkdir()
    (tmp_path / "library/album.aria2").touch()
    assert companion(song, tmp_path / "library") == "album.aria2"
    assert companion(song, tmp_path / "library/album") == "album.aria2"
    assert companion(tmp_path / "library/other/song.mp3", tmp_path / "library") == ""


def test_sparse_download(genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno) -> None:
    given = SHARED / "cases" / "sparse-download"
    if not given.is_dir():
        pytest.skip("the folder of cases is not there")
    for path in given.glob("sparse_plain.*"):
        shutil.copy(path, music)
    names = {path.name for path in music.iterdir()}
    assert len(names) == 2
    for name in ("pre.mp3", "beside.flac", "good.flac"):
        make_techno(music / name, name.rpartition(".")[2])
        names.add(name)
    os.truncate(music / "pre.mp3", 100_000)
    os.truncate(music / "pre.mp3", 192_679)
    (music / "beside.flac.aria2").touch()
    before = {name: (music / name).read_bytes() for name in names}
    for options in (["--dry-run"], []):
        ended = genretagger("tag", "--json", *options, music)
        assert ended.status == 0, ended.err
        lines = {Path(line["path"]).name: line for line in ended.lines}
        assert lines.keys() == names
        assert lines.pop("good.flac")["status"] == "tagged"
        for line in lines.values():
            assert (line["status"], line["scores"]) == ("skipped", {}), "nobody listened"
            assert line["reason"].startswith("it is not complete: ")
        assert "4 skipped" in ended.err
        assert "it is not complete" in ended.err
    assert [name for name in names if (music / name).read_bytes() != before[name]] == ["good.flac"]

    (music / "beside.flac.aria2").unlink()
    assert genretagger("tag", music / "beside.flac").status == 0
    assert helpers.genres_of(music / "beside.flac") == ["Trance"]


@pytest.mark.slow
def test_the_tally_counts_files_with_zeros_together(
    genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno
) -> None:
    whole = make_techno(music / "whole.mp3", "mp3").read_bytes()
    for length in (20_000, 40_000, 60_000):
        (music / f"{length}.mp3").write_bytes(whole[:50_000] + bytes(length) + whole[50_000 + length :])
    for _ in range(2):  # read from the files, then from the database
        ended = genretagger("tag", "--json", music)
        lines = {Path(line["path"]).stem: line for line in ended.lines}
        assert lines.pop("whole")["status"] in ("tagged", "unchanged")
        assert {line["cause"] for line in lines.values()} == {"incomplete"}
        assert len({line["reason"] for line in lines.values()}) == 3, "each has its own figures"
        assert "  skipped 3: it is not complete: parts of the sound are missing\n" in ended.err
    (shown,) = genretagger("show", "--json", music / "20000.mp3").lines
    assert (shown["cause"], shown["refusal"]) == ("incomplete", shown["reason"])
    (music / "20000.mp3").write_bytes(whole)
    assert genretagger("tag", music / "20000.mp3").status == 0
    assert helpers.genres_of(music / "20000.mp3") == ["Trance"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes through /proc")
def test_the_service_waits_for_a_download(heard: Path, music: Path, make_techno: MakeTechno, tmp_path: Path) -> None:
    whole = make_techno(tmp_path / "outside.mp3", "mp3").read_bytes()
    beside, holed = music / "beside.mp3", music / "holed.mp3"
    beside.write_bytes(whole)
    (music / "beside.mp3.aria2").touch()
    with Watcher(music, data_dir=heard) as watcher:
        holed.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))
        assert "not complete" in watcher.wait_for("skipped", path=holed)["reason"]
        assert watcher.status()["settling"] == 1
        holed.write_bytes(whole)  # the download goes on
        watcher.wait_for("tagged", path=holed)
        assert not any(watcher.seen(event) for event in ("failed", "quarantined", "error", "warning"))
        assert all(line["path"] != str(beside) for event in ("tagged", "skipped") for line in watcher.seen(event))
        (music / "beside.mp3.aria2").unlink()
        watcher.wait_for("tagged", path=beside)
    tagged_once(heard, {beside, holed})
