"""A command that the tests start by a fork is like one that a new interpreter runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import command_helpers as helpers
import pytest
from forked import Starter

from genretagger.cli.main import COMMANDS
from genretagger.types import Json

Ways = Callable[..., Iterator[Any]]

COMMAND = [sys.executable, "-m", "genretagger"]

REAL = [
    ("tag --dry-run SONG", 0),
    ("show SONG", 0),
    ("similar SONG.gone", 2),  # or it would spend seconds on an index
    ("picture SONG", 0),
    ("status", 1),
    ("retry", 0),
    ("apply SONG", 2),
    ("archive SONG", 2),
    ("undo --last", 2),
    ("redo --last", 2),
    ("history", 0),
    ("export", 0),
    ("train SONG", 2),
    ("evaluate SONG", 2),
    ("doctor", 0),
    ("serve --hash-password", 0),
    ("service uninstall", 2),
    ("models list", 0),
    ("config show", 0),
]
ELSEWHERE = {"watch"}
"""It starts for real in daemon/test_service_signals.py."""

PROBE = """
import json, os, resource, signal, sys, threading, warnings

def is_open(number):
    try:
        return bool(os.fstat(number))
    except OSError:
        return False

streams = (sys.stdin, sys.stdout, sys.stderr)
if "wait" in sys.argv:
    print("waiting", flush=True)
    signal.pause()
