"""The write protocol: the old bytes or the new ones, no matter what happens."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from files_helpers import NAME, NEW, NOBODY, OLD, append, at, cannot_exchange, make_song, names, run

from genretagger.errors import (
    AccessError,
    FileChangedError,
    FileError,
    NoSpaceError,
    ReadOnlyError,
    SystemFaultError,
    UnsupportedFileError,
    WriteRefusedError,
)
from genretagger.files import replace as files
from genretagger.files import swap, system
from genretagger.types import Stamp


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return make_song(tmp_path)


@pytest.fixture(params=["exchange", "rename"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to swap: as this system does it, and as one that cannot exchange names."""
    if request.param == "rename":
        cannot_exchange(monkeypatch)
    return str(request.param)


def test_a_write(song: Path, way: str) -> None:
    done: list[str] = []
    stamp = run(song, step=done.append)
    assert song.read_bytes() == NEW
    assert stamp == Stamp.of(song.stat())
    assert names(song.parent) == {"song.mp3"}
    assert tuple(done) == swap.STEPS


def test_bytes_and_names_are_made_durable_in_that_order(song: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    run(song, step=done.append)
    assert [name for name in done if name in ("edited", "file", "swapped", "folder", "removed")] == [
        "edited",
        "file",
        "swapped",
        "folder",
        "removed",
    ]


def test_a_folder_that_cannot_be_made_durable(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "as CIFS says")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    run(song)
    assert song.read_bytes() == NEW


def test_this_system_exchanges(song: Path) -> None:
    other = song.with_name("other")
    other.write_bytes(NEW)
    with system.Folder(song.parent) as folder:
        try:
            folder.exchange("song.mp3", "other")
        except system.Unsupported:
            pytest.skip("no RENAME_EXCHANGE here")
    assert (song.read_bytes(), other.read_bytes()) == (NEW, OLD)


def test_a_file_that_changed_before_is_refused(song: Path) -> None:
    stamp = Stamp.of(song.stat())
    append(song)
    with pytest.raises(FileChangedError):
        run(song, expected=stamp)


def test_a_check_that_fails_leaves_the_original(song: Path) -> None:
    def bad(original: BinaryIO, temporary: BinaryIO) -> None:
        raise WriteRefusedError("made up")

    with pytest.raises(WriteRefusedError):
        run(song, check=bad)
    assert song.read_bytes() == OLD
    assert names(song.parent) == {"song.mp3"}


def test_hard_links(song: Path) -> None:
    other = song.with_name("seeding.mp3")
    other.hardlink_to(song)
    with pytest.raises(WriteRefusedError, match="hard links"):
        run(song)
    assert song.samefile(other)
    run(song, allow_hard_links=True)
    assert (song.read_bytes(), other.read_bytes()) == (NEW, OLD)


def test_a_symbolic_link_stays_one(song: Path) -> None:
    link = song.with_name("link.mp3")
    link.symlink_to("song.mp3")
    run(link)
    assert link.is_symlink()
    assert song.read_bytes() == NEW


def test_a_link_that_leads_outside(song: Path, tmp_path: Path) -> None:
    library = tmp_path / "music"
    library.mkdir()
    link = library / "song.mp3"
    link.symlink_to(song)
    with pytest.raises(WriteRefusedError, match="outside"):
        run(link, root=library)
    assert song.read_bytes() == OLD
    run(link, root=library, allow_outside=True)
    assert song.read_bytes() == NEW


def test_inside_compares_parts(tmp_path: Path) -> None:
    live, liveset = tmp_path / "live", tmp_path / "liveset"
    live.mkdir()
    liveset.mkdir()
    (live / "out").symlink_to(liveset)
    assert files.inside(live / "a.mp3", live)
    assert files.inside(live, live)
    assert not files.inside(liveset / "a.mp3", live)
    assert not files.inside(live / ".." / "liveset" / "a.mp3", live)
    assert not files.inside(live / "out" / "a.mp3", live)


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o640, 0o2664, 0o755])
def test_the_mode_stays(song: Path, mode: int) -> None:
    song.chmod(mode)
    run(song)
    assert song.stat().st_mode & 0o7777 == mode


