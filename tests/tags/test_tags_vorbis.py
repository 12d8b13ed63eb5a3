"""Vorbis comments in FLAC and Ogg: spelling, order, odd bytes, padding, pages, other streams."""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from audio_factory import decode, make
from tags_helpers import field_of, id3, id3v1, only, payload_of, put, refusal_of, write

from genretagger.errors import TagError, WriteRefusedError
from genretagger.tags import api
from genretagger.tags.container import library
from genretagger.tags.vorbis import Comments

mutagen: Any = importlib.import_module("mutagen")
FLAC: Any = library("flac").FLAC
OggPage: Any = library("ogg").OggPage
OGGS = ("ogg", "opus", "oggflac")


def comments(*entries: bytes, vendor: bytes = b"an encoder", rest: bytes = b"") -> bytes:
    return Comments(vendor, entries, rest).render()


def blocks(path: Path) -> list[tuple[int, bytes]]:
    data, position, found = path.read_bytes(), 4, []
    while True:
        length = int.from_bytes(data[position + 1 : position + 4], "big")
        found.append((data[position] & 127, data[position + 4 : position + 4 + length]))
        if data[position] & 128:
            return found
        position += 4 + length


def with_blocks(path: Path, change: Callable[[list[tuple[int, bytes]]], list[tuple[int, bytes]]]) -> Path:
    old = blocks(path)
    data = path.read_bytes()
    audio = data[4 + sum(4 + len(content) for _, content in old) :]
    new = change(old)
    heads = [bytes((kind | (128 if i == len(new) - 1 else 0),)) for i, (kind, _) in enumerate(new)]
    body = b"".join(h + len(c).to_bytes(3, "big") + c for h, (_, c) in zip(heads, new, strict=True))
    path.write_bytes(b"fLaC" + body + audio)
    return path


def with_packet(path: Path, change: Callable[[bytes], bytes]) -> Path:
    """Change the second packet of the stream."""
    with path.open("r+b") as file:
        OggPage(file)
        pages = [OggPage(file)]
        while not (pages[-1].complete or len(pages[-1].packets) > 1):
            pages.append(OggPage(file))
        packets = OggPage.to_packets(pages)
        packets[0] = change(packets[0])
        OggPage.replace(file, pages, OggPage.from_packets(packets, pages[0].sequence))
    return path


@pytest.fixture
def flac(tmp_path: Path) -> Path:
    return make(tmp_path / "song.flac", "flac", 1.0)


def test_order_spelling_and_odd_bytes_stay(flac: Path) -> None:
    entries = (b"Title=T", b"genre=Rock", b"ARTIST=caf\xe9", b"no equals sign", b"TITLE=again", b"Genre=Pop", b"x=")
    with_blocks(flac, lambda old: [(k, comments(*entries) if k == 4 else c) for k, c in old])
    before, data = field_of(flac), flac.read_bytes()
    assert before.values == ("Rock", "Pop")
    put(flac, "Doom Metal", "Jazz")
    content = next(c for kind, c in blocks(flac) if kind == 4)
    expected = (
        b"Title=T",
        b"genre=Doom Metal",
        b"genre=Jazz",
        b"ARTIST=caf\xe9",
        b"no equals sign",
        b"TITLE=again",
        b"x=",
    )
    assert content == comments(*expected)
    write(flac, api.OldGenres(before.raw))
    assert flac.read_bytes() == data


def test_other_blocks_stay_and_padding_gives_room(flac: Path) -> None:
    file = FLAC(flac)
    picture = library("flac").Picture()
    picture.data, picture.mime = b"\xff\xd8" * 500, "image/jpeg"
    file.add_picture(picture)
    file.save(padding=lambda _: 300)
    with_blocks(flac, lambda old: [*old, (2, b"appl" + b"\xff" * 40), (126, b"reserved")])
    old, size = blocks(flac), flac.stat().st_size
    put(flac, "Jazz")
    assert flac.stat().st_size == size, "the padding is large enough: nothing moves"
    fixed = [block for block in old if block[0] not in (1, 4)]
    assert [block for block in blocks(flac) if block[0] not in (1, 4)] == fixed
    put(flac, *("y" * 190 + str(number) for number in range(5)))
    assert size < flac.stat().st_size < size + 6000
    assert [block for block in blocks(flac) if block[0] not in (1, 4)] == fixed
    assert sum(kind == 1 for kind, _ in blocks(flac)) == 1


