"""Files that this user may not write: left alone with a message, on real mounts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import command_helpers as helpers
import pytest
from daemon_helpers import in_a_namespace

from genretagger.database.store import Store
from genretagger.database.values import WriteState
from genretagger.model import ModelStore
from genretagger.model.listener import Listener
from genretagger.pipeline import Pipeline
from genretagger.sentences import sentence
from genretagger.types import Status
from genretagger.worker.pool import WorkerPool

MakeTechno = Callable[..., Path]

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the rights and mounts of Linux")

NOBODY = 65534


@pytest.fixture
def shelf() -> Iterator[Path]:
    """A folder that every user can reach."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        for closed in folder.rglob("*"):
            if closed.is_dir():
                closed.chmod(0o755)


def as_nobody(data_dir: Path, *arguments: str | Path, policy: str = "keep") -> tuple[int, str, str]:
    """Run the real command as an ordinary user, which whoever is not root is already."""
    user: list[str] = []
    if os.geteuid() == 0:  # who may read all, as Python itself may lie where only root can
        user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        user += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    elsewhere = {f"XDG_{name}_HOME": str(data_dir / name) for name in ("CONFIG", "DATA", "CACHE", "STATE")}
    ended = subprocess.run(
        [*user, sys.executable, "-m", "genretagger", *arguments],
        env={
            **{**os.environ, **elsewhere, "GENRETAGGER_DATA_DIR": str(data_dir), "HOME": str(data_dir)},
            "GENRETAGGER_POLICY": policy,
        },
        capture_output=True,
        cwd="/",
        timeout=100,
        check=False,
    )
    return ended.returncode, ended.stdout.decode(), ended.stderr.decode()


def contents(folder: Path) -> dict[Path, bytes]:
    """The bytes of all files below a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv here")
def test_what_an_ordinary_user_may_not_write_is_skipped(heard: Path, shelf: Path, make_techno: MakeTechno) -> None:
    music, data = shelf / "music", shelf / "data"
    names = ["good.flac", "mode.flac", "closed/song.flac"]
    if is_root := os.geteuid() == 0:
        names += ["foreign.flac", "group.flac"]
    (music / "closed").mkdir(parents=True)
    for name in names:
        make_techno(music / name)
    shutil.copytree(heard, data)
    if is_root:
        for path in (data, *data.rglob("*"), music, *music.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        os.chown(music / "foreign.flac", 0, 0)
        (music / "foreign.flac").chmod(0o666)
        os.chown(music / "group.flac", NOBODY, 12345)
    (music / "mode.flac").chmod(0o444)
    (music / "closed").chmod(0o555)
    before = contents(music)
    reasons = {
        "mode.flac": "this user may not write it",
        "song.flac": "this user may not write in its folder",
        "foreign.flac": "it belongs to another user or group",
        "group.flac": "it belongs to another user or group",
    }
    for options in (["--dry-run"], []):
        assert contents(music) == before
        status, out, err = as_nobody(data, "tag", "--verbose", *options, music)
        if err.startswith("setpriv:"):
            pytest.skip("the rights cannot be given up here")
        assert status == 0, err
        lines = out.splitlines()
        for name in names[1:]:
            (line,) = [line for line in lines if f" {name}: " in line]
            assert line.startswith("skipped"), name
            assert reasons[Path(name).name] in line, name
        assert f"{len(names) - 1} skipped, 0 failed" in err
        for policy in ("keep", "replace", "add"):
            _, out, err = as_nobody(data, "show", "--json", *(music / name for name in names[1:]), policy=policy)
            shown = [json.loads(line) for line in out.splitlines()]
            assert [(each["status"], each["cause"]) for each in shown] == [("skipped", "not_writable")] * len(names[1:])
    after = contents(music)
    assert [path.name for path in before if before[path] != after[path]] == ["good.flac"]
    assert helpers.genres_of(music / "good.flac") == ["Trance"]
    assert [write.path.name for write in helpers.writes(data)] == ["good.flac"]  # nothing else was even begun
    assert helpers.failures(data) == []

    (music / "mode.flac").chmod(0o644)
    (music / "closed").chmod(0o755)
    assert as_nobody(data, "tag", music)[0] == 0
    assert helpers.genres_of(music / "mode.flac") == ["Trance"]
    assert helpers.genres_of(music / "closed/song.flac") == ["Trance"]


_KEEPS_NO_OWNER = """
from genretagger.files import swap
from genretagger.worker import child

def refused(source, target):
    raise PermissionError(1, "made up")

