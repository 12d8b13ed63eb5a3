"""When the files of a folder are handled, by what arrives there and a clock that the tests set."""

from __future__ import annotations

from pathlib import Path

import pytest

from genretagger.daemon.gathering import LONGEST, Gathering

ROOT, ALBUM, OTHER = Path("/music"), Path("/music/album"), Path("/music/other")
ONE, TWO, THREE = (ALBUM / f"{number}.flac" for number in (1, 2, 3))
QUIET_S = 10


@pytest.fixture
def gathering() -> Gathering:
    return Gathering(QUIET_S)


def ready(gathering: Gathering, now_s: float, *arriving: Path) -> list[list[Path]]:
    return [[path for path, _ in group] for group in gathering.ready(now_s, lambda folder: folder in arriving)]


def test_a_file_that_arrives_alone_does_not_wait(gathering: Gathering) -> None:
    gathering.add(ONE, ROOT, 100)
    assert gathering.next_due_s() == 100
    assert gathering.ready(100, lambda _: False) == [[(ONE, ROOT)]]
    assert (len(gathering), gathering.next_due_s()) == (0, None)


def test_files_of_a_folder_wait_for_the_last_of_them(gathering: Gathering) -> None:
    gathering.add(TWO, ROOT, 100)
    assert ready(gathering, 100, ALBUM) == []
    assert gathering.next_due_s() == 100 + QUIET_S
    gathering.add(ONE, ROOT, 104)
    assert ready(gathering, 104, ALBUM) == []
    assert len(gathering) == 2
    gathering.add(THREE, ROOT, 108)
    assert ready(gathering, 108) == [[ONE, TWO, THREE]]


def test_what_was_waited_for_may_go_away(gathering: Gathering) -> None:
    gathering.add(ONE, ROOT, 100)
    assert ready(gathering, 100, ALBUM) == []
    gathering.look_at(ALBUM, 102)
    gathering.look_at(OTHER, 102)
    assert gathering.next_due_s() == 102
    assert ready(gathering, 102) == [[ONE]]


def test_another_folder_is_not_waited_for(gathering: Gathering) -> None:
    gathering.add(ONE, ROOT, 100)
    gathering.add(OTHER / "song.mp3", ROOT, 100)
    assert ready(gathering, 100, ALBUM) == [[OTHER / "song.mp3"]]


def test_folders_of_discs_are_one(gathering: Gathering) -> None:
    discs = [ALBUM / "CD 1" / "1.flac", ALBUM / "CD 2" / "1.flac"]
    for path in discs:
        gathering.add(path, ROOT, 100)
    assert ready(gathering, 100, ALBUM) == []
    assert ready(gathering, 110) == [discs]


def test_a_folder_that_never_becomes_quiet_is_handled(gathering: Gathering) -> None:
    gathering.add(ONE, ROOT, 100)
    last_s = 100 + LONGEST * QUIET_S
    for now_s in range(100, last_s, QUIET_S // 2):
        assert ready(gathering, now_s, ALBUM) == []
    gathering.add(TWO, ROOT, last_s - 1)
    assert ready(gathering, last_s - 1, ALBUM) == []
    assert gathering.next_due_s() == last_s
    assert ready(gathering, last_s, ALBUM) == [[ONE, TWO]]


def test_a_file_that_changes_again_is_not_handled(gathering: Gathering) -> None:
    gathering.add(ONE, ROOT, 100)
    gathering.add(TWO, ROOT, 100)
    assert (ONE in gathering, THREE in gathering) == (True, False)
    gathering.forget(ONE)
    gathering.forget(THREE)
    assert ready(gathering, 100) == [[TWO]]
    gathering.add(ONE, ROOT, 110)
    gathering.forget(ONE)
    assert (ready(gathering, 120), gathering.next_due_s()) == ([], None)
