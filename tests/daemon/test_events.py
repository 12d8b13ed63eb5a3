"""The log: one line for each event, with any file name, for people, programs and the journal."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from genretagger.daemon.events import MOST_LINES, Events

ODD = Path('/music/two\nlines \x1b[31m \u202e \udcff "q" a=b.mp3')


@pytest.fixture(autouse=True)
def _no_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may be a service."""
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)


def logged(events: Events, capfd: pytest.CaptureFixture[str]) -> str:
    """What some events have written to standard error."""
    events.close(10)
    return capfd.readouterr().err


def test_a_line_for_people(capfd: pytest.CaptureFixture[str]) -> None:
    events = Events()
    events.info("tagged", path=Path("/music/a b.mp3"), genres=["Jazz", "Bop"], seconds=2.9812, files=12, plain="x")
    assert re.fullmatch(
        r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} info tagged path="/music/a b\.mp3" genres="Jazz, Bop" '
        r"seconds=2\.98 files=12 plain=x\n",
        logged(events, capfd),
    )


def test_a_name_cannot_forge_a_line_nor_a_field(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{stream.st_dev}:{stream.st_ino}")  # as systemd does
    events = Events()
    events.warning("failed", path=ODD, cause="none")
    line = logged(events, capfd)
    assert line.count("\n") == 1
    assert line.isascii()
    assert line == '<4>failed path="/music/two\\nlines \\x1b[31m \\u202e \\xff \\"q\\" a=b.mp3" cause=none\n'


def test_a_line_for_programs_gives_the_exact_path(capfd: pytest.CaptureFixture[str]) -> None:
    events = Events(form="json")
    events.error("failed", path=ODD, numbers=[1, 2])
    text = logged(events, capfd)
    line = json.loads(text)
    assert Path(line.pop("path")) == ODD
    assert line.pop("at")
    assert line == {"level": "error", "event": "failed", "numbers": [1, 2]}
    assert text.isascii()


@pytest.mark.parametrize(("level", "lines"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_levels(level: str, lines: int, capfd: pytest.CaptureFixture[str]) -> None:
    events = Events(level)
    for say in (events.debug, events.info, events.warning, events.error):
        say("event")
    assert logged(events, capfd).count("\n") == lines


@pytest.mark.parametrize("place", ["2>/dev/full", "2>&-"])
def test_a_log_that_cannot_be_written_stops_nothing(place: str) -> None:
    script = """
        from genretagger.daemon.events import Events
        events = Events()
        events.error("event")
        events.close(60)
        events.error("another event")
        events.close(60)
        print("done")
    """
    command = ["sh", "-c", f'exec "$@" {place}', "sh", sys.executable, "-c", textwrap.dedent(script)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "done\n"


def test_nobody_waits_for_a_log_that_nobody_reads() -> None:
    """Lines that fit are kept, others are counted, and the count is logged once somebody reads."""
    script = """
        import sys
        from genretagger.daemon.events import Events
        events = Events()
        for number in range(5000):
            events.info("line", number=number, text="x" * 200)
        print("done", flush=True)
        sys.stdin.read()
        events.info("later")
        events.close(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "done\n"
        read = []
        for line in process.stderr:
            read.append(line)
            if "log lines were dropped" in line and not process.stdin.closed:
                process.stdin.close()
        kept = [int(match[1]) for line in read if (match := re.search(r" number=(\d+) ", line))]
        dropped = [int(match[1]) for line in read if (match := re.search(r" count=(\d+) ", line))]
        assert MOST_LINES <= len(kept) < 5000
        assert kept == sorted(set(kept))
        assert len(kept) + sum(dropped) == 5000  # logged in several parts if the queue ran empty in between
        assert read[-1].split()[-1] == "later"


def test_a_full_pipe_does_not_keep_the_process_from_ending() -> None:
    script = """
        from genretagger.daemon.events import Events
        events = Events()
        for number in range(5000):
            events.info("line", number=number, text="x" * 200)
        events.close(0.1)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stderr=subprocess.PIPE) as process:
        try:
            assert process.wait(30) == 0
        finally:
            process.kill()
