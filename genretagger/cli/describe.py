"""How `genretagger show` words a file: as lines for people, or as one JSON object."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from genretagger.cli.output import rounded
from genretagger.sentences import sentence
from genretagger.text import clock, moment, plural, printable
from genretagger.types import Json, Status

if TYPE_CHECKING:
    from genretagger.cli.view import View
    from genretagger.database.lines import WriteLine
    from genretagger.database.values import StoredWrite
    from genretagger.types import Credits, Timeline

_SCORES_SHOWN = 5
_BAR_WIDTH = 20
_TIME_WIDTH = 60
_SEEN = 0.05
"""A genre gets no row over time if its score is always below this."""
_NONE = "(none)"


def duration(duration_s: float | None) -> float | None:
    """A length in seconds for scripts; JSON knows no infinite ones."""
    return round(duration_s, 3) if duration_s is not None and math.isfinite(duration_s) else None


def lines(view: View, *, all_scores: bool) -> Iterator[str]:
    """Word a file for people."""
    yield printable(view.path)
    if view.now is not None:
        if named := _called(view.now.credits):
            yield _line("track", named)
        yield _line("genre", f"{joined(view.now.genres.values)}  ({view.now.genres.form})")
        yield _line("file", f"{_kind(view.now.kind)}, {_length(view.now.duration_s)}")
    yield _line(view.status.value, sentence(view.reason))
    decided, heard = view.decided, view.analysis
    if decided is not None:
        yield _line("decided", f"{joined(decided.decision.genres)}, {when(decided.decided_at)}")
    if heard is not None:
        windows = f"{plural(heard.windows, 'window')} ({heard.sampling})"
        where = heard.provider.removesuffix("ExecutionProvider") or heard.hearing.value
        yield _line("heard", f"by {heard.model}, {windows}, {where}, {heard.seconds:.1f} s, {when(heard.analysed_at)}")
    if decided is not None and decided.decision.scores:
        ranked = list(decided.decision.scores.items())
        shown = ranked if all_scores else ranked[:_SCORES_SHOWN]
        width = max(len(printable(name)) for name, _ in shown)
        for number, (name, score) in enumerate(shown):
            row = f"{printable(name):<{width}}  {_bar(score)} {score:.2f}"
            yield _line("scores" if number == 0 else "", row)
        if len(ranked) > len(shown):
            yield _line("", f"… and {len(ranked) - len(shown)} more (--all-scores)")
    for number, write in enumerate(view.writes):
        yield _line("written" if number == 0 else "", _write(write, view))
    yield ""


def timeline_lines(timeline: Timeline) -> Iterator[str]:
    """Word the genres over time for people: a row for each of the best, from start to end."""
    import numpy as np

    best = [place for place in range(len(timeline.genres)) if timeline.scores[:, place].max(initial=0.0) >= _SEEN]
    names = [printable(timeline.genres[place]) for place in best[:_SCORES_SHOWN]]
    if not names:
        yield _line("over time", "no genre is heard in any part of it")
        return
    columns = np.array_split(np.arange(len(timeline.seconds)), min(_TIME_WIDTH, len(timeline.seconds)))
    steps = _drawable("▁▂▃▄▅▆▇█", "0123456789")
    width = max(map(len, names))
    for number, (name, place) in enumerate(zip(names, best, strict=False)):
        marks = []
        for column in columns:
            heard = column[timeline.heard[column]]
            score = float(timeline.scores[heard, place].mean()) if len(heard) else 0.0
            marks.append(steps[min(int(score * len(steps)), len(steps) - 1)] if len(heard) else " ")
        mean = float(timeline.scores[timeline.heard, place].mean())
        yield _line("over time" if number == 0 else "", f"{name:<{width}}  {''.join(marks)} {mean:.2f}")
    end = _length(timeline.picture.length_s)
    yield _line("", f"{'':<{width}}  0:00{end:>{max(len(columns) - 4, len(end) + 1)}}")


def timeline_json(timeline: Timeline) -> Json:
    """The genres over time as one object: windows with start and length, and scores by genre."""
    return {
        "model": timeline.model,
        "window_s": round(timeline.window_s, 3),
        "seconds": [round(float(start_s), 3) for start_s in timeline.seconds],
        "heard": timeline.heard.tolist(),
        "scores": {
            name: [round(float(score), 4) for score in column]
            for name, column in zip(timeline.genres, timeline.scores.T, strict=True)
        },
    }


def _drawable(marks: str, plain: str) -> str:
    """Some marks; the plain ones if standard output cannot show them."""
    try:
        marks.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return plain
    return marks


def _line(head: str, text: str) -> str:
    return f"  {head:<10} {printable(text)}"


def joined(genres: Sequence[str]) -> str:
    """Word some genres, or that there are none."""
    return ", ".join(genres) or _NONE


def _called(credits: Credits | None) -> str:
    """The artist and the title, as people say it; "" if the tags lack them."""
    if credits is None:
        return ""
    called = " - ".join(part for part in (credits.artist, credits.title) if part)
    return f"{called} ({credits.album})" if called and credits.album else called or credits.album


def _kind(name: str) -> str:
    from genretagger.files.kinds import KINDS

    return KINDS[name].human if name in KINDS else name


def _length(duration_s: float | None) -> str:
    if duration_s is None or not math.isfinite(duration_s):
        return "of unknown length"
    return clock(duration_s)


def when(time: datetime) -> str:
    """Word a time for people, in their time zone."""
    return f"{time.astimezone():%Y-%m-%d %H:%M}"


def _bar(score: float) -> str:
    marks = _drawable("█░", "#.")
    filled = round(score * _BAR_WIDTH)
    return marks[0] * filled + marks[1] * (_BAR_WIDTH - filled)


def _write(write: StoredWrite, view: View) -> str:
    change = f"{joined(write.before.values)} → {joined(write.after.values)}"
    elsewhere = f", at {write.path}" if write.path != view.path else ""
    state = "" if write.state.value == "done" else write.state.value
    details = "".join(f", {each}" for each in (_what(write), _end(write) or state) if each)
    return f"{when(write.started_at)} run {write.run_id}: {change}{details}{elsewhere}"


def state(write: StoredWrite | WriteLine) -> str:
    """Word what a write did and its state: "done", "undone by run 4", "done, undo of run 3" …"""
    what, end = _what(write), _end(write)
    return ", ".join(part for part in ((what, end) if end else (write.state.value, what)) if part)


def _what(write: StoredWrite | WriteLine) -> str:
    """Word what a write took back or put back; empty if it did neither."""
    return "" if write.of_run is None else f"{write.kind.value} of run {write.of_run}"


def _end(write: StoredWrite | WriteLine) -> str:
    """Word which run took a write back; empty if none did."""
    did = "redone" if write.kind.value == "undo" else "undone"
    return "" if write.undone_by is None else f"{did} by run {write.undone_by}"


def as_json(view: View) -> Json:
    """Give a file as one object, with the keys of `genretagger tag --json` and more."""
    now, decided, heard = view.now, view.decided, view.analysis
    credits = now.credits if now is not None else None
    genres = list(now.genres.values) if now is not None else []
    before = list(view.writes[0].before.values) if view.status is Status.TAGGED else genres
    return {
        "path": os.fspath(view.path),
        **{name: getattr(credits, name, "") for name in ("artist", "album", "title")},
        "kind": now.kind if now is not None else None,
        "duration_s": duration(now.duration_s) if now is not None else None,
        "status": view.status.value,
        "genres_before": before,
        "genres": genres,
        "scores": rounded(decided.decision.scores) if decided else {},
        "cause": view.reason.cause.value,
        "reason": printable(sentence(view.reason)),
        "model": decided.model if decided else heard.model if heard else "",
        "seconds": round(heard.seconds, 3) if heard else 0.0,
        "decided": list(decided.decision.genres) if decided else [],
        "decided_at": moment(decided.decided_at) if decided else None,
        "form": now.genres.form if now is not None else None,
        "refusal": sentence(now.refusal) if now is not None and now.refusal is not None else None,
        "sampling": heard.sampling if heard else decided.sampling if decided else "",
        "windows": heard.windows if heard else 0,
        "provider": heard.provider if heard else "",
        "failure": str(view.error) if view.error is not None else None,
        "failure_cause": view.error.why.value if view.error is not None else None,
        "writes": [write_json(write) for write in view.writes],
    }


def write_json(write: StoredWrite) -> dict[str, Json]:
    """Give a write as one object."""
    return {
        "id": write.id,
        "run": write.run_id,
        "path": os.fspath(write.path),
        "before": list(write.before.values),
        "after": list(write.after.values),
        "state": write.state.value,
        "kind": write.kind.value,
        "undo_of": write.undo_of,
        "of_run": write.of_run,
        "undone_by": write.undone_by,
        "model": "" if write.kind.value == "undo" else write.model,
        "cause": write.reason.cause.value,
        "reason": printable(sentence(write.reason)),
        "at": moment(write.started_at),
    }
