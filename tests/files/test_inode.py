"""Flags of files (`chattr`) and holes, on the tests' file system and on real images of others."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Ended
from files_helpers import NEW, OLD, run

from genretagger.errors import NotAllowedError
from genretagger.files.inode import holes_bytes
from genretagger.files.replace import unwritable
from genretagger.sentences import sentence

MakeTechno = Callable[..., Path]
Command = Callable[..., Ended]

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the flags of Linux")


def chattr(how: str, *paths: Path) -> None:
    """Change flags with the real program."""
    if shutil.which("chattr") is None:
        pytest.skip("no chattr here")
    done = subprocess.run(["chattr", how, *paths], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"flags cannot be set here: {done.stderr.strip()}")


def lsattr(path: Path) -> set[str]:
    """The letters of a file's flags, except those that the file system sets itself."""
    said = subprocess.run(["lsattr", "-d", path], capture_output=True, text=True, check=True).stdout
    return set(said.split()[0]) - set("-eIENV")


@contextlib.contextmanager
def flagged(how: str, path: Path) -> Iterator[None]:
    chattr(how, path)
    try:
        yield
    finally:
        chattr(how.replace("+", "-"), path)


@pytest.fixture
def song(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    (folder / "song.mp3").write_bytes(OLD)
    return folder / "song.mp3"


@pytest.mark.parametrize(("how", "hint"), [("+i", "chattr -i"), ("+a", "chattr -a")])
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_locked_file_or_folder_is_refused_with_its_own_hint(song: Path, how: str, hint: str, what: str) -> None:
    place = song if what == "file" else song.parent
    assert unwritable(song) is None
    with flagged(how, place):
        found = unwritable(song)
        assert found is not None
        reason = sentence(found)
        assert hint in reason
        assert "chmod" not in reason
        assert reason.startswith("its folder is" if what == "folder" else "it is")
        with pytest.raises(NotAllowedError, match=hint):
            run(song)
        assert os.listdir(song.parent) == ["song.mp3"]  # noqa: PTH208 - a copy could never be removed there
    assert song.read_bytes() == OLD
    assert unwritable(song) is None


@pytest.mark.parametrize("how", ["+A", "+d", "+S", "+AdS", "+c", "+j"])
def test_flags_of_the_original_stay(song: Path, how: str) -> None:
    chattr(how, song)
    before = lsattr(song)
    assert before >= set(how[1:])
    run(song)
    assert song.read_bytes() == NEW
    assert lsattr(song) == before


def test_flags_of_the_folder_do_not_reach_an_old_file(song: Path) -> None:
    chattr("+Ad", song.parent)
    run(song)
    assert lsattr(song) == set()


def test_tag_says_how_to_unlock(genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno) -> None:
    names = {"i.flac": "+i", "a.flac": "+a"}
    for name in names:
        make_techno(music / name)
    before = {name: (music / name).read_bytes() for name in names}
    with contextlib.ExitStack() as stack:
        for name, how in names.items():
            stack.enter_context(flagged(how, music / name))
        for options in (["--dry-run"], []):
            ended = genretagger("tag", "--json", *options, music)
            assert ended.status == 0
            lines = {Path(line["path"]).name: line for line in ended.lines}
            assert {line["status"] for line in lines.values()} == {"skipped"}
            assert "chattr -i" in lines["i.flac"]["reason"]
            assert "chattr -a" in lines["a.flac"]["reason"]
    assert {name: (music / name).read_bytes() for name in names} == before


IMAGES = {"btrfs": (["mkfs.btrfs", "-q"], "+C", 128), "xfs": (["mkfs.xfs", "-q"], "+A", 320)}


@pytest.mark.parametrize("kind", IMAGES)
def test_flags_stay_on_other_file_systems(tmp_path: Path, kind: str) -> None:
    """Btrfs allows the flag C only for empty files."""
    command, how, size_mb = IMAGES[kind]
    if shutil.which(command[0]) is None or os.geteuid() != 0:
        pytest.skip(f"{kind} cannot be made here")
    image, place = tmp_path / "image", tmp_path / "mounted"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(size_mb << 20)
    subprocess.run([*command, image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, place], capture_output=True, check=False).returncode:
        pytest.skip(f"{kind} cannot be mounted here")
    try:
        song = place / "song.mp3"
        song.touch()
        chattr(how, song)
        song.write_bytes(OLD)
        run(song)
        assert song.read_bytes() == NEW
        assert lsattr(song) >= set(how[1:])
    finally:
        subprocess.run(["umount", place], check=True)


def test_holes_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.write(bytes(range(256)) * 256)
        file.seek(1 << 20)
        file.write(b"x" * 65536)
        file.truncate(3 << 20)
    with path.open("rb") as file:
        found = holes_bytes(file.fileno(), 3 << 20)
        if not found:
            pytest.skip("no holes here")
        assert found == (3 << 20) - 2 * 65536
    path.write_bytes(b"x" * 100_000)
    with path.open("rb") as file:
        assert holes_bytes(file.fileno(), 100_000) == 0
