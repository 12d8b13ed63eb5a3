from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from genretagger.text import is_blank, plural, printable, quoted, relative, without_quote

ANY_TEXT = st.text(st.characters(exclude_categories=()))
"""Surrogates too: Python's file names hold them for bytes that are no UTF-8."""

UNAMBIGUOUS = st.text(
    st.characters(exclude_categories=(), exclude_characters=["\\", "\xad", *map(chr, range(0x80, 0xA0))])
)
"""Without text that looks like another: a plain backslash, controls like undecodable bytes."""

_ESCAPE = re.compile(r"\\(?:x(..)|u(....)|U(........)|([ntr]))")


def read_back(shown: str) -> str:
    """Undo the escapes of an unambiguous text."""

    def character(match: re.Match[str]) -> str:
        byte, short, long, letter = match.groups()
        if letter:
            return {"n": "\n", "t": "\t", "r": "\r"}[letter]
        code = int(byte or short or long, 16)
        return chr(code + 0xDC00 if byte and code >= 0x80 else code)

    return _ESCAPE.sub(character, shown)


@given(ANY_TEXT)
@example("\x1b[2J\r\n\u202egpj.3pm\udcff\ud800\u2028\ufeff\u200b\x7f\x9b\U000e0001")
@settings(deadline=None)
def test_nothing_that_a_terminal_obeys_is_left(value: str) -> None:
    shown = printable(value)
    categories = {unicodedata.category(character) for character in shown}
    assert categories.isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"})
    assert len(shown.splitlines()) <= 1
    shown.encode()  # a log file in UTF-8 takes it


@given(ANY_TEXT)
@settings(deadline=None)
def test_what_is_printable_stays_as_it_is(value: str) -> None:
    assert printable(printable(value)) == printable(value)
    for character in value:
        assert printable(character) == character or not character.isprintable()


@given(UNAMBIGUOUS)
@settings(deadline=None)
def test_different_names_look_different(value: str) -> None:
    assert read_back(printable(value)) == value


@given(st.binary().filter(lambda name: b"\0" not in name))
@settings(deadline=None)
def test_any_file_name_can_be_shown(name: bytes) -> None:
    printable(Path(os.fsdecode(name))).encode()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Beyoncé 音楽 🎷 [/]", "Beyoncé 音楽 🎷 [/]"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\udcff\udc80", r"\xff\x80"),
        ("\u202egpj", r"\u202egpj"),
        ("\U000e0001", r"\U000e0001"),
        ("", ""),
    ],
)
def test_examples(value: str, shown: str) -> None:
    assert printable(value) == shown
    assert printable(Path(value)) == (shown or ".")


def test_relative() -> None:
    root = Path("/music/live")
    assert relative(Path("/music/live/a\nb.mp3"), root) == r"a\nb.mp3"
    assert relative(Path("/music/liveset/a.mp3"), root) == "/music/liveset/a.mp3"


def test_plural() -> None:
    assert [plural(count, "file") for count in (0, 1, 2, 12345)] == ["0 files", "1 file", "2 files", "12,345 files"]


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_a_cell_that_a_spreadsheet_would_run_is_quoted(first: str) -> None:
    assert quoted(f"{first}SUM(A1)") == f"'{first}SUM(A1)"
    assert without_quote(quoted(f"{first}SUM(A1)")) == f"{first}SUM(A1)"


@pytest.mark.parametrize("cell", ["Rock", "'Round Midnight", "a=b", ""])
def test_other_cells_stay_as_they_are(cell: str) -> None:
    assert quoted(cell) == without_quote(cell) == cell


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \t\u00a0\u2003",
        "\u200b\u2060\ufeff",
        "\u3164\u115f\uffa0\u2800",
        "\ufe0f",
        "\u2028\u2029",
        "\x00\x1b",
    ],
)
def test_what_shows_nothing_is_blank(text: str) -> None:
    assert is_blank(text)
    assert not is_blank(f"{text}a")


@pytest.mark.parametrize("text", ["0", "-", "\u200bJazz", "\ufe0f\u2764", "\u0e2d"])
def test_what_shows_anything_is_not_blank(text: str) -> None:
    assert not is_blank(text)
