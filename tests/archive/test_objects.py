"""Objects of a real S3 server: listed, looked at and heard in the child processes, in parts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from audio_factory import make
from conftest import techno
from object_helpers import Bucket, s3

from genretagger.addresses import address_of, path_of
from genretagger.archive.listing import files_of, units
from genretagger.config import Settings, load
from genretagger.errors import (
    AccessError,
    AudioError,
    ConfigError,
    FileChangedError,
    FileError,
    SystemFaultError,
    UnsupportedFileError,
    WriteRefusedError,
)
from genretagger.files import objects, storage
from genretagger.files.objects import ObjectFile
from genretagger.files.replace import access_errors, open_for_reading
from genretagger.model.installed import InstalledModel
from genretagger.pipeline import open_pipeline
from genretagger.steps.album import files_at
from genretagger.tags.api import NewGenres
from genretagger.worker.pool import Limits, WorkerPool

pytestmark = pytest.mark.archive


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    with s3(monkeypatch, tmp_path) as bucket:
        yield bucket


@pytest.fixture
def pool(bucket: Bucket) -> Iterator[WorkerPool]:
    with WorkerPool(1, Limits()) as pool:
        yield pool


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return make(tmp_path / "song.flac", "flac", samples=techno(12))


def listed(root: Path) -> tuple[dict[str, int], list[str]]:
    failures: list[str] = []
    found = units(root, ignore=(), folders=(), failed=lambda error: failures.append(str(error)))
    return {address_of(each.folder): each.files for each in found}, failures


def test_prefixes_are_listed_like_folders(bucket: Bucket) -> None:
    for key in ("a/1.mp3", "a/CD 1/2.mp3", "a/CD 2/3.flac", "a/cover.jpg", "b/ü ♫.ogg", "x.mp3", ".hidden/1.mp3"):
        bucket.put(key, b"1")
    bucket.put("b/", b"")
    root = path_of(bucket.address)
    found, failures = listed(root)
    assert found == {"s3://music": 1, "s3://music/a": 3, "s3://music/b": 1}
    assert failures == []
    files = files_of(root / "a", root, part=0, parts=1, ignore=(), folders=())
    assert [address_of(each.path) for each in files] == [
        f"s3://music/a/{name}" for name in ("1.mp3", "CD 1/2.mp3", "CD 2/3.flac")
    ]
    assert files_at(root / "a") == [each.path for each in files]
    assert listed(path_of("s3://music/b"))[0] == {"s3://music/b": 1}


def test_odd_keys_are_read_exactly_or_named(bucket: Bucket, song: Path) -> None:
    content = song.read_bytes()
    good = ["a b/ü ♫.flac", "100%/%41.flac", "q/what?is=this#.flac", "q/a::b.flac", "q/+&=,;@'$.flac", "é/e\u0301.flac"]
    odd = ["a//b.flac", "q/../up.flac", "q/./same.flac", "q/v?versionId=1.flac"]
    for key in (*good, *odd):
        bucket.put(key, content)
    root = path_of(bucket.address)
    _, failures = listed(root)
    found = [
        each.path
        for unit in units(root, ignore=(), folders=(), failed=lambda _: None)
        for each in files_of(unit.folder, root, part=0, parts=1, ignore=(), folders=())
    ]
    assert sorted(map(address_of, found)) == sorted(f"s3://music/{key}" for key in good)
    for path in found:
        with open_for_reading(path) as file:
            assert file.read() == content, path
    assert len(failures) == len(odd), failures
    assert all("skipped: s3://music/" in failure for failure in failures)


def test_many_pages_of_a_prefix_are_listed(bucket: Bucket) -> None:
    for number in range(1100):
        bucket.put(f"many/{number}.mp3", b"")
    found = list(units(path_of(bucket.address), ignore=(), folders=(), failed=lambda error: pytest.fail(str(error))))
    assert sum(unit.files for unit in found) == 1100
    assert {unit.parts for unit in found} == {8}


def test_an_object_is_read_like_a_file(bucket: Bucket, song: Path) -> None:
    content = song.read_bytes()
    bucket.put("song.flac", content)
    objects.take_fetched()
    with ObjectFile(path_of("s3://music/song.flac")) as file:
        for start, count in ((0, 10), (65_530, 20), (len(content) - 5, 100), (len(content), 1), (70_000, 200_000)):
            assert file.seek(start) == start
            assert file.read(count) == content[start : start + count]
        assert file.seek(-3, 2) == len(content) - 3
        assert file.read() == content[-3:]
        with pytest.raises(OSError, match="nvalid"):
            file.seek(-1)
    fetched = objects.take_fetched()
    assert fetched.bytes <= len(content)
    assert 0 < fetched.requests <= 1 + len(content) // objects.block_bytes(len(content))


def test_an_object_is_known_as_its_file_is(bucket: Bucket, pool: WorkerPool, song: Path) -> None:
    bucket.put("a/song.flac", song)
    bucket.put("b/copy.flac", song)
    there = pool.inspect(path_of("s3://music/a/song.flac")).result()
    here = pool.inspect(song).result()
    for name in ("kind", "duration_s", "genres", "credits"):
        assert getattr(there, name) == getattr(here, name)
    assert there.stamp.size_bytes == here.stamp.size_bytes
    copy = pool.inspect(path_of("s3://music/b/copy.flac")).result()
    assert copy.payload_hash == there.payload_hash, "equal content is heard once"
    assert there.payload_hash != here.payload_hash
    assert pool.take_fetched().bytes > 0


@pytest.mark.parametrize(("kind", "most"), [("mp3", 0.7), ("flac", 0.7), ("wav", 0.5), ("mp4", 0.7), ("opus", 0.8)])
def test_of_a_long_track_only_parts_are_fetched(
    bucket: Bucket, settings: Settings, tmp_path: Path, kind: str, most: float
) -> None:
    song = make(tmp_path / f"song.{kind}", kind, samples=techno(240), genre=None)
    bucket.put("song", song)
    with open_pipeline(settings) as pipeline:
        there = pipeline.decide(path_of("s3://music/song"))
        fetched = pipeline.take_fetched()
        here = pipeline.decide(song)
    assert there.genres == here.genres != ()
    for genre in {*there.scores, *here.scores}:  # those below 0.001 are not given
        assert there.scores.get(genre, 0.0) == pytest.approx(here.scores.get(genre, 0.0), abs=0.02)
    size = song.stat().st_size
    assert 0.1 * size < fetched.bytes < most * size, f"in {fetched.requests} requests"


def test_nothing_is_written(bucket: Bucket, pool: WorkerPool, song: Path) -> None:
    bucket.put("song.flac", song)
    before = bucket.keys()
    path = path_of("s3://music/song.flac")
    track = pool.inspect(path).result()
    with pytest.raises(WriteRefusedError, match="read only"):
        pool.write(track, NewGenres(("Techno",)), root=path.parent, temporary_name=".x").result()
    assert bucket.keys() == before


def test_an_object_that_vanishes_or_changes_is_told(bucket: Bucket, song: Path) -> None:
    bucket.put("song.flac", song)
    path = path_of("s3://music/song.flac")
    with ObjectFile(path) as file:
        bucket.put("song.flac", song.read_bytes()[:-1] + b"x")
        with pytest.raises(FileChangedError, match="changed while it was read"):
            file.see_unchanged()
    with open_for_reading(path) as opened:
        bucket.delete("song.flac")
        opened.seek(200_000)
        with pytest.raises(FileChangedError, match="is gone") as gone, access_errors(path):
            opened.read(10)
    assert gone.value.path == path
    with pytest.raises(FileChangedError, match="is gone"):
        objects.stamp_of(path)


def test_an_object_that_changes_under_the_decoder_is_not_taken_for_the_old_one(
    bucket: Bucket, settings: Settings, tmp_path: Path, song: Path, model: InstalledModel
) -> None:
    bucket.put("song.flac", song)
    path = path_of("s3://music/song.flac")
    with open_pipeline(settings) as pipeline:
        before = pipeline.decide(path)
        other = make(tmp_path / "noise.flac", "flac", 12.0)
        bucket.put("song.flac", other)
        after = pipeline.decide(path)
        assert after.genres == pipeline.decide(other).genres != before.genres


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (bytes(100_000), UnsupportedFileError),
        (b"", UnsupportedFileError),
        (b"no music\n" * 100, UnsupportedFileError),
        ("cut", AudioError),
    ],
    ids=("zeros", "empty", "text", "truncated"),
)
def test_a_hostile_object_costs_itself_alone(
    bucket: Bucket, settings: Settings, song: Path, content: bytes | str, error: type[FileError]
) -> None:
    good = song.read_bytes()
    bucket.put("bad.flac", good[: len(good) // 2] if isinstance(content, str) else content)
    bucket.put("song.flac", good)
    with open_pipeline(settings) as pipeline:
        with pytest.raises(error) as raised:
            pipeline.decide(path_of("s3://music/bad.flac"))
        assert not isinstance(raised.value, SystemFaultError)
        assert pipeline.decide(path_of("s3://music/song.flac")).genres == pipeline.decide(song).genres


@contextmanager
def answering(status: int) -> Iterator[str]:
    """A server that gives one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(status)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "cause"), [(403, "the storage refuses"), (503, "the storage")])
