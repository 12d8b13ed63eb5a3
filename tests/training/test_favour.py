"""Which way of learning is favoured; and what `train --network` says without PyTorch."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_helpers import taught

from genretagger.errors import ConfigError
from genretagger.training.favour import verdict
from genretagger.training.measures import Judged, measure
from genretagger.training.network.windows import WindowFile, clear, count_each
from genretagger.training.result import TrainingResult

Command = Callable[..., Any]


@pytest.fixture
def result(data_dir: Path, known: Path) -> TrainingResult:
    return taught(data_dir, known)


def judged(result: TrainingResult, right: list[bool]) -> TrainingResult:
    """The same result, as if these tracks had been recognised."""
    truth = np.tile([True, False], (len(right), 1))
    scores = np.where(np.array(right)[:, None], [0.9, 0.1], [0.1, 0.9]).astype(np.float32)
    made = Judged(("A", "B"), truth, scores, scores >= 0.5)
    names = tuple(str(number) for number in range(len(right)))
    return replace(result, judged=made, measures=measure(made), asked=names)


def test_a_costly_way_must_be_better_than_chance_explains(result: TrainingResult) -> None:
    seconds = {"regression": 1.0, "musicnn": 60.0, "scratch": 90.0}
    half = judged(result, [True] * 50 + [False] * 50)
    much = judged(result, [True] * 90 + [False] * 10)
    little = judged(result, [True] * 49 + [False] * 48 + [True] * 3)
    found = verdict({"regression": half, "musicnn": little, "scratch": much}, seconds)
    assert found.favoured == "scratch"
    assert (
        "is right on 40 where the regression is wrong; the regression on 0 where it is wrong: more than chance"
        in found.reason
    )
    assert "not enough to pay for" in found.reason
    assert [each.top1 for each in found.ways] == [0.5, 0.52, 0.9]
    found = verdict({"regression": half, "musicnn": little}, seconds)
    assert found.favoured == "regression"
    found = verdict({"regression": half, "scratch": half}, seconds)
    assert (found.favoured, "costs less" in found.reason) == ("regression", True)


def test_few_tracks_favour_a_costly_way_only_if_luck_is_unlikely(result: TrainingResult) -> None:
    """Counted exactly: how often a fair coin falls so well in favour of the costly way."""
    for better, worse in ((3, 0), (4, 0), (5, 0), (6, 1), (7, 1), (7, 2), (8, 2), (12, 5), (13, 4)):
        differ = better + worse
        luck = sum(math.comb(differ, hits) for hits in range(better, differ + 1)) / 2**differ
        cheap = judged(result, [False] * better + [True] * worse + [True] * 5)
        costly = judged(result, [True] * better + [False] * worse + [True] * 5)
        found = verdict({"regression": cheap, "scratch": costly}, {"regression": 1.0, "scratch": 90.0})
        assert (found.favoured == "scratch") == (luck < 0.05), (better, worse, luck)


def test_every_judged_track_has_its_name(result: TrainingResult) -> None:
    assert result.judged is not None
    assert len(result.asked) == len(result.judged.truth) == 32
    assert len(set(result.asked)) == 32


def test_without_torch_the_command_says_which_command_installs_it(
    genretagger: Command, data_dir: Path, known: Path, tmp_path: Path
) -> None:
    """Nothing else imports it: other commands do not notice a torch that breaks at import."""
    taught(data_dir, known)
    broken = tmp_path / "broken" / "torch"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w').close()\nraise RuntimeError\n")
    path = {"PYTHONPATH": str(broken.parent)}
    for arguments in (
        ("train", known, "--min-tracks", "50"),
        ("tag", known / "Dub" / "00" / "00.flac", "--model", "mine", "--policy", "replace", "--dry-run"),
        ("show", known / "Dub" / "00" / "00.flac"),
        ("train", "--help"),
    ):
        ended = genretagger(*arguments, **path)
        assert ended.status == (2 if "50" in arguments else 0), ended.err
    assert not (tmp_path / "imported").exists()
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util\nreal = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *more: None if name == 'torch' else real(name, *more)\n"
    )
    for more in (("--network",), ("--compare",), ("--from", "scratch")):
        ended = genretagger("train", known, *more, PYTHONPATH=str(hidden))
        assert ended.status == 2
        assert "pip install 'genretagger[network]'" in ended.err
    assert "torch" not in sys.modules


def test_decoded_windows_are_kept_within_a_bound(tmp_path: Path) -> None:
    assert count_each(100, (187, 96), tmp_path, 4096) == 16
    assert count_each(100, (187, 96), tmp_path, 8) == 2
    with pytest.raises(ConfigError, match="100 tracks need at least 4 MB"):
        count_each(100, (187, 96), tmp_path, 1)
    file = WindowFile(tmp_path, (2, 3))
    dice = np.random.default_rng(0)
    parts = {name: dice.random((count, 2, 3)).astype(np.float32) for name, count in (("a", 3), ("b", 0), ("c", 2))}
    for name, windows in parts.items():
        file.add(name, windows)
    assert WindowFile.found(tmp_path, (2, 3), "key") is None  # cut off while it was written
    file.finish("key")
    assert file.size_bytes == 5 * 6 * 2
    again = WindowFile.found(tmp_path, (2, 3), "key")
    assert again is not None
    places = again.places(["c", "b", "a", "unknown"])
    assert (places[:, 1] - places[:, 0]).tolist() == [2, 0, 3, 0]
    assert again.read(places[0, :1]) == pytest.approx(parts["c"][:1], abs=1e-3)
    assert again.read(np.arange(3)) == pytest.approx(parts["a"], abs=1e-3)
    assert WindowFile.found(tmp_path, (2, 3), "other") is None
    assert WindowFile.found(tmp_path, (3, 2), "key") is None
    again.close()
    (tmp_path / "windows.f16").write_bytes(b"short")
    assert WindowFile.found(tmp_path, (2, 3), "key") is None
    clear(tmp_path / "absent")


@pytest.mark.parametrize(
    ("field", "value"),
    [("count", "5"), ("count", True), ("places", {"a": [0, 6]}), ("places", {"a": [2, 1]}), ("key", None)],
)
def test_a_damaged_index_of_windows_is_not_used(tmp_path: Path, field: str, value: object) -> None:
    file = WindowFile(tmp_path, (2, 3))
    file.add("a", np.zeros((5, 2, 3), np.float32))
    file.finish("key")
    file.close()
    index = tmp_path / "windows.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), field: value}))
    assert WindowFile.found(tmp_path, (2, 3), "key") is None


@pytest.mark.slow
def test_two_models_side_by_side(genretagger: Command, data_dir: Path, known: Path) -> None:
    taught(data_dir, known)
    ended = genretagger("evaluate", known, "--model", "mine", "--against", "musicnn-yamnet")
    assert ended.status == 0, ended.err
    (head,) = [line.split() for line in ended.out.splitlines() if line.split() == ["mine", "musicnn-yamnet"]]
    (row,) = [line for line in ended.out.splitlines() if line.startswith("best guess right")]
    assert len(row.split()) == 7
    assert head
    assert "musicnn-yamnet does not know: Dub, Solo Piano" in ended.out
    (said,) = genretagger("evaluate", known, "--model", "mine", "--against", "musicnn-yamnet", "--json").lines
    assert (said["model"], said["against"]["model"]) == ("mine", "musicnn-yamnet")
    assert said["top1"] > said["against"]["top1"]
    absent = genretagger("evaluate", known, "--against", "absent")
    assert (absent.status, "is not installed" in absent.err) == (2, True)
