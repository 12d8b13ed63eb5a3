"""The declared ranges were tried, and `make test-pythons` finds only Pythons that start."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from types import MappingProxyType

import every_python
import interpreters
import project
import pytest
from packaging.requirements import Requirement
from packaging.version import Version

TRIED = tomllib.loads(every_python.TRIED.read_text(encoding="utf-8"))
REQUIREMENTS = project.requirements()

KNOWN_TO_BREAK: Mapping[str, str] = MappingProxyType({})
"""Dependencies with an upper bound → what breaks with the next major release."""

RECORD = "then run: make test-pythons RECORD=yes"


def test_every_dependency_was_tried_and_no_other() -> None:
    assert set(TRIED) - {"pythons"} == set(REQUIREMENTS), RECORD


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_the_declared_range_is_what_was_tried(name: str) -> None:
    specifier, tried = REQUIREMENTS[name].specifier, TRIED[name]
    assert project.lowest(REQUIREMENTS[name]) == Version(tried["lowest"]), RECORD
    assert specifier.contains(tried["newest"]), RECORD
    operators = {each.operator for each in specifier}
    assert operators <= ({">=", "<"} if name in KNOWN_TO_BREAK else {">="}), "an upper bound needs a reason"


def test_extras_declare_a_dependency_as_the_others_do() -> None:
    """`dev` repeats what other extras hold, and pip takes the narrower range of the two."""
    lines = [line for extra in project.PROJECT["optional-dependencies"].values() for line in extra]
    for each in map(Requirement, lines):
        if each.name in REQUIREMENTS:
            assert each.specifier == REQUIREMENTS[each.name].specifier, each


def test_what_is_installed_here_is_in_the_declared_range() -> None:
    installed = {name: metadata.version(name) for name in REQUIREMENTS}
    outside = {name: version for name, version in installed.items() if version not in REQUIREMENTS[name].specifier}
    assert outside == {}, "run make again: the virtual environment is older than pyproject.toml"


def test_the_supported_pythons_were_tried() -> None:
    tried = [tuple(map(int, version.split(".")[:2])) for version in TRIED["pythons"]]
    assert tried[: len(project.supported())] == project.supported(), RECORD
    assert project.accepts("{}.{}".format(*project.supported()[0]))
    assert not project.accepts("3.10.99")


def program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


SHELL = pytest.mark.skipif(sys.platform == "win32", reason="the programs of this test are shell scripts")


@SHELL
def test_only_pythons_that_start_are_found(tmp_path: Path) -> None:
    works = program(tmp_path / "works", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    candidates = [
        program(tmp_path / "shim", "#!/bin/sh\necho 'pyenv: python3.12: command not found' >&2\nexit 127\n"),
        program(tmp_path / "old", """#!/bin/sh\necho '["3.10.13", true]'\n"""),
        program(tmp_path / "free-threaded", """#!/bin/sh\necho '["3.99.0", false]'\n"""),
        program(tmp_path / "earlier", """#!/bin/sh\necho '["3.98.2", true]'\n"""),
        program(tmp_path / "later", """#!/bin/sh\necho '["3.98.10", true]'\n"""),
        program(tmp_path / "no program", ""),
        tmp_path / "absent",
        works,
    ]
    found = interpreters.find(candidates)
    assert [each.path.name for each in found] == ["works", "later"]
    assert found[0].version == sys.version_info[:3]
    assert found[1].minor == (3, 98)


@SHELL
def test_pythons_are_looked_for_in_path_and_among_those_of_pyenv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_path, in_pyenv = tmp_path / "bin" / "python3.97", tmp_path / "versions" / "3.96.1" / "bin" / "python3"
    for path in (in_path, in_pyenv):
        path.parent.mkdir(parents=True)
        version = "3.97.0" if path == in_path else "3.96.1"
        program(path, f"""#!/bin/sh\necho '["{version}", true]'\n""")
    monkeypatch.setenv("PATH", f"{tmp_path / 'absent'}:{in_path.parent}:/bin:/usr/bin")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    found = {each.minor for each in interpreters.find()}
    assert {(3, 96), (3, 97), sys.version_info[:2]} <= found


def test_missing_pythons_are_named_and_the_lowest_need_the_oldest() -> None:
    all_of_them = [interpreters.Interpreter((*minor, 1), Path("python")) for minor in project.supported()]
    trials, missing = every_python.plan(all_of_them)
    names = [".".join(map(str, minor)) for minor in project.supported()]
    assert [trial.name for trial in trials] == [f"{names[0]}-lowest", *names]
    assert missing == [project.next_python()]
    trials, missing = every_python.plan(all_of_them[1:])
    assert [trial.name for trial in trials] == names[1:]
    assert missing == [project.supported()[0], project.next_python()]


def test_bounds_that_cannot_be_had_are_named() -> None:
    versions = {name: project.lowest(requirement) for name, requirement in REQUIREMENTS.items()}
    assert every_python._other_bounds(versions) == ""
    answer = every_python._other_bounds({**versions, "numpy": Version("9999")})
    assert answer.endswith(f"numpy>={project.lowest(REQUIREMENTS['numpy'])} cannot be had here, 9999 was tried")


def test_what_is_recorded_are_the_lowest_and_the_newest() -> None:
    low = {name: Version("1.0") for name in REQUIREMENTS}
    python = interpreters.Interpreter((3, 11, 7), Path("python3.11"))
    newer = interpreters.Interpreter((3, 12, 1), Path("python3.12"))
    trials = [
        every_python.Trial(python, lowest=True, versions=low),
        every_python.Trial(python, versions={**low, "numpy": Version("2.4")}),
        every_python.Trial(newer, versions={**low, "numpy": Version("2.10")}),
    ]
    recorded = tomllib.loads(every_python.record(trials))
    assert recorded["pythons"] == ["3.11.7", "3.12.1"]
    assert recorded["numpy"] == {"lowest": "1.0", "newest": "2.10"}
    assert set(recorded) - {"pythons"} == set(REQUIREMENTS)
