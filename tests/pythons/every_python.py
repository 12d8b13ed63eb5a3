"""`make test-pythons`: the tests of `test_whole_program.py` under every Python that is found here.

Each Python has a virtual environment of its own in `.cache/pythons`, with the newest dependencies
that pyproject.toml allows. The oldest has a second one with the lowest, so each lower bound is a
release that was tried. The Pythons that the project supports, and the next one, are named if they
are not here. If the dependencies cannot be installed under a Python that is newer than the
supported ones, it says so, and that is no failure.

With `--record`, `tried.toml` gets the versions that passed; `test_dependencies.py` compares it with
pyproject.toml.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from interpreters import Interpreter, find
from packaging.version import Version
from project import EXTRAS, ROOT, lowest, next_python, requirements, supported
from uv import find_uv_bin

KEPT = ROOT / ".cache" / "pythons"
TRIED = Path(__file__).with_name("tried.toml")
_VERSIONS = "import json, sys; from importlib.metadata import version; print(json.dumps([*map(version, sys.argv[1:])]))"
_TOLD = ("av", "numpy", "onnxruntime", "librosa", "scikit-learn", "sqlalchemy", "beets")


@dataclass(slots=True)
class Trial:
    """One environment.

    Attributes:
        python: what it is made with.
        lowest: with the lowest dependencies that are allowed, not with the newest.
        versions: what was installed, by the names of the direct dependencies.
        failure: why it did not pass.
    """

    python: Interpreter
    lowest: bool = False
    versions: dict[str, Version] = field(default_factory=dict)
    failure: str = ""

    @property
    def name(self) -> str:
        """For people, and of its folder."""
        return ".".join(map(str, self.python.minor)) + ("-lowest" if self.lowest else "")

    def run(self) -> None:
        """Make the environment, and run the tests in it."""
        folder = KEPT / self.name
        python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        uv = find_uv_bin()
        install: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", python, "--exact", "--upgrade"]
        if self.lowest:
            install += ["--resolution", "lowest-direct"]
        commands: tuple[list[str | Path], ...] = (
            [uv, "venv", "--quiet", "--allow-existing", "--python", self.python.path, folder],
            [*install, "--editable", f".[{','.join((*EXTRAS, 'dev'))}]"],
        )
        if any(subprocess.run(command, cwd=ROOT).returncode for command in commands):
            self.failure = "its dependencies cannot be installed"
            return
        self.versions = _installed(python)
        tests: list[str | Path] = [
            python,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-m",
            "pythons",
            "tests/pythons",
        ]
        if subprocess.run(tests, cwd=ROOT).returncode:
            self.failure = "its tests failed"
        elif self.lowest:
            self.failure = _other_bounds(self.versions)


def _installed(python: Path) -> dict[str, Version]:
    names = list(requirements())
    answer = subprocess.run([python, "-c", _VERSIONS, *names], check=True, capture_output=True, text=True, cwd=KEPT)
    return {name: Version(text) for name, text in zip(names, json.loads(answer.stdout), strict=True)}


def _other_bounds(versions: dict[str, Version]) -> str:
    """Say which lower bounds of pyproject.toml are none that was tried."""
    wrong = [
        f"{name}>={lowest(requirement)} cannot be had here, {versions[name]} was tried"
        for name, requirement in requirements().items()
        if versions[name] != lowest(requirement)
    ]
    return f"raise the lower bounds in pyproject.toml: {'; '.join(wrong)}" if wrong else ""


def record(trials: list[Trial]) -> str:
    """The contents of `tried.toml` for trials that passed."""
    low = next(trial for trial in trials if trial.lowest)
    newest = [trial for trial in trials if not trial.lowest]
    pythons = ", ".join(f'"{".".join(map(str, trial.python.version))}"' for trial in newest)
    lines = [
        "# Written by `make test-pythons RECORD=yes`: what passed. `newest` is the newest under any of the Pythons.",
        f"pythons = [{pythons}]",
    ]
    for name in sorted(requirements()):
        high = max(trial.versions[name] for trial in newest)
        lines.append(f'{name} = {{ lowest = "{low.versions[name]}", newest = "{high}" }}')
    return "\n".join(lines) + "\n"


def plan(pythons: list[Interpreter]) -> tuple[list[Trial], list[tuple[int, int]]]:
    """What to try with these Pythons, and which minor versions are missing.

    The lowest dependencies are tried with the oldest supported Python alone: they have no wheels
    for later ones.
    """
    minors = {python.minor for python in pythons}
    missing = [minor for minor in (*supported(), next_python()) if minor not in minors]
    trials = [Trial(python) for python in pythons]
    if supported()[0] in minors:
        oldest = next(python for python in pythons if python.minor == supported()[0])
        trials.insert(0, Trial(oldest, lowest=True))
    return trials, missing


def main() -> int:
    """Try all, tell, and give the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="write what passed to tried.toml")
    arguments = parser.parse_args()
    trials, missing = plan(find())
    for trial in trials:
        print(f"\n{trial.name}: installing and testing with {trial.python.path}", flush=True)
        started = time.monotonic()
        trial.run()
        print(f"{trial.name}: {trial.failure or 'passed'} ({time.monotonic() - started:.0f} s)", flush=True)
    print()
    failed = not trials
    for trial in trials:
        early = trial.python.minor > supported()[-1] and not trial.versions
        failed |= bool(trial.failure) and not early
        known = ", ".join(f"{name} {trial.versions[name]}" for name in _TOLD if name in trial.versions)
        state = f"not supported yet, {trial.failure}" if early else trial.failure or "passed"
        print(f"{trial.name:12} {state}{f' ({known})' if known else ''}")
    for minor in missing:
        name = ".".join(map(str, minor))
        also = ", so the lowest dependencies are not tried either" if minor == supported()[0] else ""
        print(f"{name:12} not tried: there is no Python {name} here{also} (`uv python install {name}` gets one)")
    if arguments.record:
        if failed or not set(supported()).isdisjoint(missing):
            print(f"{TRIED.name} stays as it is: to record takes all supported Pythons, and no failure")
        else:
            TRIED.write_text(record([trial for trial in trials if not trial.failure]), encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
