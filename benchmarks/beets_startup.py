"""The time that the plugin adds to every `beet` command: `python -m benchmarks.beets_startup`.

`beet version` runs by turns without plugins and with ours, on an empty library. The medians are
compared, and the least times, which other work on the machine disturbs less. The goal is under 50
ms.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 25


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folders = {plugins: Path(name) / (plugins or "none") for plugins in ("", "genretagger")}
        for plugins, folder in folders.items():
            folder.mkdir()
            lines = [f"plugins: {plugins or '[]'}", f"library: {folder}/library.db", f"directory: {folder}"]
            (folder / "config.yaml").write_text("\n".join(lines), encoding="utf-8")
        times: dict[str, list[float]] = {plugins: [] for plugins in folders}
        for number in range(ROUNDS + 1):
            for plugins, folder in folders.items():
                took = _run(folder)
                if number:  # the first round fills the caches
                    times[plugins].append(took)
    for plugins, seconds in times.items():
        name = plugins or "no plugin"
        print(f"{name:<12} median {statistics.median(seconds) * 1000:6.1f} ms   least {min(seconds) * 1000:6.1f} ms")
    added = [
        (statistics.median(times["genretagger"]) - statistics.median(times[""])) * 1000,
        (min(times["genretagger"]) - min(times[""])) * 1000,
    ]
    print(f"{'added':<12} median {added[0]:6.1f} ms   least {added[1]:6.1f} ms")


def _run(folder: Path) -> float:
    started = time.perf_counter()
    subprocess.run(
        [Path(sys.executable).with_name("beet"), "version"],
        env={**os.environ, "BEETSDIR": str(folder)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
