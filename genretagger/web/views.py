"""What each view shows, as JSON. All text is printable: hostile tags are shown and never run."""

from __future__ import annotations

import os
from itertools import islice

from genretagger.causes import Reason
from genretagger.database.values import Known, StoredRun, StoredWrite, WriteKind, WriteState
from genretagger.files.discover import Found
from genretagger.sentences import sentence
from genretagger.shelf import need, pages
from genretagger.shelf.flat import state_of
from genretagger.shelf.likeness import Likeness
from genretagger.text import moment, printable
from genretagger.types import Json, Status
from genretagger.vocabulary.names import vocabulary
from genretagger.web.desk import Books

_RUNS = 12
_SCORES = 12
_MOST_POINTS = 20_000


def overview(books: Books) -> Json:
    """Counts, the last runs, and what needs an ear."""
    wrote = (run for run in islice(books.store.runs.get_all(), 300) if any(run.writes.values()))
    runs = [_run(run) for run in islice(wrote, _RUNS)]
    return {**pages.overview(books.index), "needs": need.counts(books.index), "runs": runs}


def _run(run: StoredRun) -> Json:
    done = run.writes.get(WriteState.DONE, 0)
    return {
        "id": run.id,
        "command": printable(run.command),
        "started_at": moment(run.started_at),
        "finished_at": None if run.finished_at is None else moment(run.finished_at),
        "done": done,
        "undone": run.writes.get(WriteState.UNDONE, 0),
        "can_undo": bool(done) and run.command != "undo",
    }


def track(books: Books, number: int) -> Json:
    """Everything about one track; None if there is no such track."""
    path = books.store.listings.get_path(number)
    known = None if path is None else books.store.reports.get(path)
    rows = pages.get_rows(books.index, [number])
    if known is None:
        return None
    decided = known.decisions[0] if known.decisions else None
    now = known.track
    genres = now.genres.values if now is not None else ()
    failed = known.failure.error.reason if known.failure is not None else None
    status, reason = _explained(books, known)
    return {
        "id": number,
        "path": printable(known.path),
        "there": os.path.lexists(known.path),
        "row": rows[0] if rows else None,
        "state": state_of(known).value,
        "payload_hash": now.payload_hash if now is not None else None,
        "genres": [printable(each) for each in genres],
        "exact": list(genres),
        "form": printable(now.genres.form) if now is not None else "",
        "kind": now.kind if now is not None else "",
        "duration_s": now.duration_s if now is not None else None,
        "refusal": printable(sentence(now.refusal)) if now is not None and now.refusal is not None else "",
        "failure": "" if failed is None else printable(sentence(failed)),
        "failure_cause": None if failed is None else failed.cause.value,
        "status": status.value,
        "cause": reason.cause.value,
        "why": printable(sentence(reason)),
        "decided": None
        if decided is None
        else {
            "genres": list(decided.decision.genres),
            "scores": [[name, round(score, 3)] for name, score in islice(decided.decision.scores.items(), _SCORES)],
            "model": printable(decided.model),
            "at": moment(decided.decided_at),
        },
        "writes": [_write(write) for write in known.writes[:20]],
        "album": pages.album_of(books.index, number),
    }


def _explained(books: Books, known: Known) -> tuple[Status, Reason]:
    """What became of a file, and why; the page never reads a file for that."""
    now, error = books.explainer.look(known)
    return books.explainer.explain(Found(known.path, known.path.parent), now, error, known)


def _write(write: StoredWrite) -> Json:
    return {
        "id": write.id,
        "run": write.run_id,
        "at": moment(write.started_at),
        "before": [printable(each) for each in write.before.values],
        "after": [printable(each) for each in write.after.values],
        "cause": write.reason.cause.value,
        "why": printable(sentence(write.reason)),
        "kind": write.kind.value,
        "state": write.state.value,
        "yours": not write.model and write.kind is WriteKind.WRITE,
        "model": printable(write.model),
    }


def similar(books: Books, likeness: Likeness, number: int, count: int) -> Json:
    """The tracks that sound most like one."""
    row = books.index.connection.execute("SELECT payload_hash FROM rows WHERE id = ?", (number,)).fetchone()
    found = likeness.nearest(row[0], count) if row is not None and row[0] else []
    alike = {each: score for each, _, score in found}
    return [{**each, "alike": alike[each["id"]]} for each in pages.get_rows(books.index, list(alike))]


def points(books: Books) -> Json:
    """The map: number, place and leading genre of each track; an even share if there are many.

    The places are whole numbers from 0 to 1000 of the range that holds all but a hundredth of the
    tracks.
    """
    execute = books.index.connection.execute
    total = execute("SELECT count(*) FROM vectors").fetchone()[0]
    step = max(1, -(-total // _MOST_POINTS))
    found = execute(
        "SELECT min(rows.id) AS id, x, y, coalesce(nullif(json_extract(genres, '$[0]'), ''), '') AS genre"
        " FROM vectors JOIN rows USING (payload_hash) WHERE position % ? = 0 GROUP BY position",
        (step,),
    ).fetchall()
    leading = [each["name"] for each in pages.overview(books.index)["genres"][:8]]
    place = {name: number for number, name in enumerate(leading)}
    if not found:
        return {"total": total, "points": [], "genres": leading}
    xs, ys = (sorted(row[name] for row in found) for name in ("x", "y"))
    cut = len(found) // 200

    def scale(value: float, ordered: list[float]) -> int:
        low, high = ordered[cut], ordered[-1 - cut]
        return max(0, min(1000, round(60 + 880 * (value - low) / (high - low or 1.0))))

    return {
        "total": total,
        "genres": leading,
        "points": [
            [row["id"], scale(row["x"], xs), scale(row["y"], ys), place.get(row["genre"], 8 if row["genre"] else 9)]
            for row in found
        ],
    }


def genre_names(books: Books) -> list[str]:
    """What a genre can be called: those of the library first, then the vocabulary's."""
    return list(dict.fromkeys([*pages.genre_names(books.index), *sorted(vocabulary().genres)]))
