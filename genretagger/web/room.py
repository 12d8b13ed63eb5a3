"""Folders of files that can be made again: the oldest go when all take too much."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def make_room(folder: Path, most_bytes: int) -> None:
    """Make a folder if there is none, and delete its oldest files until the others fit.

    Args:
        most_bytes: what the files that stay may take.

    Raises:
        OSError: it cannot be made or read, or a file cannot be deleted.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = []
    for each in os.scandir(folder):
        with contextlib.suppress(OSError):  # it may be gone by now
            files.append((each.stat().st_mtime, each.stat().st_size, each.path))
    total = sum(size for _, size, _ in files)
    for _, size, name in sorted(files):
        if total <= most_bytes:
            return
        Path(name).unlink(missing_ok=True)
        total -= size
