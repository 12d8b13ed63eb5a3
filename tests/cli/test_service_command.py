"""`genretagger service`: the units, whatever the folders' names, and the calls of systemd."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ended
from few import few

from genretagger.cli.service import unit, unit_word
from genretagger.cli.watch import distinct
from genretagger.errors import ConfigError

Command = Callable[..., Ended]

ODD = "50% of $HOME \"quoted\" back\\slash ; '#'"


def lines(text: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


@pytest.mark.parametrize("system", [False, True])
def test_systemd_takes_the_units(tmp_path: Path, system: bool) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    folders = [tmp_path / name for name in ("plain", "two words", ODD)]
    for folder in folders:
        folder.mkdir()
    text = unit(folders, system=system, user="root")
    place = tmp_path / "made-for-this-test.service"
    place.write_text(text, "utf-8")
    done = subprocess.run(["systemd-analyze", "verify", place], capture_output=True, text=True, timeout=60)
    complaints = [line for line in done.stderr.splitlines() if place.name in line]
    assert (done.returncode, complaints) == (0, []), done.stderr


def test_names_of_folders_are_quoted(tmp_path: Path) -> None:
    text = unit([Path("/music"), tmp_path / ODD], system=False, user=None)
    (command,) = lines(text, "ExecStart")
    words = shlex.split(command.replace("$$", "$").replace("%%", "%"))
    assert words[1:] == ["-m", "genretagger", "watch", "/music", str(tmp_path / ODD)]
    with pytest.raises(ConfigError, match="a systemd unit cannot contain"):
        unit_word(Path("/music/two\nlines"))
    with pytest.raises(ConfigError, match="a systemd unit cannot contain"):
        unit_word(Path("/music/\udcff"))


def test_variables_are_meant_in_commands_only(tmp_path: Path) -> None:
    text = unit([tmp_path / "A$AP"], system=True, user="root")
    assert lines(text, "ExecStart")[0].endswith("A$$AP")
    assert lines(text, "ReadWritePaths") == [f"-{tmp_path / 'A$AP'}"]


def test_the_system_unit_is_confined(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    place = tmp_path / "made-for-this-test.service"
    place.write_text(unit([tmp_path], system=True, user="nobody"), "utf-8")
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=30", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if "unrecognized option" in done.stderr:
        pytest.skip("an older systemd-analyze, which looks at running services only")
    assert done.returncode == 0, done.stdout[-400:]  # 10 is no protection at all, 3 and less is called OK


@pytest.mark.parametrize("system", [False, True])
def test_python_may_lie_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: bool) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    python = tmp_path / "A$AP 50% of it" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(python))
    place = tmp_path / "made-for-this-test.service"
    place.write_text(unit([tmp_path], system=system, user="root"), "utf-8")
    done = subprocess.run(["systemd-analyze", "verify", place], capture_output=True, text=True, timeout=60)
    assert (done.returncode, "not executable" in done.stderr) == (0, False), done.stderr


def test_a_folder_is_watched_once_whatever_link_leads_to_it(tmp_path: Path) -> None:
    inner = tmp_path / "music" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "a link").symlink_to(inner)
    (tmp_path / "z link").symlink_to(tmp_path)
    assert distinct([tmp_path / "music", tmp_path / "a link", inner, tmp_path / "music2/.."]) == [tmp_path]
    assert distinct([tmp_path / "a link", tmp_path / "music"]) == [tmp_path / "music"]
    assert distinct([tmp_path / "music", tmp_path / "z link"]) == [tmp_path / "z link"]


def test_the_system_unit_may_write_the_music_and_nothing_else(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two words"]
    folders[0].mkdir()
    text = unit(folders, system=True, user=None)
    assert lines(text, "User") == [folders[0].owner()]
    assert lines(text, "ReadWritePaths") == [f"-{folders[0]}", f'"-{folders[1]}"']
    assert lines(text, "RequiresMountsFor") == [str(folders[0]), f'"{folders[1]}"']
    assert lines(text, "ProtectSystem") == ["strict"]
    for key, value in (("Type", "notify"), ("WatchdogSec", "60"), ("NoNewPrivileges", "yes")):
        assert lines(text, key) == [value]
    assert not any(key in text for key in ("MemoryDenyWriteExecute", "PrivateDevices"))


def test_show_changes_nothing(genretagger: Command, tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    shown = genretagger("service", "install", "--show", tmp_path / "music", XDG_CONFIG_HOME=str(tmp_path / "config"))
    assert shown.status == 0
    assert f"watch {tmp_path / 'music'}" in shown.out
    assert not (tmp_path / "config").exists()


@pytest.fixture
def systemctl(tmp_path: Path) -> Path:
    """A substitute for systemctl, which has no session to talk to here: it notes its calls."""
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {shlex.quote(str(tmp_path / "asked"))}\nexit ${{FAIL:-0}}\n')
    program.chmod(0o755)
    return program


def test_installed_and_removed(genretagger: Command, tmp_path: Path, systemctl: Path) -> None:
    music, place = tmp_path / "music", tmp_path / "config" / "systemd" / "user" / "genretagger.service"
    music.mkdir()
    around = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "PATH": f"{systemctl.parent}:{os.environ['PATH']}"}
    done = genretagger("service", "install", music, **around)
    assert done.status == 0, done.err
    assert f"watch {music}" in place.read_text()
    assert f"GENRETAGGER_DATA_DIR={tmp_path / 'data'}" in place.read_text()
    assert "journalctl --user -u genretagger.service" in done.err
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == [
        "--user daemon-reload",
        "--user enable --now genretagger.service",
        "--user restart genretagger.service",
    ]
    assert genretagger("service", "uninstall", **around).status == 0
    assert not place.exists()
    again = genretagger("service", "uninstall", **around)
    assert (again.status, "not installed" in again.err) == (2, True)


NO_BUS = "Failed to connect to bus: No medium found"


def offline(systemctl: Path) -> None:
    systemctl.write_text(
        f"#!/bin/sh\ncase $* in *daemon-reload|*disable*|*enable*) echo '{NO_BUS}' >&2; exit 1;; esac\n"
    )


@pytest.mark.parametrize("failing", ["daemon-reload", "enable", "restart"])
def test_an_installation_that_fails_leaves_nothing(
    genretagger: Command, tmp_path: Path, systemctl: Path, failing: str
) -> None:
    music, place = tmp_path / "music", tmp_path / "config" / "systemd" / "user" / "genretagger.service"
    music.mkdir()
    around = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "PATH": f"{systemctl.parent}:{os.environ['PATH']}"}
    works = systemctl.read_text()
    link = place.parent / "default.target.wants" / place.name
    systemctl.write_text(
        f"#!/bin/sh\nmkdir -p {link.parent}\n"
        f"case $* in *enable*) ln -sf {place} {link};; esac\n"
        f"case $* in *{failing}*) echo '{NO_BUS}' >&2; exit 1;; esac\n"
    )
    done = genretagger("service", "install", music, **around)
    assert (done.status, f"systemctl {failing} failed: {NO_BUS}" in done.err) == (2, True), done.err
    assert f"{place} was taken away again" in done.err
    assert [path for path in place.parent.rglob("*") if not path.is_dir()] == []
    systemctl.write_text(works)
    assert genretagger("service", "install", music, **around).status == 0
    before = place.read_bytes()
    offline(systemctl)
    (tmp_path / "other").mkdir()
    again = genretagger("service", "install", tmp_path / "other", **around)
    assert (again.status, f"{place} is as it was" in again.err, place.read_bytes()) == (2, True, before), again.err


@pytest.mark.parametrize("there", [True, False], ids=["no bus", "no systemctl"])
def test_it_is_removed_where_systemd_cannot_be_asked(
    genretagger: Command, tmp_path: Path, systemctl: Path, there: bool
) -> None:
    place = tmp_path / "config" / "systemd" / "user" / "genretagger.service"
    link = place.parent / "default.target.wants" / place.name
    link.parent.mkdir(parents=True)
    place.touch()
    link.symlink_to(place)
    offline(systemctl)
    path = f"{systemctl.parent}:{os.environ['PATH']}" if there else str(tmp_path)
    done = genretagger("service", "uninstall", XDG_CONFIG_HOME=str(tmp_path / "config"), PATH=path)
    assert (done.status, place.exists(), link.is_symlink()) == (1, False, False), done.err
    assert f"removed {place}" in done.err
    assert (NO_BUS if there else "there is no systemd here") in done.err
    assert "if it runs, it runs on" in done.err


def test_without_systemd(genretagger: Command, tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    done = genretagger("service", "install", tmp_path / "music", PATH=str(tmp_path))
    assert (done.status, "there is no systemd here" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    few(
        [
            (["watch"], "Missing argument"),
            (["watch", "nowhere/at/all"], "there is no such folder"),
            (["watch", "pyproject.toml"], "that is not a folder"),
            (["service", "install"], "Missing argument"),
        ],
        1,
    ),
)
def test_wrong_use(genretagger: Command, arguments: list[str], said: str) -> None:
    done = genretagger(*arguments)
    assert (done.status, said in done.err) == (2, True), done.err


def test_a_data_folder_that_cannot_be_made(genretagger: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = genretagger("watch", tmp_path, GENRETAGGER_DATA_DIR=str(tmp_path / "file" / "data"))
    assert (done.status, "the data folder cannot be used: Not a directory" in done.err) == (2, True), done.err
