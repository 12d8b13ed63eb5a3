"""Decides when to handle the files of a folder: together, once it is quiet. Pure.

An album is decided as a whole, so a file that is complete waits for the others that still arrive
beside it. A folder that never becomes quiet is handled anyway, after `LONGEST` quiet periods.
A file that arrives alone does not wait.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from genretagger.steps.album import home

LONGEST = 10
"""How many quiet periods a complete file waits at most for the others in its folder."""


@dataclass(slots=True)
class _AlbumFolder:
    """The files of an album's folder that are complete, each with its watched folder.

    Attributes:
        since_s: when the first of them was.
        due_s: when to look at the folder again.
    """

    since_s: float
    due_s: float
    files: dict[Path, Path] = field(default_factory=dict)


class Gathering:
    """The files that are complete and wait for others."""

    def __init__(self, quiet_s: float) -> None:
        self.quiet_s = quiet_s
        self._folders: dict[Path, _AlbumFolder] = {}

    def __len__(self) -> int:
        return sum(len(folder.files) for folder in self._folders.values())

    def __contains__(self, path: Path) -> bool:
        folder = self._folders.get(home(path))
        return folder is not None and path in folder.files

    def add(self, path: Path, root: Path, now_s: float) -> None:
        """Note that a file is complete; its folder is looked at next."""
        folder = self._folders.setdefault(home(path), _AlbumFolder(now_s, now_s))
        folder.files[path] = root
        folder.due_s = now_s

    def forget(self, path: Path) -> None:
        """Wait no longer with a file: it is gone, or is changing again."""
        folder = self._folders.get(home(path))
        if folder is not None and folder.files.pop(path, None) is not None and not folder.files:
            del self._folders[home(path)]

    def look_at(self, folder: Path, now_s: float) -> None:
        """Look at a folder next: something that was waited for there is over."""
        if folder in self._folders:
            self._folders[folder].due_s = now_s

    def next_due_s(self) -> float | None:
        """When to look again; None if nothing waits."""
        return min((folder.due_s for folder in self._folders.values()), default=None)

    def ready(self, now_s: float, is_arriving: Callable[[Path], bool]) -> list[list[tuple[Path, Path]]]:
        """The files that may be handled now, one folder's together, each with its watched folder.

        Args:
            is_arriving: whether something still arrives in a folder; asked for those that are due.
        """
        found = []
        for place in [place for place, folder in self._folders.items() if folder.due_s <= now_s]:
            folder = self._folders[place]
            last_s = folder.since_s + LONGEST * self.quiet_s
            if now_s < last_s and is_arriving(place):
                folder.due_s = min(now_s + self.quiet_s, last_s)
            else:
                found.append(sorted(folder.files.items()))
                del self._folders[place]
        return found
