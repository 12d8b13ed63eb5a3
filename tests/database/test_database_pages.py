"""How large the pages of an SQLite file are."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from database_helpers import track

from genretagger.database.store import Store


def test_a_new_file_has_large_pages_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    old, new = tmp_path / "old.sqlite3", tmp_path / "new.sqlite3"
    with contextlib.closing(sqlite3.connect(old)) as connection:
        connection.execute("PRAGMA page_size = 4096")
        connection.execute("CREATE TABLE other (id INTEGER)")
        connection.execute("DROP TABLE other")
    for path, bytes_a_page in ((old, 4096), (new, 16_384)):
        with Store.open(path) as store:
            store.tracks.save(track())
            assert store.reports.get_faults() == []
        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA page_size").fetchone() == (bytes_a_page,)
            assert connection.execute("SELECT count(*) FROM tracks").fetchone() == (1,)
