"""Imports point downward only: rooms import no siblings, and no two files import each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "genretagger"
PLUGINS = ROOT / "plugins"

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"causes", "sentences", "errors", "types", "text", "textfile", "strict", "launch", "places"})
    | {"option_values", "addresses"},
    frozenset({"config", "files", "vocabulary"}),
    frozenset({"database"}),
    frozenset({"audio", "tags"}),
    frozenset({"model", "worker"}),
    frozenset({"steps", "training", "shelf"}),
    frozenset({"pipeline"}),
    frozenset({"daemon", "beets", "web", "archive", "cli", "__main__"}),
)
"""From the ground up. A room may import what lies below it, and nothing beside it or above."""

BESIDE = {
    *(
        ("sentences", "causes"),
        ("sentences", "errors"),
        ("errors", "causes"),
        ("types", "causes"),
        ("types", "errors"),
        ("types", "sentences"),
        ("places", "errors"),
    ),
    ("text", "addresses"),
    *(("strict", "types"), ("launch", "errors")),
    *(("cli", "daemon"), ("cli", "archive"), ("cli", "web"), ("web", "daemon")),
    *(("__main__", "cli"), ("__main__", "daemon")),
}
"""The few that may import a neighbour, as (who, whom): the ground, and the main command."""

PLUGINS_MAY = {"beets", "causes", "cli", "config", "errors", "sentences", "text", "types", "vocabulary"}
"""Rooms that a plugin may use: its own front end, the progress bar, and the ground."""

FILES = sorted(PACKAGE.rglob("*.py"))
PLUGIN_FILES = sorted(PLUGINS.rglob("*.py"))


def _name(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def _imports(path: Path, package: str = "genretagger") -> Iterator[str]:
    """Give the modules of a package that a file imports, in functions too, with imported names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == package)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package:
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _level(room: str) -> int:
    return next(level for level, rooms in enumerate(LAYERS) if room in rooms)


def _graph(root: Path, files: list[Path], package: str) -> dict[str, set[str]]:
    """Say for each module which others of the same package it imports."""
    modules = {_name(file, root): file for file in files}
    graph: dict[str, set[str]] = {}
    for module, file in modules.items():
        graph[module] = set()
        for name in _imports(file, package):
            while name and name not in modules:
                name = name.rpartition(".")[0]
            if name and name not in {module, package}:
                graph[module].add(name)
    return graph


def _circles(graph: Mapping[str, set[str]]) -> list[tuple[str, ...]]:
    """Give each circle of a graph once: remove what imports nothing left, until nothing changes."""
    left = {module: set(imported) for module, imported in graph.items()}
    while leaves := [module for module, imported in left.items() if not imported & left.keys()]:
        for module in leaves:
            del left[module]
    while tops := [module for module in left if not any(module in imported for imported in left.values())]:
        for module in tops:
            del left[module]
    return [tuple(sorted(left))] if left else []


def test_every_room_has_its_place() -> None:
    rooms = {file.relative_to(PACKAGE).parts[0].removesuffix(".py") for file in FILES} - {"__init__"}
    assert rooms == frozenset().union(*LAYERS), "a new room needs a place in LAYERS, and one that is gone leaves it"


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


@pytest.mark.parametrize("file", PLUGIN_FILES, ids=lambda file: file.name)
def test_a_plugin_uses_its_front_end_and_the_ground_only(file: Path) -> None:
    for module in _imports(file):
        assert _room(module) in PLUGINS_MAY, f"{file.name} imports {module}"


def test_no_two_files_import_each_other() -> None:
    assert _circles(_graph(ROOT, FILES, "genretagger")) == []
    assert _circles(_graph(PLUGINS, PLUGIN_FILES, "beetsplug")) == []


def test_the_check_sees_an_upward_import(tmp_path: Path) -> None:
    file = tmp_path / "tags.py"
    file.write_text("def f():\n    from genretagger.pipeline import Pipeline\n")
    assert [_room(module) for module in _imports(file)] == ["pipeline"]
    assert _level("pipeline") > _level("tags")


def test_the_check_sees_a_circle(tmp_path: Path) -> None:
    texts = {
        "a": "def f():\n    from room.b import c\n",
        "b": "import room.c\n",
        "c": "import room.a\n",
        "d": "import room.a",
    }
    for name, text in texts.items():
        (tmp_path / "room").mkdir(exist_ok=True)
        (tmp_path / "room" / f"{name}.py").write_text(text)
    files = sorted(tmp_path.rglob("*.py"))
    assert _circles(_graph(tmp_path, files, "room")) == [("room.a", "room.b", "room.c")]
    (tmp_path / "room" / "c.py").write_text("")
    assert _circles(_graph(tmp_path, files, "room")) == []


