"""Kills, errors, full disks and other programs in the middle of a write."""

from __future__ import annotations

import errno
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from files_helpers import NAME, NEW, OLD, anything, append, at, cannot_exchange, make_song, names, run

from genretagger.errors import (
    AccessError,
    FileChangedError,
)
from genretagger.files import replace as files
from genretagger.files import swap


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return make_song(tmp_path)


@pytest.fixture(params=["exchange", "rename"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to swap: as this system does it, and as one that cannot exchange names."""
    if request.param == "rename":
        cannot_exchange(monkeypatch)
    return str(request.param)


@pytest.mark.parametrize("step", swap.STEPS[:-1])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, OSError])
def test_an_error_at_any_step_leaves_the_original(song: Path, step: str, error: type[BaseException]) -> None:
    def fail() -> None:
        raise error(errno.EIO, "made up")

    with pytest.raises((error, AccessError)):
        run(song, step=at(step, fail))
    assert song.read_bytes() == OLD
    assert names(song.parent) == {"song.mp3"}


@pytest.mark.parametrize("step", ["swapped", "confirmed", "folder-synced"])
def test_an_error_after_a_rename_is_told_as_it_is(song: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rename cannot be taken back: the content of the file shows that the write took place."""
    cannot_exchange(monkeypatch)

    def fail() -> None:
        raise OSError(errno.EIO, "made up")

    with pytest.raises(AccessError, match="input/output"):
        run(song, step=at(step, fail))
    assert song.read_bytes() == NEW
    assert names(song.parent) == {"song.mp3"}


@pytest.mark.parametrize("step", swap.STEPS)
def test_a_kill_at_any_step_leaves_old_or_new(song: Path, step: str, way: str) -> None:
    code = f"""
        import os, signal
        from pathlib import Path
        from genretagger.files import replace as files
        from genretagger.files import system
        from genretagger.files import swap
        from genretagger.types import Stamp
        if {way!r} == "rename":
            def unsupported(self, first, second):
                raise system.Unsupported
            system.Folder.exchange = unsupported
        path = Path({str(song)!r})
        def put(file):
            file.truncate(0)
            file.write({NEW!r})
        def step(name):
            if name == {step!r}:
                os.kill(os.getpid(), signal.SIGKILL)
        files.replace(path, root=path.parent, edit=put, check=lambda a, b: None, step=step,
                      expected=Stamp.of(path.stat()), temporary_name={NAME!r})
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, check=False)
    assert done.returncode == -9, done.stderr
    after_swap = swap.STEPS.index(step) >= swap.STEPS.index("swapped")
    assert song.read_bytes() == (NEW if after_swap else OLD)
    assert names(song.parent) - {NAME} == {"song.mp3"}
    files.remove_left_over(song.parent, NAME)
    assert names(song.parent) == {"song.mp3"}
    assert song.read_bytes() == (NEW if after_swap else OLD)


BEFORE_SWAP = swap.STEPS[: swap.STEPS.index("swapped")]
LOOKED = BEFORE_SWAP[:-1]
"""The steps after which the original is still checked, even if names cannot be exchanged."""


def overwrite(path: Path) -> None:
    other = path.with_name("other.tmp")
    other.write_bytes(b"an edit by somebody else")
    other.rename(path)


@pytest.mark.slow
@pytest.mark.parametrize("step", BEFORE_SWAP)
@pytest.mark.parametrize("change", [append, overwrite])
def test_an_edit_meanwhile_wins(song: Path, step: str, change: Callable[[Path], None], way: str) -> None:
    if way == "rename" and step not in LOOKED:
        pytest.skip("the gap of microseconds that the exchange closes")
    with pytest.raises(FileChangedError):
        run(song, check=anything, step=at(step, lambda: change(song)))
    assert song.read_bytes().endswith(b"an edit by somebody else")
    assert names(song.parent) == {"song.mp3"}


@pytest.mark.parametrize("step", BEFORE_SWAP)
def test_a_deleted_file_is_not_brought_back(song: Path, step: str, way: str) -> None:
    if way == "rename" and step not in LOOKED:
        pytest.skip("the gap of microseconds that the exchange closes")
    with pytest.raises(FileChangedError):
        run(song, step=at(step, song.unlink))
    assert names(song.parent) == set()


@pytest.mark.parametrize("step", BEFORE_SWAP)
def test_rights_that_are_taken_meanwhile_stay_so(song: Path, step: str, way: str) -> None:
    if way == "rename" and step not in LOOKED:
        pytest.skip("the gap of microseconds that the exchange closes")
    song.chmod(0o644)
    with pytest.raises(FileChangedError):
        run(song, step=at(step, lambda: song.chmod(0o600)))
    assert song.read_bytes() == OLD
    assert stat.S_IMODE(song.stat().st_mode) == 0o600
    assert names(song.parent) == {"song.mp3"}


@pytest.mark.parametrize("step", BEFORE_SWAP)
def test_a_file_replaced_by_a_link_stays_one(song: Path, step: str, way: str) -> None:
    if way == "rename" and step not in LOOKED:
        pytest.skip("the gap of microseconds that the exchange closes")
    other = song.with_name("victim")
    other.write_bytes(b"a file elsewhere")

    def link() -> None:
        song.unlink()
        song.symlink_to(other)

    with pytest.raises(FileChangedError):
        run(song, step=at(step, link))
    assert song.is_symlink()
    assert other.read_bytes() == b"a file elsewhere"
    assert names(song.parent) == {"song.mp3", "victim"}


def test_a_file_taken_away_after_the_exchange_comes_back(song: Path) -> None:
    def take() -> None:
        song.unlink()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(song, step=at("swapped", take))
    assert song.read_bytes() == OLD
    assert names(song.parent) == {"song.mp3"}


def test_a_folder_moved_away_meanwhile_takes_its_file_along(song: Path, tmp_path: Path) -> None:
    folder = tmp_path / "album"
    folder.mkdir()
    inner = song.rename(folder / "song.mp3")

    def move() -> None:
        folder.rename(tmp_path / "moved")
        folder.mkdir()
        (folder / "song.mp3").write_bytes(b"another file of that name")

    run(inner, root=tmp_path, step=at("copied", move))
    assert (folder / "song.mp3").read_bytes() == b"another file of that name"
    assert (tmp_path / "moved" / "song.mp3").read_bytes() == NEW


def test_a_limit_on_file_sizes_is_an_access_error(song: Path) -> None:
    code = f"""
        import resource
        from pathlib import Path
        from genretagger.files import replace as files
        from genretagger.files import swap
        from genretagger.errors import AccessError
        from genretagger.types import Stamp
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        path = Path({str(song)!r})
        try:
            files.replace(path, root=path.parent, edit=lambda file: file.write(bytes(50000)), check=lambda a, b: None,
                          expected=Stamp.of(path.stat()), temporary_name={NAME!r})
        except AccessError as error:
            print(error.cause, error.retry)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout == "the file would be larger than this process may write True\n"
    assert song.read_bytes() == OLD
    assert names(song.parent) == {"song.mp3"}


def test_a_full_and_a_read_only_file_system(tmp_path: Path) -> None:
    code = """
        import os, subprocess, sys
        from pathlib import Path
        from genretagger.files import replace as files
        from genretagger.files import swap
        from genretagger.errors import FileError
        from genretagger.types import Stamp
        folder = Path(sys.argv[1])
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]).returncode:
            sys.exit(77)
        path = folder / "song.mp3"
        path.write_bytes(b"x" * 150_000)
        def attempt():
            try:
                files.replace(path, root=folder, edit=lambda file: None, check=lambda a, b: None,
                              expected=Stamp.of(path.stat()), temporary_name=files.new_temporary_name(path))
            except FileError as error:
                print(error.cause, "|", path.read_bytes() == b"x" * 150_000, os.listdir(folder))
        attempt()
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        attempt()
    """
    command = ["unshare", "--map-root-user", "--mount", sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("file systems cannot be mounted here")
    assert done.stdout.splitlines() == [
        "no space is left on the file system | True ['song.mp3']",
        "the file system is read-only | True ['song.mp3']",
    ], done.stderr


def test_watchers_see_the_song_come_back_last(song: Path) -> None:
    observers = pytest.importorskip("watchdog.observers")
    events = pytest.importorskip("watchdog.events")
    seen: list[tuple[str, str]] = []
    enough = threading.Event()

    class Handler(events.FileSystemEventHandler):  # type: ignore[misc, name-defined]
        def on_moved(self, event: object) -> None:
            seen.append((Path(str(event.src_path)).name, Path(str(event.dest_path)).name))  # type: ignore[attr-defined]

        def on_deleted(self, _: object) -> None:
            enough.set()

    observer = observers.Observer()
    observer.schedule(Handler(), str(song.parent))
    observer.start()
    try:
        run(song)
        assert enough.wait(10) or seen[-1:] == [(NAME, "song.mp3")]
    finally:
        observer.stop()
        observer.join()
    assert seen[-1] == (NAME, "song.mp3"), "a mirror would delete the song"
