"""The tests of the page need the extra `web`; those that need a browser are run by `make test-page`."""

from __future__ import annotations

import importlib.util
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from page_helpers import Server, serving

MISSING = [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say what is left out."""
    here = Path(__file__).parent
    for item in items:
        if MISSING and here in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=f"the extra `web` is not installed: {', '.join(MISSING)}"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for an empty library, shared by the tests that change nothing."""
    folder = tmp_path_factory.mktemp("served")
    nowhere = str(folder / "no-config")
    with serving(folder / "data", XDG_CONFIG_HOME=nowhere, XDG_DATA_HOME=nowhere) as running:
        yield running


HOSTILE = "<script>document.title='taken'</script>"


@pytest.fixture
def hostile_name() -> bytes:
    """A file's name with a tag of HTML, a control character and a byte that is no UTF-8."""
    return b"<img src=x onerror=document.title='taken'> \x1b[2J \xff.flac"


def rows(data_dir: Path, statement: str) -> list[tuple[object, ...]]:
    """What the database holds."""
    connection = sqlite3.connect(data_dir / "library.sqlite3")
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def fs(path: Path, name: bytes) -> Path:
    """A path with a name of any bytes."""
    return Path(os.fsdecode(os.fsencode(path) + b"/" + name))
