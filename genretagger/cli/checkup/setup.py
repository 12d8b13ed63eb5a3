"""Checks of the process itself: Python, packages, configuration, terminal."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

import genretagger
from genretagger.cli.checkup.finding import Finding, bad, ok, warn
from genretagger.config import Settings, file_options, load
from genretagger.errors import ConfigError
from genretagger.places import PREFIX, config_file

REQUIRED: Mapping[str, str] = MappingProxyType(
    {
        "alembic": "1.14",
        "av": "14",
        "librosa": "0.11",
        "mutagen": "1.47",
        "numpy": "2.0.2",
        "onnx": "1.17",
        "onnxruntime": "1.20",
        "pip": "24.1",
        "platformdirs": "4.2",
        "pydantic": "2.7",
        "psutil": "6",
        "rich": "13.7",
        "scikit-learn": "1.5",
        "soundfile": "0.12.1",
        "soxr": "0.5",
        "sqlalchemy": "2.0.30",
        "tomlkit": "0.13",
        "typer": "0.15",
        "watchdog": "7.1",
    }
)
"""Least versions, as in pyproject.toml (a test compares), for a checkout that is not installed."""

_PYTHON = (3, 11)


def settings_or_defaults() -> Settings:
    """The configuration; if it is broken, the defaults, with the places that can still be read."""
    try:
        return load()
    except ConfigError:
        raw: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            raw = file_options(config_file())
        places: dict[str, Any] = {}
        for name in ("data_dir", "database_url"):
            value = os.environ.get(f"{PREFIX}{name.upper()}") or raw.get(name)
            if isinstance(value, str) and value:
                places[name] = Path(os.path.expanduser(value)) if name == "data_dir" else value  # noqa: PTH111 - as Settings
        try:
            return Settings.model_construct(**places)
        except ConfigError:  # a user without a home folder: `configuration` says so
            return Settings.model_construct(**places, data_dir=Path("/var/lib/genretagger"))


def python(_settings: Settings, _paths: Sequence[Path]) -> Iterator[Finding]:
    """Versions of genretagger, Python and the system."""
    found = (
        f"genretagger {genretagger.__version__}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} cores"
    )
    if sys.version_info < _PYTHON:
        yield bad("python", found, f"Install Python {'.'.join(map(str, _PYTHON))} or newer")
    else:
        yield ok("python", found)


def packages(_settings: Settings, _paths: Sequence[Path]) -> Iterator[Finding]:
    """Are all packages there, and new enough?"""
    runtimes = sorted(
        name for each in metadata.distributions() if (name := (each.name or "").lower()).startswith("onnxruntime")
    )
    present: list[str] = []
    wrong: list[str] = []
    for name, least in REQUIRED.items():
        name = runtimes[-1] if name == "onnxruntime" and runtimes else name  # any build of it will do
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is missing")
            continue
        present.append(f"{name} {version}")
        if _numbers(version) < _numbers(least):
            wrong.append(f"{name} {version} is older than {least}")
    if wrong:
        names = " ".join(
            f"'{name}>={least}'" for name, least in REQUIRED.items() if any(name in each for each in wrong)
        )
        yield bad("packages", "; ".join(wrong), f"{sys.executable} -m pip install {names}")
    else:
        yield ok("packages", ", ".join(present))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:3]))


def configuration(_settings: Settings, _paths: Sequence[Path]) -> Iterator[Finding]:
    """Is the configuration valid?"""
    try:
        load()
    except ConfigError as error:
        yield bad("configuration", error.cause, error.hint or f"Edit {config_file()}")
        return
    variables = sorted(name for name in os.environ if name.startswith(PREFIX) and os.environ[name])
    path = config_file()
    if path is None:
        state = "no home folder and so no file: the defaults apply"
    else:
        state = str(path) if path.exists() else f"no file at {path}, so the defaults apply"
    yield ok("configuration", f"{state}; set in the environment: {', '.join(variables)}" if variables else state)


def terminal(_settings: Settings, _paths: Sequence[Path]) -> Iterator[Finding]:
    """Can names in all languages be shown and passed to other programs?"""
    files, shown = sys.getfilesystemencoding().lower(), (sys.stdout.encoding or "none").lower()
    locale = next(
        (f"{name}={os.environ[name]}" for name in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(name)), "none"
    )
    found = f"file names are encoded as {files}, the terminal as {shown} (locale: {locale})"
    if {files.replace("-", ""), shown.replace("-", "")} <= {"utf8"}:
        yield ok("terminal", found)
    else:
        yield warn("terminal", found, "Names show with escapes; `export LANG=C.UTF-8` shows them as they are")
