"""Shared by many tests: the real model, synthesised music, a place for data, the real command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import command_helpers as helpers
import forked
import numpy as np
import numpy.typing as npt
import pytest
from audio_factory import make
from training_helpers import library

from genretagger.config import Settings, load
from genretagger.database.store import Store
from genretagger.model import Card, InstalledModel, ModelStore, install, musicnn, two_ears
from genretagger.model.download import Wheel, fetch, read_members
from genretagger.model.manifest import BANK, sums
from genretagger.model.recipes import MUSICNN, YAMNET

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest_plugins = ("databases",)

REPOSITORY = Path(__file__).resolve().parents[1]
CACHE = REPOSITORY / ".cache" / "test-models"
SHARED = REPOSITORY.parent / "shared"
RATE_HZ = 44100


@pytest.fixture(autouse=True)
def _no_configuration_of_the_owner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the tests away from the configuration and data of whoever runs them."""
    for name in [name for name in os.environ if name.startswith("GENRETAGGER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "no-data"))


@pytest.fixture(scope="session", autouse=True)
def starter() -> Iterator[forked.Starter]:
    """Starts commands; see `forked.py`."""
    with forked.by_forks() as opened:
        yield opened


@pytest.fixture(autouse=True)
def _real_starts(starter: forked.Starter, request: pytest.FixtureRequest) -> Iterator[None]:
    starter.paused = request.node.get_closest_marker("real_starts") is not None
    yield
    starter.paused = False


@pytest.fixture(scope="session")
def wheel() -> Path:
    """The wheel of musicnn, fetched once, beside that of YAMNet: the default model needs both."""
    return [_fetched(each) for each in (YAMNET, MUSICNN)][-1]


def _fetched(wheel: Wheel) -> Path:
    kept = CACHE / "wheel" / wheel.file_name
    if not kept.exists():
        with install.exclusive(kept.parent, lambda: None):
            if not kept.exists():
                with install.staging(kept.parent) as staged:
                    fetch(wheel.requirement, staged, lambda *_: None).rename(kept)
    return kept


@pytest.fixture(scope="session")
def published(wheel: Path) -> Callable[[str], bytes]:
    """Reads the publisher's files of musicnn."""
    return read_members(wheel, MUSICNN.sha256, MUSICNN.members).__getitem__


@pytest.fixture(scope="session")
def published_yamnet(wheel: Path) -> Callable[[str], bytes]:
    """Reads the publisher's files of YAMNet."""
    return read_members(wheel.with_name(YAMNET.file_name), YAMNET.sha256, YAMNET.members).__getitem__


@pytest.fixture(scope="session")
def model(wheel: Path, published: Callable[[str], bytes], published_yamnet: Callable[[str], bytes]) -> InstalledModel:
    """The default model, installed by the code as it is now."""
    return _installed("musicnn-yamnet", wheel, two_ears.convert(published, published_yamnet))


@pytest.fixture(scope="session")
def one_ear(wheel: Path, published: Callable[[str], bytes]) -> InstalledModel:
    """The model `musicnn`, which was the default until there were two ears."""
    return _installed("musicnn", wheel, musicnn.convert(published))


def _installed(name: str, wheel: Path, converted: tuple[bytes, Card]) -> InstalledModel:
    kept = ModelStore(CACHE).pull(name, source=wheel)
    if BANK in sums(kept.folder) and (kept.onnx_path.read_bytes(), kept.card) == converted:
        return kept
    return ModelStore(CACHE).pull(name, source=wheel, force=True)


@pytest.fixture
def data_dir(tmp_path: Path, model: InstalledModel) -> Path:
    """A data folder with the default model in it."""
    return data_dir_with(model, tmp_path / "data")


def data_dir_with(model: InstalledModel, folder: Path) -> Path:
    """Make a data folder with a model in it, linked so that it takes no space."""
    (folder / "models" / model.name).mkdir(parents=True)
    for file in model.folder.iterdir():
        (folder / "models" / model.name / file.name).hardlink_to(file)
    return folder


def techno(seconds: float = 12.0) -> npt.NDArray[np.float32]:
    """Synthesise techno for the default model: a kick on each beat, hi-hats, saw bass, pumping pad.

    Returns:
        (samples,) float32 at 44.1 kHz, always the same.
    """
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    beat_s = 60 / 130
    since_beat = time % beat_s
    kick = np.sin(2 * np.pi * (50 * since_beat + 8 * (1 - np.exp(-30 * since_beat)))) * np.exp(-9 * since_beat)
    noise = np.random.default_rng(1).standard_normal(len(time))
    hat = noise * np.exp(-45 * ((time + beat_s / 2) % beat_s))
    step = (time / (beat_s / 4)).astype(int)
    bass_notes = np.array([33, 33, 45, 33, 36, 33, 48, 33, 33, 31, 43, 33, 36, 38, 40, 45])[step % 16]
    bass = _saw(440 * 2 ** ((bass_notes - 69) / 12)) * np.exp(-14 * (time % (beat_s / 4)))
    pad_hz = 440 * 2 ** ((np.array([69, 72, 76, 81])[(time / (2 * beat_s)).astype(int) % 4] - 69) / 12)
    pad = sum(_saw(pad_hz * detune) for detune in (0.995, 1.0, 1.006)) / 3 * (1 - 0.8 * np.exp(-6 * since_beat))
    mix = 0.7 * kick + 0.12 * hat + 0.3 * bass + 0.12 * pad
    samples: npt.NDArray[np.float32] = (0.8 * mix / np.abs(mix).max()).astype(np.float32)
    return samples


def _saw(hz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    wave: npt.NDArray[np.float64] = 2 * ((np.cumsum(hz) / RATE_HZ) % 1) - 1
    return wave


@pytest.fixture(scope="session")
def techno_samples() -> npt.NDArray[np.float32]:
    """Twelve seconds of techno."""
    return techno()


@pytest.fixture
def settings(data_dir: Path) -> Settings:
    """Settings for the data folder, and for a small machine."""
    return load(data_dir=data_dir, device="cpu", threads=1, jobs=1)


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """An empty folder for music."""
    folder = tmp_path / "music"
    folder.mkdir()
    return folder


@pytest.fixture
def heard(data_dir: Path, make_techno: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder, with all that is heard in the test music, so that no run loads the model."""
    return helpers.heard(data_dir, make_techno, tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, headless, for the tests of the page."""
    from chromium import find

    playwright = pytest.importorskip("playwright.sync_api", reason="the extra `browser` is not installed")
    with playwright.sync_playwright() as running:
        program = find()
        assert program, "Chromium is missing: make test-page installs it"
        options = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        opened = running.chromium.launch(executable_path=program, args=options)
        yield opened
        opened.close()


@pytest.fixture
def song(tmp_path: Path, make_techno: Callable[..., Path]) -> bytes:
    """A music file, to be put where the service may find it."""
    return make_techno(tmp_path / "outside.flac").read_bytes()


@pytest.fixture
def known(data_dir: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """A folder of music whose genres are known."""
    return library(data_dir, tmp_path_factory.getbasetemp(), tmp_path / "known")


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """The database of the data folder."""
    with Store.open(settings.database) as opened:
        yield opened


@pytest.fixture
def make_techno(techno_samples: npt.NDArray[np.float32]) -> Callable[..., Path]:
    """Make music with a genre for the default model: `make_techno(path, "mp3", genre=None)`."""

    def made(path: Path, kind: str = "flac", **options: Any) -> Path:
        return make(path, kind, samples=techno_samples, **options)

    return made


@dataclass(frozen=True)
class Ended:
    """A finished command."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON objects of its standard output."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def genretagger(tmp_path: Path) -> Callable[..., Ended]:
    """Run the real command: `genretagger("tag", folder, "--json")`; data: tmp_path / "data"."""

    def run(*arguments: str | bytes | Path, **environment: str) -> Ended:
        ended = subprocess.run(
            [sys.executable, "-m", "genretagger", *arguments],
            env={**os.environ, "GENRETAGGER_DATA_DIR": str(tmp_path / "data"), **environment},
            capture_output=True,
            timeout=100,
        )
        return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    return run


@pytest.fixture(scope="session")
def shared_audio() -> Path:
    """The folder of real recordings; tests that need it skip where it is absent."""
    folder = SHARED / "audio"
    if not folder.is_dir():
        pytest.skip("the folder of real recordings is not there")
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how many faults each container survived; a damaged file would have failed its test."""
    table: dict[str, Counter[str]] = {}
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "torture":
                container, what, ends = cast(tuple[str, str, dict[str, int]], value)
                table.setdefault(container, Counter()).update({what: sum(ends.values()), **ends})
    if not table:
        return
    columns = ("kills", "errors", "refused", "written", "killed")
    terminalreporter.section("faults at system calls")
    terminalreporter.write_line(f"{'container':26}" + "".join(f"{column:>10}" for column in columns) + "   damaged")
    for container, row in [*sorted(table.items()), ("all", sum(table.values(), Counter()))]:
        terminalreporter.write_line(f"{container:26}" + "".join(f"{row[name]:10}" for name in columns) + "         0")
