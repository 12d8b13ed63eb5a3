"""The log of the service: one line an event, as key=value or JSON, safe for any bytes in a name.

    2026-11-25T03:00:00+0000 info tagged path="/music/a b.mp3" genres="Jazz, Bop"

In the journal, the time and the level are the journal's own (`<6>tagged path=…`).

The code that reports an event never waits until it is written: a thread writes the lines, and only
that thread may block if no program reads them. Lines that do not fit into its queue are dropped and
counted, and the count is logged once there is room again.
"""

from __future__ import annotations

import json
import os
import re
import select
import threading
import time
from collections import deque
from collections.abc import Callable

from genretagger.text import printable
from genretagger.types import Json

LEVELS = ("debug", "info", "warning", "error")
_JOURNAL = {"debug": 7, "info": 6, "warning": 4, "error": 3}
_PLAIN = re.compile(r"[^\s\"=\\]+\Z")

MOST_LINES = 1000
"""How many lines may wait to be written; later ones are dropped and counted."""


class Events:
    """The log that the service writes.

    Args:
        form: "text" or "json".
    """

    def __init__(self, level: str = "info", form: str = "text") -> None:
        self._log = _Log(self._lost)
        self._journal = _in_journal()
        self.configure(level, form)

    def configure(self, level: str, form: str) -> None:
        """Change the level and the form."""
        self._least = LEVELS.index(level)
        self._json = form == "json"

    def debug(self, event: str, **details: Json) -> None:
        """Log something that matters only to a person who looks for a fault."""
        self._say("debug", event, details)

    def info(self, event: str, **details: Json) -> None:
        """Log something that the owner may want to know."""
        self._say("info", event, details)

    def warning(self, event: str, **details: Json) -> None:
        """Log something that the owner should look at."""
        self._say("warning", event, details)

    def error(self, event: str, **details: Json) -> None:
        """Log something that keeps the service from working."""
        self._say("error", event, details)

    def close(self, within_s: float = 1.0) -> None:
        """Give the waiting lines a moment to be written; perhaps no program reads them."""
        self._log.drain(within_s)

    def _say(self, level: str, event: str, details: dict[str, Json]) -> None:
        if LEVELS.index(level) >= self._least:
            self._log.put(self._line(level, event, details))

    def _lost(self, count: int) -> str:
        details: dict[str, Json] = {"count": count, "reason": "no program read the log in time"}
        return self._line("warning", "log lines were dropped", details)

    def _line(self, level: str, event: str, details: dict[str, Json]) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        if self._json:
            line = json.dumps({"at": at, "level": level, "event": event, **details}, ensure_ascii=True, default=str)
        else:
            words = [event, *(f"{name}={_value(value)}" for name, value in details.items())]
            line = " ".join(words) if self._journal else " ".join([at, level, *words])
        if self._journal:
            line = f"<{_JOURNAL[level]}>{line}"
        return line + "\n"


class _Log:
    """Lines on their way to standard error; a thread writes them, and only that thread may block.

    It writes to the descriptor directly: if a blocked thread held the lock of a Python stream, the
    interpreter could not end.

    Args:
        lost: makes the line that says how many were dropped.
    """

    def __init__(self, lost: Callable[[int], str]) -> None:
        self._lost = lost
        self._lines: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._dropped = 0
        self._writing = False
        self._thread: threading.Thread | None = None

    def put(self, line: str) -> None:
        with self._changed:
            if len(self._lines) >= MOST_LINES:
                self._dropped += 1
                return
            self._lines.append(line.encode("utf-8", "backslashreplace"))
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_all, name="genretagger-log", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def drain(self, within_s: float) -> None:
        """Wait until everything is written, but not longer than this."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._lines or self._dropped or self._writing), within_s)

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._lines or self._dropped))
                if self._lines:
                    line = self._lines.popleft()
                else:  # the dropped lines came after all of these
                    dropped, self._dropped = self._dropped, 0
                    line = self._lost(dropped).encode("utf-8", "backslashreplace")
                self._writing = True
            _write(line)
            with self._changed:
                self._writing = False
                self._changed.notify_all()


def _write(line: bytes) -> None:
    """Write to standard error, however long it takes.

    A closed terminal or a full disk must not end the service.
    """
    while line:
        try:
            line = line[os.write(2, line) :]
        except BlockingIOError:
            try:
                select.select([], [2], [])
            except (OSError, ValueError):
                return
        except OSError:
            return


def _in_journal() -> bool:
    """Whether standard error leads to the journal.

    A child of a service inherits the variable, but perhaps not the stream.
    """
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
