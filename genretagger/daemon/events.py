"""The log of the service: one line an event, as key=value or JSON, whatever bytes a name holds.

    2026-11-25T03:00:00+0000 info tagged path="/music/a b.mp3" genres="Jazz, Bop"

In the journal the time and the level are the journal's own (`<6>tagged path=…`).
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from typing import IO

from genretagger.text import printable
from genretagger.types import Json

LEVELS = ("debug", "info", "warning", "error")
_JOURNAL = {"debug": 7, "info": 6, "warning": 4, "error": 3}
_PLAIN = re.compile(r"[^\s\"=\\]+\Z")


class Events:
    """Where the service says what it does.

    Args:
        level: the least level that is told.
        form: "text" or "json".
        stream: where to; standard error by default.
        journal: whether systemd's journal reads it.
    """

    def __init__(
        self, level: str = "info", form: str = "text", stream: IO[str] | None = None, journal: bool | None = None
    ) -> None:
        self._stream = stream
        self._journal = _in_journal() if journal is None else journal
        self.configure(level, form)

    def configure(self, level: str, form: str) -> None:
        """Change what is told and how."""
        self._least = LEVELS.index(level)
        self._json = form == "json"

    def debug(self, event: str, **details: Json) -> None:
        """Tell what only somebody who looks for a fault wants to know."""
        self._say("debug", event, details)

    def info(self, event: str, **details: Json) -> None:
        """Tell what the owner may want to know."""
        self._say("info", event, details)

    def warning(self, event: str, **details: Json) -> None:
        """Tell what the owner should look at."""
        self._say("warning", event, details)

    def error(self, event: str, **details: Json) -> None:
        """Tell what keeps the service from its work."""
        self._say("error", event, details)

    def _say(self, level: str, event: str, details: dict[str, Json]) -> None:
        if LEVELS.index(level) < self._least:
            return
        at = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        if self._json:
            line = json.dumps({"at": at, "level": level, "event": event, **details}, ensure_ascii=True, default=str)
        else:
            words = [event, *(f"{name}={_value(value)}" for name, value in details.items())]
            line = " ".join(words) if self._journal else " ".join([at, level, *words])
        if self._journal:
            line = f"<{_JOURNAL[level]}>{line}"
        stream = self._stream or sys.stderr
        try:
            stream.write(line + "\n")
            stream.flush()
        except (OSError, ValueError):
            return  # a closed terminal or a full disk must not end the service


def _in_journal() -> bool:
    """Whether standard error leads to the journal: what a service starts inherits the variable, not the stream."""
    try:
        found = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _value(value: Json) -> str:
    if isinstance(value, (list, tuple)):
        value = ", ".join(map(str, value))
    if isinstance(value, float):
        value = f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    text = printable(str(value))
    if _PLAIN.match(text):
        return text
    return '"' + text.replace('"', '\\"') + '"'