@pytest.mark.parametrize("spare", range(9))
def test_any_amount_of_padding(flac: Path, spare: int) -> None:
    sound = decode(flac)
    with_blocks(flac, lambda old: [(k, c) for k, c in old if k != 1])
    room = len(b"GENRE=") + 4 + spare
    with_blocks(flac, lambda old: [*old, (1, bytes(room))])
    put(flac, "xyz")
    assert decode(flac) == sound
    assert FLAC(flac)["genre"] == ["xyz"]


def test_flac_without_comments_gets_a_block_and_loses_it_again(flac: Path) -> None:
    with_blocks(flac, lambda old: [(k, c) for k, c in old if k != 4])
    data = flac.read_bytes()
    put(flac, "Jazz")
    assert FLAC(flac)["genre"] == ["Jazz"]
    write(flac, api.OldGenres(None))
    assert flac.read_bytes() == data


def test_two_blocks_of_comments(flac: Path) -> None:
    """FFmpeg shows both, so the old genre must not stay in the second."""
    second = (4, comments(b"TITLE=Other", b"GENRE=Second"))
    with_blocks(flac, lambda old: [*old, second])
    data, before = flac.read_bytes(), field_of(flac)
    assert before.values == ("Second",)
    change = put(flac, "Jazz")
    assert (4, comments(b"TITLE=Other")) in blocks(flac)
    assert field_of(flac).values == ("Jazz",)
    tagged = flac.read_bytes()
    write(flac, api.OldGenres(json.loads(json.dumps(before.raw))))
    assert flac.read_bytes() == data
    write(flac, api.OldGenres(json.loads(json.dumps(change.after.raw))))
    assert flac.read_bytes() == tagged
    write(flac, api.OldGenres(None))  # as an older version stored it, which left the second block alone
    assert (4, comments(b"TITLE=Other")) in blocks(flac)


def test_tags_around_flac_stay(flac: Path) -> None:
    front, back = id3(4, padding=40), id3v1()
    plain = payload_of(flac)
    flac.write_bytes(front + flac.read_bytes() + back)
    assert payload_of(flac) == plain
    put(flac, "Jazz")
    data = flac.read_bytes()
    assert data.startswith(front + b"fLaC")
    assert data.endswith(back)
    assert payload_of(flac) == plain


def test_blocks_of_a_wrong_length_are_refused(flac: Path) -> None:
    data = bytearray(flac.read_bytes())
    last = 4
    while not data[last] & 128:
        last += 4 + int.from_bytes(data[last + 1 : last + 4], "big")
    length = int.from_bytes(data[last + 1 : last + 4], "big")
    data[last + 1 : last + 4] = (length + 100).to_bytes(3, "big")
    flac.write_bytes(data)
    assert "do not end" in (refusal_of(flac) or "")
    with pytest.raises(WriteRefusedError, match="do not end"):
        put(flac, "Jazz")
    assert flac.read_bytes() == data


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xff\xff\xff", b"\x01\x00\x00\x00", comments(b"a=b")[:-1], bytes(4) + b"\xff\xff\xff\xff"],
)
def test_comments_that_make_no_sense(data: bytes) -> None:
    with pytest.raises(TagError):
        Comments.parse(data)


def test_a_comment_too_large_for_flac(flac: Path) -> None:
    with_blocks(flac, lambda old: [(k, comments(b"x=" + bytes((1 << 24) - 60)) if k == 4 else c) for k, c in old])
    data = flac.read_bytes()
    with pytest.raises((TagError, WriteRefusedError)):
        put(flac, "A genre with a long name " * 4 + "!")
    assert flac.read_bytes() == data
    assert only(flac)


@pytest.mark.parametrize("kind", OGGS)
def test_comments_over_many_pages(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path / "song", kind, 1.0)
    sound, payload = decode(path), payload_of(path)
    file = mutagen.File(path)
    file["cover"] = ["x" * 200_000]
    file.save()
    put(path, "Jazz")
    again = mutagen.File(path)
    assert again["genre"] == ["Jazz"]
    assert len(again["cover"][0]) == 200_000
    assert (decode(path), payload_of(path)) == (sound, payload)


