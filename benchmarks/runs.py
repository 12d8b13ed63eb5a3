"""Whole runs of the real command on fresh copies of the tracks, each with an empty database."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genretagger.model import InstalledModel

_LAST_WORDS = 2000


@dataclass(frozen=True, slots=True)
class WholeRun:
    """The result of a run of `genretagger tag`.

    Attributes:
        seconds: from the start of the program to its end.
        statuses: how many tracks ended with each status.
    """

    seconds: float
    statuses: dict[str, int]

    @property
    def tracks(self) -> int:
        """How many tracks there were."""
        return sum(self.statuses.values())

    @property
    def tracks_per_s(self) -> float:
        """Tracks a second, loading included."""
        return self.tracks / self.seconds

    def further_tracks_per_s(self, single: WholeRun) -> float | None:
        """Tracks a second once Python, the libraries, the database and the model are loaded.

        The time of the first report does not show it: the first few tracks are handled at the same
        time.

        Args:
            single: a run over one of the tracks.

        Returns:
            None if there was only one track, or if the difference is lost in the noise.
        """
        further, further_s = self.tracks - single.tracks, self.seconds - single.seconds
        return further / further_s if further > 0 and further_s > 0 else None


class Runs:
    """Runs over the same tracks.

    Args:
        model: an installed model.
        tracks: what to tag; only copies are written to.
        scratch: an existing folder.
        windows: how many windows are used.
    """

    def __init__(self, model: InstalledModel, tracks: Sequence[Path], scratch: Path, windows: int) -> None:
        self._model = model
        self._tracks = tracks
        self._scratch = scratch
        self._windows = windows

    def tag(self, workers: int, most: int | None = None) -> WholeRun:
        """Tag copies of the tracks, from an empty database.

        Args:
            workers: how many children decode.
            most: only so many of the tracks; None for all.

        Raises:
            RuntimeError: the command failed.
        """
        home, music = self._fresh(most)
        shutil.copytree(self._model.folder, home / "data" / "models" / self._model.name)
        command = [sys.executable, "-m", "genretagger", "tag", "--json", "--policy", "replace", str(music)]
        command += ["--model", self._model.name, "--windows", str(self._windows), "--jobs", str(workers)]
        statuses: Counter[str] = Counter()
        with (home / "errors").open("w+b") as errors:
            started = time.perf_counter()
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=_environment(home)) as process:
                for line in process.stdout or ():
                    statuses[json.loads(line)["status"]] += 1
            seconds = time.perf_counter() - started
            if process.returncode not in (0, 1) or not statuses:
                errors.seek(0)
                raise RuntimeError(errors.read()[-_LAST_WORDS:].decode("utf-8", "replace"))
        shutil.rmtree(home)
        return WholeRun(seconds, dict(sorted(statuses.items())))

    def memory(self, windows: int | None) -> dict[str, Any]:
        """Peak memory of a run with one worker, from `benchmarks.memory`.

        Raises:
            RuntimeError: it could not be measured.
        """
        home, music = self._fresh()
        places = map(str, (self._model.folder.parent, home / "data", music))
        command = [sys.executable, "-m", "benchmarks.memory", *places]
        command += ["--model", self._model.name, "--windows", "all" if windows is None else str(windows)]
        ended = subprocess.run(command, capture_output=True, env=_environment(home), check=False)
        if ended.returncode:
            raise RuntimeError(ended.stderr[-_LAST_WORDS:].decode("utf-8", "replace"))
        shutil.rmtree(home)
        result: dict[str, Any] = json.loads(ended.stdout)
        return result

    def _fresh(self, most: int | None = None) -> tuple[Path, Path]:
        """Make an empty home, and a folder in it with copies of the tracks."""
        home = self._scratch / "home"
        music = home / "music"
        music.mkdir(parents=True)
        for number, track in enumerate(self._tracks[:most]):
            shutil.copy(track, music / f"{number:03}{track.suffix}")
        return home, music


def _environment(home: Path) -> dict[str, str]:
    """The environment, without the owner's configuration, and with this genretagger."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GENRETAGGER_")}
    config = home / "config.toml"
    # every track is written, whatever the model infers
    config.write_text("min_score = 1e-9\n", encoding="utf-8")
    repository = str(Path(__file__).resolve().parents[1])
    return {
        **own,
        "PYTHONPATH": os.pathsep.join(filter(None, [repository, own.get("PYTHONPATH", "")])),
        "GENRETAGGER_CONFIG": str(config),
        "GENRETAGGER_DATA_DIR": str(home / "data"),
    }
