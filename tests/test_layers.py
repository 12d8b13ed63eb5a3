"""Imports point downward only, and rooms do not import their siblings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "genretagger"

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"errors"}),
    frozenset({"types", "text", "posix", "textfile"}),
    frozenset({"config", "swap"}),
    frozenset({"kinds", "files"}),
    frozenset({"discover", "schedule"}),
    frozenset(
        {"saving", "audio", "evaluate", "features", "windows", "model", "aggregate", "vocabulary", "database", "tags"}
    ),
    frozenset({"worker", "listener", "plan"}),
    frozenset({"writer", "knowledge", "run"}),
    frozenset({"ownership"}),
    frozenset({"pipeline", "undo", "apply", "checkup"}),
    frozenset({"opening"}),
    frozenset({"daemon", "training"}),
    frozenset({"cli", "beets"}),
    frozenset({"__main__"}),
)
"""From the ground up. A room may import what lies below it, and nothing beside it or above."""

BESIDE = {("files", "kinds")}
"""The few that may import a neighbour, as (who, whom)."""


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def _imports(path: Path) -> Iterator[str]:
    """Give the modules of this package that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("genretagger"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("genretagger"):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "genretagger":
                yield from (f"genretagger.{alias.name}" for alias in node.names)
            else:
                yield str(node.module)


def _level(room: str) -> int:
    return next(level for level, rooms in enumerate(LAYERS) if room in rooms)


FILES = sorted(PACKAGE.rglob("*.py"))


def test_every_room_has_its_place() -> None:
    rooms = {file.relative_to(PACKAGE).parts[0].removesuffix(".py") for file in FILES} - {"__init__"}
    assert rooms == frozenset().union(*LAYERS) & rooms, "a new room needs a place in LAYERS"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_downward(file: Path) -> None:
    room = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room == "__init__":
        return
    for module in _imports(file):
        other = _room(module)
        if other in {room, "__version__", "__init__"} or (room, other) in BESIDE:
            continue
        assert _level(other) < _level(room), f"{file.name} ({room}) imports {module}"


def test_the_check_sees_an_upward_import(tmp_path: Path) -> None:
    file = tmp_path / "tags.py"
    file.write_text("def f():\n    from genretagger.pipeline import Pipeline\n")
    assert [_room(module) for module in _imports(file)] == ["pipeline"]
    assert _level("pipeline") > _level("tags")
