"""Reading a plan of either form, checked line by line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

from genretagger.steps.plan import jsonl, table
from genretagger.steps.plan.entry import MOST_ENTRIES, LineError, PlanError, Planned
from genretagger.textfile import decoded

LINE_LETTERS = 32 << 20
"""Twice what a child process may say of a file, so that every entry fits."""

_VERSION = 1


def read(file: BinaryIO, name: Path) -> Iterator[Planned]:
    """Read and check a plan, one line at a time.

    Args:
        file: open at its start; it stays open.
        name: what to call it in errors.

    Raises:
        PlanError: this is not a plan, or of another version, or a line of it cannot be used; with
            its number.
    """
    text = decoded(file, errors="surrogateescape")  # so that the line of a wrong byte can be named
    try:
        yield from _read(text, name)
    finally:
        text.detach()


def _read(text: TextIO, name: Path) -> Iterator[Planned]:
    lines = _lines(text, name)
    try:
        _, first = next(lines, (1, ""))
    except PlanError as error:
        raise _no_plan(name) from error
    version = jsonl.version_in(first)
    entries = jsonl.entries(lines)
    if version is None:
        version = table.version_in(first)
        entries = table.entries(first, lines)
    if version is None:
        raise _no_plan(name)
    if version != _VERSION:
        cause = f"the plan has version {version}, and this genretagger reads version {_VERSION}"
        raise PlanError(cause, path=name, hint="Make it again with `genretagger tag --plan`")
    seen: dict[str, int] = {}
    for number, entry in entries:
        if isinstance(entry, LineError):
            raise _error(number, str(entry), name) from entry
        if (earlier := seen.setdefault(os.fspath(entry.path), number)) != number:
            raise _error(number, f"it names the same file as line {earlier}", name)
        if len(seen) > MOST_ENTRIES:
            raise _error(number, f"a plan has at most {MOST_ENTRIES:,} files", name)
        yield entry


def _lines(text: TextIO, name: Path) -> Iterator[tuple[int, str]]:
    """Give each line with its number, blank lines left out."""
    number = 0
    try:
        while line := text.readline(LINE_LETTERS + 1):
            number += 1
            if len(line) > LINE_LETTERS:
                raise _error(number, f"it is longer than {LINE_LETTERS >> 20} MB", name)
            if not line.isascii() and any("\udc80" <= letter <= "\udcff" for letter in line):
                raise _error(number, "it is neither UTF-8 nor UTF-16", name)
            if line.strip():
                yield number, line
    except UnicodeDecodeError as error:
        raise _error(number + 1, "it is neither UTF-8 nor UTF-16", name) from error


def _no_plan(name: Path) -> PlanError:
    return PlanError("this is not a plan of genretagger", path=name, hint="`genretagger tag --plan FILE` makes one")


def _error(number: int, fault: str, name: Path) -> PlanError:
    return PlanError(f"line {number}: {fault}", path=name, hint="Fix or delete the line; nothing of it was written")
