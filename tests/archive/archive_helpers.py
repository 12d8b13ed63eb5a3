"""Music for archives, what `tag` makes of it on one machine, and all writes in a database."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from audio_factory import make
from command_helpers import genres_of, tag
from conftest import Ended, techno

from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.database.values import WriteState


def albums(music: Path, tracks: int, *, each: int = 4) -> list[Path]:
    """Fill a folder with albums of short tracks, no two of which are the same audio."""
    files = []
    samples = techno(7)
    kinds = (("flac", "flac"), ("mp3", "mp3"))
    for number in range(tracks):
        kind, suffix = kinds[number % 2]
        folder = music / f"album {number // each}"
        folder.mkdir(parents=True, exist_ok=True)
        scale = 0.5 + 0.4 * number / max(1, tracks)
        files.append(make(folder / f"{number % each}.{suffix}", kind, samples=samples * scale))
    return files


def expected(settings: Settings, music: Path, copy: Path) -> dict[str, list[str]]:
    """What `tag` makes of a copy of some music on one machine: path below the folder → genres."""
    shutil.copytree(music, copy)
    tag(settings, copy)
    return written(copy)


def written(music: Path) -> dict[str, list[str]]:
    """The genres of all files: path below the folder → genres."""
    files = sorted(path for path in music.rglob("[0-9]*") if path.suffix in (".flac", ".mp3"))
    return {str(path.relative_to(music)): genres_of(path) for path in files}


def see_all_once(store: Store, tracks: int) -> None:
    """See that each file was written once, and that no write is left open."""
    writes = list(store.writes.get_all())
    assert Counter(write.state for write in writes if write.state is not WriteState.ABANDONED) == {
        WriteState.DONE: tracks
    }
    done = Counter(write.path for write in writes if write.state is WriteState.DONE)
    assert len(done) == tracks
    assert set(done.values()) == {1}


def archive(data_dir: Path, *arguments: str | Path) -> Ended:
    """Run `genretagger archive`."""
    ended = subprocess.run(
        [sys.executable, "-m", "genretagger", "archive", *map(str, arguments)],
        env={**os.environ, "GENRETAGGER_DATA_DIR": str(data_dir), "GENRETAGGER_DEVICE": "cpu"},
        capture_output=True,
        timeout=600,
    )
    return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())