def test_a_refusal_and_a_broken_server_are_faults_of_the_storage(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, status: int, cause: str
) -> None:
    with answering(status) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        storage._file_system.cache_clear()
        for ask in (objects.stamp_of, lambda path: list(storage.entries(path))):
            with pytest.raises(SystemFaultError, match=cause) as raised:
                ask(path_of("s3://music/a/song.flac"))
            assert raised.value.hint


FAULTS: dict[str, tuple[dict[str, str | None], str, str]] = {
    "no network": ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "does not answer", "AWS_ENDPOINT_URL"),
    "no credentials": ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "no credentials", "AWS_PROFILE"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_storage_is_never_that_of_an_object(
    bucket: Bucket, settings: Settings, song: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    bucket.put("song.flac", song)
    path = path_of("s3://music/song.flac")
    variables, cause, hint = FAULTS[fault]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.delenv(name) if value is None else patch.setenv(name, value)
        storage._file_system.cache_clear()
        with WorkerPool(1, Limits()) as pool, pytest.raises(SystemFaultError, match=cause) as raised:
            pool.inspect(path).result()
        assert hint in raised.value.hint
        assert raised.value.path == path
        with pytest.raises(SystemFaultError, match=cause):
            list(storage.entries(path.parent))
    storage._file_system.cache_clear()
    with open_pipeline(settings) as pipeline:
        assert pipeline.decide(path).genres


def test_a_missing_bucket_or_prefix_is_told(bucket: Bucket) -> None:
    for address in ("s3://nothing", "s3://music/nothing"):
        with pytest.raises(AccessError, match="no such bucket or prefix") as raised:
            listed(path_of(address))
        assert raised.value.path == path_of(address)


def test_addresses_that_cannot_be_analysed_are_refused() -> None:
    for address, why in (
        ("sftp://me:secret@host/music", "password"),
        ("nosuch://host/music", "knows no nosuch://"),
    ):
        with pytest.raises(ConfigError, match=why):
            storage.see_readable(address)


def test_other_storages_of_fsspec_are_read_as_well(tmp_path: Path, song: Path, data_dir: Path) -> None:
    song.rename(tmp_path / "a#b c.flac")
    root = path_of(f"file://{tmp_path}")
    (found,) = files_of(root, root, part=0, parts=1, ignore=(), folders=())
    with open_pipeline(load(data_dir=data_dir, device="cpu", threads=1, jobs=1)) as pipeline:
        there = pipeline.decide(found.path)
        assert there.genres == pipeline.decide(tmp_path / "a#b c.flac").genres != ()
