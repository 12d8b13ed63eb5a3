"""What an archive costs: listing, the database at a million rows, and the first limit of a cluster.

    python -m benchmarks.archive listing [NAMES]
    python -m benchmarks.archive database [ROWS]
    python -m benchmarks.archive simulate [NODES CORES GPUS]

`listing` makes as many names (a million by default) and walks them in another process. `database`
starts a PostgreSQL of its own, as the tests do, and fills it by SQL. `simulate` lets tracks pass
through the stages of a cluster, one event after the other; its parameters stand in `COSTS`, with
where they were measured.
"""

from __future__ import annotations

import heapq
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TESTS = Path(__file__).resolve().parents[1] / "tests"

_LIST = """
import resource, sys, time
from pathlib import Path
from genretagger.archive.listing import units
def used(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
root, last, began = Path(sys.argv[1]), 0, time.perf_counter()
files = 0
print(f"{0:>9,} names  {used():6.1f} MB")
for each in units(root, ignore=(), folders=(), failed=print):
    files += each.files
    if files - last >= int(sys.argv[2]):
        last = files
        print(f"{files:>9,} names  {used():6.1f} MB")
print(f"{files / (time.perf_counter() - began):,.0f} names/s")
"""


def listing(names: int) -> None:
    """Walk many names, and tell the memory on the way."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for album in range(names // 20):
            place = root / f"{album // 1000:03}" / f"album {album:06}"
            place.mkdir(parents=True)
            first = place / "00 a song of some length.flac"
            first.touch()
            for number in range(1, 20):
                os.link(first, place / f"{number:02} a song of some length.flac")
        subprocess.run([sys.executable, "-c", _LIST, folder, str(names // 5)], check=True)


def timed(name: str, work: Callable[[], Any], repeats: int = 20) -> None:
    """Print the median time of something."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    print(f"{name:48} {sorted(times)[len(times) // 2] * 1e3:9.2f} ms")


def database(rows: int) -> None:
    """Ask a database with many tracks."""
    sys.path[:0] = [str(_TESTS), str(_TESTS / "database")]
    from postgres_server import serve
    from test_units import ROOT, filled

    from genretagger.database.store import Store
    from genretagger.database.units import NewUnit
    from genretagger.database.values import Claimant

    with serve() as server:
        if isinstance(server, str):
            sys.exit(server)
        with server.database() as address, Store.open(address) as store:
            began = time.perf_counter()
            filled(store, rows)
            seconds = time.perf_counter() - began
            print(f"{rows:,} tracks, analyses and jobs, {rows // 4:,} units: filled in {seconds:.0f} s")
            new = [NewUnit(ROOT / f"new {number}", ROOT, 0, 1, 12, "n") for number in range(20_000)]
            began = time.perf_counter()
            store.units.add(new, rules="r")
            print(f"{'units added by COPY, in a second':48} {len(new) / (time.perf_counter() - began):9,.0f}")
            me = Claimant("s/1", (ROOT,))
            payload = "c4ca4238a0b923820dcc509a6f75849b"
            where: dict[str, Any] = {"rules": "r", "roots": [ROOT]}
            timed("claim of a unit", lambda: store.units.claim("run", lease_s=60, attempts=3, **where))
            timed("renewal of the leases of a run", lambda: store.units.renew("run", 60))
            timed("claim of a job (watch)", lambda: store.jobs.claim(me, lease_s=60, attempts=3))
            timed("look-up by payload: analysis", lambda: store.analyses.get(payload, "f", "16"))
            timed("look-up by payload: paths", lambda: store.tracks.get_paths(payload))
            timed("look-up by path: everything", lambda: store.reports.get(ROOT / "1" / "12"))
            timed("status: units", store.units.get_progress, 5)
            timed("status: failures", store.units.get_failures, 5)
            timed("status: queue of watch", store.jobs.get_counts, 5)
            timed("status: all tables", store.reports.get_counts, 3)
            began, count = time.perf_counter(), 0
            for _ in store.lines.get_tracks(scores=False):
                count += 1
                if count == 100_000:
                    break
            print(f"{'export, tracks in a second':48} {count / (time.perf_counter() - began):9,.0f}")


@dataclass(frozen=True)
class Costs:
    """What a track costs, in seconds of one core, of a GPU, and in bytes.

    Attributes:
        listen_s: parse, decode and mel frames of sixteen stretches of a four-minute MP3, on one
            core.
        hear_s: the model, on one core.
        hear_gpu_s: the model, on a GPU.
        finish_s: decision, database and write, on one core.
        read_bytes: from storage: what is decoded, and with `--write` the whole file.
        frame_bytes: from a listening to a network actor, over the network if they are on two nodes.
        store_s: of the database server, for all statements of a track.
    """

    listen_s: float = 0.162
    hear_s: float = 0.215
    hear_gpu_s: float = 1 / 126
    finish_s: float = 0.06
    read_bytes: float = 5e6
    frame_bytes: float = 2.4e6
    store_s: float = 0.004


COSTS = Costs()
NETWORK_BYTES_S = 1.1e9
"""Ten gigabits a second, to the storage and between nodes."""


def simulate(
    nodes: int, cores: int, gpus: int, tracks: int = 20_000, costs: Costs = COSTS
) -> tuple[float, dict[str, float]]:
    """Let tracks pass through the stages; gives tracks a second, and how busy each resource was.

    A core serves whichever stage has work, the last one first, as back-pressure has it. Times are
    spread exponentially.
    """
    chance = random.Random(1)
    stages: Sequence[tuple[str, str, float]] = (
        ("read", "storage", costs.read_bytes / NETWORK_BYTES_S),
        ("listen", "cores", costs.listen_s),
        ("pass on", "network", costs.frame_bytes / NETWORK_BYTES_S / nodes if gpus else 0.0),
        ("hear", "gpus" if gpus else "cores", costs.hear_gpu_s if gpus else costs.hear_s),
        ("finish", "cores", costs.finish_s),
        ("store", "database", costs.store_s),
    )
    servers = {"storage": 1, "cores": nodes * cores, "network": 1, "gpus": gpus, "database": 4}
    free, busy = dict(servers), dict.fromkeys(servers, 0.0)
    waiting: list[deque[int]] = [deque() for _ in stages]
    bound = 8 * nodes * cores  # tracks on their way: back-pressure
    begun = ended = 0
    now, events = 0.0, list[tuple[float, int, int]]()

    def start() -> None:
        nonlocal begun
        while begun < tracks and begun - ended < bound:
            waiting[0].append(begun)
            begun += 1
        for number in reversed(range(len(stages))):
            _, resource, mean_s = stages[number]
            while waiting[number] and free[resource]:
                free[resource] -= 1
                took = chance.expovariate(1 / mean_s) if mean_s else 0.0
                busy[resource] += took
                heapq.heappush(events, (now + took, waiting[number].popleft(), number))

    start()
    while events:
        now, track, number = heapq.heappop(events)
        free[stages[number][1]] += 1
        if number + 1 < len(stages):
            waiting[number + 1].append(track)
        else:
            ended += 1
        start()
    return tracks / now, {name: busy[name] / now / count for name, count in servers.items() if count}


def simulations(clusters: Sequence[tuple[int, int, int]]) -> None:
    """Print what clusters of several sizes give."""
    print(f"{'nodes':>5} {'cores':>5} {'GPUs':>4} {'tracks/s':>9} {'10 million':>11}  busy")
    for nodes, cores, gpus in clusters:
        pace, busy = simulate(nodes, cores, gpus)
        shares = ", ".join(f"{name} {share:.0%}" for name, share in sorted(busy.items(), key=lambda each: -each[1]))
        print(f"{nodes:>5} {cores:>5} {gpus:>4} {pace:>9.1f} {1e7 / pace / 86_400:>6.1f} days  {shares}")


def main() -> None:
    """Run what was asked for."""
    what, *numbers = sys.argv[1:] or ["simulate"]
    if what == "listing":
        listing(int(numbers[0]) if numbers else 1_000_000)
    elif what == "database":
        database(int(numbers[0]) if numbers else 1_000_000)
    else:
        given = tuple(map(int, numbers))
        few = ((1, 2, 0), (1, 16, 0), (4, 16, 0), (4, 16, 1), (4, 32, 2), (16, 32, 4), (48, 32, 8))
        simulations([(given[0], given[1], given[2])] if len(given) == 3 else few)


if __name__ == "__main__":
    main()
