"""The thread that keeps the index: what a page learns if it cannot."""

from __future__ import annotations

import queue
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra `web` is not installed, so the page is not tested")

from genretagger import launch
from genretagger.config import Settings, load
from genretagger.database.store import Store
from genretagger.types import Json
from genretagger.web.desk import Desk
from genretagger.web.keeper import Keeper
from genretagger.web.live import Hub

WAIT_S = 60


class Heard(Hub):
    """A hub that also keeps what it passes on."""

    def __init__(self) -> None:
        super().__init__()
        self.events: queue.Queue[tuple[str, Json]] = queue.Queue()

    def tell(self, kind: str, value: Json, *, keep: bool = False) -> None:
        """As `Hub`."""
        super().tell(kind, value, keep=keep)
        self.events.put((kind, value))

    def next(self, kind: str) -> Any:
        """Wait for the next event of a kind."""
        while True:
            found, value = self.events.get(timeout=WAIT_S)
            if found == kind:
                return value


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(data_dir=tmp_path / "data")


def kept(settings: Settings, kind: str) -> Any:
    """What the first event of a kind says, of a keeper that ran until then."""
    hub = Heard()
    desk = Desk(settings, hub)
    keeper = Keeper(desk)
    keeper.start()
    try:
        return hub.next(kind)
    finally:
        keeper.stop()
        desk.showing.close()


def test_a_child_that_fails_is_reported(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(settings.database):
        pass
    monkeypatch.setattr(launch, "command", lambda *_, **__: [sys.executable, "-c", "raise SystemExit(3)"])
    assert kept(settings, "notice") == "the index could not be updated (status 3)"


def test_a_database_that_is_damaged_is_reported(settings: Settings) -> None:
    with Store.open(settings.database):
        pass
    (settings.data_dir / "library.sqlite3").write_bytes(b"no database at all" * 500)
    said = kept(settings, "notice")
    assert said.startswith("the index cannot be kept: ")
    assert "library.sqlite3" in said


def test_a_library_that_changes_is_announced(settings: Settings) -> None:
    with Store.open(settings.database):
        pass
    assert kept(settings, "changed") == {}
