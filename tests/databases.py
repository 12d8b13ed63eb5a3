"""Databases for tests: whatever asks for `place` or `vacant` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from postgres_server import Server, serve
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from genretagger.database.store import Store

SLOW_ON_POSTGRESQL = pytest.mark.parametrize(
    "engine_name", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)
"""For a test that takes seconds there: `make test-all` runs it."""


@dataclass(frozen=True)
class Place:
    """Where a database lies.

    Attributes:
        address: an SQLite file, or the address of a database of a server.
    """

    address: Path | str

    @property
    def path(self) -> Path:
        """Its file, for what only SQLite has."""
        assert isinstance(self.address, Path)
        return self.address

    @property
    def is_file(self) -> bool:
        """Whether it is an SQLite file."""
        return isinstance(self.address, Path)

    def open(self, **options: Any) -> Store:
        """Open it as genretagger does."""
        return Store.open(self.address, **options)

    def execute(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        """Run plain SQL behind genretagger's back, without checks of foreign keys; gives rows."""
        url = f"sqlite:///{self.address}" if self.is_file else str(self.address)
        engine = create_engine(url, poolclass=NullPool)
        with engine.begin() as connection:
            if not self.is_file:
                connection.execute(text("SET session_replication_role = replica"))
            found = connection.execute(text(statement), values)
            return [tuple(row) for row in found] if found.returns_rows else []


@functools.cache
def empty_database() -> bytes:
    """An SQLite file with all tables and no rows: the migrations take a tenth of a second."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "library.sqlite3"
        Store.open(path).close()
        return path.read_bytes()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server of this test process."""
    with serve() as server:
        if isinstance(server, str):
            pytest.skip(server)
        yield server


@pytest.fixture(scope="session")
def template(postgres: Server) -> str:
    """Name of a database with genretagger's tables, to copy."""
    postgres.execute("CREATE DATABASE empty")
    Store.open(postgres.address("empty")).close()
    return "empty"


@pytest.fixture(params=["sqlite", "postgresql"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """Name of the database engine that the test runs on."""
    name: str = request.param
    return name


@pytest.fixture
def vacant(engine_name: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A place for a database in which there is none yet."""
    if engine_name == "sqlite":
        yield Place(tmp_path / "library.sqlite3")
        return
    server: Server = request.getfixturevalue("postgres")
    with server.database() as address:
        yield Place(address)


@pytest.fixture
def place(engine_name: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A new database with all tables."""
    if engine_name == "sqlite":
        path = tmp_path / "library.sqlite3"
        path.write_bytes(empty_database())
        yield Place(path)
        return
    server: Server = request.getfixturevalue("postgres")
    with server.database(request.getfixturevalue("template")) as address:
        yield Place(address)
