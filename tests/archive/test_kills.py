"""A Ray cluster of three nodes; each round kills a worker, a node or the driver at a random time.

Nothing may be lost, done twice or damaged, and the genres must be those that `tag` gives on one
machine. `make archive-kills` does it with 2,000 tracks and ten rounds; `ARCHIVE_SEED` repeats a
sequence of kills.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from archive_helpers import albums, expected, see_all_once, written
from audio_factory import decode
from postgres_server import Server

from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.database.units import UnitState

pytestmark = pytest.mark.archive

TRACKS = int(os.environ.get("ARCHIVE_TRACKS", "40"))
ROUNDS = int(os.environ.get("ARCHIVE_ROUNDS", "2"))
SEED = int(os.environ.get("ARCHIVE_SEED", "1"))
_ROUND_S = 600.0


@pytest.fixture
def address(postgres: Server, template: str) -> Iterator[str]:
    """A new database on PostgreSQL."""
    with postgres.database(template) as address:
        yield address


def sound_of(path: Path) -> bytes:
    """A digest of all samples of a file."""
    return hashlib.sha256(decode(path)).digest()


class Driver:
    """`genretagger archive` in a process of its own."""

    def __init__(self, data_dir: Path, ray: str, address: str, music: Path) -> None:
        options = ("--ray", ray, "--database", address, "--write", "--json")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "genretagger", "archive", str(music), *options],
            env={**os.environ, "GENRETAGGER_DATA_DIR": str(data_dir), "GENRETAGGER_DEVICE": "cpu"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, store: Store, done: int) -> bool:
        """Wait until that many units are done; returns whether the driver still works then."""
        until = time.monotonic() + _ROUND_S
        while store.units.get_progress().units[UnitState.DONE] < done:
            if self.process.poll() is not None:
                return False
            assert time.monotonic() < until, "the archive stands still"
            time.sleep(0.05)
        return self.process.poll() is None


def stages_of(nodes: list[int]) -> list[psutil.Process]:
    """The processes that run stages on some nodes."""
    found = []
    for node in nodes:
        for process in psutil.Process(node).children(recursive=True):
            try:
                if "MapWorker" in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
    return found


def test_kills_lose_nothing_and_do_nothing_twice(
    settings: Settings, address: str, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("GENRETAGGER_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("GENRETAGGER_DEVICE", "cpu")
    chance = random.Random(SEED)
    files = albums(music, TRACKS)
    wanted = expected(settings, music, tmp_path / "copy")
    sounds = {path: sound_of(path) for path in files}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    killed = {"worker": 0, "node": 0, "driver": 0}
    units = -(-TRACKS // 4)
    try:
        nodes = [cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)]
        with Store.open(address) as store:
            for turn in range(ROUNDS):
                driver = Driver(settings.data_dir, cluster.address, address, music)
                done = store.units.get_progress().units[UnitState.DONE]
                share = max(1, (units - done) // (ROUNDS - turn + 1))
                if driver.wait_for(store, done + 1):
                    time.sleep(chance.uniform(0, 2))
                    raylets = [node.all_processes["raylet"][0].process.pid for node in nodes]
                    if workers := stages_of(raylets):
                        chance.choice(workers).kill()
                        killed["worker"] += 1
                    time.sleep(chance.uniform(0, 2))
                    cluster.remove_node(nodes.pop(chance.randrange(2)), allow_graceful=False)
                    killed["node"] += 1
                    nodes.append(cluster.add_node(num_cpus=1))
                if driver.wait_for(store, done + share):
                    time.sleep(chance.uniform(0, 1))
                    driver.process.send_signal(signal.SIGKILL)
                    killed["driver"] += 1
                driver.process.communicate(timeout=60)
            last = Driver(settings.data_dir, cluster.address, address, music)
            output, errors = last.process.communicate(timeout=_ROUND_S * 4)
            assert last.process.returncode == 0, output + errors
            progress = store.units.get_progress()
            see_all_once(store, TRACKS)
        assert progress.files[UnitState.DONE] == TRACKS
        assert progress.units[UnitState.DONE] == units
    finally:
        cluster.shutdown()
    assert written(music) == wanted
    assert {path: sound_of(path) for path in files} == sounds, "every sample is as it was"
    assert not [path for path in music.rglob("*") if path.is_file() and path not in sounds], "copies were left"
    assert all(killed.values()), killed
    sys.stdout.write(f"{TRACKS} tracks, {ROUNDS} rounds, killed {killed}: lost 0, twice 0, damaged 0\n")
