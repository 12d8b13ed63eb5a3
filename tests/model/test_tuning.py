"""The batch size of an accelerator: chosen by measuring, then remembered. The clock is a script."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genretagger.model import InstalledModel, providers
from genretagger.model.provider_faults import cuda_needed
from genretagger.model.session import Session
from genretagger.model.tuning import NAME, batch_for, fastest

SIZES = (16, 32, 64)


class Clock:
    """Says how long batches take, and counts the questions."""

    def __init__(self, **seconds: float) -> None:
        self._seconds = {int(name[1:]): value for name, value in seconds.items()}
        self.asked: list[int] = []

    def __call__(self, size: int) -> float:
        self.asked.append(size)
        first = self.asked.count(size) == 1
        return 9.0 if first else self._seconds[size]  # a first run, in which libraries get ready, says nothing


@pytest.mark.parametrize(
    ("clock", "best"),
    [
        (Clock(n16=1.0, n32=1.5, n64=2.5), 64),
        (Clock(n16=1.0, n32=1.5, n64=3.5), 32),
        (Clock(n16=1.0, n32=1.95, n64=3.9), 16),
        (Clock(n16=1.0, n32=2.5, n64=1.0), 64),
    ],
    ids=["the largest", "the middle", "no gain worth it", "with a dip"],
)
def test_the_size_that_takes_the_least_time_for_a_window(clock: Clock, best: int) -> None:
    assert fastest(SIZES, clock) == best


def test_it_is_measured_once_for_each_device(tmp_path: Path) -> None:
    assert batch_for(tmp_path, "CUDA, H100", SIZES, Clock(n16=1.0, n32=1.5, n64=2.5)) == 64
    again = Clock()
    assert batch_for(tmp_path, "CUDA, H100", SIZES, again) == 64
    assert again.asked == []
    assert batch_for(tmp_path, "CUDA, T4", SIZES, Clock(n16=1.0, n32=2.0, n64=4.0)) == 16
    assert batch_for(tmp_path, "CUDA, H100", SIZES, again) == 64


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"[1]", b'{"k": "64"}', b'{"k": 7}', b"[" * 90_000], ids=lambda each: each[:9]
)
def test_a_damaged_note_is_made_again(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    assert batch_for(tmp_path, "k", SIZES, Clock(n16=1.0, n32=1.5, n64=3.5)) == 32
    assert batch_for(tmp_path, "k", SIZES, Clock()) == 32


def test_a_folder_that_is_not_there_does_not_stop_it(tmp_path: Path) -> None:
    assert batch_for(tmp_path / "gone", "k", SIZES, Clock(n16=1.0, n32=1.5, n64=3.5)) == 32


def test_a_session_with_batches_says_the_same(
    model: InstalledModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The CPU stands for an accelerator: the queue, the fixed shapes and the note are the same."""
    alone = Session.open(model, "cpu", threads=1)
    cpu = providers.PROVIDERS[-1]
    batching = providers.Provider("cpu", cpu.name, batch=2, sizes=(2, 4), package=cpu.package)
    monkeypatch.setattr("genretagger.model.session.PROVIDERS", (*providers.PROVIDERS[:-1], batching))
    copy = tmp_path / "model.onnx"
    copy.write_bytes(model.onnx_path.read_bytes())
    session = Session.start(copy, model.card, "cpu", threads=1)
    assert session.at_once in (2, 4)
    assert (tmp_path / NAME).exists()
    dice = np.random.default_rng(2)
    mels = [dice.random((5, *shape)).astype(np.float32) for shape in session.windows]
    for ours, theirs in zip(session.run(*mels), alone.run(*mels), strict=True):
        assert np.abs(ours - theirs).max() < 1e-4 * max(1, np.abs(theirs).max())
    session.close()
    alone.close()


@pytest.mark.parametrize(
    ("requires", "version"),
    [
        ("nvidia-cuda-runtime~=13.0; extra == 'cuda'", "13"),
        ("nvidia-cuda-runtime-cu12~=12.0; extra == 'cuda'", "12"),
        ("numpy>=1.21.6", ""),
    ],
)
def test_the_version_of_cuda_is_the_one_that_the_package_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requires: str, version: str
) -> None:
    folder = tmp_path / "onnxruntime_gpu-9.9.dist-info"
    folder.mkdir()
    about = f"Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 9.9\nRequires-Dist: {requires}\n"
    (folder / "METADATA").write_text(about)
    monkeypatch.syspath_prepend(tmp_path)
    assert cuda_needed() == version


def test_cuda_is_bounded_exact_and_may_be_told_otherwise() -> None:
    cuda = next(each for each in providers.PROVIDERS if each.device == "cuda")
    assert cuda.options["use_tf32"] == "0"
    assert cuda.options["arena_extend_strategy"] == "kSameAsRequested"
    assert 0 < int(cuda.options["gpu_mem_limit"]) < 80 << 30
    assert cuda.tf32 == {"use_tf32": "1"}
