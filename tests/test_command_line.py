"""The command line as a whole: every command has help and documentation, and answers quickly."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from few import few
from typer.testing import CliRunner

from genretagger import __version__
from genretagger.cli.main import COMMANDS, app

REPOSITORY = Path(__file__).resolve().parents[1]
HEAVY = ("numpy", "librosa", "onnxruntime", "onnx", "av", "sqlalchemy", "alembic", "pydantic", "rich", "mutagen")


def commands(group: Any = None, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the names that lead to it, groups included."""
    command: Any = typer.main.get_command(app) if group is None else group
    yield names, command
    for name in getattr(command, "commands", ()):
        yield from commands(command.get_command(None, name), (*names, name))


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=REPOSITORY, check=False)


def paths_of(command: Any) -> list[Any]:
    """The parameters of a command that are paths, by the types of its function."""
    types = typing.get_type_hints(command.callback) if command.callback is not None else {}
    return [each for each in command.params if "Path" in str(types.get(each.name))]


ALL = dict(commands())
PATHS = [(names, each) for names, command in ALL.items() for each in paths_of(command)]


def test_there_are_commands() -> None:
    assert {("tag",), ("show",), ("undo",), ("export",), ("models", "pull"), ("config", "show"), ("doctor",)} <= set(
        ALL
    )


def test_the_help_of_all_commands_says_what_each_says_itself() -> None:
    assert {names[0]: command.get_short_help_str(400) for names, command in ALL.items() if len(names) == 1} == COMMANDS


def test_the_help_loads_no_command() -> None:
    loaded = python("-X", "importtime", "-m", "genretagger", "--help")
    assert loaded.returncode == 0, loaded.stderr
    imported = {line.rpartition("|")[2].strip() for line in loaded.stderr.splitlines()}
    assert "genretagger.cli.main" in imported
    unneeded = {f"genretagger.cli.{name}" for name in COMMANDS}
    assert imported.isdisjoint(unneeded | {"genretagger.types", "asyncio", "secrets"})


@pytest.mark.parametrize("names", ALL, ids=" ".join)
def test_every_command_and_option_has_help(names: tuple[str, ...]) -> None:
    command = ALL[names]
    assert (command.help or "").strip().endswith(".")
    for parameter in command.params:
        if parameter.name not in {"install_completion", "show_completion"}:
            assert getattr(parameter, "help", None), f"{parameter.name} says nothing"


@pytest.mark.parametrize("names", [names for names in ALL if names], ids=" ".join)
def test_every_command_and_option_is_documented(names: tuple[str, ...]) -> None:
    text = (REPOSITORY / "docs/commands.md").read_text("utf-8")
    section = text.split(f"\n## {names[0]}\n")
    assert len(section) == 2, f"{names[0]} has no section of its own"
    synopsis = section[1].split("\n## ")[0].strip().split("\n\n")[0]
    assert synopsis.lstrip().startswith(f"genretagger {names[0]}")
    assert names[-1] in synopsis
    missing = [
        option
        for parameter in ALL[names].params
        for option in parameter.opts
        if option.startswith("--") and option not in synopsis and not getattr(parameter, "hidden", False)
    ]
    assert missing == []


def test_the_readme_leads_to_the_documentation() -> None:
    text = (REPOSITORY / "README.md").read_text("utf-8")
    assert "docs/commands.md" in text
    assert "genretagger undo" in text


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from genretagger.cli.main import main\n"
        "sys.argv = ['genretagger', *{!r}, '--help']\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        f"    print(sorted(set({HEAVY}) & set(sys.modules)), file=sys.stderr)\n"
    )
    for names in ([], ["tag"], ["models", "pull"]):
        ended = python("-c", program.format(names))
        assert ended.returncode == 0
        assert "Usage:" in ended.stdout
        by_typer = {"pydantic"} if names else set()  # newer versions of it describe the options of a command with it
        assert set(ast.literal_eval(ended.stderr)) <= by_typer


def test_help_and_version_cause_no_warning() -> None:
    for option, said in (("--help", "undo"), ("--version", f"genretagger {__version__}\n")):
        ended = python("-W", "error", "-X", "dev", "-m", "genretagger", option)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert said in ended.stdout


def test_the_paths_of_the_commands_are_known() -> None:
    named = {(*names, parameter.name) for names, parameter in PATHS}
    assert {("tag", "paths"), ("tag", "plan"), ("undo", "paths"), ("service", "install", "folders")} <= named
    assert len(named) >= 20


@pytest.mark.parametrize(("names", "parameter"), PATHS, ids=lambda each: getattr(each, "name", None) or " ".join(each))
def test_an_empty_path_is_no_path(
    names: tuple[str, ...], parameter: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENRETAGGER_DATA_DIR", str(tmp_path / "data"))
    arguments = [*names, *([parameter.opts[-1], ""] if parameter.param_type_name == "option" else [])]
    for each in ALL[names].params:
        if each.param_type_name == "argument" and (each.required or each is parameter):
            arguments.append("" if each is parameter else str(Path(__file__)))
    ended = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert (ended.exit_code, "no path was named" in ended.output) == (2, True), ended.output
    assert list(tmp_path.iterdir()) == []


def test_an_empty_path_among_others_is_refused_as_well() -> None:
    ended = python("-m", "genretagger", "tag", "tests", "")
    assert (ended.returncode, ended.stdout, "no path was named" in ended.stderr) == (2, "", True)


def test_a_file_whose_name_begins_with_a_dash(tmp_path: Path) -> None:
    (tmp_path / "-xa.mp3").touch()
    command = [sys.executable, "-m", "genretagger", "history"]
    ended = subprocess.run([*command, "-xa.mp3"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (ended.returncode, f"write .{os.sep}-xa.mp3" in " ".join(ended.stderr.split())) == (2, True), ended.stderr
    ended = subprocess.run([*command, "-xb.mp3"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (ended.returncode, "-x" in ended.stderr, "write ." in ended.stderr) == (2, True, False)


def test_an_unknown_command_is_wrong_use() -> None:
    ended = python("-m", "genretagger", "tagg")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "tagg" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("command", ["undo", "redo"])
@pytest.mark.parametrize("number", few(("99999999999999999999", "0", "-1"), 0))
def test_a_run_that_no_database_can_have_is_wrong_use(command: str, number: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "genretagger", command, f"--run={number}"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "Invalid value for '--run'" in ended.stderr
    assert "Traceback" not in ended.stderr
