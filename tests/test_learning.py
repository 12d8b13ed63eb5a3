"""docs/learning.md is true: every line of it runs, in order, and gives what the page says."""

from __future__ import annotations

import doctest
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "learning.md"


@pytest.mark.timeout(600)
def test_every_line_of_the_page_runs(
    genretagger: Callable[..., Any], data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENRETAGGER_DATA_DIR", str(data_dir))
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert tried > 20
    assert failed == 0
    commands = [
        line.split()[1:] for line in PAGE.read_text("utf-8").splitlines() if line.startswith("    genretagger ")
    ]
    assert len(commands) == 3
    for arguments in commands:
        ended = genretagger(*arguments, PYTHONIOENCODING="utf-8")
        assert ended.status == 0, ended.err
    assert {"fourier.png", "mel.png"} <= {path.name for path in tmp_path.iterdir()}


def test_pictures_are_small() -> None:
    pictures = [PAGE.parent / link for link in re.findall(r"\]\((pictures/[\w.-]+)\)", PAGE.read_text("utf-8"))]
    assert len(pictures) >= 2
    assert sum(path.stat().st_size for path in pictures) < 300_000
