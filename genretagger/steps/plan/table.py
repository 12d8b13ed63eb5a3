r"""A plan as a table for a spreadsheet: tab-separated UTF-8, one file a row.

    path	genres	before	score	reason	genretagger_plan_1
    /music/a.mp3	Techno; House		0.93	techno 0.71	eyJwYXRoIjog…

The column `genres` is there to be edited, with `; ` between several genres; rows may be deleted and
sorted. The last column is what `apply` needs to know: it says which file, in which state, was
meant, in letters that no spreadsheet changes. A path is shown as everywhere (`\xff` for a byte that
is not UTF-8, `\u202e` for a mark that turns text around), so nothing in the table looks like what
it is not.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from genretagger.sentences import sentence
from genretagger.steps.plan.entry import LineError, Planned, checked, from_json, to_json
from genretagger.steps.plan.jsonl import parsed
from genretagger.text import printable, quoted, without_quote

VERSION = 1
_MARK = "genretagger_plan_"
_SHOWN = ("path", "genres", "before", "score", "reason")
_SEPARATORS = ("\t", ",", ";")
"""What spreadsheets put between cells when they save a table; ours is the first."""
_MOST_BYTES = 64 << 20
_JOINED = "; "


def header() -> bytes:
    """Give the first line of a new plan, with the byte order mark that shows spreadsheets UTF-8."""
    return b"\xef\xbb\xbf" + _line((*_SHOWN, f"{_MARK}{VERSION}"))


def to_line(planned: Planned) -> bytes:
    """Give the row of one file."""
    best = max((planned.scores.get(name, 0.0) for name in planned.after), default=0.0)
    cells = (
        _path(planned),
        _joined(planned.after),
        _joined(planned.before.values),
        f"{best:.2f}",
        sentence(planned.reason),
    )
    packed = zlib.compress(json.dumps(to_json(planned), separators=(",", ":")).encode("ascii"))
    return _line((*(quoted(printable(cell)) for cell in cells), base64.urlsafe_b64encode(packed).decode("ascii")))


def _line(cells: Sequence[str]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=_SEPARATORS[0], lineterminator="\n").writerow(cells)
    return buffer.getvalue().encode("utf-8")


def version_in(text: str) -> int | None:
    """The version in the first line of a plan; None if it is no such line."""
    last = _cells(text, _separator(text))[-1:]
    digits = last[0].strip().removeprefix(_MARK) if last and last[0].strip().startswith(_MARK) else ""
    return int(digits) if digits.isdecimal() and len(digits) < 9 else None


def entries(first: str, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, Planned | LineError]]:
    """The number of each row, and its entry or what is wrong with it.

    Args:
        first: the line with the names of the columns.
        lines: the others, with their numbers.
    """
    separator = _separator(first)
    for number, text in lines:
        cells = _cells(text, separator)
        if not any(cells):
            continue
        try:
            yield number, _entry(cells)
        except LineError as fault:
            yield number, fault


def _entry(cells: list[str]) -> Planned:
    if len(cells) <= len(_SHOWN):
        raise LineError(f"it has {len(cells)} cells; a plan has {len(_SHOWN) + 1}")
    planned = from_json(parsed(_unpacked(cells[len(_SHOWN)])))
    if without_quote(cells[0]) != printable(_path(planned)):
        raise LineError("its path does not belong to its last cell: rows can be sorted only as a whole")
    genres = without_quote(cells[1])
    if genres == printable(_joined(planned.after)):
        return planned
    names = tuple(name for part in genres.split(";") if (name := part.strip()))
    return replace(planned, after=checked(names, planned.before.values))


def _unpacked(cell: str) -> str:
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(base64.b64decode(cell.strip(), altchars=b"-_", validate=True), _MOST_BYTES)
        if inflater.unconsumed_tail or not inflater.eof:
            raise LineError("its last cell is cut off, or too large")
        return text.decode("ascii")
    except (ValueError, binascii.Error, zlib.error) as error:
        raise LineError("its last cell was changed or cut off") from error


def _path(planned: Planned) -> str:
    return str(planned.path)


def _joined(names: Sequence[str]) -> str:
    return _JOINED.join(names)


def _separator(text: str) -> str:
    return max(_SEPARATORS, key=text.count)


def _cells(text: str, separator: str) -> list[str]:
    limit = csv.field_size_limit(_MOST_BYTES)
    try:
        return next(csv.reader([text], delimiter=separator), [])
    except csv.Error:
        return []
    finally:
        csv.field_size_limit(limit)
