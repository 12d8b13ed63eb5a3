"""Nothing leaves the machine, and nothing is kept where nobody looks for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genretagger.model.runtime import onnxruntime

Command = Callable[..., Any]


@pytest.mark.parametrize("words", [("tag", "--dry-run"), ("doctor",)], ids=" ".join)
def test_the_runtime_of_the_model_sends_and_keeps_nothing(
    genretagger: Command, make_techno: Callable[..., Path], music: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Where packages send usage events, they first keep a device's number in the home folder."""
    song = make_techno(music / "song.flac")
    home = tmp_path / "home"
    home.mkdir()
    variables = {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache"), "ORT_DISABLE_TELEMETRY": "0"}
    ended = genretagger(*words, song.parent, **variables)
    assert ended.status == 0, ended.err
    kept = {path.relative_to(home) for path in home.rglob("*") if path.is_file()}
    assert [path for path in kept if "onnxruntime" in str(path).lower()] == []


def test_other_processes_inherit_the_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    assert onnxruntime().get_available_providers()
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
