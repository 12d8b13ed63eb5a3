"""What the tests of the write protocol share: one song, and a write that only a hook disturbs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from genretagger.files import replace as files
from genretagger.files import system
from genretagger.types import Stamp

OLD, NEW = b"old bytes " * 1000, b"new bytes, and some more " * 1000
NOBODY = 65534
NAME = files.new_temporary_name(Path("song.mp3"))


def put(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()
    file.write(NEW)


def fine(original: BinaryIO, temporary: BinaryIO) -> None:
    assert original.read() == OLD
    assert temporary.read() == NEW


def run(path: Path, root: Path | None = None, **changes: object) -> Stamp:
    arguments: dict[str, object] = {
        "root": root or path.parent,
        "edit": put,
        "check": fine,
        "expected": Stamp.of(path.stat()) if path.exists() else None,
        "temporary_name": NAME,
    }
    return files.replace(path, **{**arguments, **changes})  # type: ignore[arg-type]


def at(step: str, action: Callable[[], object]) -> Callable[[str], None]:
    """A hook that acts when that step is done."""

    def hook(done: str) -> None:
        if done == step:
            action()

    return hook


def make_song(folder: Path) -> Path:
    path = folder / "song.mp3"
    path.write_bytes(OLD)
    return path


def cannot_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this system one without RENAME_EXCHANGE."""

    def unsupported(self: system.Folder, first: str, second: str) -> None:
        raise system.Unsupported

    monkeypatch.setattr(system.Folder, "exchange", unsupported)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"an edit by somebody else")


def anything(original: BinaryIO, temporary: BinaryIO) -> None:
    assert original.readable()
    assert temporary.readable()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
