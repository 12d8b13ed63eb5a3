"""`tag --shard`: several machines share a list, and know nothing of each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from genretagger.cli.tag import in_shard
from genretagger.files.discover import Found
from genretagger.files.shards import Shard


def test_every_album_is_whole_in_one_share(tmp_path: Path) -> None:
    root = tmp_path / "music"
    files = [Found(root / str(album) / disc / "a.mp3", root) for album in range(40) for disc in ("CD 1", "CD 2")]
    shares = [[each.path for each in in_shard(files, Shard(number, 3), {})] for number in (1, 2, 3)]
    assert sorted(path for share in shares for path in share) == sorted(each.path for each in files)
    albums = [{path.parents[1] for path in share} for share in shares]
    assert all(albums)
    assert sum(map(len, albums)) == 40


def test_a_share_is_the_same_wherever_the_library_is_mounted() -> None:
    here, there = Path("/mnt/music"), Path("/volume1/share")
    shares = [
        [each.path.relative_to(root) for each in in_shard(files, Shard(1, 2), {"music": root})]
        for root in (here, there)
        for files in [[Found(root / str(album) / "a.mp3", root) for album in range(20)]]
    ]
    assert shares[0] == shares[1]
    assert 0 < len(shares[0]) < 20


def test_machines_share_a_folder(heard: Path, music: Path, song: bytes, genretagger: Callable[..., Any]) -> None:
    for album in range(6):
        (music / str(album)).mkdir()
        (music / str(album) / "song.flac").write_bytes(song)
    ended = [genretagger("tag", music, "--dry-run", "--json", "--shard", f"{number}/2") for number in (1, 2)]
    assert [each.status for each in ended] == [0, 0]
    paths = [line["path"] for each in ended for line in each.lines]
    assert len(paths) == len(set(paths)) == 6
    wrong = genretagger("tag", music, "--shard", "3/2")
    assert wrong.status == 2
    assert "3/2" in wrong.err
