"""Configurations that cannot be used: each is one clear error that names the place."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from genretagger.config import Settings, load
from genretagger.errors import ConfigError


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty configuration file."""
    path = tmp_path / "config.toml"
    path.touch()
    monkeypatch.setenv("GENRETAGGER_CONFIG", str(path))
    return path


def test_broken_toml(config: Path) -> None:
    config.write_text("model = musicnn\n")
    with pytest.raises(ConfigError, match=r"config\.toml is not valid TOML: .*line 1.*quotation marks") as caught:
        load()
    assert caught.value.path == config


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('model = "a"\nmodel = "b"\n', "defined twice"),
        ("aliases = { a = 'b', a = 'c' }\n", "defined twice"),
        ("[aliases]\n[aliases]\n", "defined twice"),
        ('data_dir = "C:\\data"\n', "backslash"),
        ('allow = ["Pop"\n', "not closed"),
        ("model: musicnn\n", "Correct that line"),
    ],
)
def test_the_hint_is_for_what_is_wrong_with_the_toml(config: Path, text: str, hint: str) -> None:
    config.write_text(text)
    with pytest.raises(ConfigError, match="is not valid TOML") as caught:
        load()
    assert hint in caught.value.hint
    assert "quotation marks" not in caught.value.hint or "single" in caught.value.hint


@pytest.mark.parametrize("content", [b'\nmodel = "\xff"\n', b"#\n\xfe"])
def test_a_file_that_is_not_utf_8_is_told_as_such(config: Path, content: bytes) -> None:
    config.write_bytes(content)
    with pytest.raises(ConfigError, match=r"is not UTF-8 \(line 2\)\. Save it as UTF-8$"):
        load()


@pytest.mark.parametrize("content", [b'model = "\xff"\n', b"\x00", b"\xff\xfem\x00"], ids=["latin", "nul", "utf-16"])
def test_a_file_that_is_no_text(config: Path, content: bytes) -> None:
    config.write_bytes(content)
    with pytest.raises(ConfigError, match=r"config\.toml"):
        load()


@pytest.mark.parametrize("name", ["missing.toml", "x" * 300, "config.toml/below"], ids=["missing", "too long", "below"])
def test_a_named_file_that_cannot_be(config: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("GENRETAGGER_CONFIG", str(config.parent / name))
    with pytest.raises(ConfigError) as caught:
        load()
    assert caught.value.path == config.parent / name


def test_a_folder_is_no_configuration(config: Path) -> None:
    config.unlink()
    config.mkdir()
    with pytest.raises(ConfigError, match="folder"):
        load()


@pytest.mark.parametrize("text", [f"windows = 0x{'f' * 5000}", f"jobs = 0x{'f' * 5000}"])
def test_a_number_too_long_to_be_shown_is_an_error_of_ours(config: Path, text: str) -> None:
    config.write_text(text)
    with pytest.raises(ConfigError, match=r"got a value \(int\) that cannot be shown"):
        load()


def test_a_value_of_any_kind_is_an_error_of_ours() -> None:
    endless: list[object] = []
    endless.append(endless)
    for value in (object(), endless, 10**5000, "x" * 10**6, {"\ud800": 1}):
        for option in ("policy", "jobs", "polcy\ud800"):
            with pytest.raises(ConfigError):
                Settings(**{option: value})
        for option in ("allow", "data_dir", "aliases"):  # which take some of them
            with contextlib.suppress(ConfigError):
                Settings(**{option: value})


@pytest.mark.parametrize(
    "options",
    [
        {"data_dir": "/tmp/a\0b"},
        {"database_url": "sqlite:////tmp/a\0b"},
        {"database_url": "sqlite:////tmp/a%00b"},
        {"libraries": {"music": "/a\0"}},
    ],
    ids=["folder", "address", "quoted address", "library"],
)
def test_a_path_with_a_zero_character_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="it contains a zero character"):
        Settings(**options)
