"""A dry run gives the same status and reason as the real run, for all containers and obstacles."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import command_helpers as helpers
import pytest
from audio_factory import FORMATS
from conftest import Ended
from tags_helpers import frame, id3, id3v1

from genretagger.types import Json

MakeTechno = Callable[..., Path]
Command = Callable[..., Ended]

KINDS = ("flac", "mp3", "ogg", "opus", "oggflac", "mp4", "alac", "asf", "wavpack", "wav", "aiff", "tta")


def _apev2() -> bytes:
    item = (6).to_bytes(4, "little") + bytes(4) + b"Title\x00A name"
    foot = b"APETAGEX" + b"".join(n.to_bytes(4, "little") for n in (2000, len(item) + 32, 1, 0)) + bytes(8)
    return item + foot


SHAPES: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "cut": lambda data: data[: len(data) * 9 // 10],
    "junk behind": lambda data: data + b"some text that belongs to nothing " * 3,
    "zeros behind": lambda data: data + bytes(30_000),
    "zeros inside": lambda data: data[: len(data) // 2] + bytes(20_000) + data[len(data) // 2 + 20_000 :],
    "ID3v2 in front": lambda data: id3(3, frame("TIT2", b"\x00Title")) + data,
    "ID3v1 behind": lambda data: data + id3v1(genre=255),
    "APEv2 behind": lambda data: data + _apev2(),
}


def _compare(genretagger: Command, music: Path, windows: str = "16") -> dict[str, Json]:
    """Run both, and return the results of the real run by the path below the folder."""
    before = helpers.snapshot(music)
    said = []
    for options in (["--dry-run"], []):
        ended = genretagger("tag", "--json", *options, music, GENRETAGGER_WINDOWS=windows)
        assert ended.status in (0, 1), ended.err
        said.append({os.path.relpath(line["path"], music): line for line in ended.lines})
        if options:
            assert helpers.snapshot(music) == before
    dry, real = said
    assert dry.keys() == real.keys()
    different = {
        name: [(line["status"], line["reason"], line["genres"]) for line in (dry[name], real[name])]
        for name in real
        if any(dry[name][field] != real[name][field] for field in ("status", "genres", "genres_before"))
        # copies of one recording run at the same time, and the figures of the last one stay
        or (dry[name]["reason"] != real[name]["reason"] and real[name]["status"] != "tagged")
    }
    assert different == {}
    after = helpers.snapshot(music)
    written = {os.fsdecode(name) for name in before if before[name] != after[name]}
    assert written == {name for name, line in real.items() if line["status"] == "tagged"}
    return real


@pytest.mark.parametrize(
    "kind", [kind if kind == "mp3" else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
def test_shapes(genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno, kind: str) -> None:
    suffix = FORMATS[kind][2]
    data = make_techno(music / f"song{suffix}", kind, title=None, artist=None).read_bytes()
    (music / f"song{suffix}").unlink()
    for shape, change in SHAPES.items():
        (music / f"{shape}{suffix}").write_bytes(change(data))
    real = _compare(genretagger, music, windows="1")  # the model has to listen to most of them
    plain = real[f"plain{suffix}"]
    assert plain["status"] == ("skipped" if kind == "tta" else "tagged"), plain["reason"]
    if kind not in ("wav", "aiff", "tta"):
        assert "not complete" in real[f"zeros inside{suffix}"]["reason"]
    for line in real.values():
        if line["status"] == "skipped" and "genres cannot be written: " not in line["reason"]:
            assert line["scores"] == {}, f"{line['path']}: known before anything was heard"


@contextlib.contextmanager
def _locked(how: str, path: Path) -> Iterator[bool]:
    if shutil.which("chattr") is None or subprocess.run(["chattr", how, path], capture_output=True).returncode:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["chattr", how.replace("+", "-"), path], check=True)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="flags and leases of Linux")
def test_hindrances(
    genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno, tmp_path: Path, song: bytes
) -> None:
    names = {
        "i.flac": "chattr -i",
        "a.flac": "chattr -a",
        "locked/song.flac": "its folder is locked",
        "appended/song.flac": "its folder is locked",
        "linked.flac": "hard-linked",
        "outside.flac": "outside the folder",
        "beside.flac": "not complete",
        "download/1.flac": "not complete",
        "busy.flac": "another program has the file open for writing",
        "good.flac": "",
    }
    for name in names:
        (music / name).parent.mkdir(exist_ok=True)
        (music / name).write_bytes(song)
    (tmp_path / "elsewhere.flac").write_bytes(song)
    (tmp_path / "linked.flac").hardlink_to(music / "linked.flac")
    (music / "outside.flac").unlink()
    (music / "outside.flac").symlink_to(tmp_path / "elsewhere.flac")
    (music / "beside.flac.aria2").touch()
    (music / "download.aria2").touch()
    with contextlib.ExitStack() as stack:
        stack.enter_context((music / "busy.flac").open("r+b"))
        places = [("+i", "i.flac"), ("+a", "a.flac"), ("+i", "locked"), ("+a", "appended")]
        if not all(stack.enter_context(_locked(how, music / name)) for how, name in places):
            pytest.skip("flags cannot be set here")
        real = _compare(genretagger, music)
    for name, reason in names.items():
        assert reason in real[name]["reason"], name
        wanted = {"good.flac": "tagged", "busy.flac": "failed"}.get(name, "skipped")
        assert (name, real[name]["status"]) == (name, wanted)
    assert helpers.temporaries(music) == []


@pytest.mark.slow
def test_a_genre_that_no_tag_takes(genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno) -> None:
    """The policy `add` keeps the old genres, which may be longer than any name."""
    make_techno(music / "long.flac", genre="x" * 300)
    before = helpers.snapshot(music)
    said = []
    for options in (["--dry-run"], []):
        ended = genretagger("tag", "--json", "--policy", "add", *options, music)
        said.append([(line["status"], line["reason"]) for line in ended.lines])
    assert said[0] == said[1]
    assert said[0][0][0] == "skipped"
    assert helpers.snapshot(music) == before