@pytest.mark.parametrize("kind", ["ogg", "opus"])
def test_padding_in_the_packet_gives_room(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path / "song", kind, 1.0)
    with_packet(path, lambda packet: packet + bytes(500))
    size = path.stat().st_size
    put(path, "Jazz")
    assert path.stat().st_size == size


def test_data_behind_opus_comments_stays(tmp_path: Path) -> None:
    path = make(tmp_path / "song", "opus", 1.0)
    with_packet(path, lambda packet: packet.rstrip(b"\x00") + b"\x01private data")
    put(path, "Jazz")
    with path.open("rb") as file:
        OggPage(file)
        page = OggPage(file)
    assert page.packets[0].endswith(b"\x01private data")


@pytest.mark.parametrize("kind", OGGS)
def test_comments_that_are_not_utf8_stay(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path / "song", kind, 1.0, title="caf?")
    with_packet(path, lambda packet: packet.replace(b"caf?", b"caf\xe9"))
    put(path, "Jazz")
    assert b"caf\xe9" in path.read_bytes()


@pytest.mark.parametrize("kind", OGGS)
def test_chained_streams(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path / "song", kind, 1.0, "Rock")
    second = make(tmp_path / "second", kind, 1.0, "Second").read_bytes()
    (tmp_path / "second").unlink()
    path.write_bytes(path.read_bytes() + second)
    payload = payload_of(path)
    put(path, "Jazz", *(f"Genre {number}" for number in range(900)), audio_sample=None)
    assert payload_of(path) == payload
    assert path.read_bytes().endswith(second)
    assert field_of(path).values[0] == "Jazz"


def test_muxed_streams(tmp_path: Path) -> None:
    def pages(data: bytes, serial: int) -> list[bytes]:
        file, found = io.BytesIO(data), []
        while file.tell() < len(data):
            page = OggPage(file)
            page.serial = serial
            found.append(page.write())
        return found

    first = pages(make(tmp_path / "song", "ogg", 1.0, "Rock").read_bytes(), 1)
    second = pages(make(tmp_path / "other", "ogg", 1.0, "Other").read_bytes(), 2)
    (tmp_path / "other").unlink()
    mixed = [page for pair in zip(first, second, strict=False) for page in pair]
    path = tmp_path / "song"
    path.write_bytes(b"".join(mixed))
    payload = payload_of(path)
    put(path, "Jazz", audio_sample=None)
    assert payload_of(path) == payload
    assert field_of(path).values == ("Jazz",)
    assert b"genre=Other" in path.read_bytes()


@pytest.mark.parametrize("kind", OGGS)
def test_positions_and_packet_borders_belong_to_the_payload(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path / "song", kind, 1.0)
    payload, data = payload_of(path), path.read_bytes()
    start = data.rindex(b"OggS")
    page = OggPage(io.BytesIO(data[start:]))
    page.position += 1
    path.write_bytes(data[:start] + page.write())
    assert payload_of(path) != payload, "another length"
    page.position -= 1
    path.write_bytes(data[:start] + page.write())
    assert payload_of(path) == payload
    first = page.packets.pop(0)
    page.packets[:0] = [first[:10], first[10:]]
    path.write_bytes(data[:start] + page.write())
    assert payload_of(path) != payload, "the same bytes in other packets"


def test_bytes_behind_the_last_page_stay(tmp_path: Path) -> None:
    path = make(tmp_path / "song", "ogg", 1.0)
    path.write_bytes(path.read_bytes() + id3v1())
    put(path, "Jazz")
    assert path.read_bytes().endswith(id3v1())


def test_an_id3_tag_in_front_of_ogg_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "song", "ogg", 1.0)
    path.write_bytes(id3(4, padding=10) + path.read_bytes())
    assert "an ID3 tag precedes" in (refusal_of(path) or "")
    with pytest.raises((TagError, WriteRefusedError)):
        put(path, "Jazz")
    assert only(path)
