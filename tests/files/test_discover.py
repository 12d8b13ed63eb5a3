from __future__ import annotations

import contextlib
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from genretagger.config import load
from genretagger.errors import AccessError, FileError
from genretagger.files.discover import Found, find, is_audio_name
from genretagger.sentences import sentence
from genretagger.text import printable


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def walk(*paths: Path) -> list[Found]:
    """Find everything; any failure is an error."""
    failures: list[FileError] = []
    found = list(find(paths, failures.append))
    assert failures == []
    return found


def names(found: list[Found], root: Path) -> list[str]:
    return [str(file.path.relative_to(root)) for file in found]


def test_files_come_before_folders_each_in_the_order_of_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.mp3", "b/10.flac", "z.ogg", "a/x/deep.m4a", "a/1.opus", "B/1.wav", "a.mp3", "Z.mp3", "é.mp3")
    expected = ["Z.mp3", "a.mp3", "z.ogg", "é.mp3", "B/1.wav", "a/1.opus", "a/x/deep.m4a", "b/10.flac", "b/2.mp3"]
    assert names(walk(tmp_path), tmp_path) == expected
    assert walk(tmp_path) == walk(tmp_path)


def test_only_visible_names_that_end_like_music(tmp_path: Path) -> None:
    touch(tmp_path, "song.mp3", "LOUD.FLAC", "two.dots.ogg", " .mp3")
    touch(tmp_path, "cover.jpg", "song.mp3.part", "song.mp3~", "mp3", ".mp3", ".song.mp3", "song.txt", "song.")
    touch(tmp_path, ".hidden/song.mp3", "album/.git/song.mp3", "album/._song.mp3")
    assert names(walk(tmp_path), tmp_path) == [" .mp3", "LOUD.FLAC", "song.mp3", "two.dots.ogg"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.mp3", True), ("a.M4A", True), ("a.mp3.part", False), (".a.mp3", False), (".mp3", False), ("mp3", False)],
)
def test_names(name: str, expected: bool) -> None:
    assert is_audio_name(name) is expected


def test_what_is_named_is_found_whatever_it_is_called(tmp_path: Path) -> None:
    touch(tmp_path, ".hidden/.song.mp3", ".hidden/song.mp3", ".hidden/noend")
    assert names(walk(tmp_path / ".hidden"), tmp_path) == [".hidden/song.mp3"]
    assert names(walk(tmp_path / ".hidden/.song.mp3", tmp_path / ".hidden/noend"), tmp_path) == [
        ".hidden/.song.mp3",
        ".hidden/noend",
    ]


def test_the_root_is_the_named_folder_or_the_folder_of_the_named_file(tmp_path: Path) -> None:
    touch(tmp_path, "a/b/song.mp3")
    song = tmp_path / "a/b/song.mp3"
    assert walk(tmp_path / "a") == [Found(song, tmp_path / "a")]
    assert walk(song) == [Found(song, tmp_path / "a/b")]


def test_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a/song.mp3", "other.mp3")
    monkeypatch.chdir(tmp_path / "a")
    assert walk(Path()) == [Found(tmp_path / "a/song.mp3", tmp_path / "a")]
    assert walk(Path("../other.mp3")) == [Found(tmp_path / "other.mp3", tmp_path)]


