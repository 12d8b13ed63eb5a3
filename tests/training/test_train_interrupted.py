"""Interrupted, killed, out of space or run twice at once: `train` leaves a whole model."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import command_helpers as helpers
import pytest
from training_helpers import taught

from genretagger.errors import ModelError
from genretagger.model import ModelStore

Command = Callable[..., Any]


@pytest.fixture
def other_names(tmp_path: Path) -> Path:
    """A map that makes another model from the same music."""
    (tmp_path / "map.toml").write_text('Dub = "Reggae"\n')
    return tmp_path / "map.toml"


def train(data_dir: Path, *arguments: str | Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start training."""
    return subprocess.Popen(
        [sys.executable, "-m", "genretagger", "train", "--min-tracks", "3", *arguments],
        env={**os.environ, "GENRETAGGER_DATA_DIR": str(data_dir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def test_an_interrupt_ends_the_learning_at_once(genretagger: Command, data_dir: Path, known: Path) -> None:
    table = known.parent / "many.csv"
    rows = [
        f"{path},{';'.join(f'g{(place * 7 + step * 13) % 997}' for step in range(400))}"
        for place, path in enumerate(sorted(known.rglob("*.flac")))
    ]
    table.write_text("\n".join(["path,genres", *rows]))
    command = [sys.executable, "-m", "genretagger", "train", str(known), "--labels", str(table), "--min-tracks", "2"]
    terminal, own = pty.openpty()
    env = {**os.environ, "GENRETAGGER_DATA_DIR": str(data_dir), "TERM": "xterm"}
    with subprocess.Popen(command, stdout=own, stderr=own, env=env) as child:
        os.close(own)
        said = b""
        try:
            while b"learning" not in said:
                said += os.read(terminal, 65536)
            child.send_signal(signal.SIGINT)
            with contextlib.suppress(OSError):  # the end of a terminal
                while more := os.read(terminal, 65536):
                    said += more
            assert child.wait(helpers.WAIT_S) == 130, said
        finally:
            child.kill()  # or a test that fails waits for ever, as nobody reads what is on the terminal
    os.close(terminal)
    assert not (data_dir / "models" / "mine").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no limits of size there")
def test_without_room_for_the_new_model_the_old_one_stays(data_dir: Path, known: Path, other_names: Path) -> None:
    taught(data_dir, known)
    before = ModelStore(data_dir / "models").verify("mine")

    def small() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))  # the model has 7 MB

    with train(data_dir, known, "--map", other_names, preexec_fn=small) as child:
        _, said = child.communicate(timeout=100)
    assert child.returncode == 2, said
    assert b"no space left for the model" in said
    assert ModelStore(data_dir / "models").verify("mine") == before
    assert {path.name for path in (data_dir / "models").iterdir()} == {".lock", "mine", "musicnn-yamnet"}


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_old_model_or_the_new(data_dir: Path, known: Path, other_names: Path) -> None:
    models = ModelStore(data_dir / "models")
    started = time.monotonic()
    with train(data_dir, known) as child:
        child.communicate(timeout=100)
    whole_s = time.monotonic() - started
    for step in range(10):
        with train(data_dir, known, *(("--map", other_names) if step % 2 == 0 else ())) as child:
            time.sleep(whole_s * (0.55 + 0.05 * step))
            child.kill()
            child.communicate(timeout=100)
        assert {"Dub", "Reggae"} & {*models.verify("mine").card.classes}
    with train(data_dir, known) as child:
        child.communicate(timeout=100)
    assert "Dub" in models.verify("mine").card.classes
    assert {path.name for path in (data_dir / "models").iterdir()} == {".lock", "mine", "musicnn-yamnet"}


@pytest.mark.slow
def test_two_that_learn_at_once_both_leave_whole_models(data_dir: Path, known: Path, other_names: Path) -> None:
    children = [train(data_dir, known, *rest) for rest in ((), ("--map", other_names), ("--name", "too"))]
    for child in children:
        with child:
            _, said = child.communicate(timeout=100)
        assert child.returncode == 0, said
    models = ModelStore(data_dir / "models")
    assert {"Dub", "Reggae"} & {*models.verify("mine").card.classes}
    assert "Dub" in models.verify("too").card.classes


@pytest.mark.slow
def test_the_number_of_threads_makes_no_difference_to_what_is_learned(
    genretagger: Command, data_dir: Path, known: Path
) -> None:
    models = ModelStore(data_dir / "models")
    found = set()
    for threads in ("1", "2", "5"):
        limits = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        ended = genretagger("train", known, "--min-tracks", "3", "--name", f"with-{threads}", **limits)
        assert ended.status == 0, ended.err
        found.add(models.get(f"with-{threads}").onnx_path.read_bytes())
    assert len(found) == 1


def test_a_model_that_is_gone_is_told(data_dir: Path, known: Path) -> None:
    taught(data_dir, known)
    ModelStore(data_dir / "models").remove("mine")
    with pytest.raises(ModelError, match="'mine' is not installed") as caught:
        helpers.tag(helpers.settings(data_dir, model="mine"), known)
    assert "musicnn-yamnet" in caught.value.hint
