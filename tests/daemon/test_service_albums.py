"""The service and folders in which more than one file arrives."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from daemon_helpers import Watcher, tagged_once

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at who has a file open")


def test_a_complete_file_waits_for_another_that_still_arrives_beside_it(heard: Path, music: Path, song: bytes) -> None:
    album, other = music / "album", music / "other"
    album.mkdir()
    other.mkdir()
    first, second, elsewhere = album / "1.flac", album / "2.flac", other / "1.flac"
    with Watcher(music, data_dir=heard, quiet_s=1) as watcher:
        with second.open("wb", buffering=0) as file:
            file.write(song[:1000])
            first.write_bytes(song)
            elsewhere.write_bytes(song)
            watcher.wait_for("tagged", path=elsewhere)
            assert watcher.status()["settling"] >= 2  # the file that was just written may settle as well
            assert [line["path"] for line in watcher.seen("tagged")] == [str(elsewhere)]
            file.write(song[1000:])
        watcher.wait_for_all("tagged", {first, second})
        assert next(line["path"] for line in watcher.seen("tagged")) == str(elsewhere)
    tagged_once(heard, {first, second, elsewhere})


def test_a_folder_that_never_becomes_quiet_is_handled(heard: Path, music: Path, song: bytes) -> None:
    first, second = music / "1.flac", music / "2.flac"
    with Watcher(music, data_dir=heard, quiet_s=0.2) as watcher, second.open("wb", buffering=0) as file:
        file.write(song[:1000])
        first.write_bytes(song)
        watcher.wait_for("tagged", path=first)  # while the other one is still open
        assert second.read_bytes() == song[:1000]


@pytest.mark.slow
def test_no_file_waits_for_another_if_each_is_decided_by_itself(heard: Path, music: Path, song: bytes) -> None:
    first, second = music / "1.flac", music / "2.flac"
    with Watcher(music, data_dir=heard, quiet_s=4, album="each") as watcher, second.open("wb", buffering=0) as file:
        file.write(song[:1000])
        first.write_bytes(song)
        watcher.wait_for("tagged", path=first, within_s=30)  # and not after the 40 s of ten quiet periods
