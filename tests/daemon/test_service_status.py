"""What the service answers, and to whom."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import command_helpers as helpers
import pytest
from daemon_helpers import Watcher, command

from genretagger.causes import Cause
from genretagger.daemon.control import MOST_FOLLOWERS, Control, NoAnswer, ask, follow
from genretagger.daemon.state import ErrorState, PauseState, RootState, ServiceState
from genretagger.database.values import JobCounts
from genretagger.types import Json

STATE = ServiceState(
    pid=1, healthy=True, uptime_s=1.5, roots=(RootState("/music\udcff", "events", "", 3, False),),
    paused=(PauseState("/music", Cause.NO_SPACE, "no space is left"),), database="", settling=0, arrived=0, busy=(),
    engine=None, known=0, queue=JobCounts(0, 0, 0, 0), model="musicnn", per_minute=0.5, outcomes={"tagged": 1},
    counters={}, errors=(ErrorState("", None, Cause.BUG, "a bug"),), provider="",
)  # fmt: skip


def test_the_status_without_a_service(heard: Path) -> None:
    shown = json.loads(command("status", "--json", data_dir=heard))
    assert (shown["running"], shown["healthy"], shown["queue"]["new"]) == (False, False, 0)
    assert "not running" in command("status", data_dir=heard)
    assert ask(heard, "status") is NoAnswer.NOT_RUNNING
    assert command("retry", data_dir=heard) == "nothing is quarantined\n"


@pytest.mark.parametrize(
    "answer",
    [{}, [], None, "well", {"ok": True}, {"healthy": True, "pid": 1}, {**asdict(STATE), "pid": "1"},
     {**asdict(STATE), "paused": [{"path": "/music", "cause": "no space is left on the file system"}]},
     {**asdict(STATE), "errors": [{"at": "", "path": None, "cause": "the disk is full", "reason": ""}]}],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_an_answer_of_another_kind_is_none(heard: Path, answer: Json) -> None:
    """Such as that of a service of another version."""
    control = Control(heard, lambda _: answer)
    try:
        assert ask(heard, "status") is NoAnswer.SILENT
        assert list(follow(heard, threading.Event())) == []
        shown = json.loads(command("status", "--json", data_dir=heard))
        assert (shown["running"], shown["healthy"]) == (True, False)
        assert "if genretagger was updated, restart it" in command("status", data_dir=heard)
    finally:
        control.close()


def test_the_answer_is_a_state(heard: Path) -> None:
    control = Control(heard, lambda _: asdict(STATE))
    try:
        assert ask(heard, "status") == STATE
    finally:
        control.close()


@pytest.mark.slow
def test_the_status_of_a_service_that_hangs(heard: Path, music: Path) -> None:
    with Watcher(music, data_dir=heard) as watcher:
        watcher.wait_for("looked", why="start")  # the database is open, and at rest
        watcher.process.send_signal(signal.SIGSTOP)
        while helpers.state(watcher.process.pid) != "T":
            pass
        shown = json.loads(command("status", "--json", data_dir=heard))
        assert (shown["running"], shown["healthy"], shown["model"]) == (True, False, "musicnn-yamnet")
        assert "it runs but does not answer" in command("status", data_dir=heard)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("mode", [0o755, 0o700], ids=["an open folder", "a closed folder"])
def test_another_user_is_told_that_it_may_not_ask(heard: Path, music: Path, mode: int) -> None:
    script = """
        import os, sys
        import genretagger.config, genretagger.daemon.control, genretagger.database.store, genretagger.cli.output
        from genretagger.cli.main import main
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)  # only now, as this Python may lie where nobody else may look
        sys.argv[1:] = ["status"]
        main()
    """
    with Watcher(music, data_dir=heard) as watcher:
        heard.chmod(mode)
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            env={**os.environ, "GENRETAGGER_DATA_DIR": str(heard), "GENRETAGGER_CONFIG": os.devnull},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 2, done.stderr
        assert "the service runs as another user" in done.stderr
        assert "well" not in done.stdout + done.stderr
        assert watcher.status()["healthy"] is True


def test_a_follower_hears_what_changes(heard: Path, music: Path, song: bytes) -> None:
    """The state comes at once and after each change, until the service ends; nobody asks again."""
    end = threading.Event()
    with Watcher(music, data_dir=heard) as watcher:
        watcher.wait_for("looked", why="start")
        states = follow(heard, end)
        first = next(states)
        assert (first.pid, first.healthy, first.outcomes) == (watcher.process.pid, True, {})
        (music / "new.flac").write_bytes(song)
        seen = list(iter_until(states, lambda state: state.outcomes.get("tagged") == 1))
        assert isinstance(seen[-1].queue, JobCounts)
        watcher.stop()
        list(states)  # ends, as the service did


def iter_until(states: Iterator[ServiceState], good: Callable[[ServiceState], bool]) -> Iterator[ServiceState]:
    """The states up to the first good one."""
    for state in states:
        yield state
        if good(state):
            return


def test_followers_are_few_and_those_that_are_gone_make_room(heard: Path, music: Path) -> None:
    with Watcher(music, data_dir=heard) as watcher:
        watcher.wait_for("looked", why="start")
        end = threading.Event()
        for _ in range(3):
            crowd = [follow(heard, end) for _ in range(MOST_FOLLOWERS)]
            assert all(next(each).healthy for each in crowd)
            late = follow(heard, end)
            assert next(late).healthy
            assert list(late) == []  # answered once, and let go
            for each in crowd:
                each.close()  # type: ignore[attr-defined]
        assert watcher.status()["healthy"]
