"""Signals at any moment, and a log that nobody reads."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import command_helpers as helpers
import pytest
from daemon_helpers import tagged_once

from genretagger.daemon.control import ask
from genretagger.daemon.state import ServiceState

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes through /proc"),
    pytest.mark.real_starts,  # signals come while Python starts, too
]

STARTS_WITHIN_S = 30.0
ENDS_WITHIN_S = 10.0


@contextlib.contextmanager
def watching(
    music: Path,
    data_dir: Path,
    stderr: IO[bytes] | int,
    start: Sequence[str] = ("-m", "genretagger"),
    **environment: str,
) -> Iterator[subprocess.Popen[bytes]]:
    variables = {
        "GENRETAGGER_DATA_DIR": str(data_dir),
        "GENRETAGGER_QUIET_S": "0.2",
        "GENRETAGGER_LOG_LEVEL": "debug",
        "GENRETAGGER_JOBS": "1",
        **environment,
    }
    command = [sys.executable, *start, "watch", str(music)]
    environment = {**os.environ, **variables}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=stderr) as process:
        try:
            yield process
        finally:
            process.kill()


def until(true: Callable[[], object], within_s: float = STARTS_WITHIN_S) -> None:
    """Wait for something that causes no event."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def our_handlers(process_id: int) -> set[int]:
    """Which signals a process handles or ignores, as the kernel knows it."""
    status = Path(f"/proc/{process_id}/status").read_text("utf-8")
    masks = [int(mask, 16) for mask in re.findall(r"^Sig(?:Cgt|Ign):\s*(\w+)", status, re.M)]
    return {number for number in range(1, 32) if any(mask >> (number - 1) & 1 for mask in masks)}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_in_the_first_moment_ends_it_with_status_0(heard: Path, music: Path, number: int) -> None:
    with watching(music, heard, subprocess.PIPE) as process:
        assert process.stderr is not None
        until(lambda: {signal.SIGTERM, signal.SIGHUP} <= our_handlers(process.pid))
        process.send_signal(number)
        assert process.wait(ENDS_WITHIN_S) == 0
        assert process.stderr.read() == b""


def test_the_handlers_come_before_anything_heavy() -> None:
    """The same in slow motion: what Python has imported before we handle the signals."""
    script = """
        import sys
        from genretagger.daemon import early
        early.take_signals(["watch"])
        print(*sys.modules)
    """
    lines = "\n".join(line.strip() for line in script.splitlines())
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    heavy = {"typer", "sqlalchemy", "watchdog", "numpy", "pydantic", "threading", "genretagger.config"}
    assert heavy.isdisjoint(done.stdout.split())


def test_a_hang_up_in_the_first_moment_does_not_kill(heard: Path, music: Path, song: bytes) -> None:
    (music / "1.flac").write_bytes(song)
    with watching(music, heard, subprocess.PIPE, GENRETAGGER_LOG_FORMAT="text") as process:
        assert process.stderr is not None
        until(lambda: signal.SIGHUP in our_handlers(process.pid))
        process.send_signal(signal.SIGHUP)
        for line in process.stderr:
            if b"configuration loaded" in line:  # the signal was kept until it could be obeyed
                break
        until(lambda: helpers.genres_of(music / "1.flac"))
        process.terminate()
        assert b"stopped" in process.stderr.read()
        assert process.wait(ENDS_WITHIN_S) == 0


def test_a_hang_up_while_the_service_takes_over_the_signals_is_not_lost(heard: Path, music: Path) -> None:
    script = """
        import os, signal
        from genretagger import __main__
        from genretagger.daemon import early
        def asked():
            os.kill(os.getpid(), signal.SIGHUP)
            return False
        early.was_asked_to_reload = asked
        __main__.main()
    """
    start = ("-c", textwrap.dedent(script))
    with watching(music, heard, subprocess.PIPE, start, GENRETAGGER_LOG_FORMAT="text") as process:
        assert process.stderr is not None
        assert any(b"configuration loaded" in line for line in process.stderr)
        process.terminate()
        process.stderr.read()
        assert process.wait(ENDS_WITHIN_S) == 0


def test_a_log_that_nobody_reads_stops_nothing(heard: Path, music: Path, song: bytes) -> None:
    """Standard error is a full pipe of 4 kB: music is tagged, `status` answers, SIGTERM ends it."""
    import fcntl

    reader, writer = os.pipe()
    try:
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        os.write(writer, b"x" * 4096)
        with watching(music, heard, writer) as process:
            until(lambda: isinstance(ask(heard, "status"), ServiceState))
            for number in range(3):
                (music / f"{number}.flac").write_bytes(song)
            until(lambda: all(helpers.genres_of(path) for path in music.glob("[0-9].flac")))
            state = ask(heard, "status")
            assert isinstance(state, ServiceState)
            assert state.healthy
            process.terminate()
            assert process.wait(ENDS_WITHIN_S) == 0
    finally:
        os.close(reader)
        os.close(writer)
    tagged_once(heard, set(music.glob("*.flac")))
