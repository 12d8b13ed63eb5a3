"""Addresses of objects as paths: each has one, and none is that of a file or of a library."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genretagger.addresses import address_of, is_address, is_object, path_of
from genretagger.database.libraries import Libraries, is_elsewhere
from genretagger.text import printable

ODD = (
    "s3://bucket/key.mp3",
    "s3://bucket",
    "s3://bucket/a b/ü ♫.mp3",
    "s3://bucket/a//b.mp3",
    "s3://bucket/./a/../b.mp3",
    "s3://bucket/100%/%41/%.mp3",
    "s3://bucket/what?versionId=1#2.mp3",
    "s3://bucket/a::b://c.mp3",
    "s3://bucket/folder/",
    "file:///music/a.mp3",
    "http://host:8000/a%20b.mp3",
    "memory://x",
)


@pytest.mark.parametrize("address", ODD)
def test_an_address_survives_as_a_path(address: str) -> None:
    path = path_of(address)
    assert is_address(address)
    assert is_object(path)
    assert not path.is_absolute()
    assert ".." not in path.parts
    assert address_of(path) == address
    stored = Libraries({"s3": Path("/music")}).to_stored(path)
    assert stored == os.fsencode(path)
    assert Libraries({"s3": Path("/music")}).from_stored(stored) == path, "a library may be called like a protocol"
    assert not is_elsewhere(path)
    assert printable(path) == address


@given(st.lists(st.sampled_from(["", ".", "..", "%", "%%", "%.", "a", "ü", "b:c"]), min_size=1))
def test_no_two_addresses_have_one_path(parts: list[str]) -> None:
    address = "s3://" + "/".join(parts)
    assert address_of(path_of(address)) == address


def test_files_and_libraries_are_no_objects() -> None:
    for path in ("/music/a.mp3", "/s3::/a.mp3", "nas2:/a.mp3", "a.mp3", "s3:/bucket/a.mp3"):
        assert not is_object(path)
        assert address_of(path) == path
    assert not is_address("s3:/bucket")
    assert not is_address("./s3://bucket")
    with pytest.raises(ValueError, match="not an address"):
        path_of("/music")
