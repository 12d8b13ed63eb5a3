"""`genretagger config`: show, path, init."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genretagger.cli.config import _SECTIONS, literal, plain, template
from genretagger.config import Settings, load

Command = Callable[..., Any]


def defaults() -> dict[str, Any]:
    """Every option with nothing set, here and now: the data folder depends on the environment."""
    return Settings.model_construct().model_dump()


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "odd ünd [b] name" / "config.toml"
    monkeypatch.setenv("GENRETAGGER_CONFIG", str(path))
    return path


def test_show_tells_each_option_its_value_and_where_it_comes_from(genretagger: Command, file: Path) -> None:
    file.parent.mkdir()
    file.write_text('policy = "add"\nmin_score = 0.6\nallow = ["Rock", "Hip-Hop"]\n')
    ended = genretagger("config", "show", "--json", GENRETAGGER_MIN_SCORE="0.7", genretagger_windows="all")
    assert ended.status == 0, ended.err
    options = {line["option"]: line for line in ended.lines}
    assert set(options) == set(Settings.model_fields)
    assert (options["policy"]["value"], options["policy"]["source"]) == ("add", "file")
    assert (options["min_score"]["value"], options["min_score"]["source"]) == (0.7, "environment")
    assert (options["windows"]["value"], options["windows"]["source"]) == ("all", "environment")
    assert (options["jobs"]["value"], options["jobs"]["source"]) == (0, "default")
    assert options["allow"]["value"] == ["Rock", "Hip-Hop"]
    people = genretagger("config", "show").out
    assert re.search(r'policy +"add" +file', people)
    assert str(file) in people


def test_show_hides_the_password_of_a_database(genretagger: Command) -> None:
    url = "postgresql+psycopg://anna:se:cr@t@db.example/music?password=cr@t"
    for flags in ((), ("--json",)):
        ended = genretagger("config", "show", *flags, GENRETAGGER_DATABASE_URL=url)
        assert "cr@t" not in ended.out
        assert "anna:***@" in ended.out


def test_show_of_a_broken_file_names_the_fault(genretagger: Command, file: Path) -> None:
    file.parent.mkdir()
    file.write_text("polcy = 1\n")
    ended = genretagger("config", "show")
    assert (ended.status, ended.out) == (2, "")
    assert "Did you mean policy?" in ended.err


def test_path_is_exact_and_works_with_a_broken_file(genretagger: Command, file: Path) -> None:
    ended = genretagger("config", "path")
    assert (ended.status, ended.out) == (0, f"{file}\n")
    assert "config init" in ended.err
    file.parent.mkdir()
    file.write_text("this is no TOML")
    ended = genretagger("config", "path")
    assert (ended.status, ended.out, ended.err) == (0, f"{file}\n", "")


def test_init_makes_a_file_that_sets_nothing_and_loads(genretagger: Command, file: Path) -> None:
    ended = genretagger("config", "init")
    assert ended.status == 0, ended.err
    text = file.read_text(encoding="utf-8")
    assert all(line.startswith("#") or not line for line in text.splitlines())
    assert load().model_dump() == defaults()
    assert [path.name for path in file.parent.iterdir()] == ["config.toml"]


def test_every_option_of_the_template_can_be_uncommented() -> None:
    options = re.findall(r"^#(\w.*)$", template(), re.MULTILINE)
    values = tomllib.loads("\n".join(options))
    assert list(values) == list(Settings.model_fields)
    assert Settings(**values).model_dump() == defaults()
    assert set(_SECTIONS) <= set(values)


def test_the_template_shows_defaults_and_not_what_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENRETAGGER_MIN_SCORE", "0.9")
    assert "#min_score = 0.5\n" in template()


def test_init_leaves_a_file_alone_unless_forced(genretagger: Command, file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"policy = \xff broken")
    ended = genretagger("config", "init")
    assert ended.status == 2
    assert "--force" in ended.err
    assert file.read_bytes() == b"policy = \xff broken"
    ended = genretagger("config", "init", "--force")
    assert ended.status == 0, ended.err
    assert load().model_dump() == defaults()
    assert (file.parent / "config.toml.old").read_bytes() == b"policy = \xff broken"


def test_init_writes_through_a_link_and_keeps_the_mode(genretagger: Command, file: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text("jobs = 2\n")
    real.chmod(0o600)
    file.parent.mkdir()
    file.symlink_to(real)
    assert genretagger("config", "init", "--force").status == 0
    assert file.is_symlink()
    assert real.read_text(encoding="utf-8") == template()
    assert real.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "value",
    [True, 3, 0.25, 'quote " and \\ and \n', "Ünïcode 🎵", "\x7f", ["a", "b; c"], {"Hip-Hop": "Rap"}, {}, []],
    ids=repr,
)
def test_literals_come_back_from_toml(value: object) -> None:
    assert tomllib.loads(f"x = {literal(value)}")["x"] == value


def test_plain_knows_the_words_of_the_file() -> None:
    assert plain("windows", None) == "all"
    assert plain("windows", 4) == 4
    assert plain("database_url", "sqlite:////a/b.sqlite3") == "sqlite:////a/b.sqlite3"
