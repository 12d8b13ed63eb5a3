"""A real server for the page, as a process of its own, and plain requests to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

for _name in ("starlette", "uvicorn"):  # the message says what is left out
    pytest.importorskip(_name, reason="the extra `web` is not installed, so the page is not tested")

WAIT_S = 60
PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Server:
    """A running server."""

    process: subprocess.Popen[str]
    port: int
    data_dir: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Answer:
        """One request; a header that is None is not sent."""
        sent: dict[str, str | None] = {"Host": f"127.0.0.1:{self.port}", **(headers or {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def post(self, path: str, value: Any, *, headers: Mapping[str, str | None] | None = None) -> Answer:
        """What the page's own script sends."""
        own: dict[str, str | None] = {"Origin": self.address, "Content-Type": "application/json", **(headers or {})}
        return self.ask(path, method="POST", body=json.dumps(value).encode(), headers=own)

    def tracks(self, count: int, **parameters: str) -> list[dict[str, Any]]:
        """The rows of the library, when the index holds so many."""
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return self.until(lambda: self.ask(f"/api/tracks?{query}").json, lambda reply: reply["total"] == count)["rows"]  # type: ignore[no-any-return]

    def until(self, look: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
        """What is seen when it is as wanted."""
        deadline = time.monotonic() + WAIT_S
        while not good(seen := look()):
            assert time.monotonic() < deadline, seen
            time.sleep(0.1)
        return seen

    @property
    def memory_mb(self) -> float:
        """What the server itself holds."""
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmRSS:\s+(\d+) kB", text)
        assert found is not None
        return int(found[1]) / 1024


@contextlib.contextmanager
def serving(data_dir: Path, *options: str, **environment: str) -> Iterator[Server]:
    """Run `genretagger serve` for a data folder."""
    settings = {"GENRETAGGER_DATA_DIR": str(data_dir), "GENRETAGGER_DEVICE": "cpu", "GENRETAGGER_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "genretagger", "serve", "--port", "0", *options],
        env={**os.environ, **settings, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.search(r"http://[^/]*:(\d+)/", line)
        assert found is not None, line + process.stderr.read()
        yield Server(process, int(found[1]), data_dir)
    finally:
        process.terminate()
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise


@contextlib.contextmanager
def empty_library(folder: Path) -> Iterator[Server]:
    """A server for an empty library, without the configuration of the person who tests."""
    nowhere = str(folder / "no-config")
    with serving(folder / "data", XDG_CONFIG_HOME=nowhere, XDG_DATA_HOME=nowhere) as running:
        yield running