def _class_names(files: list[Path]) -> dict[str, list[str]]:
    """Where each class is defined, by its name without a leading underscore."""
    found: dict[str, list[str]] = {}
    for file in files:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name.lstrip("_"), []).append(f"{file.name}:{node.lineno}")
    return found


def test_the_name_of_a_class_means_one_thing() -> None:
    assert {name: places for name, places in _class_names([*FILES, *PLUGIN_FILES]).items() if len(places) > 1} == {}


def test_the_check_sees_a_name_that_is_used_twice(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("class Step:\n    pass\n")
    (tmp_path / "b.py").write_text("x = 1\nclass _Step:\n    pass\n")
    assert _class_names(sorted(tmp_path.iterdir())) == {"Step": ["a.py:1", "b.py:2"]}


UNREAD_JSON = {
    "config.py": "tables of the environment, which pydantic checks with all other options",
    "daemon/control.py": "`read` gets it, unless it is the answer for another user",
    "daemon/engine.py": "settings of the parent, which `config.restored` compares with what it made of them",
    "database/columns.py": "columns of our own tables, which `rules.py` checks",
    "database/lines.py": "columns of our own tables; a careful reader follows if they are odd",
    "database/reasons.py": "a column of our own table; what is no cause is taken for words",
    "model/card.py": "`Card.from_document` gives it to `read`",
    "model/trial.py": "in the child: a card that the parent has checked",
    "shelf/index.py": "notes in an index of our own, which can be made again",
    "shelf/pages.py": "rows of the same index",
    "steps/plan/jsonl.py": "a line of a plan, which `entry.from_json` gives to `read`",
    "web/app.py": "a request, which `actions.asked` gives to `read`",
    "worker/protocol.py": "in the child: filters of its parent",
    "worker/wire.py": "the header of a frame, of which `protocol.py` reads each value",
}
"""Files that parse JSON and do not give it to `strict.read` in the same expression, and why."""


def _unread_json(tree: ast.AST) -> list[int]:
    """Lines that parse JSON outside the arguments of a call of `read`."""
    read: set[ast.AST] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="read") | ast.Attribute(attr="read"), args=args):
                read.update(part for argument in args for part in ast.walk(argument))
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="json"), attr="loads" | "load" | "JSONDecoder") if node not in read:
                found.append(node.lineno)
            case ast.ImportFrom(module="json"):
                found.append(node.lineno)
            case ast.Attribute(attr="model_validate" | "model_validate_json" | "validate_json" | "from_json"):
                found.append(node.lineno)
            case ast.Name(id="TypeAdapter"):
                found.append(node.lineno)
    return found


def test_only_strict_read_reads_json_from_outside() -> None:
    unread = {
        file.relative_to(PACKAGE).as_posix() if file.is_relative_to(PACKAGE) else file.name
        for file in (*FILES, *PLUGIN_FILES)
        if _unread_json(ast.parse(file.read_text("utf-8")))
    }
    assert unread - {"strict.py"} == UNREAD_JSON.keys()


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("value = json.loads(text)", [1]),
        ("value = json.load(file)['name']", [1]),
        ("parse = json.loads", [1]),
        ("from json import loads", [1]),
        ("Settings.model_validate_json(text)", [1]),
        ("value = read(Card, json.loads(text))", []),
        ("value = strict.read(Card, json.loads(file.read()), exact=True)", []),
        ("value = read(json.loads(text))\nother = json.loads(text)", [2]),
    ],
)
def test_the_check_sees_json_that_is_not_read_strictly(code: str, lines: list[int]) -> None:
    assert _unread_json(ast.parse(code)) == lines


def test_no_class_is_a_thread() -> None:
    """Names of ours would hide private ones of Python's, which differ between its versions."""
    bases = {
        f"{path.relative_to(ROOT)}:{node.lineno}": ast.unparse(base)
        for path in (*(ROOT / "genretagger").rglob("*.py"), *(ROOT / "plugins").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
        for base in node.bases
    }
    assert len(bases) > 100
    assert {place: base for place, base in bases.items() if base.split(".")[-1] in ("Thread", "Process", "Timer")} == {}
