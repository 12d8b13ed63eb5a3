"""A real S3 server in this process, and buckets on it."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from genretagger.files import storage


@dataclass
class Bucket:
    """A bucket.

    Attributes:
        client: of boto3.
        address: `s3://name`.
        endpoint: of the server.
    """

    client: Any
    address: str
    endpoint: str

    @property
    def name(self) -> str:
        return self.address.removeprefix("s3://")

    def put(self, key: str, content: bytes | Path) -> None:
        body = content.read_bytes() if isinstance(content, Path) else content
        self.client.put_object(Bucket=self.name, Key=key, Body=body)

    def put_all(self, folder: Path, prefix: str = "") -> None:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(prefix + str(path.relative_to(folder)), path)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    @contextmanager
    def refusing(self, key: str) -> Iterator[None]:
        """Have an object archived meanwhile, so that it must be restored before it can be read."""
        content = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        self.client.put_object(Bucket=self.name, Key=key, Body=content, StorageClass="GLACIER")
        yield
        self.put(key, content)

    def keys(self) -> dict[str, str]:
        """Each key with its ETag: what must not change."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return {each["Key"]: each["ETag"] for page in pages for each in page.get("Contents", ())}


@contextmanager
def s3(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[Bucket]:
    """Serve S3, and let this process and those that it starts use it."""
    server = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    pytest.importorskip("s3fs")
    served = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    served.start()
    host, port = served.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    known = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    elsewhere = {"AWS_CONFIG_FILE": str(home / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(home / "none")}
    for name, value in {
        **known,
        **elsewhere,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")).close()
    storage._file_system.cache_clear()
    client = boto3.client("s3")
    try:
        client.create_bucket(Bucket="music")
        yield Bucket(client, "s3://music", endpoint)
    finally:
        client.close()
        served.stop()
        storage._file_system.cache_clear()
