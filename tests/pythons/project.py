"""What pyproject.toml declares: the Pythons, and the dependencies that users install."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT: Mapping[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

EXTRAS = ("beets", "report", "postgresql", "web")
"""The extras to try. `gpu` needs other hardware; `dev` is only for us, who take the newest."""

_CLASSIFIER = "Programming Language :: Python :: 3."


def requirements() -> dict[str, Requirement]:
    """The direct dependencies of the package and of `EXTRAS`, by name."""
    lines = [*PROJECT["dependencies"], *(line for extra in EXTRAS for line in PROJECT["optional-dependencies"][extra])]
    return {requirement.name: requirement for requirement in map(Requirement, lines)}


def lowest(requirement: Requirement) -> Version:
    """The lowest release that a requirement allows.

    Raises:
        ValueError: it has no lower bound, or several.
    """
    (bound,) = (each for each in requirement.specifier if each.operator == ">=")
    return Version(bound.version)


def supported() -> list[tuple[int, int]]:
    """The Pythons that the classifiers name, oldest first."""
    minors = [line.removeprefix(_CLASSIFIER) for line in PROJECT["classifiers"] if line.startswith(_CLASSIFIER)]
    return sorted((3, int(minor)) for minor in minors)


def next_python() -> tuple[int, int]:
    """The one after the newest supported: what it lacks is reported, and is no error."""
    major, minor = supported()[-1]
    return major, minor + 1


def accepts(python: str) -> bool:
    """Whether `requires-python` lets this version install the package."""
    return SpecifierSet(PROJECT["requires-python"]).contains(python)
