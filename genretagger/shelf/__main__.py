"""A child process of the page that updates the whole index; reports progress as JSON lines."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from genretagger.database.store import Store
from genretagger.shelf import filling, likeness, need
from genretagger.shelf.errand import Errand, ProgressLine
from genretagger.shelf.index import Index
from genretagger.strict import read


def main() -> None:
    """Read from standard input which database, and where its data folder and its libraries are."""
    asked = read(Errand, json.loads(sys.stdin.read()))
    database: str | Path = asked.database if "://" in asked.database else Path(asked.database)
    if hasattr(os, "nice"):
        os.nice(10)
    libraries = {name: Path(folder) for name, folder in asked.libraries.items()}
    opened = Store.open(database, create=False, read_only=True, libraries=libraries)
    with opened as store, Index(Path(asked.data_dir)) as index:
        filling.refresh(store, index, progress=lambda done, of: _tell("reading the library", done, of))
        likeness.refresh(store.listings, index, progress=lambda done, of: _tell("comparing tracks", done, of))
        need.refresh(index)
    _tell("", 1, 1)


def _tell(what: str, done: int, of: int) -> None:
    sys.stdout.write(json.dumps(asdict(ProgressLine(what, done, of))) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
