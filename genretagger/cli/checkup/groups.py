"""The list of checks, and how they run: each group apart, so that none can stop the others."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from genretagger import launch
from genretagger.cli.checkup import decoding, library, listening, setup, storage
from genretagger.cli.checkup.finding import Finding, bad, warn
from genretagger.config import Settings
from genretagger.errors import GenretaggerError
from genretagger.strict import read

Check: TypeAlias = Callable[[Settings, Sequence[Path]], Iterator[Finding]]

HERE: tuple[Check, ...] = (setup.python, setup.packages, setup.configuration, setup.terminal)
"""Checks of this process itself."""

APART: Mapping[str, tuple[Check, ...]] = MappingProxyType(
    {
        "storage": (storage.data_folder, storage.database),
        "decoding": (decoding.decoders, decoding.child_process),
        "folders": (library.folders,),
        "listening": (listening.model, listening.front_end, listening.device, listening.speed),
    }
)
"""Checks by group, each in its own process."""

LAST = "listening"
"""Runs after the others, because it measures time."""

TIME_LIMIT_S = 20.0
"""A check that takes longer hangs (a dead server, a driver). All take 3 s on a sound machine."""


def examine(paths: Sequence[Path]) -> Iterator[Finding]:
    """Run all checks.

    Yields:
        What was found, always in the same order.
    """
    children = {group: _start(group, paths) for group in APART if group != LAST}
    try:
        deadline = time.monotonic() + TIME_LIMIT_S
        yield from _carry_out(HERE, paths)
        for group, child in children.items():
            yield from _listen(group, child, deadline)
        children[LAST] = _start(LAST, paths)
        yield from _listen(LAST, children[LAST], time.monotonic() + TIME_LIMIT_S)
    finally:
        for child in children.values():
            child.kill()
            child.communicate()


def _start(group: str, paths: Sequence[Path]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        launch.command("cli.checkup.apart", group, *map(os.fspath, paths), warnings=False),
        env=launch.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _listen(group: str, child: subprocess.Popen[bytes], deadline: float) -> Iterator[Finding]:
    """Give what a child found, and how it ended if it failed."""
    late = False
    try:
        answers, noise = child.communicate(timeout=max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        late = True
        child.kill()
        answers, noise = child.communicate()
    for line in answers.splitlines():
        with contextlib.suppress(ValueError):  # cut short by the kill
            yield read(Finding, json.loads(line), exact=True)
    if late:
        yield warn(group, f"the check took longer than {TIME_LIMIT_S:.0f} s and was stopped", _SLOW)
    elif child.returncode:
        lines = noise.decode("utf-8", "backslashreplace").strip().splitlines()
        how = f"signal {-child.returncode}" if child.returncode < 0 else f"status {child.returncode}"
        yield bad(group, f"the check crashed ({how}): {lines[-1] if lines else 'without a word'}", _CRASH)


_SLOW = "Look for a disk, a network folder or a driver that does not answer"
_CRASH = "Install genretagger again in a fresh virtual environment; if that does not help, please report it"


def answer(group: str, paths: Sequence[str]) -> None:
    """Carry out one group, in its child process, and print the findings as JSON lines."""
    # Native libraries print to standard output, so what the parent reads gets its own descriptor.
    with os.fdopen(os.dup(1), "w", encoding="ascii") as out:
        os.dup2(2, 1)
        for finding in _carry_out(APART[group], [Path(path) for path in paths]):
            print(json.dumps(asdict(finding)), file=out, flush=True)
    os._exit(0)  # a library that hangs or crashes while it is unloaded says nothing about the set-up


def _carry_out(checks: Sequence[Check], paths: Sequence[Path]) -> Iterator[Finding]:
    settings = setup.settings_or_defaults()
    for check in checks:
        name = check.__name__.replace("_", " ")
        try:
            yield from check(settings, paths)
        except GenretaggerError as error:
            yield bad(name, error.cause, error.hint or "See above")
        except Exception as error:  # noqa: BLE001 - whatever is broken, a check-up reports it and goes on
            yield bad(name, f"the check failed with {type(error).__name__}: {error}", _CRASH)