mask = os.umask(0)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({
    "argv": sys.argv, "orig_argv": sys.orig_argv, "path": sys.path, "flags": list(sys.flags),
    "warnings": [[str(part) for part in each] for each in warnings.filters], "options": sys.warnoptions,
    "executable": sys.executable, "name": __name__, "package": __package__, "file": __file__,
    "environment": dict(os.environ), "folder": os.getcwd(), "mask": mask,
    "streams": [[s.fileno(), s.encoding, s.errors, s.line_buffering, s.isatty(), s.mode, s.name, s.newlines,
                 s.write_through, s is getattr(sys, name), s is getattr(sys, f"__{name}__"), type(s.buffer).__name__]
                for s, name in zip(streams, ("stdin", "stdout", "stderr"))],
    "descriptors": [number for number in map(int, os.listdir("/proc/self/fd")) if is_open(number)],
    "parent": os.getppid(), "session": os.getsid(0),
    "group": "its own" if os.getpgid(0) == os.getpid() else os.getpgid(0),
    "signals": [status["SigIgn"], status["SigBlk"], *(str(signal.getsignal(n)) for n in signal.valid_signals())],
    "limits": [resource.getrlimit(number) for number in range(16)],
    "user": [os.getresuid(), os.getresgid(), os.getgroups()],
    "threads": threading.active_count(), "thread": threading.current_thread().name,
    "ours": sorted(name for name in sys.modules if name.partition(".")[0] == "genretagger"),
    "said": sys.stdin.read(),
}))
sys.exit(7)
"""


@pytest.fixture
def probe(tmp_path: Path) -> Path:
    """A folder in which `python -m genretagger` tells what it finds."""
    (tmp_path / "probe" / "genretagger").mkdir(parents=True)
    (tmp_path / "probe" / "genretagger" / "__init__.py").touch()
    (tmp_path / "probe" / "genretagger" / "__main__.py").write_text(PROBE)
    return tmp_path / "probe"


@pytest.fixture
def both(starter: Starter) -> Ways:
    """Gives what a function gives with a fork, and what it gives with a new interpreter."""
    if sys.platform != "linux" or os.environ.get("REAL_STARTS"):
        pytest.skip("no forks here")

    def ways(run: Callable[[], Any]) -> Iterator[Any]:
        for paused in (False, True):
            starter.paused = paused
            before = starter.forks
            yield run()
            assert (starter.forks > before) is not paused

    return ways


@pytest.mark.parametrize("group", [None, 0])
def test_it_finds_what_a_new_interpreter_finds(both: Ways, probe: Path, group: int | None) -> None:
    fewer = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}

    def run() -> Json:
        ended = subprocess.run(
            [*COMMAND, "a", b"\xff", ""],
            cwd=probe,
            env={**fewer, "GENRETAGGER_ODD": "1", "XDG_DATA_HOME": "\udcfe"},
            input="said\r\n",
            capture_output=True,
            text=True,
            process_group=group,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (7, "")
        return json.loads(ended.stdout)

    old = os.umask(0o027)
    try:
        forked, real = both(run)
    finally:
        os.umask(old)
    assert forked["parent"] == os.getpid()
    assert (forked["group"] == "its own") is (group == 0)
    filters = real.pop("warnings")
    assert forked.pop("warnings")[-len(filters) :] == filters, "NumPy adds some in front"
    assert forked == real


def test_a_script_is_like_one_that_starts(both: Ways, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("plugins: inside\npluginpath: PLUGINS\n".replace("PLUGINS", str(tmp_path)))
    (tmp_path / "inside.py").write_text(
        "import sys\nfrom beets.plugins import BeetsPlugin\n"
        "class Inside(BeetsPlugin):\n    def __init__(self):\n        super().__init__()\n"
        "        main = sys.modules['__main__']\n"
        "        print(sys.argv, sys.orig_argv, sys.path, main.__name__, main.__file__)\n"
        "        print(sorted(name for name in sys.modules if name.partition('.')[0] == 'genretagger'))\n"
    )

    def run() -> tuple[int, str, str]:
        ended = subprocess.run(
            [Path(sys.executable).with_name("beet"), "list", "nothing"],
            env={**os.environ, "BEETSDIR": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return ended.returncode, ended.stdout, ended.stderr

    run()  # the first makes its database
    forked, real = both(run)
    assert forked == real
    assert (forked[0], "beet" in forked[1]) == (0, True)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_it_finds_the_terminal(both: Ways, probe: Path, stream: str) -> None:
    def run() -> Json:
        ours, its = os.openpty()
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, stream: its}
        with subprocess.Popen(COMMAND, cwd=probe, env=dict(os.environ), stdin=its, **streams) as process:  # type: ignore[call-overload]
            os.close(its)
            os.write(ours, b"\x04")
            piped = b"" if process.stdout is None else process.stdout.read()
            shown = os.read(ours, 65536) if stream == "stdout" else b""
            while shown and not shown.endswith(b"}\r\n"):
                shown += os.read(ours, 65536)
        os.close(ours)
        found: dict[str, Json] = json.loads(piped or shown)
        del found["warnings"]
        return found

    forked, real = both(run)
    assert forked == real


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGHUP])
def test_signals_end_it(both: Ways, probe: Path, number: signal.Signals) -> None:
    def run() -> tuple[int, bytes]:
        pipe = subprocess.PIPE
        command = [*COMMAND, "wait"]
        with subprocess.Popen(command, cwd=probe, env=dict(os.environ), stdout=pipe, stderr=pipe) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"waiting\n"
            assert process.poll() is None
            process.send_signal(number)
            said = process.communicate(timeout=helpers.WAIT_S)[1]
        return process.returncode, said.strip().rpartition(b"\n")[2]

    forked, real = both(run)
    assert forked == real
    assert forked[0] == -number


def test_a_folder_that_is_gone(both: Ways, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> tuple[int, str]:
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        command = [*COMMAND, "export", "-o", "list.csv"]
        ended = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False)
        return ended.returncode, ended.stderr

    forked, real = both(run)
    assert forked == real
    assert forked[0] == 2


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ([sys.executable, "-P", "-m", "genretagger"], {}),
        (["python3", "-m", "genretagger"], {}),
        ([sys.executable, "-m", "genretagger.worker"], {}),
        ([sys.executable, "-P", "-m", "genretagger.worker"], {}),
        (COMMAND, {"env": {"PYTHONPATH": "/nowhere"}}),
        (COMMAND, {"env": {**os.environ, "HOME": "/nowhere"}}),
        (COMMAND, {"env": {**os.environ, "LC_ALL": "C"}}),
        (COMMAND, {"env": {**os.environ, "OPENBLAS_NUM_THREADS": "1"}}),
        (COMMAND, {"env": {}}),
        (COMMAND, {"env": None}),
        (COMMAND, {"start_new_session": True}),
        (COMMAND, {"process_group": os.getpgid(0) if hasattr(os, "getpgid") else None}),
        (COMMAND, {"preexec_fn": lambda: None}),
        (COMMAND, {"pass_fds": [0]}),
        (COMMAND, {"umask": 0o077}),
        (COMMAND, {"user": os.getuid() if hasattr(os, "getuid") else None}),
        (COMMAND, {"executable": sys.executable}),
    ],
)
def test_what_is_out_of_the_ordinary_starts_for_real(
    starter: Starter, command: list[str], options: dict[str, Any]
) -> None:
    before = starter.forks
    plain = {"env": dict(os.environ), "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    subprocess.run([*command, "--version"], check=False, **{**plain, **options})
    assert starter.forks == before


@pytest.mark.real_starts
@pytest.mark.parametrize(("command", "status"), REAL)
def test_each_command_starts_for_real(
    starter: Starter, heard: Path, song: bytes, tmp_path: Path, command: str, status: int
) -> None:
    """Each imports its libraries itself, without a warning, and takes them down without a word."""
    path = tmp_path / "song.flac"
    path.write_bytes(song)
    before = starter.forks
    ended = subprocess.run(
        [sys.executable, "-W", "error", *COMMAND[1:], *command.replace("SONG", str(path)).split()],
        env={**os.environ, "GENRETAGGER_DATA_DIR": str(heard), "GENRETAGGER_JOBS": "1"},
        input="secret\nsecret\n",
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=100,
        check=False,
    )
    assert ended.returncode == status, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Warning" not in ended.stderr
    assert starter.forks == before


def test_no_command_is_left_out() -> None:
    assert {command.partition(" ")[0] for command, _ in REAL} | ELSEWHERE == set(COMMANDS)
