"""Several genretaggers on one folder and database: no write happens twice, no undo is lost."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import command_helpers as helpers
import pytest

from genretagger.database.values import StoredWrite, WriteState

MakeTechno = Callable[..., Path]

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes through /proc")

GENRES = ["Trance"]


@pytest.fixture
def songs(tmp_path: Path, make_techno: MakeTechno) -> list[Path]:
    music = tmp_path / "music"
    music.mkdir()
    sound = make_techno(music / "00.flac").read_bytes()
    for number in range(1, 24):
        (music / f"{number:02}.flac").write_bytes(sound)
    return sorted(music.iterdir())


def at_once(data_dir: Path, *commands: tuple[str | Path, ...]) -> list[helpers.Running]:
    with ExitStack() as stack:
        running = [stack.enter_context(helpers.Running(*command, data_dir=data_dir)) for command in commands]
        for each in running:
            status, said = each.ended()
            assert status == 0, said
        return running


def agree(data_dir: Path, songs: list[Path], old: bytes) -> dict[Path, list[StoredWrite]]:
    """Assert that each file's history leads from the first to the last state without a gap."""
    history: dict[Path, list[StoredWrite]] = {song: [] for song in songs}
    for write in helpers.writes(data_dir):
        assert write.state in {WriteState.DONE, WriteState.UNDONE, WriteState.ABANDONED}
        if write.state is not WriteState.ABANDONED:
            history[write.path].append(write)
    for song, steps in history.items():
        now: tuple[str, ...] = ()
        for step in steps:
            assert step.before.values == now
            assert step.after.values != now
            now = step.after.values
        assert tuple(helpers.genres_of(song)) == now
        if not steps:
            assert song.read_bytes() == old
        undone = [step.undo_of for step in steps if step.undo_of is not None]
        assert len(undone) == len(set(undone))  # nothing is undone twice
    assert sorted(songs[0].parent.iterdir()) == songs
    return history


def test_three_that_tag(heard: Path, songs: list[Path]) -> None:
    old = songs[0].read_bytes()
    at_once(heard, *[("tag", "--json", "--jobs", "2", songs[0].parent)] * 3)
    history = agree(heard, songs, old)
    assert {len(steps) for steps in history.values()} == {1}


@pytest.mark.slow
def test_tag_beside_undo(heard: Path, songs: list[Path]) -> None:
    music, old = songs[0].parent, songs[0].read_bytes()
    helpers.tag(helpers.settings(heard), music)
    tagging, undoing, too = at_once(
        heard, ("tag", "--json", music), ("undo", "--json", music), ("undo", "--json", music)
    )
    history = agree(heard, songs, old)
    assert all(helpers.genres_of(song) == [] for song in songs)  # what was undone is left alone by `tag`
    assert {len(steps) for steps in history.values()} == {2}
    assert len(tagging.lines) == len(songs)
    undone = Counter(line["path"] for each in (undoing, too) for line in each.lines if line["status"] == "tagged")
    assert set(undone) == set(map(str, songs))


@pytest.mark.slow
def test_apply_beside_tag_and_apply(heard: Path, songs: list[Path], tmp_path: Path) -> None:
    music, old, plan = songs[0].parent, songs[0].read_bytes(), tmp_path / "plan"
    at_once(heard, ("tag", "--json", "--plan", plan, music))
    assert len(plan.read_text().splitlines()) >= len(songs)
    with ExitStack() as stack:
        commands = [("apply", plan, "--yes", "--json"), ("tag", "--json", music), ("apply", plan, "--yes", "--json")]
        running = [stack.enter_context(helpers.Running(*command, data_dir=heard)) for command in commands]
        statuses = [each.ended()[0] for each in running]
    assert statuses[1] == 0
    assert set(statuses) <= {0, 1}  # a file that the other was writing at this moment may be reported as changed
    history = agree(heard, songs, old)
    assert {len(steps) for steps in history.values()} == {1}
    assert all(helpers.genres_of(song) == GENRES for song in songs)
