"""Children that crash, hang, eat and lie: each costs its own file, and the next one is right."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path

import psutil
import pytest
from audio_factory import make
from few import few
from pool_helpers import is_alive, misbehaving_command, misbehaving_pool

from genretagger.config import Settings
from genretagger.errors import (
    ConfigError,
    FileChangedError,
    FileError,
    NoWorkersError,
    SystemFaultError,
    UnsupportedFileError,
    WorkerError,
)
from genretagger.files.replace import new_temporary_name
from genretagger.tags.api import NewGenres
from genretagger.types import Track
from genretagger.worker import child
from genretagger.worker.limits import Limits
from genretagger.worker.pool import WorkerPool

pytestmark = [pytest.mark.skipif(os.name != "posix", reason="signals and /proc"), pytest.mark.real_starts]


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("music") / "song.flac", "flac", 4.0, genre="Rock")


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """No thread, no open file and no process survives a pool."""
    threads, files, children = threading.active_count(), _open_files(), psutil.Process().children()
    yield
    assert threading.active_count() == threads
    assert _open_files() == files
    assert psutil.Process().children() == children


def named(folder: Path, name: str) -> Path:
    path = folder / f"{name}.flac"
    path.write_bytes(b"not even opened")
    return path


QUICK = Limits(time_s=30.0)

MISDEEDS = [
    pytest.param("segfault", QUICK, r"crashed \(signal 11: segmentation fault\)", id="segfault"),
    pytest.param("abort", QUICK, r"crashed \(signal 6", id="abort"),
    pytest.param("hang", Limits(time_s=4.0), r"took longer than 4 s", id="hang"),
    pytest.param("burn", Limits(time_s=30.0, cpu_s=1.0), r"more than 1 s of processor time", id="burn"),
    pytest.param("burn", Limits(time_s=4.0), r"took longer than 4 s", id="burn by the clock"),
    pytest.param("eat", Limits(memory_mb=300), r"needed more than 300 MB of memory", id="eat"),
    pytest.param("eat_in_c", Limits(memory_mb=300), r"needed more than 300 MB of memory", id="eat in C"),
    pytest.param("killed", QUICK, r"was killed \(signal 9\)", id="killed"),
    pytest.param("leave", QUICK, r"ended by itself \(status 3\)", id="leave"),
    pytest.param("bug", QUICK, r"a bug: ZeroDivisionError: in the decoder", id="bug"),
    pytest.param("garbage", QUICK, r"sent an invalid answer", id="garbage"),
    pytest.param("lie", QUICK, r"sent an invalid answer", id="lie"),
    pytest.param("oversize", QUICK, r"sent an invalid answer", id="oversize"),
]


@pytest.mark.parametrize(("name", "limits", "cause"), few(MISDEEDS, 0, 3, 5, 9, 11))
def test_a_misdeed_costs_its_own_file_only(song: Path, tmp_path: Path, name: str, limits: Limits, cause: str) -> None:
    bad = named(tmp_path, name)
    with misbehaving_pool(1, limits) as pool:
        before = pool.inspect(song)
        failed = pool.inspect(bad)
        after = pool.inspect(song)
        assert before.result() == after.result()
        with pytest.raises(WorkerError, match=cause) as caught:
            failed.result()
        assert caught.value.path == bad
        assert len(pool.process_ids()) == 1


def test_what_libraries_print_goes_nowhere(song: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with misbehaving_pool(1, QUICK) as pool:
        with pytest.raises(UnsupportedFileError):
            pool.inspect(named(tmp_path, "chatter")).result()
        assert pool.inspect(song).result().genres.values == ("Rock",)
    assert capfd.readouterr() == ("", "")


def test_good_and_bad_files_side_by_side(song: Path, tmp_path: Path) -> None:
    names = ["segfault", "leave", "bug", "garbage", "killed"]
    with misbehaving_pool(2, QUICK) as pool:
        jobs = [(pool.inspect(song), pool.inspect(named(tmp_path, name)), pool.inspect(song)) for name in names]
        expected = pool.inspect(song).result()
        for one, bad, other in jobs:
            assert one.result() == other.result() == expected
            assert isinstance(bad.exception(), WorkerError)


def test_file_errors_arrive_as_they_were_raised(tmp_path: Path) -> None:
    text = tmp_path / "text.mp3"
    text.write_text("no music")
    with WorkerPool(1, QUICK) as pool:
        with pytest.raises(UnsupportedFileError, match="not audio") as caught:
            pool.inspect(text).result()
        assert caught.value.path == text
        with pytest.raises(FileChangedError, match="gone"):
            pool.inspect(tmp_path / "gone.mp3").result()
        process_ids = pool.process_ids()
        with pytest.raises(FileError, match="not a regular file"):
            pool.inspect(tmp_path).result()
        assert pool.process_ids() == process_ids, "an error in a file costs no child"


def test_a_child_that_dies_between_files_costs_no_file(song: Path) -> None:
    with WorkerPool(1, QUICK) as pool:
        first = pool.inspect(song).result()
        (process_id,) = pool.process_ids()
        os.kill(process_id, signal.SIGKILL)
        assert pool.inspect(song).result() == first
        assert pool.process_ids() != [process_id]


def test_children_that_never_start_are_told_of(song: Path) -> None:
    broken = [sys.executable, "-c", "raise SystemExit('no codec library')"]
    cause = "no child process can be started: no codec library"
    with WorkerPool(1, QUICK, command=broken) as pool, pytest.raises(NoWorkersError, match=cause):
        pool.inspect(song).result()
    with WorkerPool(1, QUICK, command=["/does/not/exist"]) as pool, pytest.raises(NoWorkersError, match="No such file"):
        pool.inspect(song).result()


def test_a_pipe_that_fails_is_the_systems_fault(song: Path) -> None:
    script = """
