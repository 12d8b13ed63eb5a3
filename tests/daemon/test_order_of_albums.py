"""The order in which an engine takes the queue: album by album, from a real database."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from pathlib import Path

import pytest
from album_helpers import ELECTRONIC, Library

from genretagger.config import Settings
from genretagger.daemon.engine import Engine
from genretagger.database.values import Claimant, NewJob
from genretagger.types import Albums

NAMES = ("a/1", "b/CD 1/1", "c/1", "a/2", "b/CD 2/2", "c/2")


@pytest.mark.parametrize(
    ("album", "order"),
    [
        (Albums.POOL, ["a/1", "a/2", "b/CD 1/1", "b/CD 2/2", "c/1", "c/2"]),
        (Albums.EACH, list(NAMES)),
    ],
)
def test_the_other_files_of_an_album_come_first(
    settings: Settings, music: Path, album: Albums, order: list[str]
) -> None:
    library = Library(settings.model_copy(update={"album": album, "quiet_s": 0.0}), music)
    with library.open() as opened:
        for name in NAMES:
            path = library.add(name, ELECTRONIC)
            opened.store.jobs.add(Claimant("service"), [NewJob(path, music, 0, False)])
        engine = Engine(
            library.settings,
            Claimant("service/1"),
            opened,
            opened.store,
            Future(),
            threading.Event(),
            threading.Event(),
        )
        taken = [str(found.path.relative_to(music).with_suffix("")) for found in engine._files()]
        opened.store.jobs.give_back(Claimant("service/1"), attempted=False)
    assert taken == order
