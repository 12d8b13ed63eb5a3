"""Another program that takes beets' library between two tracks, for tests."""

from __future__ import annotations

import sqlite3
from typing import Any

import beets
from beets.dbcore.db import Transaction
from beets.plugins import BeetsPlugin


class LockingPlugin(BeetsPlugin):
    """Takes the library as soon as the first file that was written is also stored."""

    def __init__(self) -> None:
        super().__init__()
        self.written = False
        self.register_listener("after_write", self.after_write)
        holders: list[sqlite3.Connection] = []
        leave = Transaction.__exit__

        def left(transaction: Transaction, *error: Any) -> Any:
            result = leave(transaction, *error)
            with transaction.db._tx_stack() as stack:
                over = not stack
            if self.written and over and not holders:
                holders.append(sqlite3.connect(beets.config["library"].as_filename(), isolation_level=None))
                holders[0].execute("BEGIN IMMEDIATE")
            return result

        Transaction.__exit__ = left  # type: ignore[method-assign]

    def after_write(self, **_: Any) -> None:
        """Note that the next change of the library is that of a track."""
        self.written = True