import errno
from genretagger.worker import child, wire
real = wire.write_frame
def failing(stream, header, body=b""):
    if "begun" not in header:
        raise OSError(errno.EIO, "Input/output error")
    real(stream, header, body)
wire.write_frame = failing
child.main()
"""
    with (
        WorkerPool(1, QUICK, command=[sys.executable, "-c", script]) as pool,
        pytest.raises(SystemFaultError, match="the pipe to the parent failed: Input/output error") as caught,
    ):
        pool.inspect(song).result()
    assert caught.value.path == song


def test_python_without_a_program_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", None)
    with pytest.raises(ConfigError, match="its own program"):
        WorkerPool(1)


def test_a_child_is_replaced_after_its_share_of_files(song: Path) -> None:
    with WorkerPool(1, Limits(files=2)) as pool:
        seen = []
        for _ in range(5):
            pool.inspect(song).result()
            seen.append(pool.process_ids())
    assert [len(ids) for ids in seen] == [1, 0, 1, 0, 1]
    assert seen[0] != seen[2]


def test_a_child_that_keeps_much_memory_is_replaced(song: Path) -> None:
    with WorkerPool(1, Limits(resident_mb=1)) as pool:
        assert pool.inspect(song).result().genres.values == ("Rock",)
        assert pool.process_ids() == []


def test_closing_in_a_hurry_stops_reading(song: Path, tmp_path: Path) -> None:
    pool = misbehaving_pool(1, QUICK)
    running = pool.inspect(named(tmp_path, "hang"))
    waiting = pool.inspect(song)
    while not pool.process_ids():
        threading.Event().wait(0.01)
    started = time.monotonic()
    pool.close(finish=False)
    assert time.monotonic() - started < 10
    with pytest.raises(WorkerError, match="stopped"):
        running.result()
    with pytest.raises(CancelledError):
        waiting.result()


def test_closing_in_a_hurry_lets_a_write_finish(tmp_path: Path) -> None:
    path = make(tmp_path / "slow.flac", "flac", 4.0, genre="Rock")
    pool = misbehaving_pool(1, QUICK)
    track = pool.inspect(path).result()
    name = new_temporary_name(path)
    writing = pool.write(track, NewGenres(("Jazz",)), root=tmp_path, temporary_name=name)
    while not writing.running():
        threading.Event().wait(0.01)
    pool.close(finish=False)
    assert writing.result().after.values == ("Jazz",)
    assert list(tmp_path.iterdir()) == [path]


def test_closing_calmly_finishes(song: Path) -> None:
    pool = WorkerPool(1, QUICK)
    jobs = [pool.inspect(song) for _ in range(3)]
    pool.close()
    assert [job.result().kind for job in jobs] == ["flac"] * 3
    pool.close()


def test_an_error_in_the_block_closes_in_a_hurry(tmp_path: Path) -> None:
    job: Future[Track] = Future()

    def interrupted() -> None:
        nonlocal job
        with misbehaving_pool(1, QUICK) as pool:
            job = pool.inspect(named(tmp_path, "hang"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert job.cancelled() or isinstance(job.exception(), WorkerError)


def test_ctrl_c_and_a_service_manager_leave_children_alone(song: Path) -> None:
    with WorkerPool(1, QUICK) as pool:
        expected = pool.inspect(song).result()
        (process_id,) = pool.process_ids()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(process_id, number)
        assert pool.inspect(song).result() == expected
        assert pool.process_ids() == [process_id]


_PARENT = """
import sys
from pathlib import Path
from genretagger.worker.pool import Limits, WorkerPool
pool = WorkerPool(1, Limits(time_s=60), command=sys.argv[3:] or None)
pool.inspect(Path(sys.argv[1])).result()
if sys.argv[2:]:
    pool.inspect(Path(sys.argv[2]))
