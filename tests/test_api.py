"""The public API: a handful of names, light to import; the example of its page runs as it is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_helpers import genres_of

import genretagger
from genretagger import Decision, GenretaggerError, Outcome, Settings, open_pipeline

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


def python(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_the_example_of_the_page_runs(data_dir: Path, music: Path, make_techno: Callable[..., Path]) -> None:
    song = make_techno(music / "song.flac")
    before = song.read_bytes()
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    ended = python(example, music, GENRETAGGER_DATA_DIR=str(data_dir))
    assert ended.returncode == 0, ended.stderr
    assert "Trance" in ended.stdout.splitlines()[0]
    assert "because: " in ended.stdout
    assert song.read_bytes() == before


def test_a_file_that_is_no_music_is_an_error_with_its_name(data_dir: Path, music: Path) -> None:
    (music / "song.flac").write_text("not music")
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    ended = python(example, music, GENRETAGGER_DATA_DIR=str(data_dir))
    assert ended.returncode == 0, ended.stderr
    assert "it cannot be heard: " in ended.stdout


def test_one_file_is_tagged(settings: Settings, music: Path, make_techno: Callable[..., Path]) -> None:
    song = make_techno(music / "song.flac")
    with open_pipeline(settings) as pipeline:
        tried = pipeline.tag_file(song, dry_run=True)
        assert genres_of(song) == []
        outcome = pipeline.tag_file(song)
        gone = pipeline.tag_file(music / "gone.flac")
        with pytest.raises(GenretaggerError):
            pipeline.decide(music / "gone.flac")
        decision = pipeline.decide(song)
    assert isinstance(outcome, Outcome)
    assert isinstance(decision, Decision)
    assert (tried.status, tried.dry_run, outcome.status, gone.status) == ("tagged", True, "tagged", "failed")
    assert tried.genres == outcome.genres == decision.genres == tuple(genres_of(song))


@pytest.mark.parametrize(
    ("options", "content", "environment", "says"),
    [
        pytest.param({}, 'policy = "replace', {}, "is not valid TOML", id="broken file"),
        pytest.param({}, "polcy = 1", {}, "unknown option polcy in .*policy", id="unknown option of the file"),
        pytest.param({}, "", {"GENRETAGGER_POLCY": "add"}, "unknown variable GENRETAGGER_POLCY", id="unknown variable"),
        pytest.param({}, "", {"GENRETAGGER_MAX_GENRES": "99"}, "^GENRETAGGER_MAX_GENRES: ", id="bad variable"),
        pytest.param({"max_genres": 99}, "", {}, "^max_genres: it should be", id="bad value"),
        pytest.param({"polcy": "add"}, "", {}, "^unknown option polcy.*policy", id="unknown option"),
        pytest.param({"max_genres": None}, "", {}, "^max_genres: it should be a whole number", id="nothing"),
    ],
)
def test_settings_that_cannot_be_used_are_an_error_of_ours(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, object],
    content: str,
    environment: dict[str, str],
    says: str,
) -> None:
    (tmp_path / "config.toml").write_text(content)
    monkeypatch.setenv("GENRETAGGER_CONFIG", str(tmp_path / "config.toml"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(GenretaggerError, match=says):
        Settings(**options)


def test_every_public_name_is_on_the_page_and_no_other_is_public() -> None:
    answer = PAGE.split("\n\n")[1].split(".")[0]  # "Five names are public: …"
    assert set(genretagger.__all__) == set(re.findall(r"`(\w+)`", answer))
    assert [name for name in genretagger.__all__ if f"`{name}`" not in PAGE or not hasattr(genretagger, name)] == []
    assert set(genretagger.__all__) <= set(dir(genretagger))
    with pytest.raises(AttributeError, match="nothing"):
        _ = genretagger.nothing


def test_the_import_alone_loads_nothing_else(tmp_path: Path) -> None:
    code = "import sys; old = set(sys.modules); import genretagger; print(*set(sys.modules) - old)"
    loaded = {name.split(".")[0] for name in python(code, tmp_path).stdout.split()}
    assert "genretagger" in loaded
    assert loaded & {"numpy", "pydantic", "sqlalchemy", "onnxruntime", "mutagen", "av"} == set()


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(genretagger.__file__).parent / "py.typed").exists()
