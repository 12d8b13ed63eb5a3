from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from genretagger.config import Settings, load, restored
from genretagger.database.store import Store
from genretagger.errors import ConfigError
from genretagger.option_values import Capitalisation, Device
from genretagger.places import config_path
from genretagger.types import Policy


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty configuration file."""
    path = tmp_path / "config.toml"
    path.touch()
    monkeypatch.setenv("GENRETAGGER_CONFIG", str(path))
    return path


@pytest.mark.parametrize(
    ("option", "default", "in_file", "from_file", "in_environment", "from_environment", "flag", "from_flag"),
    [
        ("model", "musicnn-yamnet", '"a"', "a", "b", "b", "c", "c"),
        ("max_genres", 2, "3", 3, "4", 4, 5, 5),
        ("min_score", 0.5, "0.25", 0.25, "0.125", 0.125, 1, 1.0),
        ("add_parents", False, "true", True, "no", False, True, True),
        ("windows", 16, '"all"', None, "8", 8, "ALL", None),
        ("windows", 16, '"auto"', "auto", "Auto", "auto", "8", 8),
        ("policy", Policy.KEEP, '"add"', Policy.ADD, "replace", Policy.REPLACE, Policy.ADD, Policy.ADD),
        ("capitalisation", Capitalisation.STANDARD, '"lower"', "lower", "title", "title", "lower", "lower"),
        ("allow", (), '["Pop", "Rock"]', ("Pop", "Rock"), "Jazz , Folk,", ("Jazz", "Folk"), ["Ska"], ("Ska",)),
        ("aliases", {}, '{ Folk = "F" }', {"Folk": "F"}, '{"Folk": "f"}', {"Folk": "f"}, {"Folk": "x"}, {"Folk": "x"}),
        (
            *("libraries", {}, '{ aa = "/a" }', {"aa": Path("/a")}, '{"aa": "/b"}', {"aa": Path("/b")}),
            *({"aa": "/c"}, {"aa": Path("/c")}),
        ),
        ("data_dir", None, '"/a"', Path("/a"), "/b", Path("/b"), Path("/c"), Path("/c")),
    ],
)
def test_defaults_then_file_then_environment_then_flags(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    default: object,
    in_file: str,
    from_file: object,
    in_environment: str,
    from_environment: object,
    flag: object,
    from_flag: object,
) -> None:
    def value(**flags: Any) -> object:
        return getattr(load(**flags), option)

    if default is not None:
        assert value() == default
    config.write_text(f"{option} = {in_file}\n")
    assert value() == from_file
    monkeypatch.setenv(f"GENRETAGGER_{option.upper()}", in_environment)
    assert value() == from_environment
    assert value(**{option: flag}) == from_flag
    assert value(**{option: None}) == from_environment, "a flag that was not given counts for nothing"


def test_sources_are_mixed_option_by_option(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text('model = "mine"\nmax_genres = 3\njobs = 3\n')
    monkeypatch.setenv("GENRETAGGER_MAX_GENRES", "4")
    monkeypatch.setenv("GENRETAGGER_JOBS", "4")
    settings = load(jobs=5)
    assert (settings.model, settings.max_genres, settings.jobs, settings.threads) == ("mine", 4, 5, 0)


def test_aliases_of_all_sources_are_put_together(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text('[aliases]\n"Hip-Hop" = "Rap"\nFolk = "Volksmusik"\n')
    monkeypatch.setenv("GENRETAGGER_ALIASES", '{"Folk": "Folklore"}')
    assert load().aliases == {"Hip-Hop": "Rap", "Folk": "Folklore"}


def test_an_empty_variable_is_no_variable(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text('forbid = ["Pop"]\nmax_genres = 3\n')
    monkeypatch.setenv("GENRETAGGER_FORBID", "")
    monkeypatch.setenv("GENRETAGGER_MAX_GENRES", "")
    assert (load().forbid, load().max_genres) == (("Pop",), 3)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load().max_genres = 3


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        ('device = "gpu"', ["auto", "cuda", "directml"]),
        ('policy = "overwrite"', ["keep", "replace", "add"]),
        ('capitalisation = "upper"', ["standard", "lower", "title"]),
        ("windows = 0", ["greater than or equal to 1", '"all"']),
        ('windows = "some"', ["a whole number", '"all"']),
        ("max_genres = 21", ["less than or equal to 20"]),
        ("min_score = 0", ["greater than 0"]),
        ("min_score = nan", ["0 to 1"]),
        ("share_of_top = 1.5", ["less than or equal to 1"]),
        ("jobs = -1", ["greater than or equal to 0"]),
        ("jobs = 1.5", ["a whole number"]),
        ("memory_limit_mb = 16", ["greater than or equal to 256"]),
        ("memory_limit_mb = 99999999999999", ["less than or equal to"]),  # no system call takes it
        ("time_limit_s = inf", ["less than or equal to"]),
        ("time_limit_s = 1e12", ["less than or equal to"]),  # no timer takes it
        ('model = ""', ["at least 1 character"]),
        ("add_parents = 2", ["true or false, got 2"]),
        ("allow = 3", ["only these genres"]),
        ("allow = [3]", ["a text, got 3"]),
        ("allow = { a = 1 }", ["a list of texts"]),
        ("data_dir = 3", ["a path, got 3"]),
        ('min_score = "x"', ["a number"]),
        ("model = true", ["a text, got true"]),
        ("data_dir = false", ["a path, got false"]),
        ('aliases = ["Pop"]', ["a table"]),
        ('aliases = { "Hip-Hop" = "Rap/Hip-Hop" }', ["/ ; ,", "Rap/Hip-Hop"]),
        ('aliases = { "Hip-Hop" = " " }', ["empty"]),
        ('libraries = { m = "/a" }', ["fewer than two"]),
        ('libraries = { "a:b" = "/a" }', ["letters, digits"]),
        ('libraries = { music = "a" }', ["absolute"]),
        ('libraries = { one = "/a", two = "/a" }', ["same folder"]),
        ('aliases = { "Hip-Hop" = "Ra\\u0000p" }', ["control"]),
        (f'aliases = {{ "Hip-Hop" = "{"x" * 201}" }}', ["200"]),
    ],
)
def test_a_wrong_value_in_the_file_names_place_and_valid_ones(config: Path, value: str, valid: list[str]) -> None:
    config.write_text(f"{value}\n")
    with pytest.raises(ConfigError) as caught:
        load()
    message = str(caught.value)
    assert message.startswith(f"{value.split()[0]} in {config}: ")
    assert [words for words in valid if words not in message] == []
    assert "\n" not in message
    assert [word for word in ("class", "dictionary", "tuple", "string", "boolean", "True") if word in message] == []


@pytest.mark.parametrize(
    "url", ["bogus", "library.sqlite3", "/home/anna/x.db", "sqlite:x.db", "anna:secret@host/music"]
)
def test_a_database_without_a_kind_is_refused(config: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    config.write_text(f'database_url = "{url}"\n')
    with pytest.raises(
        ConfigError, match=r"^database_url in .* as sqlite:////home/anna/genres\.sqlite3 does"
    ) as caught:
        load()
    assert "secret" not in str(caught.value)
    config.write_text("")
    monkeypatch.setenv("GENRETAGGER_DATABASE_URL", url)
    with pytest.raises(ConfigError, match=r"^GENRETAGGER_DATABASE_URL: "):
        load()


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:////x.db", "sqlite:////a b/x.db", "mysql+pymysql://a:b@h:1/x?y=z"]
)
def test_addresses_of_databases_are_taken(config: Path, url: str) -> None:
    config.write_text(f'database_url = "{url}"\n')
    assert load().database == url


def test_a_wrong_value_names_the_variable_or_the_flag(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text("min_score = 0.5\n")
    monkeypatch.setenv("GENRETAGGER_MIN_SCORE", "high")
    with pytest.raises(ConfigError, match=r'^GENRETAGGER_MIN_SCORE: .*got "high"'):
        load()
    with pytest.raises(ConfigError, match=r'^--min-score: .*got "higher"'):
        load(min_score="higher")
    assert load(min_score=0.25).min_score == 0.25, "a right flag stands before a wrong variable"


def test_settings_travel_to_another_process() -> None:
    settings = Settings(min_score=1, windows=None, ignore_folders=("a\udcff",), aliases={"Hip-Hop": "Rap"})
    assert restored(json.loads(json.dumps(settings.model_dump(mode="json")))).model_dump() == settings.model_dump()


@pytest.mark.parametrize(
    ("option", "value"), [("max_genres", "2"), ("max_genres", True), ("hard_links", 1), ("allow", "Jazz"), ("new", 1)]
)
def test_settings_of_another_process_are_exact(option: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"settings|Extra inputs"):
        restored({**Settings().model_dump(mode="json"), option: value})


def test_a_dictionary_in_the_environment_that_is_no_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENRETAGGER_ALIASES", "Hip-Hop = Rap")
    with pytest.raises(ConfigError, match=r"GENRETAGGER_ALIASES.*JSON"):
        load()


def test_an_unknown_option_in_the_file(config: Path) -> None:
    config.write_text('polcy = "replace"\n')
    with pytest.raises(ConfigError, match=r"unknown option polcy in .*config\.toml\. Did you mean policy\?"):
        load()
    config.write_text("zzz = 1\n")
    with pytest.raises(ConfigError) as caught:
        load()
    assert all(name in str(caught.value) for name in Settings.model_fields), "all the valid ones are listed"


def test_an_unknown_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENRETAGGER_POLCY", "replace")
    with pytest.raises(ConfigError, match=r"GENRETAGGER_POLCY.*Did you mean GENRETAGGER_POLICY\?"):
        load()
    monkeypatch.delenv("GENRETAGGER_POLCY")
    monkeypatch.setenv("GENRETAGGER_ZZZZZZZZ", "1")
    with pytest.raises(ConfigError, match=r"Valid are: .*GENRETAGGER_CONFIG.*GENRETAGGER_WINDOWS"):
        load()


def test_without_a_file_the_defaults_hold(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = config.parent / "home"
    monkeypatch.delenv("GENRETAGGER_CONFIG")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    assert home in config_path().parents
    assert not config_path().exists()
    assert load().model == "musicnn-yamnet"


def test_where_things_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENRETAGGER_DATA_DIR", "/data")
    assert load().models_dir == Path("/data/models")
    assert load().database == Path("/data/library.sqlite3")
    monkeypatch.setenv("GENRETAGGER_DATABASE_URL", "postgresql://host/music")
    assert load().database == "postgresql://host/music"
    monkeypatch.setenv("HOME", "/home/anna")
    assert load(data_dir="~/music").data_dir == Path("/home/anna/music"), "a shell does not expand it in a file"


def test_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(11)), raising=False)
    assert load().worker_count == 11
    assert load(jobs=9).worker_count == 9


def test_every_option_is_described_and_every_device_named() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
    assert {"auto", "cpu", "cuda", "tensorrt", "rocm", "migraphx", "openvino", "coreml", "directml"} == set(
        get_args(Device)
    )


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = "numpy librosa onnx onnxruntime av sqlalchemy alembic mutagen"
    code = f"import sys, genretagger.config; print([name for name in '{heavy}'.split() if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_option_stands_in_the_documentation() -> None:
    text = (Path(__file__).resolve().parents[1] / "docs" / "commands.md").read_text(encoding="utf-8")
    for name, field in Settings.model_fields.items():
        assert f"| `{name}` |" in text
        assert str(field.description) in text


def test_space_around_a_name_of_your_own_is_left_out(config: Path) -> None:
    config.write_text('aliases = { "Hip-Hop" = " Rap " }\n')
    assert load().aliases == {"Hip-Hop": "Rap"}


def test_a_relative_data_folder_stays_the_same_wherever_a_child_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENRETAGGER_DATA_DIR", "data")
    assert load().data_dir == tmp_path / "data"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("sqlite:///genres.sqlite3", "sqlite:///{here}/genres.sqlite3"),
        ("sqlite:///a/../b.db", "sqlite:///{here}/a/../b.db"),
        ("sqlite+pysqlite:///b.db", "sqlite+pysqlite:///{here}/b.db"),
        ("sqlite:////srv/b.db", "sqlite:////srv/b.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite://", "sqlite://"),
        ("postgresql://anna@host/music", "postgresql://anna@host/music"),
        ("", ""),
    ],
)
def test_a_relative_database_stays_the_same_wherever_a_child_works(
    given: str, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENRETAGGER_DATABASE_URL", given)
    assert load().database_url == kept.format(here=tmp_path)


@pytest.mark.parametrize("folder", ["q?b", "50%25 off", "100%", "a#b", "[x] é", os.fsdecode(b"\xff")])
def test_a_relative_database_lies_in_the_current_folder_whatever_its_name(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / folder
    here.mkdir()
    before = {each.name for each in tmp_path.iterdir()}
    monkeypatch.chdir(here)
    monkeypatch.setenv("GENRETAGGER_DATABASE_URL", "sqlite:///genres.db")
    settings = load()
    with Store.open(settings.database) as store:
        assert store.path == here / "genres.db"
    assert settings.database_file == here / "genres.db"
    assert (here / "genres.db").exists()
    assert {each.name for each in tmp_path.iterdir()} == before


def test_a_database_at_home_is_found_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GENRETAGGER_DATABASE_URL", "sqlite:///~/genres.db")
    assert load().database_file == tmp_path / "genres.db"