print(*pool.process_ids(), flush=True)
sys.stdin.read()
"""


def test_children_do_not_outlive_a_killed_parent(song: Path) -> None:
    _outlives([str(song)], within_s=10)


@pytest.mark.slow
def test_a_hanging_child_outlives_a_killed_parent_for_a_while_only(song: Path, tmp_path: Path) -> None:
    hanging = named(tmp_path, "hang")
    _outlives([str(song), str(hanging), *misbehaving_command()], within_s=child.ORPHAN_GRACE_S + 15)


def _outlives(arguments: list[str], within_s: float, *, script: str = _PARENT) -> None:
    command = [sys.executable, "-c", script, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        process_id = int(parent.stdout.readline())
        assert is_alive(process_id)
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + within_s
        while is_alive(process_id) and time.monotonic() < deadline:
            threading.Event().wait(0.02)
        assert not is_alive(process_id)


_WRITING_PARENT = """
import sys
from pathlib import Path
from genretagger.files.replace import new_temporary_name
from genretagger.tags.api import NewGenres
from genretagger.worker.pool import Limits, WorkerPool
path = Path(sys.argv[1])
with WorkerPool(1) as pool:
    track = pool.inspect(path).result()
pool = WorkerPool(1, Limits(time_s=60), command=sys.argv[2:])
write = pool.write(track, NewGenres(("Jazz",)), root=path.parent, temporary_name=new_temporary_name(path))
while not any(child.last_words() == "begun" for child in list(pool._busy)):
    if write.done():
        write.result()
print(*pool.process_ids(), flush=True)
sys.stdin.read()
"""


def test_a_child_whose_parent_died_writes_nothing_any_more(tmp_path: Path) -> None:
    """The next process has looked at the file by then, and counts the write as never done."""
    song = make(tmp_path / "outlive.flac", "flac", 4.0, genre="Rock")
    before = song.read_bytes()
    _outlives([str(song), *misbehaving_command()], within_s=20, script=_WRITING_PARENT)
    assert song.read_bytes() == before
    assert list(tmp_path.iterdir()) == [song]


_BARE = """
import os, sys
from pathlib import Path
from genretagger.worker.pool import WorkerPool
for number in (0, 1, 2):
    os.close(number)
os.mkdir(sys.argv[2]); os.chdir(sys.argv[2]); os.rmdir(sys.argv[2])
with WorkerPool(1) as pool:
    track = pool.inspect(Path(sys.argv[1])).result()
os._exit(42 if track.genres.values == ("Rock",) else 1)
"""


def test_without_standard_streams_and_in_a_removed_folder(song: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _BARE, str(song), str(tmp_path / "gone")]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 42, done.stderr


def test_a_module_in_the_music_folder_is_not_imported(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mutagen.py").write_text("raise SystemExit('taken over')")
    monkeypatch.chdir(tmp_path)
    with WorkerPool(1, QUICK) as pool:
        assert pool.inspect(song).result().genres.values == ("Rock",)


def test_the_limits_are_set(song: Path) -> None:
    with WorkerPool(1, Limits(memory_mb=500, time_s=77.0)) as pool:
        pool.inspect(song).result()
        (process_id,) = pool.process_ids()
        lines = Path(f"/proc/{process_id}/limits").read_text(encoding="ascii").splitlines()
    limits = {line[:26].strip(): line[26:].split()[:2] for line in lines}
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max data size"] == [str(500 << 20)] * 2
    assert 77 <= int(limits["Max cpu time"][0]) <= 87
    assert child.ORPHAN_GRACE_S < 77


def test_the_limits_of_the_settings_hold(song: Path) -> None:
    for limit_s, fails in ((1e-6, True), (60.0, False)):
        with WorkerPool.of(Settings(time_limit_s=limit_s), 1) as pool:
            assert (pool.inspect(song).exception() is not None) is fails
