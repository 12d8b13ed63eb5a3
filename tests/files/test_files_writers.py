"""Programs that have a file open for writing while it is replaced lose no edit silently."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
from files_helpers import NAME, NEW, OLD, anything, at, cannot_exchange, make_song, names, run

from genretagger.errors import FileBusyError, FileChangedError
from genretagger.files import swap, system
from genretagger.files.system import is_being_written

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has leases")

EDIT = b"an edit by somebody else"
EDITOR = f"""
import sys
sys.stdin.readline()
with open(sys.argv[1], "r+b") as file:
    print("opened", flush=True)
    sys.stdin.readline()
    file.write({EDIT!r})
print("written", flush=True)
"""


class Editor:
    """A program that opens a file for writing, holds it, and writes to it on request."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", EDITOR, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def begin_to_open(self) -> None:
        """Let it open the file, which may have to wait for somebody."""
        self._tell()

    def open(self) -> None:
        """Let it open the file."""
        self.begin_to_open()
        self.wait_for("opened")

    def write(self) -> None:
        """Let it write and close the file."""
        self._tell()
        self.wait_for("written")

    def wait_for(self, word: str) -> None:
        """Wait until it has done that."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == word + "\n"

    def _tell(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()


BUSY_EDITOR = """
import sys
lost = 0
for number in range(1000):
    edit = b"%020d" % number
    with open(sys.argv[1], "r+b", buffering=0) as file:
        for _ in range(100):  # what is to be done there, and the time that it takes
            file.seek(0)
            file.read()
        file.seek(0)
        file.write(edit)
    with open(sys.argv[1], "rb") as file:
        lost += file.read(20) != edit
print(lost)
"""


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return make_song(tmp_path)


@pytest.fixture
def editor(song: Path) -> Iterator[Editor]:
    program = Editor(song)
    yield program
    program.close()


@pytest.fixture(params=["exchange", "rename"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to swap: as this system does it, and as one that cannot exchange names."""
    if request.param == "rename":
        cannot_exchange(monkeypatch)
    return str(request.param)


def edited(song: Path) -> None:
    """Assert that the edit is in the file, and that nothing is left over."""
    assert song.read_bytes() == EDIT + OLD[len(EDIT) :]
    assert names(song.parent) == {"song.mp3"}


BEFORE_LEASE = swap.STEPS[: swap.STEPS.index("compared")]


@pytest.mark.parametrize("step", ["before", *BEFORE_LEASE])
def test_a_file_that_a_program_holds_is_left_to_it(song: Path, editor: Editor, step: str, way: str) -> None:
    if step == "before":
        editor.open()
    with pytest.raises(FileBusyError, match="open for writing"):
        run(song, step=at(step, editor.open))
    editor.write()  # long after the swap would have taken place
    edited(song)
    run(song, check=anything)
    assert song.read_bytes() == NEW


def test_who_holds_it_from_the_start_costs_no_copy(song: Path, editor: Editor) -> None:
    editor.open()
    done: list[str] = []
    with pytest.raises(FileBusyError):
        run(song, step=done.append)
    assert done == []


@pytest.fixture
def asked() -> Iterator[threading.Event]:
    """Is set when the kernel says that somebody waits until we release a file."""
    event = threading.Event()

    def handler(_: int, __: FrameType | None) -> None:
        event.set()

    before = signal.signal(signal.SIGURG, handler)
    yield event
    signal.signal(signal.SIGURG, before)


def test_who_opens_it_just_before_the_swap_gets_the_original(
    song: Path, editor: Editor, asked: threading.Event, way: str
) -> None:
    def begin() -> None:
        editor.begin_to_open()
        assert asked.wait(20)

    with pytest.raises(FileBusyError):
        run(song, step=at("compared", begin))
    editor.wait_for("opened")
    editor.write()
    edited(song)