swap.keep_attributes = refused
child.main()
"""


def test_an_owner_that_a_try_finds_cannot_be_kept(heard: Path, music: Path, make_techno: MakeTechno) -> None:
    """As on a server, which does not tell beforehand."""
    song = make_techno(music / "song.flac")
    options, old = helpers.settings(heard), song.read_bytes()
    with (
        Store.open(options.database) as store,
        WorkerPool(1, command=[sys.executable, "-c", _KEEPS_NO_OWNER]) as workers,
    ):
        opened = Pipeline(
            options, store, workers, Listener(options, ModelStore(options.models_dir).get(), helpers.unexpected)
        )
        outcome = helpers.outcomes(opened, music)["song.flac"]
    assert outcome.status is Status.SKIPPED
    assert "the owner, the ACLs or the attributes of the file cannot be kept" in sentence(outcome.reason)
    assert song.read_bytes() == old
    assert [write.state for write in helpers.writes(heard)] == [WriteState.ABANDONED]
    assert helpers.failures(heard) == []  # or it would never be tried again
    assert helpers.tag(options, music)["song.flac"].status is Status.TAGGED


_MOUNTED = """
    import os, subprocess, sys
    from pathlib import Path
    import command_helpers as helpers
    from daemon_helpers import Watcher
    from genretagger.causes import recorded
    from genretagger.database.store import Store
    from genretagger.types import GenreField
    music, data, song = map(Path, sys.argv[1:4])
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", music]).returncode:
        sys.exit(77)
    (music / "song.flac").write_bytes(song.read_bytes())
    def remount(how):
        subprocess.run(["mount", "-o", "remount," + how, music], check=True)
    def command(*arguments):
        ended = subprocess.run([sys.executable, "-m", "genretagger", *arguments], capture_output=True, text=True,
                               env={**os.environ, "GENRETAGGER_DATA_DIR": str(data)})
        return ended.returncode, ended.stdout + ended.stderr
    def states():
        return [write.state.value for write in helpers.writes(data)]
"""


@pytest.mark.slow
def test_a_read_only_file_system_leaves_no_pending_writes(heard: Path, music: Path, song: bytes) -> None:
    script = """
    remount("ro")
    for options in (["--dry-run"], [], []):
        status, said = command("tag", *options, music)
        print(status, "skipped 1: the file system is read-only" in said)
    remount("rw")
    print(command("tag", music)[0], states())
    remount("ro")
    status, said = command("undo", "--last")
    print(status, "read-only" in said, states())
    # what a kill left, or an earlier version
    with Store.open(data / "library.sqlite3") as store:
        known = store.reports.get(music / "song.flac").track
        for name in ("Trance", "Mine"):
            after = GenreField(("Trance",) if name == "Trance" else (name,), None, "Vorbis comment")
            run = store.runs.begin("tag", {})
            store.writes.begin(run, known.path, known.payload_hash, GenreField((), None, "Vorbis comment"), after,
                              model="musicnn", reason=recorded("r"), temporary_name=".genretagger-00112233445566ff.tmp")
    helpers.bury_runs(data)
    print("pending writes" in command("doctor", music)[1])
    elsewhere = music.with_name("elsewhere")
    elsewhere.mkdir()
    (elsewhere / "text.mp3").write_text("no music")
    command("tag", elsewhere)
    print(states(), "pending writes" in command("doctor", music)[1])
    # only a copy that lies there has to wait, or nobody would remove it
    remount("rw")
    copy = music / ".genretagger-00112233445566ff.tmp"
    copy.write_text("half a copy")
    with Store.open(data / "library.sqlite3") as store:
        store.writes.begin(store.runs.begin("tag", {}), known.path, known.payload_hash, after, after, model="musicnn",
                          reason=recorded("r"), temporary_name=copy.name)
    helpers.bury_runs(data)
    for how in ("ro", "rw"):
        remount(how)
        command("tag", elsewhere)
        print(states()[-1], copy.exists())
    """
    said = in_a_namespace(_dedented(_MOUNTED + script), music, heard, music.with_name("outside.flac"), mounts=True)
    assert said.splitlines() == [
        *["0 True"] * 3,
        "0 ['done']",
        "0 True ['done']",
        "True",
        "['done', 'done', 'abandoned'] False",
        "pending True",
        "abandoned False",
    ]


def test_the_service_waits_for_a_disk_to_become_writable(heard: Path, music: Path, song: bytes) -> None:
    script = """
    remount("ro")
    with Watcher(music, data_dir=data, idle_s=0) as watcher:
        print(watcher.wait_for("work pauses")["reason"])
        print(watcher.seen("skipped"), watcher.seen("failed"), watcher.seen("quarantined"))
        remount("rw")
        watcher.wait_for("tagged")
        watcher.stop()
    print(states())
    """
    said = in_a_namespace(_dedented(_MOUNTED + script), music, heard, music.with_name("outside.flac"), mounts=True)
    assert said.splitlines() == [
        "the file system is read-only",
        "[] [] []",
        "['done']",
    ]


def _dedented(script: str) -> str:
    return "\n".join(line.removeprefix("    ") for line in script.splitlines())
