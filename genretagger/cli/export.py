"""`genretagger export`: what the database knows, as a table, as JSON, or as a playlist.

Rows are read a page at a time and written as they come: 100,000 tracks take no more memory than
500.

- **json**: one object a line, all of it ASCII. Lossless: `os.fsencode(json.loads(line)["path"])`
  gives the exact path.
- **csv**: UTF-8 for spreadsheets. Several genres are in one cell, joined by "; ". A byte of a
  path that is not UTF-8 is shown as `\\xff`. A text that a spreadsheet would run as a formula
  (`=cmd()` is a fine genre for a hostile file) gets an apostrophe in front, which spreadsheets take
  for "this is text".
- **m3u**: an extended M3U playlist in UTF-8, so name it `.m3u8` or `.m3u`. Paths are relative to
  the playlist if they share more than the root with it. A name that no line of UTF-8 can hold
  (other bytes, a newline) is written as a `file://` address, which is exact as well. Files that are
  gone are left out.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from enum import StrEnum
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from genretagger.cli import output
from genretagger.cli.describe import duration
from genretagger.cli.options import any_path
from genretagger.cli.output import rounded
from genretagger.database.lines import TrackLine
from genretagger.database.values import Known
from genretagger.errors import ConfigError, GenretaggerError
from genretagger.files.discover import whole
from genretagger.files.durable import saved
from genretagger.files.playlist import to_playlist
from genretagger.text import moment, plural, printable, quoted
from genretagger.types import Json, Track

if TYPE_CHECKING:
    from genretagger.config import Settings
    from genretagger.database.reports import KnownPart
    from genretagger.database.store import Store


class Format(StrEnum):
    """How an export is written."""

    CSV = "csv"
    JSON = "json"
    M3U = "m3u"


_BY_SUFFIX = {
    **{".csv": Format.CSV, ".json": Format.JSON, ".jsonl": Format.JSON},
    **{".m3u": Format.M3U, ".m3u8": Format.M3U},
}


def export(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]...", parser=any_path, help="Only these files, or what is in these folders."),
    ] = None,
    format_: Annotated[Format | None, typer.Option("--format", help="[default: as --output ends, else csv]")] = None,
    target: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", parser=any_path, help="File to write. [default: standard output]"
        ),
    ] = None,
    genre: Annotated[
        list[str] | None, typer.Option("--genre", "-g", help="Only tracks of this genre; may be given several times.")
    ] = None,
    similar_to: Annotated[
        Path | None,
        typer.Option(metavar="PATH", parser=any_path, help="Only this track first, then the most similar ones."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=1000, help="With --similar-to: how many tracks.")] = 20,
    min_score: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Only tracks that reach this score: in the --genre, or in their best genre."),
    ] = None,
) -> None:
    """Write what is known of your tracks as a table (csv), as JSON lines, or as a playlist (m3u).

    A track's genres are those in its file; if it has none, those that were decided for it.
    """
    from genretagger.config import load
    from genretagger.database.store import Store

    chosen = format_ or _format_of(target)
    if similar_to is not None and paths:
        raise ConfigError("paths and --similar-to were both given", hint="Leave out one of the two")
    settings = load()
    with ExitStack() as stack:
        store = stack.enter_context(
            Store.open(settings.database, create=False, read_only=True, libraries=settings.libraries)
        )
        sink = sys.stdout.buffer if target is None else stack.enter_context(saved(target))
        roots = _roots(paths or [])
        if similar_to is None and chosen is not Format.M3U and not genre and min_score is None:
            scores = chosen is Format.JSON
            lines: Iterator[TrackLine] = chain.from_iterable(
                store.lines.get_tracks(root, scores=scores) for root in roots
            )
        else:
            parts = _parts(chosen, genre or [], min_score)
            known = (
                chain.from_iterable(store.reports.get_all(root, parts) for root in roots)
                if similar_to is None
                else _alike(settings, store, similar_to, count)
            )
            rows = _chosen(known, genre or [], min_score)
            lines = map(TrackLine.of, rows)
        if chosen is Format.CSV:
            count = _write_csv(lines, sink, safe=target is None and sys.stdout.isatty())
        elif chosen is Format.JSON:
            count = _write_json(lines, sink)
        else:
            count = _write_m3u(rows, sink, None if target is None else target.parent)
        sink.flush()
    if target is not None:
        output.notice(f"{plural(count, 'track')} in {target}")
    elif not count:
        output.notice("no known track matches")


def _format_of(target: Path | None) -> Format:
    """The format that the ending of a file's name asks for; a table if nothing is asked for.

    Raises:
        ConfigError: the ending is not known: `-o genres.html` must not become a table with that
            name.
    """
    if target is None or not target.suffix:
        return Format.CSV
    try:
        return _BY_SUFFIX[target.suffix.lower()]
    except KeyError:
        known = ", ".join(_BY_SUFFIX)
        raise ConfigError(
            f"no format is known for files that end in {target.suffix}",
            path=target,
            hint=f"Choose one of {known}, or name the format with --format",
        ) from None


def _parts(chosen: Format, genre: list[str], min_score: float | None) -> frozenset[KnownPart]:
    """What an export has to look up besides the files themselves."""
    from genretagger.database.reports import KnownPart

    parts = set()
    if chosen is not Format.M3U or genre or min_score is not None:
        parts.add(KnownPart.DECISIONS)
    if genre:  # an undone genre is none
        parts.add(KnownPart.WRITES)
    return frozenset(parts)


def _roots(paths: Iterable[Path]) -> list[Path | None]:
    """These paths without those below another of them; None for all that is known."""
    roots: list[Path] = []
    for path in sorted(set(map(whole, paths))):
        if not any(path.is_relative_to(root) for root in roots):
            roots.append(path)
    return [*roots] or [None]


def _alike(settings: Settings, store: Store, path: Path, count: int) -> Iterator[Known]:
    """A track, and those that sound like it."""
    from genretagger.cli.similar import nearest

    own = store.reports.get(whole(path))
    if own is not None:
        yield own
    yield from (each.known for each in nearest(settings, store, path, count))


def genres_of(known: Known) -> tuple[str, ...]:
    """A track's genres: those in its file, or those decided for it and not undone by its owner."""
    if known.track is not None and known.track.genres.values:
        return known.track.genres.values
    last = known.writes[0] if known.writes else None
    if last is not None and last.is_undone:
        return ()
    return known.decisions[0].decision.genres if known.decisions else ()


