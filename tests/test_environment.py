"""Other users, read-only systems, no home or cache, little memory: it works, or says why."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import command_helpers as helpers
import platformdirs
import pytest
from container_helpers import PACKAGE, contained, give, needs_container, shelf
from daemon_helpers import Watcher

from genretagger import config, places
from genretagger.errors import ConfigError
from genretagger.model import manifest

__all__ = ["shelf"]

MakeTechno = Callable[..., Path]

PLAIN = {"PATH": "/usr/bin:/bin"}
BARE = ("env", "-u", "HOME", "-u", "XDG_CONFIG_HOME", "-u", "XDG_DATA_HOME")
MOST_MB = 512


def run(command: list[str], environment: Mapping[str, str | Path]) -> subprocess.CompletedProcess[str]:
    variables = {**PLAIN, **{name: str(value) for name, value in environment.items()}}
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=110, check=False)


def genretagger(*arguments: str | Path, writable: Path | None, **environment: str | Path) -> tuple[int, str, str]:
    """The real command as a user without a name on a read-only system."""
    ended = run(contained(sys.executable, "-m", "genretagger", *arguments, writable=writable), environment)
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.returncode, ended.stdout, ended.stderr


@pytest.fixture
def home(shelf: Path, data_dir: Path, make_techno: MakeTechno) -> Path:
    """A folder with `data` (the model) and `music` (a song), both the other user's."""
    needs_container()
    shutil.copytree(data_dir, shelf / "data")
    (shelf / "music").mkdir()
    make_techno(shelf / "music" / "song.flac")
    give(shelf)
    return shelf


def test_no_home(home: Path) -> None:
    data = home / "data"
    song = home / "music" / "song.flac"
    for arguments in (["status"], ["tag", song], ["config", "show"], ["history"], ["models", "list"]):
        status, _, err = genretagger(*arguments, writable=home)
        assert status == 2, err
        assert err.count("has no home folder") == 1
        assert "GENRETAGGER_DATA_DIR=" in err
    status, out, _ = genretagger("doctor", writable=home)
    assert status == 1
    assert "no home folder" in out
    status, _, err = genretagger("tag", song, writable=home, GENRETAGGER_DATA_DIR=data)
    assert status == 0, err
    assert helpers.genres_of(song) == ["Trance"]
    assert genretagger("history", writable=home, GENRETAGGER_DATA_DIR=data)[0] == 0
    status, out, _ = genretagger("config", "show", writable=home, GENRETAGGER_DATA_DIR=data)
    assert (status, "file: none" in out) == (0, True)
    status, out, _ = genretagger("doctor", home / "music", writable=home, GENRETAGGER_DATA_DIR=data)
    assert status == 0, out
    assert "BAD" not in out
    assert "reads and decodes a file" in out
    assert "front end" in out


def test_a_user_without_a_home_is_told_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> Path:
        raise RuntimeError("could not determine the home directory")

    for place in (refuse, lambda *_, **__: Path("~/.local/share/genretagger")):
        monkeypatch.setattr(platformdirs, "user_data_path", place)
        monkeypatch.setattr(platformdirs, "user_config_path", place)
        with pytest.raises(ConfigError, match="no home folder") as caught:
            config.load()
        assert "GENRETAGGER_DATA_DIR" in caught.value.hint
        with pytest.raises(ConfigError, match="no home folder"):
            places.config_path()
        assert config.load(data_dir=tmp_path).data_dir == tmp_path


@pytest.mark.slow
def test_numba_cache(home: Path) -> None:
    """A model that an earlier version installed, on a system where nothing can be cached."""
    folder = home / "data" / "models" / "musicnn-yamnet"
    files = {name: entry for name, entry in manifest.sums(folder).items() if name != manifest.BANK}
    (folder / manifest.MANIFEST).unlink()  # a hard link to the one that all tests share
    (folder / manifest.MANIFEST).write_bytes(manifest.dumped(files))
    (folder / manifest.BANK).unlink()
    for path in (folder, *folder.iterdir()):
        os.chown(path, 0, 0)
    for name in ("HOME", "XDG_CACHE_HOME"):
        song = home / "music" / f"{name}.flac"
        shutil.copy(home / "music" / "song.flac", song)
        give(home / "music")
        status, _, err = genretagger(
            "tag", song, writable=home, GENRETAGGER_DATA_DIR=home / "data", **{name: Path(os.sep)}
        )
        assert status == 0, err
        assert helpers.genres_of(song) == ["Trance"]
    assert helpers.failures(home / "data") == []
    assert not (folder / manifest.BANK).exists()


