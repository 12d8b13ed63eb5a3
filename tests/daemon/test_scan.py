"""Comparing a folder with the database by names and stamps, without opening a file."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from genretagger.causes import Cause
from genretagger.daemon.account import Account
from genretagger.daemon.events import Events
from genretagger.daemon.scan import Scan, is_handled
from genretagger.database.store import Store
from genretagger.database.values import Claimant, Handled, NewJob
from genretagger.errors import AccessError, AudioError
from genretagger.types import GenreField, Stamp, Track

ME = Claimant("service/engine")
KEY = "rules"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "library.sqlite3") as opened:
        yield opened


@pytest.fixture
def music(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    for name in (
        "b.mp3",
        "a/z.mp3",
        "a.mp3",
        "a0.flac",
        "a b/c/d.ogg",
        ".hidden/x.mp3",
        ".x.mp3",
        "note.txt",
        "x.mp3.part",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"no audio, and nobody reads it")
    odd = os.fsencode(folder) + b"/\xff.mp3"
    with open(odd, "wb"):  # noqa: PTH123
        pass
    (folder / "loop").symlink_to(folder)
    (folder / "link.mp3").symlink_to("b.mp3")
    (folder / "nowhere.mp3").symlink_to("gone")
    (folder / "zero.mp3").symlink_to("/dev/zero")
    os.mkfifo(folder / "fifo.mp3")
    return folder


ALL = ["a b/c/d.ogg", "a.mp3", "a/z.mp3", "a0.flac", "b.mp3", "link.mp3", "\udcff.mp3"]


def look(store: Store, music: Path, key: str = KEY, **options: object) -> dict[str, bool]:
    scan = Scan(music, store.tracks.get_seen_below(music), rules_key=key, **options)  # type: ignore[arg-type]
    return {str(found.path.relative_to(music)): found.changed for found in scan.unhandled()}


def handle(store: Store, path: Path, key: str | None = KEY, cause: Cause | None = None) -> None:
    store.tracks.save(Track(path, Stamp.of(path.stat()), "mp3", 1.0, str(path), GenreField((), None, "no tag")))
    store.jobs.finish(ME, path, key, cause)


def test_everything_is_new_at_first_and_comes_in_order(store: Store, music: Path) -> None:
    assert look(store, music) == dict.fromkeys(ALL, False)
    assert list(look(store, music)) == sorted(ALL, key=os.fsencode)


def test_what_was_handled_is_passed_over_until_it_changes(store: Store, music: Path) -> None:
    for name in ALL:
        handle(store, music / name)
    assert look(store, music) == {}
    (music / "a.mp3").write_bytes(b"another")
    (music / "a0.flac").rename(music / "a1.flac")
    os.utime(music / "a/z.mp3")
    assert look(store, music) == {"a.mp3": True, "a/z.mp3": True, "a1.flac": False}
    assert look(store, music / "a") == {"z.mp3": True}
    assert list(look(store, music, "other rules")) == [
        *("a b/c/d.ogg", "a.mp3", "a/z.mp3", "a1.flac", "b.mp3", "link.mp3", "\udcff.mp3")
    ]


def test_what_was_refused_is_handled_as_well(store: Store, music: Path) -> None:
    for name in ALL:
        handle(store, music / name, cause=Cause.TOO_SHORT)
    assert look(store, music) == {}


def test_what_failed_for_good_or_is_set_aside_is_passed_over(store: Store, music: Path) -> None:
    for name in ALL:
        handle(store, music / name)
    broken, denied, aside = (music / name for name in ("a.mp3", "b.mp3", "a0.flac"))
    for path, error in (
        (broken, AudioError("damaged")),
        (denied, AccessError("denied")),
        (aside, AccessError("denied")),
    ):
        store.tracks.save_failure(path, Stamp.of(path.stat()), error)
    store.jobs.add(ME, [NewJob(aside, music)])
    store.jobs.claim(ME, lease_s=60, attempts=3)
    store.jobs.fail(ME, aside, AccessError("denied"), again_in_s=None)
    assert set(look(store, music)) == {"b.mp3", "link.mp3"} - {"link.mp3"}
    broken.write_bytes(b"repaired")
    assert look(store, music) == {"a.mp3": True, "b.mp3": False}


def test_patterns_leave_out_files_and_folders(store: Store, music: Path) -> None:
    assert set(look(store, music, ignore=("A", "*.FLAC"))) == {
        "a b/c/d.ogg",
        "a.mp3",
        "b.mp3",
        "link.mp3",
        "\udcff.mp3",
    }
    assert set(look(store, music, ignore=("a b/c", "a/*", "?.mp3"))) == {"a0.flac", "link.mp3"}


def test_a_folder_that_cannot_be_read_is_told_of(store: Store, tmp_path: Path) -> None:
    failed: list[OSError] = []
    assert look(store, tmp_path / "nowhere", failed=failed.append) == {}
    assert [type(error) for error in failed] == [FileNotFoundError]


def test_a_folder_that_is_deeper_than_python_may_call(store: Store, tmp_path: Path) -> None:
    deep = tmp_path / "music"
    deep.mkdir()
    here = Path.cwd()
    try:
        os.chdir(deep)
        for _ in range(1200):
            Path("d").mkdir()
            os.chdir("d")
        Path("song.mp3").touch()
    finally:
        os.chdir(here)
    assert [len(Path(name).parts) for name in look(store, deep)] == [1201]
    subprocess.run(["rm", "-r", deep], check=True)  # pytest would call itself as deeply


def test_paths_that_are_too_long_cost_one_warning(
    store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A folder with a path that the system accepts, and in it files and folders with longer."""
    failed: list[OSError] = []
    folder, depth = tmp_path / "music", 0
    folder.mkdir()
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        while len(os.fsencode(folder)) < 3900:  # only relative names lead on from here
            name = "d" * min(200, 4000 - len(os.fsencode(folder)))
            os.mkdir(name, dir_fd=descriptor)
            inner = os.open(name, os.O_RDONLY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor, folder, depth = inner, folder / name, depth + 1
        for number in range(5):
            os.mkdir(f"{number}" * 200, dir_fd=descriptor)
            name = f"{number}" * 200 + ".flac"
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=descriptor))
        os.close(os.open("short.flac", os.O_WRONLY | os.O_CREAT, dir_fd=descriptor))
    finally:
        os.close(descriptor)
    scan = Scan(tmp_path, store.tracks.get_seen_below(tmp_path), rules_key="rules", failed=failed.append)
    assert [found.path.name for found in scan.unhandled()] == ["short.flac"]
    events = Events()
    account = Account(events)
    for error in failed:
        account.unreadable(error)
    events.close(10)
    told = capfd.readouterr().err
    assert told.count("folder cannot be read") == 1
    assert "too long" in told


@pytest.mark.parametrize(
    ("handled", "settled"),
    [
        (Handled("rules"), True),
        (Handled("rules", Cause.CHOSEN), True),
        (Handled("rules", Cause.HARD_LINKED), True),
        (Handled("rules", Cause.NOT_PERMITTED), True),
        (Handled("rules", Cause.NOT_WRITABLE), False),
        (Handled("others", Cause.CHOSEN), False),
        (Handled(), False),
    ],
    ids=str,
)
def test_what_was_not_writable_is_checked_again_once_it_is(tmp_path: Path, handled: Handled, settled: bool) -> None:
    song = tmp_path / "song.flac"
    song.touch()
    assert is_handled(handled, "rules", song) is settled
