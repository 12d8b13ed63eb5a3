"""What values options take, and how a text of the environment or the command line becomes one."""

from __future__ import annotations

import json
import os
import re
import shlex
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from pydantic import BeforeValidator

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9_+]*://")

_FILE = re.compile(r"sqlite(?:\+\w+)?:///([^?]+)(?:\?.*)?", re.DOTALL)
_RELATIVE_FILE = re.compile(r"(sqlite(?:\+\w+)?:///)([^/:].*)", re.DOTALL)

_LIBRARY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]+")

Device = Literal["auto", "cpu", "cuda", "tensorrt", "rocm", "migraphx", "openvino", "coreml", "directml"]


class Capitalisation(StrEnum):
    """How genre names are spelled in tags."""

    STANDARD = "standard"
    LOWER = "lower"
    TITLE = "title"


def split(value: object) -> object:
    """Take `a, b` for a list, as a shell variable has it."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def folder_names(value: object) -> object:
    """As `split`, and the word `none` for no names: an empty variable counts as unset."""
    return [] if isinstance(value, str) and value.strip().lower() == "none" else split(value)


def words(value: object) -> object:
    """Take a text for a command as a shell would read it, though no shell runs it."""
    return shlex.split(value) if isinstance(value, str) else value


def window_count(value: object) -> object:
    """Take the word `all` for "listen to everything"; `auto` in any spelling."""
    if isinstance(value, str) and value.strip().lower() in ("all", "auto"):
        return None if value.strip().lower() == "all" else "auto"
    return value


def writable(aliases: dict[str, str]) -> dict[str, str]:
    """Refuse names that players would split in two, and those that no tag takes."""
    names = {spelling: name.strip() for spelling, name in aliases.items()}
    for name in names.values():
        if not name or any(mark in name for mark in "/;,"):
            raise ValueError(f"the name {name!r} is empty or holds one of / ; , which players split genres on")
        if len(name) > 200 or any(unicodedata.category(mark) in ("Cc", "Cs") for mark in name):
            raise ValueError(f"the name {name[:40]!r} is longer than 200 letters or holds a control character")
    return names


def address(url: str) -> str:
    """Refuse what is not an address: SQLite would take it for a file in the current folder.

    A relative file becomes absolute, since child processes may work in other folders, and `~` is
    expanded.
    """
    if url and not _SCHEME.match(url):
        raise ValueError("it does not begin with the kind of the database, as sqlite:////home/anna/genres.sqlite3 does")
    _without_zero(Path(unquote(url)))
    relative = _RELATIVE_FILE.fullmatch(url)
    if relative is None:
        return url
    start, name = relative.groups()
    folder = at_home(Path("~")) if name.startswith("~/") else Path.cwd()
    # what is an address already keeps its spelling; a folder is none yet
    return f"{start}{os.fspath(folder).replace('%', '%25').replace('?', '%3F')}/{name.removeprefix('~/')}"


def file_of(url: str) -> Path | None:
    """The file that an SQLite address names, with SQLAlchemy's spelling; None for other engines."""
    match = _FILE.fullmatch(url)
    return None if match is None else Path(unquote(match[1], errors="surrogateescape"))


def mounts(libraries: dict[str, Path]) -> dict[str, Path]:
    """Refuse names that look like paths, relative folders, and two names for the same folder."""
    found = {name: at_home(_without_zero(folder)) for name, folder in libraries.items()}
    for name, folder in found.items():
        if not _LIBRARY.fullmatch(name):
            raise ValueError(f"the name {name!r} has other characters than letters, digits, . _ -, or fewer than two")
        if not folder.is_absolute():
            raise ValueError(f"the folder of {name!r} is not absolute: {os.fspath(folder)!r}")
    if len(set(found.values())) < len(found):
        raise ValueError("two libraries have the same folder")
    return found


def at_home(path: Path) -> Path:
    """Expand `~`: a shell does it on a command line, and nobody does it in a file."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - expanduser() of Path raises where there is no such user


def lasting(path: Path) -> Path:
    """Expand `~`, and make a path absolute: child processes work in another folder."""
    return at_home(_without_zero(path)).absolute()


def _without_zero(path: Path) -> Path:
    """Refuse what no system takes for a path."""
    if "\0" in os.fspath(path):
        raise ValueError("it contains a zero character, as no path does")
    return path


Names = Annotated[tuple[str, ...], BeforeValidator(split)]
FolderNames = Annotated[tuple[str, ...], BeforeValidator(folder_names)]


_WORDS = {
    "path_type": "a path",
    "dict_type": 'a table, { "Hip-Hop" = "Rap" }',
    "tuple_type": 'a list of texts, ["Pop", "Rock"]',
    "string_type": "a text",
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
}
"""What a value should have been, by the name that pydantic gives the error."""


def complaint(fault: Mapping[str, Any]) -> str:
    """What is wrong with a value, without words that only programmers use."""
    kind = str(fault["type"])
    if kind in _WORDS:
        return f"it should be {_WORDS[kind]}"
    if kind == "value_error":  # one of our own validators
        return str(fault["ctx"]["error"])
    return re.sub("^(Input|String) ", "it ", fault["msg"])


_MOST_SHOWN = 200


def shown(value: object) -> str:
    """A value as a message quotes it: as JSON, shortened; whatever it is, this does not fail."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=_named)
    except (ValueError, TypeError, RecursionError):  # a number of thousands of digits, or a list in itself
        return f"a value ({type(value).__name__}) that cannot be shown"
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"


def _named(value: object) -> str:
    return os.fspath(value) if isinstance(value, Path) else type(value).__name__
