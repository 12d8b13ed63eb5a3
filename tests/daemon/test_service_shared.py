"""Two services share one PostgreSQL: each has its own data folder and its own library."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import command_helpers as helpers
import pytest
from daemon_helpers import Watcher
from databases import Place
from postgres_server import Server

from genretagger.database.values import WriteState
from genretagger.model import InstalledModel

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="watches with inotify"),
]


@dataclass(frozen=True)
class Box:
    """A machine that minds one library.

    Attributes:
        name: of its library.
        data_dir: with its model and its lock, but without a database.
        music: the folder of its library.
        database: that it shares.
    """

    name: str
    data_dir: Path
    music: Path
    database: str

    def watch(self) -> Watcher:
        """Its service."""
        return Watcher(
            self.music,
            data_dir=self.data_dir,
            database_url=self.database,
            libraries=json.dumps({self.name: str(self.music)}),
        )

    def fill(self, song: bytes, *names: str) -> set[Path]:
        """Put music into its library."""
        for name in names:
            (self.music / name).write_bytes(song)
        return {self.music / name for name in names}


@pytest.fixture
def shared(postgres: Server, template: str) -> Iterator[Place]:
    with postgres.database(template) as address:
        yield Place(address)


@pytest.fixture
def boxes(shared: Place, model: InstalledModel, song: bytes, tmp_path: Path, genretagger: Any) -> tuple[Box, Box]:
    """Two machines; the song was heard before, so that the services need not load the model."""
    made = []
    for name in ("attic", "cellar"):
        data_dir, music = tmp_path / name / "data", tmp_path / name / "music"
        music.mkdir(parents=True)
        (data_dir / "models").mkdir(parents=True)
        shutil.copytree(model.folder, data_dir / "models" / model.name, copy_function=os.link)
        made.append(Box(name, data_dir, music, str(shared.address)))
    heard = tmp_path / "heard.flac"
    heard.write_bytes(song)
    ended = genretagger(
        "tag",
        "--dry-run",
        heard,
        GENRETAGGER_DATA_DIR=str(made[0].data_dir),
        GENRETAGGER_DATABASE_URL=made[0].database,
        GENRETAGGER_DEVICE="cpu",
    )
    assert ended.status == 0, ended.err
    return made[0], made[1]


def end_at_once(watcher: Watcher) -> None:
    """Kill the watcher and its engine, as a power cut would."""
    engine = (watcher.status() or {}).get("engine")
    watcher.process.kill()
    if engine is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(engine, signal.SIGKILL)
    watcher.process.wait()


def own_only(box: Box, *watchers: Watcher) -> None:
    """Assert that services of a box reported files of its library alone."""
    for watcher in watchers:
        answer = [Path(line["path"]) for name in ("tagged", "unchanged", "failed") for line in watcher.seen(name)]
        assert [path for path in answer if not path.is_relative_to(box.music)] == []
        assert watcher.seen("failed") == []


def test_each_service_minds_its_own_library(boxes: tuple[Box, Box], shared: Place, song: bytes) -> None:
    attic, cellar = boxes
    names = [f"{number:02}.flac" for number in range(12)]  # the same names, and the same audio, in both
    songs = attic.fill(song, *names) | cellar.fill(song, *names)
    with attic.watch() as one, cellar.watch() as other:
        for _ in range(3):
            one.wait_for("tagged")
        end_at_once(one)
        other.wait_for_all("tagged", {path for path in songs if path.is_relative_to(cellar.music)})
        left = shared.execute("SELECT path, worker FROM jobs")
        assert left, "the kill was to leave jobs, and nobody else may take or drop them"
        assert all(bytes(path).startswith(b"attic:/") for path, _ in left)
        with attic.watch() as again:
            again.wait_for_all("tagged", {path for path in songs if not helpers.genres_of(path)})
            late = attic.fill(song, "late.flac") | cellar.fill(song, "late.flac")
            again.wait_for("tagged", path=attic.music / "late.flac")
            other.wait_for("tagged", path=cellar.music / "late.flac")
            assert (again.stop(), other.stop()) == (0, 0)
            own_only(attic, one, again)
            own_only(cellar, other)
    with shared.open(libraries={box.name: box.music for box in boxes}) as store:
        written = [write for write in store.writes.get_all() if write.state is WriteState.DONE]
        assert store.jobs.get_counts().backlog == 0
    assert Counter(write.path for write in written) == Counter(dict.fromkeys(songs | late, 1))
    assert all(helpers.genres_of(write.path) == list(write.after.values) != [] for write in written)
    assert [helpers.temporaries(box.music) for box in boxes] == [[], []]
    assert shared.execute("SELECT count(*) FROM jobs") == [(0,)]
