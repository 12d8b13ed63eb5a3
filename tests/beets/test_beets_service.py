"""beets and the service on one library: the first one writes the genre, the other leaves it."""

from __future__ import annotations

import sys
from pathlib import Path

import command_helpers
import pytest
from beets_helpers import KINDS, Beet, Samples, scratch
from daemon_helpers import Watcher

from genretagger.database.values import WriteState

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes through /proc")

TECHNO = ["Trance"]
ALL = dict.fromkeys(KINDS, TECHNO)


@pytest.fixture
def beet(tmp_path: Path, data_dir: Path, techno_samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> Beet:
    return scratch(tmp_path, data_dir, techno_samples, tmp_path_factory.getbasetemp())


@pytest.mark.slow
def test_the_service_watches_what_beets_imports(beet: Beet) -> None:
    beet.copies(beet.music / "first")
    with Watcher(beet.library, data_dir=beet.data_dir) as watcher:
        beet("import", beet.music / "first")  # beets writes while the service gets events
        settled(watcher, beet)
        assert beet.genres() == beet.in_files() == ALL

        # beets reads what the service wrote first; nobody writes it again.
        beet.configure(genretagger={"auto": False})
        beet.copies(beet.music / "second", album="Second")
        beet("import", beet.music / "second")
        watcher.wait_for_all(
            "tagged", {row.path for row in beet.tracks().values() if row.path and "Second" in str(row.path)}
        )
        beet("update")
        beet("genretag")
        beet("genretag", "-a")
        settled(watcher, beet)
        assert beet.in_files() == ALL
        assert beet.genres() == ALL
        assert watcher.stop() == 0
    writes = command_helpers.writes(beet.data_dir)
    assert {write.state for write in writes} == {WriteState.DONE}
    assert len(writes) == len({write.path for write in writes}) == 2 * len(KINDS)


def settled(watcher: Watcher, beet: Beet) -> None:
    """Wait until the service has nothing left to do with any file of the library."""
    while True:
        status = watcher.status()
        if not (status["settling"] or status["busy"]) and status["counters"].get("events"):
            shown = beet_queue(beet)
            if shown == (0, 0, 0, 0):
                return
        assert watcher.process.poll() is None


def beet_queue(beet: Beet) -> tuple[int, int, int, int]:
    from genretagger.database.store import Store

    with Store.open(beet.data_dir / "library.sqlite3", read_only=True) as store:
        counts = store.jobs.get_counts()
    return counts.new, counts.backlog, counts.working, counts.quarantined
