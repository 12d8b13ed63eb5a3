"""Libraries: each machine mounts them elsewhere, and all of them share one database."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from database_helpers import EMPTY, JAZZ, stamp, track
from databases import Place

from genretagger.causes import Cause, because
from genretagger.database.libraries import Libraries, is_elsewhere
from genretagger.database.values import Claimant, NewJob, WriteState

HERE, THERE = {"music": Path("/mnt/music")}, {"music": Path("/volume1/share/music"), "talk": Path("/volume1/talk")}
SONG = Path("a/\udcff.mp3")


@pytest.mark.parametrize(
    ("path", "stored"),
    [
        ("/mnt/music/a/b.mp3", b"music:/a/b.mp3"),
        ("/mnt/music", b"music:"),
        ("/mnt/music/live/b.mp3", b"live:/b.mp3"),
        ("/mnt/musical/b.mp3", b"/mnt/musical/b.mp3"),
        ("/mnt/music/music:/b.mp3", b"music:/music:/b.mp3"),
        ("/mnt/music/\udcff.mp3", b"music:/\xff.mp3"),
        ("nas2:/b.mp3", b"nas2:/b.mp3"),
    ],
)
def test_a_path_has_one_stored_form_and_comes_back(path: str, stored: bytes) -> None:
    libraries = Libraries({"music": Path("/mnt/music"), "live": Path("/mnt/music/live")})
    assert libraries.to_stored(Path(path)) == stored
    assert libraries.from_stored(stored) == Path(path)
    assert is_elsewhere(Path(path)) == path.startswith("nas2")


def test_a_library_may_be_everything() -> None:
    libraries = Libraries({"all": Path("/")})
    assert libraries.to_stored(Path("/a/b.mp3")) == b"all:/a/b.mp3"
    assert libraries.from_stored(b"all:/a/b.mp3") == Path("/a/b.mp3")
    assert libraries.ranges(Path("/")) == [(b"all:/", b"all:0")]
    assert libraries.ranges(Path("/a")) == [(b"all:/a/", b"all:/a0")]


def test_machines_find_the_same_track_under_their_own_paths(place: Place) -> None:
    with place.open(libraries=HERE) as here, place.open(libraries=THERE) as there:
        mine, theirs = HERE["music"] / SONG, THERE["music"] / SONG
        here.tracks.save(track(mine))
        assert there.tracks.get(theirs, stamp()) == track(theirs)
        assert there.tracks.get(mine, stamp()) is None
        assert [known.path for known in there.reports.get_all(THERE["music"])] == [theirs]
        run = here.runs.begin("tag", {})
        number = here.writes.begin(run, mine, "aa" * 32, EMPTY, JAZZ, model="m", reason=because(Cause.SILENT))
        here.writes.finish(number, WriteState.DONE)
        (write,) = there.writes.get_all(under=theirs.parent)
        assert write.path == theirs
    assert place.execute("SELECT path FROM writes") == [(b"music:/a/\xff.mp3",)]


def test_what_lies_below_a_folder_covers_the_libraries_mounted_in_it(place: Place) -> None:
    mounts = {"zoo": Path("/m/b"), "ark": Path("/m/d")}
    paths = [Path(f"/m/{name}/x.mp3") for name in "abcde"]
    with place.open(libraries=mounts) as store:
        for path in [*reversed(paths), Path("/n/x.mp3")]:
            store.tracks.save(track(path))
        assert sorted(known.path for known in store.reports.get_all(Path("/m"))) == paths
        seen = [seen.path for seen in store.tracks.get_seen_below(Path("/m"))]
        assert seen == [os.fsencode(path) for path in paths], "a scan compares in the order of the real paths"
        assert [seen.path for seen in store.tracks.get_seen_below(Path("/m/b"))] == [b"/m/b/x.mp3"]


def test_each_machine_takes_the_jobs_of_its_own_library(place: Place) -> None:
    with place.open(libraries=HERE) as here, place.open(libraries=THERE) as there:
        music, talk = Claimant("one", (HERE["music"],)), Claimant("two", (THERE["talk"],))
        here.jobs.add(music, [NewJob(HERE["music"] / "a.mp3", HERE["music"])])
        there.jobs.add(talk, [NewJob(THERE["talk"] / "b.mp3", THERE["talk"])])
        mine = here.jobs.claim(music, lease_s=60, attempts=3)
        assert mine is not None
        assert (mine.path, mine.root) == (HERE["music"] / "a.mp3", HERE["music"])
        assert here.jobs.claim(music, lease_s=60, attempts=3) is None, "the other library is not mounted here"
        theirs = there.jobs.claim(talk, lease_s=60, attempts=3)
        assert theirs is not None
        assert theirs.path == THERE["talk"] / "b.mp3"
        elsewhere = here.jobs.get_all(theirs.state)
        assert {job.path for job in elsewhere} == {mine.path, Path("talk:/b.mp3")}
        assert not here._access.left_out, "a path of another machine's library is no odd value"


def test_a_library_that_gets_a_name_keeps_all_that_is_known(place: Place) -> None:
    path = HERE["music"] / SONG
    beside = Path("/mnt/musical/b.mp3")
    with place.open() as store:
        for each in (path, beside):
            store.tracks.save(track(each))
            store.jobs.add(Claimant("s"), [NewJob(each, each.parent)])
        run = store.runs.begin("tag", {})
        store.writes.begin(run, path, "aa" * 32, EMPTY, JAZZ, model="m", reason=because(Cause.SILENT))
    for _ in range(2):
        with place.open(libraries=HERE) as store:
            assert store.tracks.get(path, stamp()) == track(path)
            assert store.tracks.get(beside, stamp()) == track(beside)
            assert [write.path for write in store.writes.get_all(under=HERE["music"])] == [path]
            job = store.jobs.get(path)
            assert job is not None
            assert job.root == path.parent
    assert sorted(place.execute("SELECT path FROM tracks")) == [(b"/mnt/musical/b.mp3",), (b"music:/a/\xff.mp3",)]


def test_of_two_rows_for_one_file_the_named_one_stays(place: Place) -> None:
    path = HERE["music"] / SONG
    with place.open(libraries=HERE) as store:
        store.tracks.save(track(path, genres=JAZZ))
    with place.open() as store:
        store.tracks.save(track(path))
    with place.open(libraries=HERE) as store:
        found = store.tracks.get(path, stamp())
        assert found is not None
        assert found.genres == JAZZ
    assert len(place.execute("SELECT path FROM tracks")) == 1
