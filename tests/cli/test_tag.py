"""The real `genretagger tag`: what it says, how it ends, and what it leaves alone."""

from __future__ import annotations

import importlib
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import command_helpers as helpers
import numpy as np
import pytest
from audio_factory import make
from few import few

REPOSITORY = Path(__file__).resolve().parents[2]
Command = Callable[..., Any]
MakeTechno = Callable[..., Path]


def documented_fields() -> set[str]:
    """The fields that the documentation of `tag` promises."""
    text = (REPOSITORY / "docs/commands.md").read_text("utf-8")
    table = text.split("### The JSON lines")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))


def aged(path: Path) -> Path:
    """A file whose access time any careless reader would bring up to date."""
    os.utime(path, (1_000_000_000, 1_400_000_000))
    return path


def test_what_a_run_says_and_does(
    genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno, tmp_path: Path
) -> None:
    song = aged(make_techno(music / "song.flac"))
    mine = aged(make_techno(music / "mine.mp3", "mp3", genre="Mine"))
    (music / "cover.jpg").write_bytes(b"a picture")
    before = helpers.snapshot(music)

    dry = genretagger("tag", "--dry-run", "--json", music)
    assert dry.status == 0
    assert helpers.snapshot(music) == before  # no byte, no time stamp, no new file
    unchanged, tagged = sorted(dry.lines, key=lambda line: line["path"])
    assert set(tagged) == set(unchanged) == documented_fields()
    assert (unchanged["path"], unchanged["status"]) == (str(mine), "unchanged")
    assert (unchanged["genres_before"], unchanged["genres"]) == (["Mine"], ["Mine"])
    assert (tagged["path"], tagged["status"], tagged["dry_run"]) == (str(song), "tagged", True)
    assert (tagged["genres_before"], tagged["model"]) == ([], "musicnn-yamnet")
    assert "Trance" in tagged["genres"]
    assert all(0 <= score <= 1 for score in tagged["scores"].values())
    assert all(tagged["scores"][genre] >= 0.5 for genre in tagged["genres"])
    assert list(tagged["scores"].values()) == sorted(tagged["scores"].values(), reverse=True)
    assert "techno" in tagged["reason"]
    assert tagged["seconds"] >= 0
    assert "2 files in " in dry.err
    assert "1 would be tagged, 1 unchanged, 0 skipped, 0 failed" in dry.err
    assert "Nothing was written (--dry-run)" in dry.err
    assert "To undo" not in dry.err

    run = genretagger("tag", music)
    assert run.status == 0
    genres = ", ".join(tagged["genres"])
    assert re.fullmatch(rf"tagged +{re.escape(genres)} +{re.escape(song.name)}\n", run.out)
    assert "1 tagged, 1 unchanged, 0 skipped, 0 failed" in run.err
    assert helpers.genres_of(song) == tagged["genres"]
    assert helpers.genres_of(mine) == ["Mine"]
    (write,) = helpers.writes(tmp_path / "data")
    assert f"To undo: genretagger undo --run {write.run_id}\n" in run.err

    known = helpers.rows(tmp_path / "data", "tracks", "analyses", "decisions", "writes")
    after = helpers.snapshot(music)
    again = genretagger("tag", "--verbose", music)
    assert again.status == 0
    assert [line.split()[0] for line in again.out.splitlines() if line[0] != " "] == ["unchanged", "unchanged"]
    assert "it has a genre" in again.out
    assert "To undo" not in again.err
    assert helpers.snapshot(music) == after
    assert helpers.rows(tmp_path / "data", "tracks", "analyses", "decisions", "writes") == known


def test_policies(genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno) -> None:
    song = make_techno(music / "song.flac", genre="Mine")
    (added,) = genretagger("tag", "--policy", "add", "--json", song).lines
    assert added["genres"] == helpers.genres_of(song)
    assert added["genres"][0] == "Mine"
    assert "Trance" in added["genres"][1:]
    (replaced,) = genretagger("tag", "--policy", "replace", "--json", song).lines
    assert replaced["genres_before"] == added["genres"]
    assert replaced["genres"] == helpers.genres_of(song) == added["genres"][1:]