def test_no_place_for_temporary_files(home: Path) -> None:
    song = home / "music" / "song.flac"
    data = home / "data"
    status, _, err = genretagger("tag", song, writable=home, GENRETAGGER_DATA_DIR=data, TMPDIR="/nonexistent")
    assert status == 0, err
    assert helpers.genres_of(song) == ["Trance"]


def test_a_data_folder_that_cannot_be_written(home: Path) -> None:
    before = helpers.snapshot(home)
    status, _, err = genretagger("tag", home / "music", writable=None, GENRETAGGER_DATA_DIR=home / "data")
    assert status == 2
    assert err.count("genretagger: ") == 1
    assert helpers.snapshot(home) == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limits of Linux")
@pytest.mark.parametrize("limit_kb", [100_000, 200_000, 350_000])
def test_a_limit_on_memory_ends_it_once(data_dir: Path, music: Path, make_techno: MakeTechno, limit_kb: int) -> None:
    songs = [make_techno(music / f"{name}.flac") for name in "ab"]
    before = [song.read_bytes() for song in songs]
    command = ["sh", "-c", f'ulimit -v {limit_kb}; exec "$@"', "sh", sys.executable, "-m", "genretagger", "tag"]
    ended = run([*command, str(music)], {**os.environ, "GENRETAGGER_DATA_DIR": data_dir})
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("genretagger: ") == 1
    assert re.search("memory|thread", ended.stderr)
    assert [song.read_bytes() for song in songs] == before
    if (data_dir / "library.sqlite3").exists():
        assert helpers.failures(data_dir) == []


def resident_mb(process_id: int) -> float:
    """The memory of a process and all that it started, what they share counted once."""
    from psutil import Process

    family = [Process(process_id), *Process(process_id).children(recursive=True)]
    return float(sum(each.memory_full_info().pss for each in family if each.is_running()) / 2**20)


def test_the_service_in_a_container(home: Path, make_techno: MakeTechno) -> None:
    """As docs/service.md has it: no name, no HOME, a read-only root, one processor, 512 MB."""
    cpu = min(os.sched_getaffinity(0))
    prefix = contained(writable=home, prefix=("taskset", "--cpu-list", str(cpu), *BARE))
    songs = [home / "music" / f"{name}.flac" for name in "abc"]
    with Watcher(home / "music", data_dir=home / "data", prefix=tuple(prefix), TMPDIR="/nonexistent") as watcher:
        for song in songs:
            shutil.copy(home / "music" / "song.flac", song.with_suffix(".part"))
            os.chown(song.with_suffix(".part"), 12_345, 12_345)
            song.with_suffix(".part").rename(song)
        most_mb = 0.0
        for _ in range(len(songs) + 1):
            watcher.wait_for("tagged")
            most_mb = max(most_mb, resident_mb(watcher.process.pid))
        assert most_mb < MOST_MB
        assert watcher.stop() == 0
    for song in (*songs, home / "music" / "song.flac"):
        assert helpers.genres_of(song) == ["Trance"]
        assert song.stat().st_uid == 12_345
    assert helpers.failures(home / "data") == []


def test_the_containerfile_names_what_there_is() -> None:
    """No engine runs it here: its options, its user and its command are at least real ones."""
    lines = (PACKAGE / "Containerfile").read_text("utf-8").replace("\\\n", " ").splitlines()
    answer = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    named = {name: [rest for each, rest in answer if each == name] for name, _ in answer}
    (variables,) = named["ENV"]
    options = {f"GENRETAGGER_{name.upper()}" for name in config.Settings.model_fields}
    assert set(re.findall(r"GENRETAGGER_\w+", variables)) <= options
    assert named["USER"] == ["1000:1000"]
    assert (named["ENTRYPOINT"], named["CMD"]) == (['["genretagger"]'], ['["watch", "/music"]'])
    ended = subprocess.run([sys.executable, "-m", "genretagger", "watch", "--help"], capture_output=True, check=False)
    assert ended.returncode == 0
    least = re.search(r"python:3\.(\d+)", named["FROM"][0])
    assert least is not None
    assert int(least[1]) >= 11