def test_nobody_can_read_the_copy_before_it_is_ready(song: Path) -> None:
    modes: list[int] = []
    run(song, step=at("copied", lambda: modes.append((song.parent / NAME).stat().st_mode & 0o777)))
    assert modes == [0o600]


@contextlib.contextmanager
def nobody(path: Path) -> Iterator[Path]:
    """A copy of a file that belongs to an ordinary user. We become that user: root may do all."""
    if os.geteuid() != 0:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(path, folder))
        for each in (Path(folder), copy):
            os.chown(each, NOBODY, NOBODY)
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
        try:
            yield copy
        finally:
            os.seteuid(0)
            os.setegid(0)


def test_a_read_only_file_is_refused(song: Path) -> None:
    with nobody(song) as own:
        own.chmod(0o444)
        with pytest.raises(WriteRefusedError, match="may not write"):
            run(own)
        own.chmod(0o644)
        run(own)


def test_extended_attributes_stay(song: Path) -> None:
    try:
        os.setxattr(song, "user.rating", b"five\x00stars")
    except (OSError, AttributeError):
        pytest.skip("no extended attributes here")
    run(song)
    assert os.getxattr(song, "user.rating") == b"five\x00stars"


def test_access_control_lists_stay_and_none_is_inherited(song: Path) -> None:
    def entries(*parts: tuple[int, int, int]) -> bytes:
        body = b"".join(
            tag.to_bytes(2, "little") + perm.to_bytes(2, "little") + ident.to_bytes(4, "little", signed=True)
            for tag, perm, ident in parts
        )
        return (2).to_bytes(4, "little") + body

    # owner, user 12345, group, mask, others
    acl = entries((1, 6, -1), (2, 6, 12345), (4, 4, -1), (0x10, 6, -1), (0x20, 0, -1))
    try:
        os.setxattr(song.parent, "system.posix_acl_default", acl)
    except (OSError, AttributeError):
        pytest.skip("no access control lists here")
    run(song)
    assert "system.posix_acl_access" not in os.listxattr(song), "the folder's default must not reach an old file"
    song.write_bytes(OLD)
    os.setxattr(song, "system.posix_acl_access", acl)
    run(song)
    assert os.getxattr(song, "system.posix_acl_access") == acl


