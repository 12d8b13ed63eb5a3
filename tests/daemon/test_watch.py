"""Events, and how the service notices that none come: limits, unmounted disks, dead threads."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import command_helpers as helpers
import pytest
from daemon_helpers import Watcher, in_a_namespace, tagged_once

from genretagger.daemon.watch import Changed, Noticing, Watched
from genretagger.files.mounts import file_system, is_blind, is_network

MakeTechno = Callable[..., Path]

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="inotify is Linux's")


def test_an_overflow_of_the_kernels_queue(heard: Path, music: Path, song: bytes) -> None:
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if most > 100_000:
        pytest.skip("the queue of this system is too long to fill")
    flood = [music / "one.txt", music / "two.txt"]
    songs = {music / f"{number}.flac" for number in range(5)} | {music / "new" / "folder.flac"}
    with Watcher(music, data_dir=heard) as watcher:
        watcher.wait_for("looked", why="start")
        watcher.process.send_signal(signal.SIGSTOP)
        while helpers.state(watcher.process.pid) != "T":
            pass
        files = [path.open("wb", buffering=0) for path in flood]
        for number in range(2 * most):  # two in turn, because equal events become one
            files[number % 2].write(b"x")
        for file in files:
            file.close()
        (music / "new").mkdir()
        for path in songs:
            path.write_bytes(song)
        watcher.process.send_signal(signal.SIGCONT)
        watcher.wait_for("events were lost")
        watcher.wait_for_all("tagged", songs)
        (music / "new" / "later.flac").write_bytes(song)
        watcher.wait_for("tagged", path=music / "new" / "later.flac")
    tagged_once(heard, songs | {music / "new" / "later.flac"})


@pytest.mark.parametrize("limit", ["watches 0", "watches 3", "instances 0"])
def test_the_limit_on_watches(heard: Path, music: Path, song: bytes, limit: str) -> None:
    """At the root, or below it where watchdog is silent: logged once with a hint, then polled."""
    for name in ("a/b", "c", "d", "e"):
        (music / name).mkdir(parents=True)
    script = """
        import sys
        from pathlib import Path
        from daemon_helpers import Watcher
        try:
            Path(f"/proc/sys/user/max_inotify_{sys.argv[4]}").write_text(sys.argv[5])
        except OSError:
            sys.exit(77)
        music, data, song = map(Path, sys.argv[1:4])
        with Watcher(music, data_dir=data, poll_s=1) as watcher:
            message = watcher.seen("polling") or [watcher.wait_for("polling")]
            print(message[0]["reason"])
            for name in ("a/b/1.flac", "e/2.flac"):
                (music / name).write_bytes(song.read_bytes())
            watcher.wait_for_all("tagged", {music / "a/b/1.flac", music / "e/2.flac"})
            root = watcher.status()["roots"][0]
            print(root["way"], len(watcher.seen("polling")))
    """
    source = music.with_name("outside.flac")
    said = in_a_namespace(script, music, heard, source, *limit.split()).splitlines()
    assert f"sudo sysctl fs.inotify.max_user_{limit.split()[0]}=" in said[0]
    assert said[1] == "polling 1"
    tagged_once(heard, {music / "a/b/1.flac", music / "e/2.flac"})


def test_a_disk_that_is_unmounted_and_comes_back(heard: Path, music: Path, song: bytes) -> None:
    script = """
        import subprocess, sys
        from pathlib import Path
        import command_helpers as helpers
        from daemon_helpers import Watcher
        music, data, song = map(Path, sys.argv[1:4])
        disk = music.with_name("disk")  # a file system, and a place to keep it mounted meanwhile
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", disk]).returncode:
            sys.exit(77)
        subprocess.run(["mount", "--bind", disk, music], check=True)
        for name in ("1.flac", "2.flac"):
            (music / name).write_bytes(song.read_bytes())
        with Watcher(music, data_dir=data, poll_s=1) as watcher:
            watcher.wait_for_all("tagged", {music / "1.flac", music / "2.flac"})
            before = helpers.rows(data, "tracks", "writes")
            subprocess.run(["umount", "--lazy", music], check=True)
            music.rmdir()
            watcher.wait_for("folder is away")
            print(watcher.status()["healthy"], helpers.rows(data, "tracks", "writes") == before)
            (disk / "3.flac").write_bytes(song.read_bytes())
            music.mkdir()
            subprocess.run(["mount", "--bind", disk, music], check=True)
            watcher.wait_for("folder is watched again")
            watcher.wait_for("tagged", path=music / "3.flac")
            (music / "4.flac").write_bytes(song.read_bytes())
            watcher.wait_for("tagged", path=music / "4.flac")
            print(watcher.status()["healthy"], len(watcher.seen("tagged")), watcher.seen("failed"))
    """
    said = in_a_namespace(script, music, heard, music.with_name("outside.flac"), mounts=True)
    assert said.splitlines() == ["False True", "True 4 []"]
    assert len(helpers.writes(heard)) == 4


def test_a_full_disk_under_the_database_is_outlived(heard: Path, music: Path, song: bytes) -> None:
    script = """
        import shutil, subprocess, sys
        from pathlib import Path
        from daemon_helpers import Watcher
        music, data, song = map(Path, sys.argv[1:4])
        disk = music.with_name("disk")
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", disk]).returncode:
            sys.exit(77)
        shutil.copytree(data, disk / "data")
        with Watcher(music, data_dir=disk / "data", idle_s=0) as watcher:
            pid = watcher.status()["pid"]
            (music / "1.flac").write_bytes(song.read_bytes())
            watcher.wait_for("tagged")
            with open(disk / "fill", "wb", buffering=0) as file:
                try:
                    while file.write(bytes(4096)):
                        pass
                except OSError:
                    pass
            for number in range(2, 40):
                (music / f"{number}.flac").write_bytes(song.read_bytes())
            watcher.wait_for("database cannot be used")
            print(watcher.status()["healthy"])
            (disk / "fill").unlink()
            watcher.wait_for_all("tagged", set(music.iterdir()))
            print(watcher.status()["pid"] == pid)
            watcher.stop()
        shutil.copy(disk / "data" / "library.sqlite3", data / "library.sqlite3")
    """
    said = in_a_namespace(script, music, heard, music.with_name("outside.flac"), mounts=True)
    assert said.splitlines() == ["False", "True"]
    tagged_once(heard, set(music.iterdir()))


def test_a_folder_that_is_deleted_and_made_again(heard: Path, music: Path, song: bytes) -> None:
    with Watcher(music, data_dir=heard, poll_s=1) as watcher:
        music.rmdir()
        watcher.wait_for("folder is away")
        music.mkdir()
        (music / "1.flac").write_bytes(song)
        watcher.wait_for("tagged", path=music / "1.flac")


def test_a_thread_that_died_is_noticed(music: Path) -> None:
    heard: SimpleQueue[object] = SimpleQueue()
    watched = Watched(music, heard.put)
    watched.start()
    try:
        assert (watched.way, watched.is_deaf(), watched.is_gone()) == (Noticing.EVENTS, False, False)
        (music / "1.flac").touch()
        assert heard.get(timeout=20) == Changed(music / "1.flac", music)
        observer = watched._observer
        assert observer is not None
        (emitter,) = observer.emitters
        emitter.stop()
        emitter.join()
        assert observer.is_alive()
        assert watched.is_deaf()
        watched.start()
        assert not watched.is_deaf()
        while not heard.empty():
            heard.get()
        (music / "2.flac").touch()
        assert heard.get(timeout=20) == Changed(music / "2.flac", music)
    finally:
        watched.stop()


def test_file_systems_are_known_by_the_last_mount_above(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "21 1 8:1 / / rw - ext4 a rw\n"
        "22 21 8:2 / /mnt rw shared:1 - nfs4 b rw\n"
        "23 22 8:3 / /mnt/my\\040disk rw - fuse.mergerfs c rw\n"
        "24 23 8:4 / /mnt/my\\040disk rw - btrfs d rw\n"
        "nonsense\n"
    )
    cases = {"/home": "ext4", "/mnt": "nfs4", "/mnt/x/y": "nfs4", "/mnt2": "ext4", "/mnt/my disk/x": "btrfs"}
    assert {path: file_system(Path(path), table=table) for path in cases} == cases
    assert file_system(Path("/"), table=tmp_path / "none") == ""
    blind = {kind: is_blind(kind) for kind in ("nfs4", "cifs", "fuse.sshfs", "9p", "ext4", "fuseblk", "btrfs", "")}
    assert [kind for kind, is_so in blind.items() if is_so] == ["nfs4", "cifs", "fuse.sshfs", "9p"]


@pytest.mark.parametrize("kind", ["nfs4", "lustre", "virtiofs", "vboxsf", "davfs", "fuse.sshfs", "fuse.davfs"])
def test_what_lies_on_another_machine_is_blind_as_well(kind: str) -> None:
    assert is_network(kind)
    assert is_blind(kind)


@pytest.mark.parametrize("kind", ["fuse.mergerfs", "fuse"])
def test_fuse_on_this_machine_is_blind_and_no_network(kind: str) -> None:
    assert is_blind(kind)
    assert not is_network(kind)


@pytest.fixture
def notify_socket() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0genretagger-test-{os.getpid()}-{time.monotonic_ns()}")
        sock.settimeout(60)
        yield sock


def test_word_to_the_service_manager(heard: Path, music: Path, song: bytes, notify_socket: socket.socket) -> None:
    def hear() -> list[str]:
        return notify_socket.recv(4096).decode().splitlines()

    def hear_until(word: str) -> None:
        while word not in hear():
            pass

    name = "@" + notify_socket.getsockname()[1:].decode()
    with Watcher(music, data_dir=heard, NOTIFY_SOCKET=name, WATCHDOG_USEC=1_000_000) as watcher:
        hear_until("READY=1")
        hear_until("WATCHDOG=1")
        (music / "1.flac").write_bytes(song)
        watcher.wait_for("tagged")
        engine = watcher.status()["engine"]
        os.kill(engine, signal.SIGSTOP)
        while not (lasts := watcher.status()["healthy"] is False):
            assert watcher.process.poll() is None
        assert lasts
        while True:  # what was sent before it was noticed
            notify_socket.settimeout(2)  # eight times as long as between two words
            try:
                hear()
            except TimeoutError:
                break
        notify_socket.settimeout(60)
        os.kill(engine, signal.SIGCONT)
        hear_until("WATCHDOG=1")
        watcher.process.send_signal(signal.SIGHUP)
        hear_until("READY=1")
        watcher.process.terminate()
        hear_until("STOPPING=1")


def test_a_database_that_others_hold_is_waited_for(
    heard: Path, music: Path, song: bytes, notify_socket: socket.socket
) -> None:
    """It is not healthy now, but the service manager does not kill it, which would not help."""
    name = "@" + notify_socket.getsockname()[1:].decode()
    with Watcher(music, data_dir=heard, NOTIFY_SOCKET=name, WATCHDOG_USEC=1_000_000, retry_s=5) as watcher:
        watcher.wait_for("looked", why="start")
        kept = heard / "library.sqlite3"
        kept.rename(heard / "elsewhere")
        (music / "1.flac").write_bytes(song)
        watcher.wait_for("database cannot be used")
        assert watcher.status()["healthy"] is False
        notify_socket.setblocking(False)
        while True:  # what was said before
            try:
                notify_socket.recv(4096)
            except BlockingIOError:
                break
        notify_socket.settimeout(3)  # less than until the database is tried again
        assert notify_socket.recv(4096) == b"WATCHDOG=1"
        (heard / "elsewhere").rename(kept)
        watcher.wait_for("tagged", path=music / "1.flac")
        assert watcher.status()["healthy"] is True


def test_whoever_opens_a_file_while_we_look_at_it_does_not_end_us(tmp_path: Path) -> None:
    """The kernel signals the holder of a lease; the default signal would kill the process."""
    path = tmp_path / "song.flac"
    path.write_bytes(b"being written")
    looking = """
        import sys
        from pathlib import Path
        from genretagger.files.system import is_being_written
        print(len({is_being_written(Path(sys.argv[1])) for _ in range(20_000)}))
    """
    command = [sys.executable, "-c", textwrap.dedent(looking), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            os.close(os.open(path, os.O_WRONLY))
        assert process.returncode == 0
