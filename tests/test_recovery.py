"""Interruptions: Ctrl-C, a service manager's stop, kills of command and children, two commands.

Whatever happens and whenever: a file is as it was or fully written, the history says which, nothing
is left over, and the next run goes on from there.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import command_helpers as helpers
import numpy as np
import numpy.typing as npt
import pytest
from audio_factory import make
from recovery_helpers import done, pipeline_of, settled

from genretagger.causes import recorded
from genretagger.database.store import Store
from genretagger.database.values import WriteState
from genretagger.files.discover import find
from genretagger.types import GenreField, Status
from genretagger.worker.pool import WorkerPool

MakeTechno = Callable[..., Path]
Command = Callable[..., Any]

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes through /proc")


@pytest.fixture
def copies(music: Path, make_techno: MakeTechno) -> list[Path]:
    """Thirty files of music that was heard before, so that a run does little but write."""
    sound = make_techno(music / "00.flac").read_bytes()
    for number in range(1, 30):
        (music / f"{number:02}.flac").write_bytes(sound)
    return sorted(music.iterdir())


def old_or_new(songs: list[Path], old: bytes) -> dict[str, bool]:
    """Assert that each file is as it was or fully written; say which are written."""
    states = {song.name: song.read_bytes() for song in songs}
    new = {content for content in states.values() if content != old}
    assert len(new) <= 1  # the same music and the same genres: the same bytes
    written = {name: content != old for name, content in states.items()}
    assert all(helpers.genres_of(song) == ["Trance"] for song in songs if written[song.name])
    return written


def test_ctrl_c_keeps_what_was_heard_and_written(
    genretagger: Command, data_dir: Path, music: Path, techno_samples: npt.NDArray[np.float32]
) -> None:
    songs = [make(music / f"{n}.flac", "flac", samples=techno_samples[n * 4410 :][: 44100 * 6]) for n in range(6)]
    old = {song: song.read_bytes() for song in songs}
    with helpers.Running("tag", "--json", "--jobs", "1", music, data_dir=data_dir) as running:
        assert running.line()["status"] == "tagged"
        children = running.children()
        running.send(signal.SIGINT)
        status, said = running.ended()
    assert status == 130
    assert "Traceback" not in said
    assert re.search(r"Interrupted with \d files? left\. What is finished is kept", said)
    assert children
    assert not any(map(helpers.alive, children))
    tagged = {line["path"] for line in running.lines if line["status"] == "tagged"}
    assert 1 <= len(tagged) < len(songs)
    assert {str(song) for song in songs if helpers.genres_of(song)} == tagged
    assert {str(song) for song in songs if song.read_bytes() != old[song]} == tagged
    assert sorted(done(data_dir)) == sorted(Path(path).name for path in tagged)
    assert sorted(music.iterdir()) == songs

    heard = helpers.rows(data_dir, "analyses")["analyses"]
    assert len(heard) >= len(tagged)
    again = genretagger("tag", "--json", music)
    assert again.status == 0
    assert {line["path"]: line["status"] for line in again.lines} == {
        str(song): "unchanged" if str(song) in tagged else "tagged" for song in songs
    }
    rows = helpers.rows(data_dir, "analyses")["analyses"]
    assert rows[: len(heard)] == heard  # down to the time
    assert len(rows) == len(songs)
    settled(data_dir, music, songs)


def test_a_service_manager_stops_it_in_the_middle_of_writing(heard: Path, music: Path, copies: list[Path]) -> None:
    old = copies[0].read_bytes()
    with helpers.Running("tag", "--json", "--jobs", "2", music, data_dir=heard) as running:
        running.line()
        running.send(signal.SIGTERM)
        assert running.ended()[0] == 130
    written = old_or_new(copies, old)
    assert sorted(done(heard)) == sorted(name for name, is_written in written.items() if is_written)
    assert sorted(Path(line["path"]).name for line in running.lines) == sorted(done(heard))
    assert 1 <= len(done(heard)) < len(copies)
    assert sorted(music.iterdir()) == copies
    helpers.tag(helpers.settings(heard), music)
    settled(heard, music, copies)


def test_two_interrupts_end_it_at_once(heard: Path, music: Path, copies: list[Path]) -> None:
    old = copies[0].read_bytes()
    with helpers.Running("tag", "--json", music, data_dir=heard) as running:
        running.line()
        children = running.children()
        running.send(signal.SIGINT)
        running.send(signal.SIGINT)
        status, said = running.ended()
    assert status == 130
    assert "Traceback" not in said
    assert not any(map(helpers.alive, children))
    old_or_new(copies, old)
    helpers.tag(helpers.settings(heard), music)
    settled(heard, music, copies)


def test_kills_at_any_moment(heard: Path, music: Path, copies: list[Path]) -> None:
    old = copies[0].read_bytes()
    moments: list[tuple[bool, bool]] = [(True, True), (True, False), (False, True), (True, True)]
    left_over = 0
    for in_a_write, the_children_too in moments:
        already = set(done(heard))
        with helpers.Running("tag", "--json", "--jobs", "2", music, data_dir=heard) as running:
            if in_a_write:
                while not helpers.temporaries(music) and running.process.poll() is None:
                    pass
            else:
                while Path(running.line()["path"]).name in already:
                    pass
            victims = running.children() if the_children_too else []
            running.send(signal.SIGKILL)
            for victim in victims:
                os.kill(victim, signal.SIGKILL)
            assert running.ended()[0] == -signal.SIGKILL
        left_over += len(helpers.temporaries(music))
        old_or_new(copies, old)
    assert left_over > 0  # or nothing was killed in the middle of a write
    for name, tagged in old_or_new(copies, old).items():
        assert tagged or name not in done(heard)

    by_name = helpers.tag(helpers.settings(heard), music)
    assert {outcome.status for outcome in by_name.values()} <= {Status.TAGGED, Status.UNCHANGED}
    settled(heard, music, copies)


def test_two_commands_at_once(heard: Path, music: Path, copies: list[Path]) -> None:
    with (
        helpers.Running("tag", "--json", "--jobs", "1", music, data_dir=heard) as first,
        helpers.Running("tag", "--json", "--jobs", "1", music, data_dir=heard) as second,
    ):
        assert [first.ended()[0], second.ended()[0]] == [0, 0]
    both = {(line["path"], line["status"]): line["genres"] for running in (first, second) for line in running.lines}
    assert len(first.lines) == len(second.lines) == len(copies)
    assert {status for _, status in both} == {"tagged", "unchanged"}
    assert set(map(tuple, both.values())) == {("Trance",)}
    settled(heard, music, copies)


BEFORE = GenreField((), None, "Vorbis comment")
AFTER = GenreField(("Techno",), None, "Vorbis comment")
LEFT_OVER = ".genretagger-00112233445566ff.tmp"


def pending(data_dir: Path, song: Path, *, temporary_name: str = LEFT_OVER) -> int:
    """Forge a write that a kill interrupted; the file must be known."""
    with Store.open(data_dir / "library.sqlite3") as store:
        known = store.reports.get(song)
        assert known is not None
        assert known.track is not None
        run = store.runs.begin("tag", {})
        payload = known.track.payload_hash
        return store.writes.begin(
            run, song, payload, BEFORE, AFTER, model="musicnn", reason=recorded("r"), temporary_name=temporary_name
        )


def states(data_dir: Path) -> dict[int, WriteState]:
    return {write.id: write.state for write in helpers.writes(data_dir)}


def test_pending_writes_are_settled_by_what_is_in_the_file(heard: Path, music: Path, make_techno: MakeTechno) -> None:
    folders = [music / name for name in ("before", "after", "gone", "another", "other genre")]
    for folder in folders:
        folder.mkdir()
        make_techno(folder / "song.flac")
    songs = [folder / "song.flac" for folder in folders]
    before, after, gone, another, other_genre = songs
    helpers.tag(
        helpers.settings(heard, forbid="Trance,Techno,Dance,House,Electronic,Electro"), music
    )  # to know the files
    assert not helpers.writes(heard)
    numbers = [pending(heard, song) for song in songs]
    make_techno(after, genre="Techno")
    gone.unlink()
    make(another, "flac", 5.0, genre="Techno")
    make_techno(other_genre, genre="Mine")
    look_alikes = [
        ".genretagger-00112233445566ff.tmp.flac",
        ".genretagger-00112233445566fe.tmp",
        "genretagger-00112233445566ff.tmp",
        ".genretagger-00112233445566FF.tmp",
        "x.genretagger-00112233445566ff.tmp",
    ]
    for folder in folders:
        for name in look_alikes:
            (folder / name).write_text("somebody's own")
    for song in (before, after, gone):
        (song.parent / LEFT_OVER).write_text("half a copy")
    contents = helpers.snapshot(music)

    with helpers.pipeline(helpers.settings(heard)):
        pass
    expected = (WriteState.ABANDONED, WriteState.DONE, *[WriteState.ABANDONED] * 3)
    assert states(heard) == dict(zip(numbers, expected, strict=True))
    now = helpers.snapshot(music)
    left_overs = {os.fsencode(song.parent.name + "/" + LEFT_OVER) for song in (before, after, gone)}
    assert contents.keys() - now.keys() == left_overs
    assert {name: contents[name] for name in now} == now  # nothing else was so much as read carelessly

    by_path = helpers.tag(helpers.settings(heard), before.parent)
    assert by_path["song.flac"].status is Status.TAGGED  # nothing was forgotten


@contextmanager
def moved_away(folder: Path) -> Iterator[None]:
    away = folder.with_name("away")
    folder.rename(away)
    try:
        yield
    finally:
        away.rename(folder)


def test_a_write_on_a_disk_that_is_away_is_settled_when_it_is_back(
    heard: Path, music: Path, make_techno: MakeTechno
) -> None:
    album = music / "album"
    album.mkdir()
    song = make_techno(album / "song.flac", genre="Techno")
    options = helpers.settings(heard)
    helpers.tag(options, music)
    number = pending(heard, song)
    (album / LEFT_OVER).write_text("half a copy")
    with moved_away(album), helpers.pipeline(options):
        pass
    assert states(heard) == {number: WriteState.PENDING}
    with helpers.pipeline(options):
        pass
    assert states(heard) == {number: WriteState.DONE}
    assert sorted(album.iterdir()) == [song]


_FAILING = """
import errno
from genretagger.files.system import Folder
from genretagger.worker import child

calls = dict.fromkeys(("exchange", "sync", "unlink"), 0)

def failing(name, after):
    true = getattr(Folder, name)
    def call(*arguments):
        calls[name] += 1
        if calls[name] > after:
            raise OSError(errno.EIO, "made up")
        return true(*arguments)
    setattr(Folder, name, call)

for name, after in {failing!r}.items():
    failing(name, after)
child.main()
"""


@pytest.mark.parametrize("parent_too", [False, True])
@pytest.mark.parametrize("failing", [{"unlink": 0}, {"sync": 0, "exchange": 1}], ids=["clean-up", "swap back"])
def test_a_disk_that_fails_after_the_swap(
    heard: Path,
    music: Path,
    make_techno: MakeTechno,
    monkeypatch: pytest.MonkeyPatch,
    failing: dict[str, int],
    parent_too: bool,
) -> None:
    """The copy cannot be removed, or the swap not taken back: a later run settles the write."""
    song = make_techno(music / "song.flac")
    options = helpers.settings(heard)
    command = [sys.executable, "-c", _FAILING.format(failing=failing)]
    with (
        Store.open(options.database) as store,
        WorkerPool(1, command=command) as workers,
        monkeypatch.context() as patch,
    ):
        if parent_too:
            patch.setattr("genretagger.files.system.Folder.unlink", _refused)
        pipeline = pipeline_of(options, store, workers)
        (outcome,) = pipeline.tag(find([music], helpers.unexpected), pipeline.begin("tag"), stop=Future())
    assert helpers.genres_of(song) == ["Trance"]
    assert outcome.status is (Status.FAILED if "sync" in failing and parent_too else Status.TAGGED)
    (write,) = helpers.writes(heard)
    if parent_too:
        assert write.state is WriteState.PENDING  # by what is in the file, later
        assert helpers.temporaries(music) == [write.temporary_name]
    else:
        assert write.state is WriteState.DONE
        assert helpers.temporaries(music) == []
    with helpers.pipeline(options):
        pass
    assert done(heard) == ["song.flac"]
    assert sorted(music.iterdir()) == [song]


def _refused(*_: object) -> None:
    raise OSError(errno.EIO, "made up")