@pytest.mark.parametrize(
    ("arguments", "said"),
    few(
        [
            pytest.param(["--policy", "all", "."], ["policy", "keep", "replace", "add"], id="policy"),
            pytest.param(["--device", "gpu", "."], ["--device", "cpu", "cuda", "openvino"], id="device"),
            pytest.param(["--windows", "0", "."], ["--windows", "greater than or equal to 1", '"all"'], id="windows"),
            pytest.param(["--model", "nope", "."], ["'nope' is not installed", "musicnn"], id="model"),
            pytest.param(["--jobs", "many", "."], ["--jobs", "integer"], id="jobs"),
            pytest.param(["--polcy", "add", "."], ["No such option", "--policy"], id="option"),
            pytest.param(["no\nsuch\x1b[31m.mp3"], ["does not exist", r"no\nsuch\\e[31m.mp3"], id="missing"),
            pytest.param([], ["PATH"], id="nothing"),
        ],
        0,
        3,
        6,
    ),
)
def test_wrong_use(genretagger: Command, arguments: list[str], said: list[str]) -> None:
    ended = genretagger("tag", *arguments)
    assert ended.status == 2
    assert ended.out == ""
    assert [words for words in said if words not in ended.err.replace("\\x1b", "\\\\e")] == []
    assert "Traceback" not in ended.err
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", ended.err)


