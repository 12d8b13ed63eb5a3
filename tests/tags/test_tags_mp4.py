"""MP4: atoms that stay, offsets that follow, and metadata that is missing."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from audio_factory import decode, make, tone
from readers import hidden, shown
from tags_helpers import CASES, field_of, frame, id3, id3v1, only, payload_of, put, refusal_of, write

from genretagger.errors import TagError, WriteRefusedError
from genretagger.tags import api
from genretagger.tags.atoms import atoms, chunk_offsets, first, fragment_places, sample_tables
from genretagger.tags.container import library

mp4: Any = library("mp4")
MP4: Any = mp4.MP4
MOOV_FIRST = next(case for case in CASES if case.name == "alac moov first")


def atom(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def data(content: bytes, sort: int = 1, locale: int = 0) -> bytes:
    return atom(b"data", struct.pack(">II", sort, locale) + content)


def with_ilst(path: Path, content: bytes) -> Path:
    """Give a file this list of metadata: as large as the old one, with free space after it."""
    file = MP4(path)
    file.tags["\xa9cmt"] = ["x" * (len(content) + 100)]
    file.save(padding=lambda _: 0)
    whole = bytearray(path.read_bytes())
    start = whole.index(b"ilst") - 4
    size = struct.unpack_from(">I", whole, start)[0]
    new = atom(b"ilst", content)
    whole[start : start + size] = new + atom(b"free", bytes(size - len(new) - 8))
    path.write_bytes(whole)
    return path


def offsets(path: Path) -> list[int]:
    with path.open("rb") as file:
        moov = first(atoms(file), b"moov")
        assert moov is not None
        tables = [a for table in sample_tables(file, moov) for a in table if a.name in (b"stco", b"co64")]
        return [offset for table in tables for offset in chunk_offsets(file, table)]


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return make(tmp_path / "song.m4a", "alac", 1.0)


def test_other_atoms_keep_their_bytes(song: Path) -> None:
    kept = [
        atom(b"covr", data(b"\xff\xd8jpeg", 13, 5) + atom(b"name", b"cover.jpg")),
        atom(b"trkn", data(b"\x00\x00\x00\x01\x00\x02\x00\x00", 0)),
        atom(b"tmpo", data(b"\x00\x00\x00\x78", 21)),
        atom(
            b"----", atom(b"mean", bytes(4) + b"com.apple.iTunes") + atom(b"name", bytes(4) + b"X") + data(b"\xff", 0)
        ),
        atom(b"\xa9nam", data(b"caf\xe9")),
        atom(b"zzzz", b"\xff\x00nobody knows"),
    ]
    genre = atom(b"\xa9gen", data(b"Rock") + data(b"Pop"))
    content = b"".join((*kept[:2], genre, *kept[2:]))
    with_ilst(song, content)
    before, whole = field_of(song), song.read_bytes()
    assert before.values == ("Rock", "Pop")
    put(song, "Jazz")
    assert b"".join((*kept[:2], atom(b"\xa9gen", data(b"Jazz")), *kept[2:])) in song.read_bytes()
    write(song, api.OldGenres(before.raw))
    assert content in song.read_bytes()
    assert song.read_bytes() == whole


@pytest.mark.parametrize(
    ("content", "values"),
    [
        (atom(b"gnre", data(b"\x00\x12", 0)), ("Rock",)),
        (atom(b"gnre", data(b"\x00\x00", 0)), ()),
        (atom(b"gnre", data(b"\xff\xff", 0)), ()),
        (atom(b"gnre", data(b"\x00\x12", 0)) + atom(b"\xa9gen", data(b"Jazz")), ("Jazz",)),
        (atom(b"gnre", data(b"\x00\x12", 0)) + atom(b"\xa9gen", data(b" ")), ("Rock",)),
        (atom(b"\xa9gen", data(b"Jazz")) + atom(b"\xa9gen", data(b"Blues")), ("Jazz", "Blues")),
        (atom(b"\xa9gen", data("Späße".encode("utf-16-be"), 2)), ("Späße",)),
        (atom(b"\xa9gen", data(b"caf\xe9")), ("caf\ufffd",)),
        (atom(b"\xa9gen", b""), ()),
    ],
)
def test_reading_and_replacing(song: Path, content: bytes, values: tuple[str, ...]) -> None:
    with_ilst(song, content)
    before, whole = field_of(song), song.read_bytes()
    assert before.values == values
    put(song, "Doom Metal")
    assert b"gnre" not in song.read_bytes()
    assert MP4(song).tags["\xa9gen"] == ["Doom Metal"]
    write(song, api.OldGenres(before.raw))
    assert song.read_bytes() == whole


def test_offsets_follow_when_the_tags_grow(tmp_path: Path) -> None:
    path = MOOV_FIRST.make(tmp_path / "song.m4a", [])
    sound, old = decode(path), offsets(path)
    size = path.stat().st_size
    put(path, *("x" * 150 + str(number) for number in range(100)))
    grown = path.stat().st_size - size
    assert grown > 10_000
    assert offsets(path) == [offset + grown for offset in old]
    assert decode(path) == sound


def test_offsets_stay_when_the_media_comes_first(song: Path) -> None:
    old = offsets(song)
    put(song, *("x" * 150 + str(number) for number in range(100)))
    assert offsets(song) == old


def test_wide_offsets_and_sizes(tmp_path: Path) -> None:
    path = MOOV_FIRST.make(tmp_path / "song.m4a", [])
    whole = path.read_bytes()
    place = whole.index(b"stco") - 4
    size = struct.unpack_from(">I", whole, place)[0]
    old = offsets(path)
    media = whole.index(b"mdat") - 4
    # 4 bytes more for each offset, and a media atom with a size of 64 bits
    shift = 4 * len(old) + 8
    table = struct.pack(f">II{len(old)}Q", 0, len(old), *(offset + shift for offset in old))
    changed = bytearray(whole[:place] + atom(b"co64", table) + whole[place + size : media])
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        start = changed.index(name) - 4
        struct.pack_into(">I", changed, start, struct.unpack_from(">I", changed, start)[0] + 4 * len(old))
    body = whole[media + 8 :]
    path.write_bytes(changed + struct.pack(">I4sQ", 1, b"mdat", 16 + len(body)) + body)
    sound = decode(path)
    put(path, *("x" * 150 + str(number) for number in range(100)))
    assert decode(path) == sound
    assert MP4(path).tags["\xa9nam"] == ["A title"]


def fragmented(path: Path, movflags: str) -> Path:
    options = {"movflags": movflags, "frag_duration": "200000"}
    with av.open(str(path), "w", format="mp4", options=options) as output:
        stream = output.add_stream("aac", rate=44100)
        samples = tone(2.0)
        for start in range(0, len(samples), 1024):
            block = samples[start : start + 1024].reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def indexed(path: Path) -> list[bytes]:
    """The names of the atoms that the indexes of a fragmented file point to."""
    with path.open("rb") as file:
        top = atoms(file)
        places = [answer for _, _, answer in fragment_places(file, top)]
    return [path.read_bytes()[place + 4 : place + 8] for place in places]


def packet_after(path: Path, second: int) -> tuple[int | None, bytes]:
    with av.open(str(path), "r", format="mov") as container:
        container.seek(second * av.time_base)
        packet = next(container.demux(audio=0))
        return packet.pts, bytes(packet)


@pytest.mark.parametrize(
    ("movflags", "pointers"),
    [
        ("frag_keyframe+empty_moov", 10),
        ("dash", 20),
        ("frag_keyframe+empty_moov+global_sidx+default_base_moof", 10),
        ("cmaf", 10),
    ],
)
def test_fragments_and_their_indexes_follow(tmp_path: Path, movflags: str, pointers: int) -> None:
    path = fragmented(tmp_path / "song.m4a", movflags)
    old = path.read_bytes()
    assert old.count(b"moof") > 2
    assert len(indexed(path)) >= pointers
    assert set(indexed(path)) <= {b"moof", b"styp"}
    sound, payload, seen, before = decode(path), payload_of(path), shown(path), field_of(path)
    packets = [packet_after(path, second) for second in (0, 1, 2)]
    many = tuple("x" * 150 + str(number) for number in range(50))
    put(path, *many)
    assert set(indexed(path)) <= {b"moof", b"styp"}
    assert [packet_after(path, second) for second in (0, 1, 2)] == packets
    assert decode(path) == sound
    assert payload_of(path) == payload
    assert hidden(seen, shown(path)) == []
    put(path, "Jazz", "Blues")
    assert hidden(seen, shown(path), "Jazz", "Blues") == []
    write(path, api.OldGenres(before.raw))
    assert [packet_after(path, second) for second in (0, 1, 2)] == packets
    assert path.read_bytes() == old


def test_an_index_in_front_of_the_metadata_follows(tmp_path: Path) -> None:
    """`sidx` counts from its own end, so it stays right only if it moves with what it points to."""
    path = fragmented(tmp_path / "song.m4a", "frag_keyframe+empty_moov+default_base_moof")
    whole = path.read_bytes()
    moov = whole.index(b"moov") - 4
    fragment = whole.index(b"moof") - 4
    index = atom(b"sidx", struct.pack(">IIIIIHH", 0, 1, 44100, 0, fragment - moov, 0, 1) + bytes(12))
    tables = bytearray(whole[:moov] + index + whole[moov:])
    with path.open("rb") as file:
        places = list(fragment_places(file, atoms(file)))
    for position, length, answer in places:
        at = position + len(index)
        tables[at : at + length] = (answer + len(index)).to_bytes(length, "big")
    path.write_bytes(tables)
    assert set(indexed(path)) == {b"moof"}
    put(path, *("x" * 150 + str(number) for number in range(50)))
    assert set(indexed(path)) == {b"moof"}


def test_a_table_that_points_elsewhere_is_another_payload(song: Path) -> None:
    payload = payload_of(song)
    whole = bytearray(song.read_bytes())
    place = whole.index(b"stco") + 12
    struct.pack_into(">I", whole, place, struct.unpack_from(">I", whole, place)[0] + 1)
    song.write_bytes(whole)
    assert payload_of(song) != payload


def test_no_metadata_yet(tmp_path: Path) -> None:
    path = make(tmp_path / "song.m4a", "alac", 1.0, title=None, artist=None)
    whole = path.read_bytes()
    start = whole.index(b"udta") - 4
    size = struct.unpack_from(">I", whole, start)[0]
    moov = whole.index(b"moov") - 4
    total = struct.unpack_from(">I", whole, moov)[0]
    bare = whole[:moov] + struct.pack(">I", total - size) + whole[moov + 4 : start] + whole[start + size :]
    path.write_bytes(bare)
    sound = decode(path)
    for inner in (None, b"", atom(b"name", b"xyz")):
        if inner is not None:
            udta = atom(b"udta", inner)
            changed = bytearray(bare[: moov + total - size] + udta + bare[moov + total - size :])
            struct.pack_into(">I", changed, moov, total - size + len(udta))
            path.write_bytes(changed)
        old, before = path.read_bytes(), field_of(path)
        put(path, *(f"Genre {number}" for number in range(300)))
        write(path, api.OldGenres(json.loads(json.dumps(before.raw))))
        assert path.read_bytes() == old
        put(path, "Jazz", "Blues")
        assert MP4(path).tags["\xa9gen"] == ["Jazz", "Blues"], inner
        assert decode(path) == sound
        assert inner is None or inner in path.read_bytes()
        write(path, api.OldGenres(None))
        assert field_of(path).values == ()
        path.write_bytes(bare)


def test_rich_tags_of_mutagen_stay(song: Path) -> None:
    file = MP4(song)
    file.tags["covr"] = [mp4.MP4Cover(b"\x89PNG" * 900, mp4.MP4Cover.FORMAT_PNG), mp4.MP4Cover(b"\xff\xd8" * 90)]
    file.tags["----:com.apple.iTunes:MOOD"] = [mp4.MP4FreeForm(b"calm"), mp4.MP4FreeForm(b"\x01", dataformat=21)]
    file.tags["cpil"], file.tags["disk"], file.tags["tmpo"] = True, [(1, 2)], [128]
    file.save()
    before = dict(MP4(song).tags)
    put(song, "Jazz")
    after = dict(MP4(song).tags)
    assert after.pop("\xa9gen") == ["Jazz"]
    assert after == before


def test_a_file_cut_off_is_refused(tmp_path: Path) -> None:
    path = MOOV_FIRST.make(tmp_path / "song.m4a", [])
    whole = path.read_bytes()
    path.write_bytes(whole[:-500])
    assert "cut off" in (refusal_of(path) or "")
    with pytest.raises(WriteRefusedError, match="cut off"):
        put(path, "Jazz", audio_sample=None)


@pytest.mark.parametrize("moov_first", [True, False])
@pytest.mark.parametrize(
    "behind",
    [b"abc", b"trailing bytes of somebody", bytes(3), bytes(40), id3v1(), id3v1(genre=255), b"\xff" * 9],
    ids=["3 bytes", "text", "zeros", "more zeros", "ID3v1", "ID3v1 without genre", "ones"],
)
def test_bytes_behind_the_end_stay(tmp_path: Path, song: Path, moov_first: bool, behind: bytes) -> None:
    path = MOOV_FIRST.make(tmp_path / "first.m4a", []) if moov_first else song
    sound = decode(path)
    path.write_bytes(path.read_bytes() + behind)
    old, seen, before = path.read_bytes(), shown(path), field_of(path)
    put(path, "Jazz", "Blues")
    assert hidden(seen, shown(path), "Jazz", "Blues") == []
    assert path.read_bytes().endswith(behind)
    assert decode(path) == sound
    write(path, api.OldGenres(before.raw))
    assert path.read_bytes()[-len(behind) :] == old[-len(behind) :]


def test_the_free_form_counts_and_is_written_and_comes_back(song: Path) -> None:
    file = MP4(song)
    file.tags["----:com.apple.iTunes:Genre"] = [mp4.MP4FreeForm(b"Rock"), mp4.MP4FreeForm(b"Soul")]
    file.tags["----:com.apple.iTunes:MOOD"] = [mp4.MP4FreeForm(b"calm")]
    file.save()
    old, before, seen = song.read_bytes(), field_of(song), shown(song)
    assert before.values == ("Rock", "Soul")
    change = put(song, "Jazz", "Blues")
    tags = MP4(song).tags
    assert tags["\xa9gen"] == ["Jazz", "Blues"]
    assert tags["----:com.apple.iTunes:Genre"] == [b"Jazz", b"Blues"]
    assert tags["----:com.apple.iTunes:MOOD"] == [b"calm"]
    assert hidden(seen, shown(song), "Jazz", "Blues") == []
    write(song, api.OldGenres(json.loads(json.dumps(before.raw))))
    assert song.read_bytes() == old
    write(song, api.OldGenres(json.loads(json.dumps(change.after.raw))))
    assert field_of(song) == change.after
    write(song, api.OldGenres(None))  # as an older version stored it, which did not know the free form
    assert MP4(song).tags["----:com.apple.iTunes:Genre"] == [b"Jazz", b"Blues"]


def test_id3_in_front_is_skipped(song: Path) -> None:
    song.write_bytes(id3(4, frame("TCON", b"\x03Rock", 4)) + song.read_bytes())
    assert field_of(song).values == ("Rock",)
    assert "an ID3 tag precedes" in (refusal_of(song) or "")


def film(path: Path) -> Path:
    """A file with a track of pictures and one of sound."""
    with av.open(str(path), "w", format="mp4") as output:
        pictures: Any = output.add_stream("mpeg4", rate=10)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 64, "yuv420p"
        sound: Any = output.add_stream("aac", rate=44100)
        sound.layout = "mono"
        for _ in range(5):
            output.mux(pictures.encode(av.VideoFrame.from_ndarray(np.zeros((96, 64), np.uint8), format="yuv420p")))
        output.mux(pictures.encode(None))
        frame = av.AudioFrame.from_ndarray(tone(1.0)[None, :1024].copy(), format="fltp", layout="mono")
        frame.sample_rate = 44100
        output.mux(sound.encode(frame))
        output.mux(sound.encode(None))
    return path


def test_a_film_is_no_music(tmp_path: Path) -> None:
    assert "a video" in (refusal_of(film(tmp_path / "film.mp4")) or "")


def test_an_audiobook_with_pictures_of_its_chapters_is_no_film(tmp_path: Path) -> None:
    path = film(tmp_path / "book.m4b")
    content = path.read_bytes()
    assert content.count(b"mp4v") == 1
    path.write_bytes(content.replace(b"mp4v", b"jpeg"))
    assert refusal_of(path) is None


def test_metadata_of_another_sort_is_refused(song: Path) -> None:
    song.write_bytes(song.read_bytes().replace(b"mdirappl", b"mdtaappl"))
    assert "another sort" in (refusal_of(song) or "")


@pytest.mark.parametrize("size", [1, 4, 7, 0xFFFFFFFF, 0x7FFFFFFF])
def test_atoms_of_a_wrong_size(song: Path, size: int) -> None:
    whole = bytearray(song.read_bytes())
    for name in (b"moov", b"trak", b"udta", b"meta", b"ilst", b"\xa9nam", b"stco"):
        broken = bytearray(whole)
        struct.pack_into(">I", broken, broken.index(name) - 4, size)
        song.write_bytes(broken)
        with pytest.raises((TagError, WriteRefusedError)):
            put(song, "Jazz", audio_sample=None)
        assert song.read_bytes() == broken, name
        assert only(song)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(atom(b"meta", bytes(16)), "meta"), (atom(b"mfra", atom(b"tfra", bytes(15) + b"\x09")), "tfra")],
)
def test_an_index_that_cannot_follow_is_refused_beforehand(tmp_path: Path, content: bytes, reason: str) -> None:
    path = MOOV_FIRST.make(tmp_path / "song.m4a", [])
    path.write_bytes(path.read_bytes() + content)
    whole = path.read_bytes()
    assert reason in (refusal_of(path) or "")
    with pytest.raises(WriteRefusedError, match=reason):
        put(path, "Jazz")
    assert path.read_bytes() == whole
