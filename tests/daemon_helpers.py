"""A running `genretagger watch`, and waiting for what it says."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from queue import Empty, SimpleQueue

import command_helpers as helpers
import pytest

from genretagger.daemon.control import ask
from genretagger.daemon.state import ServiceState
from genretagger.database.values import WriteState
from genretagger.types import Json

WAIT_S = 60.0
QUIET_S = 0.4


class Watcher:
    """The real command, its log as JSON.

    Args:
        arguments: the folders, and options.
        data_dir: where its database and model lie.
        options: of the configuration.
        prefix: a command to start it by.
    """

    def __init__(
        self, *arguments: str | Path, data_dir: Path, prefix: tuple[str, ...] = (), **options: str | float
    ) -> None:
        self.data_dir = data_dir
        variables = {f"GENRETAGGER_{name.upper()}": str(value) for name, value in options.items() if name.islower()}
        plain = {name: str(value) for name, value in options.items() if name.isupper()}
        defaults = {
            "QUIET_S": QUIET_S,
            "LOG_FORMAT": "json",
            "LOG_LEVEL": "debug",
            "RETRY_S": 0.2,
            "JOBS": 1,
            "THREADS": 1,
        }
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "genretagger", "watch", *arguments],
            env={
                **os.environ,
                **{f"GENRETAGGER_{name}": str(value) for name, value in defaults.items()},
                "GENRETAGGER_DATA_DIR": str(data_dir),
                **variables,
                **plain,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self.log: list[Json] = []
        self._lines: SimpleQueue[Json | None] = SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            for line in stream:
                try:
                    self._lines.put(json.loads(line))
                except ValueError:
                    self._lines.put({"event": "text", "text": line.decode("utf-8", "replace").rstrip()})
        self._lines.put(None)

    def __enter__(self) -> Watcher:
        self.wait_for("watching")
        return self

    def __exit__(self, *_: object) -> None:
        said = self.status() or {}
        engine = said.get("engine")  # it may have ended, or be about to
        if self.process.poll() is None:
            service = said.get("pid", self.process.pid)  # which another command may have started, such as strace
            with contextlib.suppress(ProcessLookupError):
                os.kill(service, signal.SIGCONT)
                os.kill(service, signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
        if engine is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(engine, signal.SIGKILL)
        self.process.wait()
        self._reader.join(WAIT_S)

    def wait_for(self, event: str, *, within_s: float = WAIT_S, **details: Json) -> Json:
        """Wait for an event with these details."""
        wanted = {"event": event, **{name: str(value) for name, value in details.items()}}
        while True:
            try:
                line = self._lines.get(timeout=within_s)
            except Empty:
                raise AssertionError(f"no {wanted} in {self.log}") from None
            if line is None:
                raise AssertionError(f"ended without {wanted}: {self.log}")
            self.log.append(line)
            if all(str(line.get(name)) == value for name, value in wanted.items()):
                return line

    def wait_for_all(self, event: str, paths: set[Path]) -> None:
        """Wait for an event for each of some paths."""
        left = {str(path) for path in paths} - {line.get("path") for line in self.log if line["event"] == event}
        while left:
            left.discard(self.wait_for(event)["path"])

    def status(self) -> Json:
        """What it says of itself."""
        state = ask(self.data_dir, "status")
        return asdict(state) if isinstance(state, ServiceState) else {}

    def until(self, name: str, least: int) -> None:
        """Wait for a counter of its own."""
        self.until_it(lambda status: status["counters"].get(name, 0) >= least)

    def until_it(self, is_so: Callable[[Json], bool]) -> None:
        """Wait until its status is as wanted."""
        deadline = threading.Event()
        timer = threading.Timer(WAIT_S, deadline.set)
        timer.start()
        try:
            while not is_so(status := self.status()):
                assert not deadline.wait(0.02), status
        finally:
            timer.cancel()

    def seen(self, event: str) -> list[Json]:
        """The events of this name so far."""
        with contextlib.suppress(Empty):
            while (line := self._lines.get_nowait()) is not None:
                self.log.append(line)
        return [line for line in self.log if line["event"] == event]

    def stop(self) -> int:
        """Ask it to end, and give its exit status."""
        self.process.terminate()
        return self.process.wait(20)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()


def tagged_once(data_dir: Path, songs: set[Path]) -> None:
    """Assert that the history has one write for each file, and each file its written genres."""
    written = [write for write in helpers.writes(data_dir) if write.state is WriteState.DONE]
    assert Counter(write.path for write in written) == Counter(dict.fromkeys(songs, 1))
    for write in written:
        assert helpers.genres_of(write.path) == list(write.after.values) != []


def in_a_namespace(script: str, *arguments: str | Path, mounts: bool = False, mapped: bool = True) -> str:
    """Run a Python script as root of its own user namespace, or as real root (`mapped=False`)."""
    command = [
        "unshare",
        *(["--map-root-user"] if mapped else []),
        *(["--mount"] if mounts else []),
        sys.executable,
        "-c",
    ]
    paths = [str(Path(__file__).parents[0]), str(Path(__file__).parents[1])]
    try:
        done = subprocess.run(
            [*command, textwrap.dedent(script), *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            timeout=110,
        )
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if done.returncode == 77 or done.stderr.startswith("unshare:"):
        pytest.skip("namespaces cannot be had here")
    assert done.returncode == 0, done.stderr
    return done.stdout


def command(*arguments: str | Path, data_dir: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "genretagger", *arguments],
        env={**os.environ, "GENRETAGGER_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout
