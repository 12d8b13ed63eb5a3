"""From folders to units: albums whole, huge folders in parts, and nothing held in memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from genretagger.archive import listing
from genretagger.archive.listing import files_of, parts_for, units
from genretagger.errors import AccessError
from genretagger.files.shards import Shard, bucket


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def listed(root: Path, ignore: tuple[str, ...] = ()) -> dict[str, int]:
    found = units(root, ignore=ignore, folders=(), failed=lambda error: pytest.fail(str(error)))
    return {f"{each.folder.relative_to(root)}:{each.part}/{each.parts}": each.files for each in found}


def names(root: Path, folder: Path, part: int = 0, parts: int = 1) -> list[str]:
    return [each.path.name for each in files_of(folder, root, part=part, parts=parts, ignore=(), folders=())]


def test_an_album_is_one_unit_with_its_discs(tmp_path: Path) -> None:
    touch(tmp_path, "A/1.mp3", "A/Bonus/3.mp3", "A/CD 1/1.mp3", "A/CD 2/2.flac", "A/cover.jpg", "B/\udcff.ogg", "x.mp3")
    assert listed(tmp_path) == {"A:0/1": 3, "A/Bonus:0/1": 1, "B:0/1": 1, ".:0/1": 1}
    assert names(tmp_path, tmp_path / "A") == ["1.mp3", "1.mp3", "2.flac"]
    assert names(tmp_path, tmp_path) == ["x.mp3"]
    assert names(tmp_path, tmp_path / "B") == ["\udcff.ogg"]
    assert listed(tmp_path, ("Bonus", "*.flac")) == {"A:0/1": 2, "B:0/1": 1, ".:0/1": 1}


def test_a_root_that_is_a_disc_does_not_reach_beyond_itself(tmp_path: Path) -> None:
    touch(tmp_path, "A/CD 1/1.mp3", "A/CD 2/2.mp3")
    root = tmp_path / "A" / "CD 1"
    assert listed(root) == {".:0/1": 1}
    assert names(root, root) == ["1.mp3"]


def test_a_folder_that_is_no_album_comes_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST_FILES", 10)
    monkeypatch.setattr(listing, "PART_FILES", 8)
    touch(tmp_path, *(f"all/{number}.mp3" for number in range(50)))
    found = listed(tmp_path)
    assert len(found) == 8
    assert sum(found.values()) == 50
    parts = [names(tmp_path, tmp_path / "all", part, 8) for part in range(8)]
    assert [len(part) for part in parts] == list(found.values())
    assert len({name for part in parts for name in part}) == 50


def test_the_number_of_parts_changes_seldom() -> None:
    assert [parts_for(count) for count in (1, 500, 501, 600, 1024, 1025, 100_000)] == [1, 1, 2, 4, 4, 8, 512]


def test_new_names_change_the_digest_and_nothing_else_does(tmp_path: Path) -> None:
    def digest() -> str:
        (unit,) = units(tmp_path, ignore=(), folders=(), failed=lambda error: pytest.fail(str(error)))
        return unit.names

    touch(tmp_path, "A/1.mp3", "A/2.mp3")
    first = digest()
    os.utime(tmp_path / "A" / "1.mp3", (1, 1))
    assert digest() == first
    touch(tmp_path, "A/3.mp3")
    assert digest() != first


def test_a_library_that_is_not_mounted_is_no_empty_folder(tmp_path: Path) -> None:
    assert names(tmp_path, tmp_path / "gone") == []
    with pytest.raises(AccessError, match="not there"):
        names(tmp_path / "gone", tmp_path / "gone" / "A")


def test_shares_are_equal_everywhere_and_about_the_same_size() -> None:
    assert bucket(b"music:/A", 16) == 7
    counts = [sum(b"%d" % number in Shard(share, 4) for number in range(4000)) for share in range(1, 5)]
    assert sum(counts) == 4000
    assert all(850 < count < 1150 for count in counts)
    assert Shard.parse("3/16") == Shard(3, 16)
    for wrong in ("0/4", "5/4", "1", "a/b", "1/0", "-1/4", "1/9999999"):
        with pytest.raises(ValueError, match="not a share"):
            Shard.parse(wrong)


GROWTH = """
import resource, sys
from pathlib import Path
from genretagger.archive.listing import units

def count(root):
    return sum(each.files for each in units(Path(root), ignore=(), folders=(), failed=print))

small = count(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
large = count(sys.argv[2])
print(small, large, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_memory_stays_flat_however_long_the_list_is(tmp_path: Path) -> None:
    """Twenty times as many names; `python -m benchmarks.archive` lists a million."""
    for name, albums in (("small", 50), ("large", 1000)):
        for album in range(albums):
            folder = tmp_path / name / str(album)
            folder.mkdir(parents=True)
            first = folder / f"{'long name ' * 8} 0.mp3"
            first.touch()
            for number in range(1, 20):
                os.link(first, folder / f"{'long name ' * 8} {number}.mp3")
    command = [sys.executable, "-c", GROWTH, str(tmp_path / "small"), str(tmp_path / "large")]
    small, large, growth_kb = map(int, subprocess.run(command, check=True, capture_output=True).stdout.split())
    assert (small, large) == (1000, 20_000)
    assert growth_kb < 1024, "20,000 names of 80 bytes would take 3 MB"
