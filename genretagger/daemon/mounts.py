"""Remembers between two runs where the disks of the watched folders were mounted.

Without it, a service that starts before its disk is mounted would mistake the empty mount point for
an empty library.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

NAME = "mounts.json"


class Mounts:
    """The mount points of folders.

    Args:
        data_dir: holds them in a separate file: losing it costs only this caution.
    """

    def __init__(self, data_dir: Path) -> None:
        self._file = data_dir / NAME
        self._known: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self._file.read_text("ascii"))
            if isinstance(found, dict):
                self._known = {str(folder): str(mount) for folder, mount in found.items()}

    def of(self, folder: Path) -> str:
        """Where a folder's disk was mounted; empty if that is not known."""
        return self._known.get(str(folder), "")

    def keep(self, folder: Path, mount: str) -> None:
        """Remember where a folder's disk is mounted."""
        if self._known.get(str(folder), "") == mount:
            return
        self._known[str(folder)] = mount
        new = self._file.with_suffix(".new")
        with contextlib.suppress(OSError):  # for example a full disk: it is kept next time
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                json.dump(self._known, file)
            new.replace(self._file)
