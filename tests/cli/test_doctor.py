"""`genretagger doctor`: a sound set-up is sound, and each fault is found, named and survived."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from library_helpers import Library

from genretagger.causes import recorded
from genretagger.cli.checkup import Finding, Health, groups, library, setup, storage
from genretagger.config import Settings, load
from genretagger.types import GenreField

Command = Callable[..., Any]
REPOSITORY = Path(__file__).resolve().parents[2]


def by_check(ended: Any) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for line in ended.lines:
        if line["state"] != "ok" or line["check"] not in found:
            found[line["check"]] = line
    return found


def test_a_sound_set_up(genretagger: Command, data_dir: Path, tmp_path: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    (music / "a.mp3").touch()
    ended = genretagger("doctor", "--json", music)
    found = by_check(ended)
    assert ended.status == 0, ended.out
    assert ended.err == ""
    for check in (
        *("python", "packages", "configuration", "data folder", "database", "model", "device", "listening"),
        *("decoders", "child process", str(music)),
    ):
        assert found[check]["state"] == "ok", found[check]
    assert "s a window" in found["listening"]["found"]
    assert "1 music file in 1 folder" in found[str(music)]["found"]
    assert not (data_dir / "library.sqlite3").exists()
    assert [path.name for path in data_dir.iterdir()] == ["models"]


def test_people_get_marks_and_a_verdict(genretagger: Command, tmp_path: Path) -> None:
    ended = genretagger("doctor", tmp_path / "no [b] such \x1b folder")
    assert ended.status == 1
    assert "\x1b" not in ended.out
    assert "BAD   " in ended.out
    assert "no [b] such \\x1b folder: there is no such file or folder" in ended.out
    assert "warn  model: musicnn-yamnet is not installed yet\n      → `genretagger models pull`" in ended.out
    assert "1 broken, " in ended.out
    assert not (tmp_path / "data").exists()


def test_a_broken_configuration_stops_nothing_and_the_data_folder_is_still_found(
    genretagger: Command, data_dir: Path, tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    file.write_text("min_score = 7\n")
    ended = genretagger("doctor", "--json", GENRETAGGER_CONFIG=str(file))
    found = by_check(ended)
    assert ended.status == 1
    assert found["configuration"]["state"] == "bad"
    assert "min_score" in found["configuration"]["found"]
    assert found["configuration"]["fix"]
    assert found["model"]["state"] == "ok", "it looked in another data folder"


def test_a_misspelt_device_variable_is_found(genretagger: Command) -> None:
    found = by_check(genretagger("doctor", "--json", GENRETAGGER_DEVIC="cpu"))
    assert "GENRETAGGER_DEVICE" in found["configuration"]["fix"]


def test_a_device_that_is_not_offered_is_bad(genretagger: Command, data_dir: Path) -> None:
    from genretagger.model.runtime import onnxruntime

    if "ROCMExecutionProvider" in onnxruntime().get_available_providers():
        pytest.skip("this machine has ROCm")
    ended = genretagger("doctor", "--json", GENRETAGGER_DEVICE="rocm")
    found = by_check(ended)
    assert ended.status == 1
    assert found["device"]["state"] == "bad"
    assert "onnxruntime-rocm" in found["device"]["fix"]
    assert found["listening"]["state"] == "bad"
    assert "using the CPU" in found["listening"]["found"]


def test_a_damaged_model_is_bad(genretagger: Command, data_dir: Path) -> None:
    onnx = data_dir / "models" / "musicnn-yamnet" / "model.onnx"
    content = bytearray(onnx.read_bytes())
    content[5000] ^= 1
    onnx.unlink()
    onnx.write_bytes(content)
    ended = genretagger("doctor", "--json")
    assert ended.status == 1
    assert "model.onnx was changed" in by_check(ended)["model"]["found"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b"this is no database at all" * 100, "not a genretagger database")],
    ids=["empty", "garbage"],
)
def test_a_file_that_is_no_database_is_bad_and_left_alone(
    genretagger: Command, tmp_path: Path, content: bytes, words: str
) -> None:
    file = tmp_path / "data" / "library.sqlite3"
    file.parent.mkdir()
    file.write_bytes(content)
    ended = genretagger("doctor", "--json")
    found = by_check(ended)["database"]
    assert ended.status == 1
    assert found["state"] == "bad"
    assert words in found["found"]
    assert found["fix"]
    assert file.read_bytes() == content


def test_damage_inside_the_database_is_found(genretagger: Command, tmp_path: Path) -> None:
    with Library.at(tmp_path / "data") as known, known.store.group():
        for number in range(500):
            known.track(Path(f"/music/{number}.mp3"))
    file = tmp_path / "data" / "library.sqlite3"
    content = bytearray(file.read_bytes())
    page = int.from_bytes(content[16:18])
    first = content.index(b"/music/250.mp3") // page * page
    content[first : first + page] = b"\xaa" * page
    file.write_bytes(content)
    ended = genretagger("doctor", "--json")
    assert ended.status == 1
    assert any(
        line["state"] == "bad" and ("damaged" in line["found"] or line["check"] == "integrity") for line in ended.lines
    )


def test_counts_and_pending_writes(tmp_path: Path) -> None:
    field = GenreField((), None, "ID3v2.4")
    with Library.at(tmp_path) as known:
        track = known.track(tmp_path / "a.mp3", (), ("Rock",))
        known.write(track, ("Rock",))
        known.store.writes.begin(
            known.run, track.path, track.payload_hash, field, field, model="m", reason=recorded("r")
        )
    settings = load(data_dir=tmp_path)
    # The run belongs to this very process, which is alive and so may still be at work, but asks
    # from another store.
    found = {finding.check: finding for finding in storage.database(settings, ())}
    assert "1 track known, 1 heard, 1 decided, 0 failed, 1 write" in found["database"].found
    assert found["integrity"].state is Health.OK
    assert found["pending writes"].state is Health.WARN


def test_a_data_folder_that_is_a_file_or_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    (finding,) = storage.data_folder(load(data_dir=tmp_path / "file" / "deep"), ())
    assert finding.state is Health.BAD
    monkeypatch.setattr(storage, "may_make_files", lambda _: False)
    (finding,) = storage.data_folder(load(data_dir=tmp_path / "deep" / "deeper"), ())
    assert finding.state is Health.BAD
    assert str(tmp_path) in finding.found


def test_a_crash_and_a_hang_cost_one_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENRETAGGER_DATA_DIR", str(tmp_path))
    crash = "import os, sys; print('segmentation or so', file=sys.stderr, flush=True); os.abort()"
    monkeypatch.setattr(groups, "TIME_LIMIT_S", 1.0)
    for script, state, words in (
        (crash, Health.BAD, "crashed"),
        ("import signal; signal.pause()", Health.WARN, "stopped"),
    ):
        command = [sys.executable, "-c", script]
        monkeypatch.setattr("genretagger.launch.command", lambda *_, command=command, **__: command)
        found = list(groups.examine(()))
        broken = [finding for finding in found if finding.check in groups.APART]
        assert [finding.check for finding in broken] == list(groups.APART)
        assert all(finding.state is state and words in finding.found for finding in broken)
        assert any(finding.check == "python" for finding in found)


def test_a_check_that_fails_is_a_finding(tmp_path: Path) -> None:
    def sound(settings: Settings, paths: Sequence[Path]) -> Iterator[Finding]:
        yield Finding("sound", Health.OK, "found")

    def wrong(settings: Settings, paths: Sequence[Path]) -> Iterator[Finding]:
        yield Finding("early", Health.OK, "found")
        raise IndexError("odd machine")

    found = list(groups._carry_out((wrong, sound), ()))
    assert [finding.check for finding in found] == ["early", "wrong", "sound"]
    assert found[1].state is Health.BAD
    assert "IndexError: odd machine" in found[1].found


def test_a_module_in_the_working_folder_is_not_run(genretagger: Command, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    for name in ("json", "numpy", "av", "wave"):
        (hostile / f"{name}.py").write_text("raise SystemExit('hostile code ran')")
    child = groups._start("decoding", ())
    assert child.args[1] == "-P"  # type: ignore[index]
    child.kill()
    child.communicate()
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "genretagger", "doctor"],
        cwd=hostile,
        env={**os.environ, "GENRETAGGER_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        timeout=100,
    )
    assert b"hostile" not in ended.stdout + ended.stderr
    assert ended.returncode == 0


def test_folders_tell_of_hard_links_rights_and_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "deep" / ".hidden").mkdir(parents=True)
    (tmp_path / "deep" / ".hidden" / "x.mp3").touch()
    (tmp_path / "deep" / "a.mp3").touch()
    (tmp_path / "b.mp3").hardlink_to(tmp_path / "deep" / "a.mp3")
    (tmp_path / "c.flac").touch(0o444)
    (tmp_path / "d.ogg").symlink_to("nowhere")
    (tmp_path / "cover.jpg").touch()
    found = [finding for finding in library.folders(load(), (tmp_path,)) if finding.check == str(tmp_path)]
    assert found[0] == Finding(str(tmp_path), Health.OK, "3 music files in 2 folders")
    assert found[1].found == "1 name skipped: links that lead nowhere, FIFOs, devices"
    text = "\n".join(f"{finding.state} {finding.found}" for finding in found[1:])
    assert "warn 2 files with several names (hard links)" in text
    assert f"warn 1 file or folder that cannot be written, such as {tmp_path / 'c.flac'}" in text
    allowed = library.folders(load(hard_links=True), (tmp_path,))
    assert not any("hard links" in finding.found for finding in allowed)


def test_a_read_only_mount_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "mounted_read_only", lambda _: True)
    found = list(library.folders(load(), (tmp_path,)))
    assert any(finding.state is Health.BAD and "remount,rw" in finding.fix for finding in found)


@pytest.mark.parametrize(
    ("limits", "folders", "state", "fix"),
    [
        ((8192, 128, 16384), 0, Health.OK, ""),
        ((8192, 128, 16384), 6000, Health.OK, ""),
        ((8192, 128, 16384), 7000, Health.WARN, "fs.inotify.max_user_watches=524288"),
        ((8192, 128, 16384), 9000, Health.BAD, "fs.inotify.max_user_watches=524288"),
        ((8192, 128, 16384), 400_000, Health.BAD, "fs.inotify.max_user_watches=800000"),
        ((8192, 4, 16384), 10, Health.WARN, "fs.inotify.max_user_instances=128"),
        ((8192, 128, 64), 10, Health.WARN, "fs.inotify.max_queued_events=16384"),
    ],
    ids=["no folders", "room", "little room", "too few", "far too few", "instances", "queue"],
)
def test_limits_on_watching(
    tmp_path: Path, limits: tuple[int, int, int], folders: int, state: Health, fix: str
) -> None:
    for name, value in zip(("user_watches", "user_instances", "queued_events"), limits, strict=True):
        (tmp_path / f"max_{name}").write_text(f"{value}\n")
    (finding,) = library.watching(folders, tmp_path)
    assert finding.state is state
    if fix:
        assert finding.fix.startswith(f"sudo sysctl {fix};")


def test_systems_without_inotify_are_not_asked(tmp_path: Path) -> None:
    assert list(library.watching(10, tmp_path / "absent")) == []


def test_required_versions_are_those_of_the_project() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert dict(entry.split(">=") for entry in project["dependencies"]) == dict(setup.REQUIRED)


def test_missing_and_old_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "REQUIRED", {"numpy": "9999", "no-such-package-at-all": "1"})
    (finding,) = setup.packages(load(), ())
    assert finding.state is Health.BAD
    assert "no-such-package-at-all is missing" in finding.found
    assert "is older than 9999" in finding.found
    assert finding.fix.endswith("-m pip install 'numpy>=9999' 'no-such-package-at-all>=1'")


def test_nothing_in_the_check_up_writes_to_the_owners_folders() -> None:
    """The only thing that it may make is a temporary folder."""
    files = list((REPOSITORY / "genretagger" / "cli" / "checkup").glob("*.py"))
    assert len(files) > 5
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                assert node.attr not in {"write_text", "write_bytes", "mkdir", "touch", "unlink", "pull", "chmod"}, file