def test_what_is_named_twice_is_found_once(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.mp3", "a/b/2.mp3", "c/3.mp3")
    a = tmp_path / "a"
    found = walk(a / "b", a / "b/2.mp3", a, tmp_path, tmp_path / "c/../a", tmp_path)
    assert names(found, tmp_path) == ["a/b/2.mp3", "a/1.mp3", "c/3.mp3"]
    assert found[0].root == a / "b", "the first that was named holds"


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/song.mp3", "library/song.mp3")
    library = tmp_path / "library"
    (library / "loop").symlink_to(library)
    (library / "out").symlink_to(tmp_path / "elsewhere")
    (library / "album.mp3").symlink_to(tmp_path / "elsewhere")
    assert names(walk(library), library) == ["song.mp3"]


def test_a_link_to_a_folder_that_is_named_is_followed(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/song.mp3")
    link = tmp_path / "music"
    link.symlink_to(tmp_path / "elsewhere")
    assert walk(link) == [Found(link / "song.mp3", link)]


def test_links_to_files_are_found(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/song.mp3", "library/real.mp3")
    library = tmp_path / "library"
    (library / "link.mp3").symlink_to(tmp_path / "elsewhere/song.mp3")
    (library / "broken.mp3").symlink_to(tmp_path / "nowhere")
    assert names(walk(library), library) == ["link.mp3", "real.mp3"]
    assert walk(library / "broken.mp3") == [Found(library / "broken.mp3", library)]


def test_dangling_links_circles_and_special_files_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "song.mp3")
    (tmp_path / "away.mp3").symlink_to(".git/annex/objects/x/x.mp3")
    (tmp_path / "below.mp3").symlink_to("song.mp3/below")
    (tmp_path / "circle.mp3").symlink_to("other.mp3")
    (tmp_path / "other.mp3").symlink_to("circle.mp3")
    (tmp_path / "zero.mp3").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "fifo.mp3")
    (tmp_path / "fifo link.mp3").symlink_to("fifo.mp3")
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(os.fspath(tmp_path / "socket.mp3"))
    failures: list[FileError] = []
    answer: dict[str, str] = {}
    found = find(
        [tmp_path], failures.append, passed_over=lambda path, why: answer.__setitem__(path.name, sentence(why))
    )
    assert names(list(found), tmp_path) == ["song.mp3"]
    assert failures == []
    assert answer == {
        "away.mp3": "the symbolic link leads nowhere",
        "below.mp3": "the symbolic link leads nowhere",
        "circle.mp3": "the symbolic links lead in a circle",
        "other.mp3": "the symbolic links lead in a circle",
        **dict.fromkeys(
            ("zero.mp3", "fifo.mp3", "fifo link.mp3", "socket.mp3"), "it is a FIFO, a socket or a device, not a file"
        ),
    }


def test_folders_of_systems_and_servers_are_left_out(tmp_path: Path) -> None:
    folders = ("@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found", "#snapshot", "@Recycle")
    hidden = (".stversions", ".Trash-1000", ".snapshots", ".snapshot", ".AppleDouble")
    touch(tmp_path, "song.mp3", "Lost+Found/album.mp3", *(f"{name}/deep/x.mp3" for name in (*folders, *hidden)))
    touch(tmp_path, *(f"artist/album/{name}/x.mp3" for name in (*folders, *hidden)))
    failures: list[FileError] = []
    left_out = load().ignore_folders
    found = list(find([tmp_path], failures.append, folders=left_out))
    assert names(found, tmp_path) == ["song.mp3", "Lost+Found/album.mp3"]
    named = list(find([tmp_path / "@eaDir", tmp_path / ".stversions/deep"], failures.append, folders=left_out))
    assert names(named, tmp_path) == ["@eaDir/deep/x.mp3", ".stversions/deep/x.mp3"]
    everything = list(find([tmp_path], failures.append, folders=load(ignore_folders="none").ignore_folders))
    assert len(everything) == 2 + 2 * len(folders)
    assert failures == []


@pytest.mark.parametrize("name", ["nothing", "song.mp3/below", "x" * 300, "nul\0.mp3"])
def test_what_does_not_exist_is_told_and_the_rest_is_found(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "song.mp3", "song.mp3x")
    failures: list[FileError] = []
    found = list(find([tmp_path / name, tmp_path], failures.append))
    assert names(found, tmp_path) == ["song.mp3"]
    assert [(type(error), error.path) for error in failures] == [(AccessError, tmp_path / name)]


def test_a_folder_that_cannot_be_read_is_told_and_the_walk_goes_on(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.mp3", "b/2.mp3", "c/3.mp3")
    failures: list[FileError] = []
    found = []
    for file in find([tmp_path], failures.append):
        found.append(file)
        if file.path.name == "1.mp3":
            shutil.rmtree(tmp_path / "b")
    assert names(found, tmp_path) == ["a/1.mp3", "c/3.mp3"]
    (failure,) = failures
    assert isinstance(failure, AccessError)
    assert failure.path == tmp_path / "b"
    assert "No such file" in failure.cause


def test_a_forbidden_folder_is_told_and_the_walk_goes_on(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.mp3", "b/2.mp3", "b/deep/3.mp3", "c/4.mp3")
    (tmp_path / "b").chmod(0)
    failures: list[FileError] = []
    try:
        if os.access(tmp_path / "b", os.R_OK):
            pytest.skip("modes do not hold this user back")
        found = list(find([tmp_path, tmp_path / "b/deep/3.mp3"], failures.append))
    finally:
        (tmp_path / "b").chmod(0o755)
    assert names(found, tmp_path) == ["a/1.mp3", "c/4.mp3"]
    assert [error.path for error in failures] == [tmp_path / "b", tmp_path / "b/deep/3.mp3"]


@pytest.mark.parametrize(
    "name",
    [
        b"\xff\xfe.mp3",
        b"caf\xe9.flac",
        b"two\nlines.mp3",
        b"\x1b[2J.ogg",
        b"[red]song.mp3",
        b"\xe3\x81.m4a",
        b"a\\n.mp3",
    ],
)
def test_odd_names_are_found_byte_by_byte(tmp_path: Path, name: bytes) -> None:
    folder = os.fsencode(tmp_path) + b"/dir" + name
    try:
        Path(os.fsdecode(folder)).mkdir()
        os.close(os.open(folder + b"/" + name, os.O_CREAT | os.O_WRONLY))
    except OSError:
        pytest.skip("this file system takes no such name")
    (found,) = walk(tmp_path)
    assert os.fsencode(found.path) == folder + b"/" + name
    assert "\n" not in printable(found.path)


@pytest.mark.skipif(os.mkdir not in os.supports_dir_fd, reason="needs folders relative to another")
def test_a_tree_of_2000_levels(tmp_path: Path) -> None:
    levels = 2000
    with _deep(tmp_path / "deep", levels) as limit:
        touch(tmp_path, "zz/song.mp3")
        failures: list[FileError] = []
        found = list(find([tmp_path], failures.append))
        assert found[-1].path == tmp_path / "zz/song.mp3"
        reached = len(found) - 1
        assert reached == levels or len(failures) == 1, "what a path cannot name is reported"
        assert reached > limit / 5 - 50, "as deep as the system can name"


@contextlib.contextmanager
def _deep(folder: Path, levels: int) -> Iterator[int]:
    """Make a file and a folder in each folder; remove them later, in steps with short paths."""
    folder.mkdir()
    top = here = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.close(os.open("1.mp3", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.mkdir("next", dir_fd=here)
        below = os.open("next", os.O_RDONLY, dir_fd=here)
        if here != top:
            os.close(here)
        here = below
    os.close(here)
    os.close(top)
    try:
        yield os.pathconf(folder, "PC_PATH_MAX")
    finally:
        while (folder / "next").exists():
            (folder / "next").rename(folder.parent / "rest")
            shutil.rmtree(folder)
            (folder.parent / "rest").rename(folder)
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        ((), ["Live/a.mp3", "b.live.mp3", "c.mp3", "live.mp3", "x/Live/d.mp3"]),
        (("live",), ["b.live.mp3", "c.mp3", "live.mp3"]),
        (("*.LIVE.mp3", "?.mp3"), ["live.mp3"]),
        (("Live/",), ["b.live.mp3", "c.mp3", "live.mp3"]),
        (("Live/*",), ["b.live.mp3", "c.mp3", "live.mp3", "x/Live/d.mp3"]),
        (("/x/live",), ["Live/a.mp3", "b.live.mp3", "c.mp3", "live.mp3"]),
        (("*",), []),
    ],
)
def test_patterns_leave_out_files_and_folders(tmp_path: Path, patterns: tuple[str, ...], left: list[str]) -> None:
    touch(tmp_path, "Live/a.mp3", "b.live.mp3", "c.mp3", "live.mp3", "x/Live/d.mp3")
    failures: list[FileError] = []
    found = find([tmp_path], failures.append, ignore=patterns)
    assert sorted(str(file.path.relative_to(tmp_path)) for file in found) == left
    assert [file.path for file in find([tmp_path / "c.mp3"], failures.append, ignore=patterns)] == [tmp_path / "c.mp3"]


def test_20000_files(tmp_path: Path) -> None:
    for album in range(200):
        folder = tmp_path / f"{album:03}"
        folder.mkdir()
        for number in range(100):
            os.close(os.open(f"{folder}/{number:02}.mp3", os.O_CREAT | os.O_WRONLY))
    started = time.thread_time()
    found = walk(tmp_path)
    seconds = time.thread_time() - started
    assert len(found) == 20_000
    assert [file.path for file in found] == sorted(file.path for file in found)
    assert seconds < 5, "0.3 s of processor time on an idle machine"


def test_the_first_file_comes_before_the_last_folder_is_read(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.mp3", "b/2.mp3")
    failures: list[FileError] = []
    found = find([tmp_path], failures.append)
    assert next(found).path.name == "1.mp3"
    touch(tmp_path, "b/3.mp3")
    assert [file.path.name for file in found] == ["2.mp3", "3.mp3"]
    assert failures == []