@pytest.mark.parametrize("step", ["swapped", "confirmed", "folder-synced"])
def test_who_was_on_the_way_to_the_original_gets_it_back(song: Path, step: str) -> None:
    """A path is looked up before it is opened; in between, the original can get its other name."""

    def arrive() -> None:
        with pytest.raises(BlockingIOError):
            os.open(song.with_name(NAME), os.O_WRONLY | os.O_NONBLOCK)

    with pytest.raises(FileBusyError):
        run(song, step=at(step, arrive))
    assert song.read_bytes() == OLD
    assert names(song.parent) == {"song.mp3"}


def test_a_rename_is_not_taken_back(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is not reported as lost: the history must know that the write took place."""
    cannot_exchange(monkeypatch)

    with song.open("rb") as same:

        def arrive() -> None:
            with pytest.raises(BlockingIOError):
                os.open(f"/proc/self/fd/{same.fileno()}", os.O_WRONLY | os.O_NONBLOCK)

        run(song, step=at("swapped", arrive))
    assert song.read_bytes() == NEW


def test_a_program_that_edits_all_the_time_loses_nothing(song: Path) -> None:
    """Without the lease, some edits were lost here every time."""
    command = [sys.executable, "-c", BUSY_EDITOR, str(song)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as editing:
        while editing.poll() is None:
            with contextlib.suppress(FileChangedError):
                run(song, edit=lambda file: file.seek(-1, os.SEEK_END) and file.write(b"!"), check=anything)
        assert editing.stdout is not None
        assert editing.stdout.read() == "0\n"
    run(song, edit=lambda file: file.seek(-1, os.SEEK_END) and file.write(b"?"), check=anything)
    assert song.read_bytes() == b"%020d" % 999 + OLD[20:-1] + b"?"


@pytest.mark.parametrize("step", swap.STEPS)
def test_who_only_reads_disturbs_nobody(song: Path, step: str, way: str) -> None:
    with song.open("rb") as before:
        run(song, step=at(step, song.read_bytes))
        assert before.read() == OLD
    assert song.read_bytes() == NEW


@pytest.mark.parametrize("step", swap.STEPS)
@pytest.mark.parametrize("ending", [None, KeyboardInterrupt], ids=["done", "interrupted"])
def test_nobody_waits_for_us_afterwards(song: Path, step: str, ending: type[BaseException] | None) -> None:
    def end() -> None:
        if ending is not None:
            raise ending

    with song.open("rb") as same:  # the original, even if its name changes
        try:
            run(song, step=at(step, end))
        except KeyboardInterrupt:
            assert ending is not None
        os.close(os.open(f"/proc/self/fd/{same.fileno()}", os.O_WRONLY | os.O_NONBLOCK))


def test_where_the_system_gives_no_lease_it_goes_on(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "_take_lease", lambda _: None)
    run(song)
    assert song.read_bytes() == NEW


def test_where_a_refusal_tells_nothing_it_goes_on(song: Path, editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on NFS and SMB, which may refuse a lease; what was written until then is still noticed."""
    monkeypatch.setattr(system, "_refuses_at_will", lambda _: True)
    editor.open()
    assert is_being_written(song) is None
    with pytest.raises(FileChangedError):
        run(song, check=anything, step=at("copied", editor.write))
    edited(song)


def test_a_local_file_system_does_not_refuse_at_will(song: Path) -> None:
    with song.open("rb") as file:
        assert not system._refuses_at_will(file.fileno())


@pytest.mark.parametrize("held", [False, True], ids=["free", "held"])
def test_whether_a_file_is_being_written(song: Path, editor: Editor, held: bool) -> None:
    if held:
        editor.open()
    assert is_being_written(song) is held


def test_without_the_right_to_leases_nothing_is_told_of_the_files_of_others(song: Path) -> None:
    """As in a container: root can open all files, but gets no lease on any of them."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root has rights to give up, by setpriv")
    os.chown(song, 12345, 12345)
    code = """
        import sys
        from pathlib import Path
        from genretagger.files.system import is_being_written
        print(is_being_written(Path(sys.argv[1])))
    """
    command = ["setpriv", "--bounding-set", "-lease", sys.executable, "-c", textwrap.dedent(code), str(song)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "None\n"
