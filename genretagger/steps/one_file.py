"""One file at a time: whatever happens with it, the others go on.

`safely` holds the only broad `except` of all runs. It takes and returns flows; see `schedule`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from genretagger.errors import BugError, FileChangedError, FileError, GenretaggerError
from genretagger.steps.schedule import Flow
from genretagger.text import printable
from genretagger.types import Outcome, Status
from genretagger.worker.limits import too_little_memory

_log = logging.getLogger("genretagger.pipeline")
_PLENTY_MB = 1024
"""If memory runs out and a limit leaves less than this, the message names the limit."""
T = TypeVar("T")
U = TypeVar("U")


def safely(path: Path, work: Callable[[], Flow[T]], failed: Callable[[FileError], U]) -> Flow[T | U]:
    """Do the work on one file; whatever fails becomes a result.

    Args:
        path: the file, for the log.
        work: starts the work; called once more if somebody changes the file meanwhile.
        failed: makes a result of a failure.

    Raises:
        GenretaggerError: the database, the model or this process failed, so every other file would
            fail too.
    """
    try:
        return (yield from _patiently(work))
    except FileError as error:
        error.path = error.path or path
        return failed(error)
    except GenretaggerError:
        raise
    except Exception as error:
        if starved := _starved(error):
            raise starved from error
        _log.exception("%s", printable(path))
        return failed(BugError(f"a bug: {type(error).__name__}: {error}", path=path, hint="Report it"))


def timed(flow: Flow[Outcome], **more: Any) -> Flow[Outcome]:
    """Add to an outcome how long it took, and what else is known of it."""
    started = time.monotonic()
    outcome = yield from flow
    return replace(outcome, seconds=time.monotonic() - started, **more)


def failed_at(path: Path) -> Callable[[FileError], Outcome]:
    """Make the outcome of a failure at a file."""
    return lambda error: Outcome(path, Status.FAILED, error.reason, error=error)


def _patiently(work: Callable[[], Flow[T]]) -> Flow[T]:
    """Do the work; once more if somebody, perhaps another genretagger, changes the file now."""
    try:
        return (yield from work())
    except FileChangedError:
        return (yield from work())


def _starved(error: Exception) -> GenretaggerError | None:
    """What to say if this process, not a child, lacks memory or a library: any file would fail."""
    said = (str(error).strip().splitlines() or [""])[-1].rstrip(". ")
    if isinstance(error, MemoryError) or "start new thread" in said:
        cause = "there is not enough memory"
    elif isinstance(error, ImportError):
        cause = f"a library cannot be loaded: {said}"
    else:
        return None
    if limit := too_little_memory(_PLENTY_MB):
        return GenretaggerError(f"{cause}; {limit}", hint="Raise it: `ulimit -v unlimited -d unlimited`.")
    return GenretaggerError(cause, hint="`genretagger doctor` looks for the cause; --jobs 1 needs less memory.")
