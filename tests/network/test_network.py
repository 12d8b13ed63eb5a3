"""Really trained networks, on synthesised sound: by the real command, killed, resumed, used."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import command_helpers as helpers
import numpy as np
import pytest
from training_helpers import GENRES, ORIGIN, RULES, gathered

from benchmarks.genres import write_track
from genretagger.errors import ModelError
from genretagger.model import InstalledModel, ModelStore
from genretagger.model.session import Session
from genretagger.training.course import Course
from genretagger.training.network import parts
from genretagger.training.network.way import Way

pytestmark = [pytest.mark.network, pytest.mark.timeout(900)]
torch = pytest.importorskip("torch")

Command = Callable[..., Any]
EPOCHS = "4"


def train(data_dir: Path, known: Path, *more: str) -> subprocess.Popen[bytes]:
    """The real command, begun."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "genretagger", "train", "--network", "--from", "scratch", "--epochs", EPOCHS),
            *("--min-tracks", "3", "--name", "own", "--json", str(known), *more),
        ],
        env={**os.environ, "GENRETAGGER_DATA_DIR": str(data_dir), "SOURCE_DATE_EPOCH": "1700000000"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )


def ended(process: subprocess.Popen[bytes]) -> Any:
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err.decode()
    return json.loads(out)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the undisturbed training left for the tests that come after it."""
    return {"folder": tmp_path_factory.mktemp("kept")}


@pytest.fixture
def own(kept: dict[str, Any], data_dir: Path, known: Path) -> dict[str, Any]:
    """The model `own`, trained from scratch once and copied; returns the output of the command."""
    folder: Path = kept["folder"]
    if "said" not in kept:
        kept["said"] = ended(train(data_dir, known))
        assert not (data_dir / "training" / "own").exists()  # what was decoded is gone
        shutil.copytree(data_dir / "models" / "own", folder / "own")
    elif not (data_dir / "models" / "own").exists():
        shutil.copytree(folder / "own", data_dir / "models" / "own")
    return {**kept["said"], "onnx": (folder / "own" / "model.onnx").read_bytes()}


def test_held_out_artists_are_recognised(own: dict[str, Any], data_dir: Path) -> None:
    assert own["genres"] == dict.fromkeys(sorted(GENRES), 8)
    assert (own["way"], own["held_out"]["tracks"]) == ("scratch", 32)
    assert own["held_out"]["top1"] > 0.9
    assert own["held_out"]["macro"]["f1"] > 0.8
    learned = ModelStore(data_dir / "models").get("own").card.document["genretagger"]["learned"]
    assert learned["network"]["way"] == "scratch"
    assert learned["training"]["epochs"] == int(EPOCHS)


def test_the_model_is_used_like_any_other(
    own: dict[str, Any], data_dir: Path, genretagger: Command, tmp_path: Path, known: Path
) -> None:
    del own
    for genre in GENRES:
        write_track(tmp_path / "unseen" / genre / "track.flac", genre, 9, 0, seconds=6, tag=None)
    said = genretagger("evaluate", tmp_path / "unseen", "--labels", "folder", "--model", "own", "--json").lines[0]
    assert (said["tracks"], said["learned_from"], said["top1"]) == (len(GENRES), 0, 1)
    (both,) = genretagger(
        "evaluate", tmp_path / "unseen", "--labels", "folder", "--model", "own", "--against", "musicnn-yamnet", "--json"
    ).lines
    assert both["against"]["model"] == "musicnn-yamnet"
    people = genretagger(
        "evaluate", tmp_path / "unseen", "--labels", "folder", "--model", "own", "--against", "musicnn-yamnet"
    )
    assert people.status == 0, people.err
    assert "own" in people.out
    assert "musicnn-yamnet" in people.out
    said = genretagger("evaluate", known, "--model", "own", "--json").lines[0]
    assert said["learned_from"] == 32
    tagged = genretagger("tag", tmp_path / "unseen", "--model", "own", "--json").lines
    assert all(line["genres"] == [Path(line["path"]).parent.name] for line in tagged if line["status"] == "tagged")
    assert sum(line["status"] == "tagged" for line in tagged) >= 2
    # silence and noise are no genre for a network either
    noise = tmp_path / "noise"
    noise.mkdir()
    dice, time = np.random.default_rng(0), np.arange(6 * 16_000) / 16_000
    import soundfile

    soundfile.write(noise / "white.flac", 0.3 * dice.standard_normal(len(time)), 16_000)
    siren = np.sin(2 * np.pi * np.cumsum(800 + 300 * np.sin(np.pi * time)) / 16_000)
    soundfile.write(noise / "siren.flac", 0.5 * siren, 16_000)
    assert {line["status"] for line in genretagger("tag", noise, "--model", "own", "--json").lines} == {"skipped"}


def test_a_kill_and_resume_give_the_result_of_an_undisturbed_run(
    own: dict[str, Any], data_dir: Path, known: Path
) -> None:
    shutil.rmtree(data_dir / "models" / "own")
    with train(data_dir, known) as process:
        assert process.stderr is not None
        while b"part 2 of 6" not in process.stderr.readline():  # the first part has ended
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    folder = data_dir / "training" / "own"
    assert {path.name for path in folder.iterdir()} >= {"windows.f16", "windows.json", "scratch.pt"}
    assert not (data_dir / "models" / "own").exists()
    decoded = (folder / "windows.f16").stat().st_mtime_ns
    with train(data_dir, known, "--resume") as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        assert b"part 1 of 6" not in first  # it went on, and did not begin again
        if folder.exists():
            assert (folder / "windows.f16").stat().st_mtime_ns == decoded
        said = ended(process)
    assert (data_dir / "models" / "own" / "model.onnx").read_bytes() == own["onnx"]
    assert said["held_out"] == own["held_out"]
    assert not folder.exists()


def test_ctrl_c_keeps_the_best_network_so_far(data_dir: Path, known: Path) -> None:
    with train(data_dir, known) as process:
        assert process.stderr is not None
        while b"part 1 of 6" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said = ended(process)
    assert any("interrupted" in warning for warning in said["warnings"])
    assert 0 < said["held_out"]["tracks"] < 32
    assert ModelStore(data_dir / "models").get("own").card.document["genretagger"]["learned"]["network"]


@pytest.fixture
def course(data_dir: Path, known: Path) -> Course:
    """The library, ready to be learned from."""
    return Course.of(
        gathered(data_dir, [known]), ModelStore(data_dir / "models").get("musicnn-yamnet"), least=3, rules=RULES
    )


def test_the_ear_in_pytorch_hears_what_the_installed_one_hears(model: InstalledModel, one_ear: InstalledModel) -> None:
    from genretagger.training.network.ear import first_ear

    frame, mel = np.arange(187)[:, None], np.arange(96)[None]
    pattern = (((frame * 37 + mel * 101 + frame * mel * 7) % 257) / 64)[None] * np.linspace(0.2, 1, 4)[:, None, None]
    windows = np.asarray(pattern, np.float32)
    for installed in (model, one_ear):
        ear = first_ear(installed, 3).eval()
        with torch.inference_mode():
            said = ear.embedding(torch.from_numpy(windows)).numpy()
        session = Session.open(installed, "cpu", 1)
        more = [np.zeros((4, *shape), np.float32) for shape in session.windows[1:]]
        wanted = session.run(windows, *more)[1][:, :400]
        session.close()
        assert np.abs(said - wanted).max() / np.abs(wanted).max() < 1e-5
        front = sum(not each.requires_grad for each in ear.parameters())
        assert front > 10  # the comparison with the picture stays as it was published


def test_fine_tuning_from_musicnn(
    course: Course, data_dir: Path, known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genretagger.training.network import learn as school
    from genretagger.training.network.state import StateFile
    from genretagger.training.network.windows import WindowFile

    windows = WindowFile(tmp_path, (187, 96))
    ids = {each.path: each.id for each in course.examples}
    with helpers.pipeline(helpers.settings(data_dir, jobs=2)) as opened:
        from concurrent.futures import Future

        for path, frames in opened.frames(ids, count=2, stop=Future()):
            assert not isinstance(frames, Exception)
            windows.add(ids[path], frames.mels[0])
    windows.finish("key")
    monkeypatch.setattr(parts, "FEW", 0)  # judged by one fifth
    hyper = school.hyperparameters_of(Way.MUSICNN, 3)
    steps: list[school.LearningStep] = []
    result = school.learn(
        course,
        windows,
        way=Way.MUSICNN,
        hyper=hyper,
        name="tuned",
        origin=ORIGIN,
        kept=StateFile(tmp_path, "key", "musicnn"),
        resume=False,
        device="cpu",
        threads=1,
        tell=steps.append,
        stop=lambda: False,
    )
    assert [step.run for step in steps] == [1, 1, 1, *[2] * (len(steps) - 3)]
    assert steps[2].score is not None
    assert steps[2].score > 0.8
    assert steps[2].loss < 0.27  # it has learned, and not only begun to: a few dozen steps must do for a small library
    assert result.measures is not None
    assert result.measures.top1 >= 0.8
    assert 0 < result.measures.tracks < 16
    store = ModelStore(data_dir / "models")
    installed = store.put("tuned", result.onnx, result.card)
    # it shares the front with the ear that it came from
    assert installed.onnx_path.stat().st_size < 1.25 * store.get("musicnn-yamnet").onnx_path.stat().st_size + 9e6
    outcome = helpers.tag(helpers.settings(data_dir, model="tuned", policy="replace"), known / "Chiptune", dry_run=True)
    assert len(outcome) == 2  # names of files repeat; each was heard by the new model


def test_an_export_that_differs_is_refused(course: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from genretagger.training.network import learn as school
    from genretagger.training.network.compact import Compact
    from genretagger.training.network.state import StateFile
    from genretagger.training.network.windows import WindowFile

    windows = WindowFile(tmp_path, (187, 96))
    dice = np.random.default_rng(0)
    for each in course.examples:
        windows.add(each.id, dice.random((1, 187, 96)).astype(np.float32))
    windows.finish("key")
    right = Compact.to_onnx
    monkeypatch.setattr(Compact, "to_onnx", lambda self, slope, shift: right(self, slope, shift + 0.5))
    monkeypatch.setattr(parts, "FEW", 0)
    with pytest.raises(ModelError, match="differs from the trained one"):
        school.learn(
            course,
            windows,
            way=Way.SCRATCH,
            hyper=replace(school.hyperparameters_of(Way.SCRATCH, 1), fewest=32, each=0.1),
            name="wrong",
            origin=ORIGIN,
            kept=StateFile(tmp_path, "key", "scratch"),
            resume=False,
            device="cpu",
            threads=0,
            tell=lambda _: None,
            stop=lambda: False,
        )


def test_what_is_missing_is_told(genretagger: Command, data_dir: Path, known: Path) -> None:
    one = genretagger("train", "--network", known / "Techno", "--min-tracks", "3")
    assert (one.status, "at least two genres" in one.err) == (2, True)
    few = genretagger("train", "--network", known, "--min-tracks", "50")
    assert (few.status, "too rare" in few.err) == (2, True)
    full = genretagger("train", "--network", known, "--min-tracks", "3", "--cache-mb", "1")
    assert (full.status, "tracks need at least 2 MB" in full.err) == (2, True)


def test_augmentation_keeps_windows_what_they_are() -> None:
    from genretagger.model.front_ends import FRONT_ENDS
    from genretagger.training.network.augment import augmented

    windows = torch.rand((64, 187, 96)) * 3
    truth = torch.eye(4)[torch.arange(64) % 4]
    changed, said = augmented(windows, truth, np.random.default_rng(1), FRONT_ENDS["musicnn"])
    assert changed.shape == windows.shape
    assert bool(torch.isfinite(changed).all())
    assert bool((changed >= 0).all())
    assert said.sum(dim=1).numpy() == pytest.approx(np.ones(64), abs=1e-5)
    assert 0.02 < float((changed == 0).float().mean()) < 0.6  # masks and band limits
    again, _ = augmented(windows, truth, np.random.default_rng(1), FRONT_ENDS["musicnn"])
    assert torch.equal(changed, again)
