"""Another program that takes beets' library between two tracks, for tests."""

from __future__ import annotations

import sqlite3
from typing import Any

import beets
from beets import ui
from beets.plugins import BeetsPlugin


class LockingPlugin(BeetsPlugin):
    """Takes the library when the change of the first track is shown, which is when it was stored."""

    def __init__(self) -> None:
        super().__init__()
        show = ui.show_model_changes
        holders: list[sqlite3.Connection] = []

        def locked(*arguments: Any, **options: Any) -> Any:
            if not holders:
                holders.append(sqlite3.connect(beets.config["library"].as_filename(), isolation_level=None))
                holders[0].execute("BEGIN IMMEDIATE")
            return show(*arguments, **options)

        ui.show_model_changes = locked
