"""The user's command after a write, with real programs that behave and misbehave."""

from __future__ import annotations

import os
import resource
import signal
import sys
from pathlib import Path
from queue import SimpleQueue

import pytest

from genretagger.daemon.hook import Hook

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the programs are shell scripts")

ODD = Path("/music/-rf $(x) `y` \n\udcff [/].flac")


@pytest.fixture
def answer(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "answers")
    return tmp_path / "answers"


@pytest.fixture
def failed() -> SimpleQueue[tuple[Path, str]]:
    return SimpleQueue()


@pytest.fixture
def hook(failed: SimpleQueue[tuple[Path, str]]) -> Hook:
    return Hook(lambda path, fault: failed.put((path, fault)), time_limit_s=30)


def program(folder: Path, text: str) -> list[str]:
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return [str(path)]


def test_no_shell_reads_the_arguments(hook: Hook, answer: Path, tmp_path: Path) -> None:
    command = program(tmp_path, f'exec printf "%s|" "$@" > "{answer}"')
    hook.run([*command, "an option"], ODD, ["Drum and Bass", "$HOME"])
    assert answer.read_bytes() == b"an option|" + os.fsencode(ODD) + b"|Drum and Bass|$HOME|"


def test_the_service_managers_socket_is_not_for_the_command(
    hook: Hook, answer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "@nowhere")
    hook.run(program(tmp_path, f'echo "[$NOTIFY_SOCKET]" > "{answer}"'), ODD, [])
    assert answer.read_text() == "[]\n"


def test_what_a_command_leaves_running_keeps_nobody_waiting(
    hook: Hook, failed: SimpleQueue[tuple[Path, str]], answer: Path, tmp_path: Path
) -> None:
    command = program(tmp_path, f'sleep 600 & echo $! > "{answer}"')
    left = []
    for _ in range(3):  # the next one runs while the sleepers hold the standard errors of those before
        hook.run(command, ODD, [])
        left.append(int(answer.read_text()))
    for process_id in left:
        os.kill(process_id, signal.SIGKILL)
    assert failed.empty()


def test_a_command_that_says_too_much(hook: Hook, failed: SimpleQueue[tuple[Path, str]], tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    hook.run(program(tmp_path, "head -c 300000000 /dev/zero >&2; echo >&2; echo the last word >&2; exit 3"), ODD, [])
    assert failed.get(timeout=60) == (ODD, "it ended with status 3: the last word")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_a_command_that_hangs_ends_with_all_that_it_started(
    failed: SimpleQueue[tuple[Path, str]], answer: Path, tmp_path: Path
) -> None:
    hook = Hook(lambda path, fault: failed.put((path, fault)), time_limit_s=0.5)
    hook.run(program(tmp_path, f'exec 3> "{answer}"; sleep 600; echo never'), ODD, [])
    assert answer.read_text() == ""  # nobody holds the other end any more
    assert failed.get(timeout=60) == (ODD, "it took longer than 0.5 s")


@pytest.mark.parametrize("command", [["/nowhere/at/all"], ["/"], ["a\0b"]])
def test_a_command_that_cannot_be_started(
    hook: Hook, failed: SimpleQueue[tuple[Path, str]], command: list[str]
) -> None:
    hook.run(command, ODD, [])
    assert failed.get(timeout=60)[0] == ODD
