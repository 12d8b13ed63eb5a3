"""Text from strangers (file names, tags) made safe to print.

A name may hold newlines that forge log lines, escape codes that repaint a terminal, bytes that are
no UTF-8, and marks that reverse the direction of the text. `printable` shows each of them as an
escape; nothing else changes.
"""

from __future__ import annotations

import os
import unicodedata
from datetime import datetime
from pathlib import Path

from genretagger.addresses import address_of

_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"}
"""Unicode categories not shown as such: controls, formats, surrogates, separators, unassigned."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The first letters of cells that spreadsheets calculate; the last four are full width."""


def printable(value: str | os.PathLike[str]) -> str:
    r"""Show a text or a path on one line.

    A byte that is not UTF-8 (a surrogate escape in Python) is shown as `\xff`, a newline as `\n`,
    others as `\u202e`. An object is shown by its address.
    """
    text = address_of(value)
    if text.isprintable():  # as almost every name is, and a long history has many
        return text
    return "".join(_show(character) for character in text)


def quoted(text: str) -> str:
    """A table cell that no spreadsheet runs as a formula: a leading apostrophe marks it as text."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def without_quote(text: str) -> str:
    """The cell as it was before `quoted`."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text


def _show(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) not in _HIDDEN:
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def relative(path: Path, root: Path) -> str:
    """Show a path from its root, or whole if it is elsewhere."""
    return printable(path.relative_to(root) if path.is_relative_to(root) else path)


def moment(time: datetime) -> str:
    """Give a moment as ISO 8601, to the second, with its time zone."""
    return time.isoformat(timespec="seconds")


def clock(seconds: float) -> str:
    """A length of time as players show it, in whole seconds: `4:05`, `1:02:03`."""
    minutes, whole_s = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole_s:02}" if hours else f"{minutes}:{whole_s:02}"


def plural(count: int, noun: str) -> str:
    """Count things: `1 file`, `2 files`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


_FILLERS = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and signs by their category, which no font shows."""


def is_blank(text: str) -> bool:
    """Whether a text shows nothing: only spaces, controls and marks without a shape, if any."""
    return all(_is_invisible(character) for character in text)


def _is_invisible(character: str) -> bool:
    category = unicodedata.category(character)
    selector = "\ufe00" <= character <= "\ufe0f"
    return character.isspace() or character in _FILLERS or selector or category in ("Cc", "Cf", "Zl", "Zp", "Zs")
