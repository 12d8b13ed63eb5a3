"""`genretagger archive s3://…`, with a real Ray, a real PostgreSQL and a real S3 server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from archive_helpers import albums, archive
from audio_factory import make
from conftest import techno
from object_helpers import Bucket, s3
from postgres_server import Server

from genretagger.config import Settings
from genretagger.files.discover import find
from genretagger.pipeline import open_pipeline
from genretagger.types import Status

pytestmark = pytest.mark.archive
TRACKS = 6


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    with s3(monkeypatch, tmp_path) as bucket:
        yield bucket


@pytest.fixture
def address(postgres: Server, template: str) -> Iterator[str]:
    """A new database on PostgreSQL."""
    with postgres.database(template) as address:
        yield address


def test_a_bucket_gives_the_results_of_its_files(
    settings: Settings, bucket: Bucket, address: str, music: Path, tmp_path: Path
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    albums(music, TRACKS)
    (music / "long").mkdir()
    long = make(music / "long" / "x.mp3", "mp3", samples=techno(240))
    (music / "album 0" / "zeros.mp3").write_bytes(bytes(50_000))
    bucket.put_all(music, "lib/")
    before = bucket.keys()
    with open_pipeline(settings) as pipeline:
        found = find([music], lambda error: pytest.fail(str(error)))
        outcomes = list(pipeline.tag(found, pipeline.begin("tag", dry_run=True), stop=Future()))
    wanted = {
        f"s3://music/lib/{outcome.path.relative_to(music)}": list(outcome.genres)
        for outcome in outcomes
        if outcome.status is Status.TAGGED
    }
    assert len(wanted) == TRACKS + 1

    options = ("s3://music/lib", "--database", address, "--json", "--parquet", tmp_path / "out")
    ended = archive(settings.data_dir, *options)
    assert ended.status == 1, ended.err
    assert ended.out, ended.err
    (answer,) = ended.lines
    assert answer["progress"]["tagged"] == TRACKS + 1, ended.err
    assert answer["progress"]["failed"] == 1, "one file costs one file"
    rows = parquet.read_table(tmp_path / "out").to_pylist()
    assert {row["path"]: row["genres"] for row in rows if row["failure"] is None} == wanted
    assert {row["path_bytes"].decode() for row in rows if row["failure"]} == {"s3://music/lib/album 0/zeros.mp3"}
    others = sum(path.stat().st_size for path in music.rglob("*") if path.is_file() and path != long)
    assert 0 < answer["fetched_bytes"] < others + 0.7 * long.stat().st_size, (
        "of the long one, not every byte is fetched"
    )
    assert bucket.keys() == before

    status = archive(settings.data_dir, "status", "--database", address)
    assert "from object storage" in status.out
    (again,) = archive(settings.data_dir, *options).lines
    assert (again["files"], again["fetched_bytes"]) == (0, answer["fetched_bytes"]), "what is done is not done again"

    refused = archive(settings.data_dir, "s3://music/lib", "--database", address, "--write")
    assert refused.status == 2
    assert "object storage is read only: results only" in refused.err
    missing = archive(settings.data_dir, "s3://nothing", "--database", address)
    assert missing.status != 0
    assert "there is no such bucket or prefix" in missing.err
    assert "s3://nothing" in missing.err


def test_a_storage_that_fails_meanwhile_is_asked_again(
    settings: Settings, bucket: Bucket, address: str, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    albums(music, 4)
    bucket.put_all(music)
    options = ("s3://music", "--database", address, "--json")
    with bucket.refusing("album 0/2.flac"):
        first = archive(settings.data_dir, *options)
    assert first.status == 1, first.err
    assert first.out, first.err
    assert first.lines[0]["progress"]["units"]["failed"] == 1
    failed = json.dumps(archive(settings.data_dir, "status", "--database", address, "--json").lines[0])
    assert "s3://music/album 0" in failed
    (second,) = archive(settings.data_dir, *options).lines
    assert second["progress"]["tagged"] == 4, "the failure was never the object's own"