def _chosen(rows: Iterable[Known], wanted: Iterable[str], min_score: float | None) -> Iterator[Known]:
    """Keep the tracks of these genres, whatever their spelling, that reach the score."""
    from genretagger.vocabulary.names import key, vocabulary

    @lru_cache(maxsize=4096)
    def name(spelling: str) -> str:
        return key(vocabulary().canonical(spelling) or spelling) or spelling

    names = {name(spelling) for spelling in wanted}
    for known in rows:
        if names and names.isdisjoint(map(name, genres_of(known))):
            continue
        if min_score is not None:
            scores = known.decisions[0].decision.scores if known.decisions else {}
            if not any(score >= min_score for genre, score in scores.items() if not names or name(genre) in names):
                continue
        yield known


_COLUMNS = (
    *("path", "artist", "album", "title", "genres", "decided", "score", "reason", "model", "sampling", "kind"),
    *("duration_s", "decided_at", "seen_at", "failure", "failure_cause"),
)


def _write_csv(lines: Iterable[TrackLine], sink: BinaryIO, *, safe: bool) -> int:
    """Write a table; `safe` for a terminal, which hostile names must not repaint."""
    shown = printable if safe else _utf8

    def cell(value: Json) -> Json:
        text = "; ".join(value) if isinstance(value, tuple) else value
        return quoted(shown(text)) if isinstance(text, str) and text else text

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_COLUMNS)
    count = 0
    for line in lines:
        count += 1
        known = {**_facts(line), "score": None if line.score is None else round(line.score, 4)}
        writer.writerow([cell(known[column]) for column in _COLUMNS])
        if buffer.tell() > 1 << 16:
            sink.write(buffer.getvalue().encode("utf-8"))
            buffer.seek(0)
            buffer.truncate()
    sink.write(buffer.getvalue().encode("utf-8"))
    return count


def _utf8(text: str) -> str:
    r"""Show bytes that are not UTF-8 as `\xff`; everything else stays as it is."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _write_json(lines: Iterable[TrackLine], sink: BinaryIO) -> int:
    count = 0
    for line in lines:
        count += 1
        sink.write(json.dumps(_facts(line), ensure_ascii=True).encode("ascii") + b"\n")
    return count


def _facts(line: TrackLine) -> Json:
    """What is known of a path, as one JSON object."""
    known = line._asdict()
    del known["score"]  # the best of the scores
    for name in ("decided_at", "seen_at"):
        known[name] = None if known[name] is None else moment(known[name])
    return {**known, "duration_s": duration(line.duration_s), "scores": rounded(line.scores)}


def _write_m3u(rows: Iterable[Known], sink: BinaryIO, folder: Path | None) -> int:
    """Write a playlist.

    Args:
        rows: tracks in the order to play them; what could not be read is left out.
        folder: where the playlist will be; None gives whole paths.

    Raises:
        GenretaggerError: all files are gone: a drive is not mounted, and an old playlist is better
            than an empty one.
    """
    count = gone = 0

    def there() -> Iterator[tuple[Path, Track]]:
        nonlocal count, gone
        for known in rows:
            if known.track is None:
                continue
            if not known.path.exists():
                gone += 1
                continue
            count += 1
            yield known.path, known.track

    sink.writelines(to_playlist(there(), folder))
    if gone and not count:
        raise GenretaggerError(
            f"none of the {plural(gone, 'file')} is there, so no playlist was made", hint="Is the drive mounted?"
        )
    if gone:
        output.notice(f"left out {plural(gone, 'file')} that can no longer be found")
    return count