def test_without_model_and_network(genretagger: Command, music: Path, make_techno: MakeTechno, tmp_path: Path) -> None:
    song = make_techno(music / "song.flac")
    before = song.read_bytes()
    ended = genretagger(
        "tag",
        "--json",
        music,
        PIP_INDEX_URL="http://127.0.0.1:9/",
        PIP_EXTRA_INDEX_URL="",
        PIP_FIND_LINKS="",
        PIP_CONFIG_FILE=os.devnull,
        PIP_RETRIES="1",
        PIP_NO_CACHE_DIR="1",
        NO_PROXY="*",
    )
    assert ended.status == 2
    assert ended.out == ""
    assert "fetching the model musicnn-yamnet" in ended.err
    assert "refuses connections" in ended.err
    assert "genretagger models pull --from FILE" in ended.err
    assert "Traceback" not in ended.err
    assert song.read_bytes() == before
    left = [path.name for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert left == [".lock"]
    assert [path.name for path in tmp_path.joinpath("data", "models").iterdir()] == [".lock"]


def test_interrupted_while_the_model_is_fetched(music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as index:  # takes the question and never answers
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{index.getsockname()[1]}/")
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
            monkeypatch.delenv(name, raising=False)
        with helpers.Running("tag", music, data_dir=tmp_path / "data") as running:
            asked, _ = index.accept()
            children = running.children()
            running.send(signal.SIGTERM)
            status, said = running.ended()
            asked.close()
    assert status == 130
    assert "Traceback" not in said
    assert len(children) == 1
    assert not helpers.alive(children[0])
    assert not list((tmp_path / "data").rglob("*.whl"))
    assert not list((tmp_path / "data").rglob("*.onnx"))


UNREADABLE = "unreadable.flac"
REASONS = {
    "text.mp3": ("failed", "not audio"),
    "empty.mp3": ("failed", "the file is empty"),
    "truncated.flac": ("failed", "truncated: it should last 0:12"),
    "fifo.mp3": ("skipped", "it is a FIFO, a socket or a device"),
    "dangling.mp3": ("skipped", "the symbolic link leads nowhere"),
    "loop.mp3": ("skipped", "the symbolic links lead in a circle"),
    "36 bits.wav": ("failed", "it cannot be decoded"),
    "unknown.m4a": ("failed", "it cannot be decoded"),
    "silent.flac": ("skipped", "silence"),
    "outside.flac": ("skipped", "it is outside the folder"),
    "linked.flac": ("skipped", "it is hard-linked: it has 2 names"),
    UNREADABLE: ("failed", "permission denied"),
}
GOOD = (
    b"good.flac",
    b"caf\xe9.flac",
    b"[/]\n.flac",
    b"[red]\x1b[31m \xe2\x80\xaefalse.flac",
    b"folder.mp3/inside.flac",
    b"huge.mp3",
    b"inner.flac",
)


@pytest.fixture
def hostile(music: Path, make_techno: MakeTechno, tmp_path: Path) -> Path:
    """A folder with everything that can go wrong, and some good files between."""
    sound = make_techno(tmp_path / "sound.flac").read_bytes()
    for good in GOOD:
        path = music / os.fsdecode(good)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(sound)
    _huge(music / "huge.mp3", make_techno)
    (music / "text.mp3").write_text("I am no music.\n" * 100)
    (music / "empty.mp3").touch()
    (music / "truncated.flac").write_bytes(sound[: len(sound) // 2])
    samples_36 = (
        b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 40000, 5, 36)
        + b"data"
        + struct.pack("<I", 40_000)
        + bytes(40_000)
    )
    (music / "36 bits.wav").write_bytes(b"RIFF" + struct.pack("<I", len(samples_36)) + samples_36)
    unknown = make_techno(music / "unknown.m4a", "alac")
    unknown.write_bytes(unknown.read_bytes().replace(b"alac", b"zzzz"))
    make(music / "silent.flac", "flac", samples=np.zeros(44100 * 60, np.float32))
    os.mkfifo(music / "fifo.mp3")
    (music / "dangling.mp3").symlink_to("nowhere.mp3")
    (music / "loop.mp3").symlink_to("loop.mp3")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("outside.flac", "linked.flac"):
        (elsewhere / name).write_bytes(sound)
    (music / "outside.flac").symlink_to(elsewhere / "outside.flac")
    (music / "linked.flac").hardlink_to(elsewhere / "linked.flac")
    (music / "inner.flac").unlink()
    (music / "folder.mp3/target.bin").write_bytes(sound)
    (music / "inner.flac").symlink_to("folder.mp3/target.bin")
    (music / "good.flac").chmod(0o640)
    if os.geteuid() != 0:  # root reads all
        (music / UNREADABLE).write_bytes(sound)
        (music / UNREADABLE).chmod(0)
    return music


def _huge(path: Path, make_techno: MakeTechno) -> None:
    make_techno(path, "mp3")
    id3: Any = importlib.import_module("mutagen.id3")
    tags = id3.ID3(path)
    tags.add(id3.APIC(encoding=3, mime="image/png", type=3, desc="", data=os.urandom(20 << 20)))
    tags.save(path)


def test_a_hostile_folder(genretagger: Command, heard: Path, hostile: Path, tmp_path: Path) -> None:
    expected = {name: said for name, said in REASONS.items() if os.path.lexists(hostile / name)}
    before, elsewhere = helpers.snapshot(hostile), helpers.snapshot(tmp_path / "elsewhere")

    dry = genretagger("tag", "--json", "--dry-run", hostile)
    assert helpers.snapshot(hostile) == before
    first = genretagger("tag", "--json", hostile)
    for ended in (dry, first):
        assert ended.status == 1
        by_name = {os.fsencode(line["path"])[len(os.fsencode(hostile)) + 1 :]: line for line in ended.lines}
        assert len(by_name) == len(ended.lines) == len(expected) + len(GOOD)
        assert {name for name, line in by_name.items() if line["status"] == "tagged"} == set(GOOD)
        for name, (status, reason) in expected.items():
            line = by_name[name.encode()]
            assert (line["status"], line["genres"]) == (status, []), name
            assert reason in line["reason"], name
            assert set(line) == documented_fields()
    people_may_read(first.err)
    failed = sum(status == "failed" for status, _ in expected.values())
    skipped = len(expected) - failed
    assert f"{len(GOOD)} tagged, 0 unchanged, {skipped} skipped, {failed} failed" in first.err
    assert "  failed: " + str(hostile / "text.mp3") + ": not audio" in first.err
    assert "  skipped 1: it is hard-linked" in first.err

    after = helpers.snapshot(hostile)
    changed = {name for name in before if before[name] != after.get(name)}
    written = {b"folder.mp3/target.bin" if name == b"inner.flac" else name for name in GOOD}
    assert after.keys() == before.keys()
    assert changed == written
    assert helpers.snapshot(tmp_path / "elsewhere") == elsewhere
    for good in GOOD:
        assert helpers.genres_of(hostile / os.fsdecode(good)), good
        assert before[good][0] == after[good][0]  # a link stays a link, a mode stays a mode
    after = helpers.snapshot(hostile)

    second = genretagger("tag", "--verbose", hostile)
    assert second.status == 1
    people_may_read(second.err)
    people_may_read(second.out)
    assert f"0 tagged, {len(GOOD)} unchanged, {skipped} skipped, {failed} failed" in second.err
    assert len([line for line in second.out.splitlines() if not line.startswith(" ")]) == len(expected) + len(GOOD)
    assert r" [/]\n.flac: it has a genre" in second.out
    assert r"[red]\x1b[31m \u202efalse.flac" in second.out
    assert r"caf\xe9.flac" in second.out
    assert helpers.snapshot(hostile) == after


def people_may_read(text: str) -> None:
    """Assert that a text is only ours: no traceback, no library's words, no terminal codes."""
    assert "Traceback" not in text
    assert "Warning" not in text
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)


def test_a_folder_that_may_not_be_read(genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads all")
    make_techno(music / "song.flac")
    closed = music / "closed"
    closed.mkdir()
    closed.chmod(0)
    try:
        ended = genretagger("tag", "--json", "--dry-run", music)
    finally:
        closed.chmod(0o700)
    assert ended.status == 1
    by_name = {Path(line["path"]).name: line for line in ended.lines}
    assert by_name["song.flac"]["status"] == "tagged"
    assert by_name["closed"]["status"] == "failed"
    assert "the folder cannot be read" in by_name["closed"]["reason"]
    assert (by_name["closed"]["model"], by_name["closed"]["dry_run"]) == ("musicnn-yamnet", True)


def test_a_terminal_sees_a_bar_and_safe_names(heard: Path, music: Path, make_techno: MakeTechno) -> None:
    make_techno(music / "song.flac").rename(music / "[red]\x1b[2J\n.flac")
    (music / "[").mkdir()
    (music / "[/]no.mp3").write_text("no music")
    controller, terminal = pty.openpty()
    with os.fdopen(controller, "rb", buffering=0) as screen:
        process = subprocess.Popen(
            [sys.executable, "-m", "genretagger", "tag", music],
            env={**os.environ, "GENRETAGGER_DATA_DIR": str(heard), "TERM": "xterm", "COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=terminal,
        )
        os.close(terminal)
        shown = b""
        try:
            while data := screen.read(65536):
                shown += data
        except OSError:  # how Linux tells that the other side has closed
            pass
        assert process.wait() == 1
    text = shown.decode()
    assert "Traceback" not in text
    assert r"[red]\x1b[2J\n.flac" in text
    assert "\x1b[2J" not in text
    assert "[/]no.mp3" in text
    assert "2/2" in text  # the bar


def test_a_pipe_that_closes_early(genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno) -> None:
    """`genretagger tag --json … | head -1`: it ends quietly, and leaves nothing half written."""
    for number in range(4):
        make_techno(music / f"{number}.flac")
    with helpers.Running("tag", "--json", music, data_dir=heard) as running:
        assert running.process.stdout is not None
        running.process.stdout.close()
        assert running.process.stderr is not None
        said = running.process.stderr.read().decode()
        assert running.process.wait(helpers.WAIT_S) == 1
    assert "Traceback" not in said
    assert "Exception" not in said
    assert helpers.temporaries(music) == []
    assert genretagger("tag", music).status == 0
    done = [write.path.name for write in helpers.writes(heard) if write.state.value == "done"]
    assert sorted(done) == ["0.flac", "1.flac", "2.flac", "3.flac"]


def test_a_file_that_may_not_be_read_costs_itself(
    genretagger: Command, heard: Path, music: Path, make_techno: MakeTechno
) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads all")
    song, closed = make_techno(music / "song.flac"), make_techno(music / "closed.flac")
    closed.chmod(0)
    ended = genretagger("tag", "--json", closed, song)
    assert ended.status == 1
    assert {Path(line["path"]).name: line["status"] for line in ended.lines} == {
        "closed.flac": "failed",
        "song.flac": "tagged",
    }


@pytest.fixture(autouse=True)
def _quiet_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().endswith("_PROXY")]:
        monkeypatch.delenv(name)
