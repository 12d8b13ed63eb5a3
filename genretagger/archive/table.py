"""The results as Parquet: parts of equal size, each put in its place when it is whole."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from genretagger.addresses import address_of, is_object
from genretagger.database.libraries import Libraries
from genretagger.database.reports import Reports
from genretagger.database.values import Known
from genretagger.errors import AccessError, ConfigError
from genretagger.sentences import sentence

PART_ROWS = 100_000
"""Tracks in a file: some 30 MB."""


def write(reports: Reports, folder: Path, roots: Iterable[Path], libraries: Mapping[str, Path]) -> int:
    """Write all that is known of the tracks below some folders; gives how many tracks.

    A reader never sees half of a part, and a second call puts new parts in the place of the old
    ones.

    Args:
        reports: what the database knows of files.
        folder: gets `part-00000.parquet` and so on; made if it is missing.
        roots: the folders.
        libraries: names that paths are given by.

    Raises:
        AccessError: the folder cannot be written.
        ConfigError: pyarrow is not installed.
    """
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigError(
            "--parquet needs the Python package pyarrow", hint="pip install 'genretagger[archive]'"
        ) from error
    text, scores = arrow.string(), arrow.map_(arrow.string(), arrow.float32())
    kinds = {"path_bytes": arrow.binary(), "genres": arrow.list_(text), "tags": arrow.list_(text), "scores": scores}
    kinds |= {"size_bytes": arrow.int64(), "duration_s": arrow.float64()}
    names = ("path", "path_bytes", "kind", "size_bytes", "duration_s", "payload_hash", "tags", "genres", "scores")
    words = ("cause", "reason", "model", "failure", "failure_cause")
    schema = arrow.schema([(name, kinds.get(name, text)) for name in (*names, *words)])
    rows, number, count = _rows(reports, roots, Libraries(libraries)), 0, 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while part := list(islice(rows, PART_ROWS)):
            path = folder / f"part-{number:05}.parquet"
            temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            try:
                parquet.write_table(arrow.Table.from_pylist(part, schema), temporary, compression="zstd")
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
            number, count = number + 1, count + len(part)
        for old in folder.glob("part-*.parquet"):
            if old.stem.removeprefix("part-").isdigit() and int(old.stem.removeprefix("part-")) >= number:
                old.unlink()
    except OSError as error:
        raise AccessError(f"Parquet cannot be written: {error.strerror or error}", path=folder) from error
    return count


def _rows(reports: Reports, roots: Iterable[Path], libraries: Libraries) -> Iterator[dict[str, Any]]:
    for root in roots:
        for known in reports.get_all(root):
            yield _row(known, libraries.to_stored(known.path))


def _row(known: Known, stored: bytes) -> dict[str, Any]:
    name = os.fsencode(address_of(known.path)) if is_object(known.path) else stored
    track, decided = known.track, known.decisions[0] if known.decisions else None
    return {
        "path": name.decode("utf-8", "backslashreplace"),
        "path_bytes": name,
        "kind": track.kind if track else None,
        "size_bytes": track.stamp.size_bytes if track else None,
        "duration_s": track.duration_s if track else None,
        "payload_hash": track.payload_hash if track else None,
        "tags": list(track.genres.values) if track else None,
        "genres": list(decided.decision.genres) if decided else None,
        "scores": list(decided.decision.scores.items()) if decided else None,
        "cause": decided.decision.reason.cause.value if decided else None,
        "reason": sentence(decided.decision.reason) if decided else None,
        "model": decided.model if decided else None,
        "failure": known.failure.error.cause if known.failure else None,
        "failure_cause": known.failure.error.why.value if known.failure else None,
    }
