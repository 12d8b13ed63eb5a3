"""Finds the Pythons of this machine that really start."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from project import accepts
from uv import find_uv_bin

_NAME = re.compile(r"python3\.\d+(\.exe)?")
_ASK = """
import json, platform, sys
free = not getattr(sys, "_is_gil_enabled", lambda: True)()
final = sys.version_info.releaselevel == "final"
print(json.dumps([platform.python_version(), sys.implementation.name == "cpython" and final and not free]))
"""
_START_S = 30


@dataclass(frozen=True, slots=True, order=True)
class Interpreter:
    """A Python that starts.

    Attributes:
        version: its numbers, such as (3, 12, 1).
        path: the program.
    """

    version: tuple[int, ...]
    path: Path

    @property
    def minor(self) -> tuple[int, int]:
        """Such as (3, 12)."""
        return self.version[0], self.version[1]


def find(candidates: Sequence[Path] | None = None) -> list[Interpreter]:
    """The newest CPython release of each minor version that the project accepts, oldest first.

    Args:
        candidates: programs to ask; None looks for them in PATH, among pyenv's versions and where
            uv knows some.
    """
    found: dict[tuple[int, int], Interpreter] = {}
    for path in dict.fromkeys(_candidates() if candidates is None else candidates):
        interpreter = _ask(path)
        if interpreter is not None:
            known = found.get(interpreter.minor)
            if known is None or known.version < interpreter.version:
                found[interpreter.minor] = interpreter
    return [found[minor] for minor in sorted(found)]


def _candidates() -> Iterator[Path]:
    yield Path(sys.executable).resolve()
    for folder in map(Path, os.environ.get("PATH", "").split(os.pathsep)):
        if folder.is_dir():
            yield from sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob("versions/*/bin/python3"))
    listed = subprocess.run(
        [find_uv_bin(), "python", "list", "--only-installed", "--output-format", "json"],
        capture_output=True,
        text=True,
    )
    if listed.returncode == 0:
        yield from (Path(each["path"]) for each in json.loads(listed.stdout))


def _ask(path: Path) -> Interpreter | None:
    """What a program says of itself; None if it does not start, or if the project cannot use it.

    A shim of a version manager does not start while its version is not selected.
    """
    try:
        answer = subprocess.run([path, "-I", "-c", _ASK], capture_output=True, text=True, timeout=_START_S)
        version, usable = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    if not usable or not accepts(version):
        return None
    return Interpreter(tuple(map(int, version.split("."))), path)