def test_the_owner_stays(song: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    os.chown(song, 12345, 23456)
    run(song)
    assert (song.stat().st_uid, song.stat().st_gid) == (12345, 23456)


def test_an_owner_that_cannot_be_kept_refuses_the_write(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: int, target: int) -> None:
        raise PermissionError(errno.EPERM, "made up")

    monkeypatch.setattr(swap, "keep_attributes", fail)
    with pytest.raises(WriteRefusedError, match="cannot be kept"):
        run(song)
    assert song.read_bytes() == OLD
    assert names(song.parent) == {"song.mp3"}


def test_the_modification_time_moves_unless_asked(song: Path) -> None:
    os.utime(song, ns=(1_000_000_000, 1_234_567_890_123_456_789))
    run(song)
    assert song.stat().st_mtime_ns > 1_234_567_890_123_456_789
    song.write_bytes(OLD)
    os.utime(song, ns=(1_000_000_000, 1_234_567_890_123_456_789))
    stamp = run(song, preserve_mtime=True)
    assert song.stat().st_mtime_ns == stamp.mtime_ns == 1_234_567_890_123_456_789


@pytest.mark.parametrize(
    "name", [b"caf\xe9.mp3", "日本.mp3".encode(), b"new\nline.mp3", b"[bold]song.mp3", b"-f.mp3", b"x" * 255]
)
def test_odd_names(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(OLD)
    run(path)
    assert [os.fsencode(found) for found in names(tmp_path)] == [name]
    assert path.read_bytes() == NEW


def test_an_existing_temporary_is_nobodys_to_overwrite(song: Path) -> None:
    (song.parent / NAME).write_bytes(b"mine")
    with pytest.raises(AccessError):
        run(song)
    assert (song.parent / NAME).read_bytes() == b"mine"
    assert song.read_bytes() == OLD


def test_names_of_temporaries(tmp_path: Path) -> None:
    first, second = (files.new_temporary_name(tmp_path / "song.mp3") for _ in range(2))
    assert first != second
    assert files.is_temporary_name(first)
    assert not any(map(files.is_temporary_name, ("song.mp3", first + "\n", "x" + first, first.upper(), "../" + first)))
    (tmp_path / first).write_bytes(b"")
    assert files.remove_left_over(tmp_path, first)
    assert not files.remove_left_over(tmp_path, first)
    with pytest.raises(WriteRefusedError):
        files.remove_left_over(tmp_path, "song.mp3")
    with pytest.raises(WriteRefusedError):
        run(tmp_path / "song.mp3", temporary_name="../song.mp3")


@pytest.mark.parametrize(
    ("code", "kind", "cause"),
    [
        (errno.ENOSPC, NoSpaceError, "no space"),
        (errno.EDQUOT, SystemFaultError, "quota"),
        (errno.EROFS, ReadOnlyError, "read-only"),
        (errno.EACCES, AccessError, "permission"),
        (errno.EIO, SystemFaultError, "input/output"),
        (errno.ENOSYS, SystemFaultError, "lacks a call"),
        (errno.ENOMEM, SystemFaultError, "memory"),
        (errno.ENOTCONN, SystemFaultError, "not connected"),
        (errno.ENOENT, FileChangedError, "gone"),
        (errno.ENOTTY, AccessError, "Inappropriate"),
    ],
)
def test_causes_are_named(song: Path, code: int, kind: type[FileError], cause: str) -> None:
    def fail(file: BinaryIO) -> None:
        raise OSError(code, os.strerror(code))

    with pytest.raises(kind, match=cause) as caught:
        run(song, edit=fail)
    assert type(caught.value) is kind
    assert caught.value.path == song
    assert caught.value.hint
    assert names(song.parent) == {"song.mp3"}


def test_reading_leaves_the_access_time(song: Path) -> None:
    os.utime(song, ns=(1_000_000_000, 2_000_000_000))
    with files.open_for_reading(song) as file:
        assert file.read() == OLD
        assert not os.get_inheritable(file.fileno())
    if hasattr(os, "O_NOATIME"):
        assert song.stat().st_atime_ns == 1_000_000_000


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    fifo = tmp_path / "song.mp3"
    os.mkfifo(fifo)
    caught: list[BaseException] = []

    def attempt() -> None:
        try:
            files.open_for_reading(fifo)
        except UnsupportedFileError as error:
            caught.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(timeout=10)
    assert caught, "opening a FIFO hangs"
    for other in (tmp_path, Path("/dev/null")):
        with pytest.raises(UnsupportedFileError):
            files.open_for_reading(other)
    with pytest.raises(UnsupportedFileError):
        run(fifo, expected=Stamp.of(fifo.stat()))


def test_a_missing_file_and_a_loop(tmp_path: Path) -> None:
    with pytest.raises(FileChangedError):
        files.open_for_reading(tmp_path / "gone.mp3")
    loop = tmp_path / "loop.mp3"
    loop.symlink_to(loop)
    with pytest.raises(AccessError):
        files.open_for_reading(loop)
    assert not files.inside(loop, tmp_path / "elsewhere")


def test_no_descriptor_leaks(song: Path) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc here")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for step in swap.STEPS[:-1]:
        with pytest.raises(ZeroDivisionError):
            run(song, step=at(step, lambda: 1 / 0))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_copying_works_without_the_calls_of_linux(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "copy_file_range", raising=False)
    monkeypatch.setattr(system, "_clone", lambda *_: False)
    run(song)
    assert song.read_bytes() == NEW


def test_a_copy_keeps_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    data = os.urandom(3_000_001)
    path.write_bytes(data)
    run(path, edit=lambda *_: None, check=lambda *_: None)
    assert path.read_bytes() == data
