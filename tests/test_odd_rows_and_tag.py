"""Tagging goes on if the database holds an odd row: what cannot be read is found out again."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import command_helpers as helpers
import pytest
from daemon_helpers import Watcher
from few import few

from genretagger.types import Status

ODD: list[tuple[str, str, Any]] = [
    ("tracks", "genres", '{"a": 1}'),
    ("tracks", "payload_hash", 7),
    ("tracks", "handled", b"\xff"),
    ("tracks", "path", 7),
    ("decisions", "scores", "[[1, 2]]"),
    ("decisions", "genres", '"Rock"'),
    ("decisions", "decided_at", "yesterday"),
    ("analyses", "embedding", b"\x00\x00\x00\x00"),
    ("analyses", "activations", b"\x00\x7e" * 3),
    ("analyses", "windows", 2**62),
    ("analyses", "hearing", "loud"),
    ("models", "labels", "[1]"),
    ("models", "name", b"\xff"),
    ("models", "fingerprint", 12),
    ("writes", "state", "later"),
    ("writes", "after", "[]"),
    ("writes", "undo_of", "x"),
    ("writes", "temporary_name", b"/etc/passwd"),
    ("runs", "pid", 2**62),
]


@pytest.mark.parametrize(("table", "column", "value"), few(ODD, *range(0, 20, 4)), ids=lambda each: str(each)[:12])
def test_a_run_goes_on(
    heard: Path, music: Path, make_techno: Callable[..., Path], table: str, column: str, value: Any
) -> None:
    make_techno(music / "old.flac")
    options = helpers.settings(heard)
    assert helpers.tag(options, music)["old.flac"].status is Status.TAGGED
    with contextlib.closing(sqlite3.connect(heard / "library.sqlite3")) as connection, connection:
        where = " WHERE id = 1" if column in ("path", "fingerprint") else ""  # they are unique
        connection.execute(f"UPDATE {table} SET {column} = ?{where}", [value])
        if table == "writes":
            connection.execute("UPDATE writes SET state = 'pending' WHERE state = 'done'")
    helpers.retag(music / "old.flac")
    shutil.copy(music / "old.flac", music / "new.flac")
    found = helpers.tag(options, music)
    assert found["new.flac"].status is Status.TAGGED, found
    assert found["new.flac"].genres == ("Trance",)
    assert found["old.flac"].status in (Status.TAGGED, Status.UNCHANGED)


def test_the_queue_goes_on_past_an_odd_job(heard: Path, music: Path, song: bytes) -> None:
    songs = {music / f"{name}.flac" for name in "abc"}
    for path in songs:
        path.write_bytes(song)
    at = "2026-01-01 00:00:00.000000"
    with contextlib.closing(sqlite3.connect(heard / "library.sqlite3")) as connection, connection:
        for name, attempts in (("b.flac", "many"), ("gone.flac", -7), ("away.flac", 2**62)):
            connection.execute(
                "INSERT INTO jobs (path, root, state, priority, attempts, not_before, added_at, updated_at)"
                " VALUES (?, ?, 'waiting', 0, ?, ?, ?, ?)",
                [bytes(music / name), bytes(music), attempts, at, at, at],
            )
    with Watcher(music, data_dir=heard) as watcher:
        watcher.wait_for_all("tagged", songs)
        assert watcher.stop() == 0
