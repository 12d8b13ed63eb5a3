"""WAV, AIFF and DSF: what is around the ID3 tag stays, wherever the tag is, in any form."""

from __future__ import annotations

import json
import resource
import struct
import zlib
from pathlib import Path

import pytest
import soundfile
from audio_factory import decode, make_dsf, tone
from chunk_helpers import ORDERS, bare, chunks_of, info, parts, wav, whole
from readers import hidden, shown
from tags_helpers import field_of, frame, id3, id3v1, kind_at, payload_of, put, refusal_of, write

from genretagger.errors import FileError
from genretagger.tags import api
from genretagger.tags.registry import container_of


def others_of(path: Path) -> bytes:
    """What a family reports of all that is neither audio nor genre."""
    container = container_of(kind_at(path), api.WriteOptions())
    assert container is not None
    found = bytearray()
    with path.open("rb") as file:
        container.others(file, found.extend)
    return bytes(found)


# What stays


@pytest.mark.parametrize("samples", [4410, 4411], ids=["even", "odd"])
def test_a_wav_gets_a_chunk_at_its_end_and_nothing_moves(tmp_path: Path, samples: int) -> None:
    form, data = parts(tmp_path, samples)
    others = [(b"JUNK", bytes(27)), form, (b"bext", b"x" * 602), (b"PAD ", b""), data, (b"cue ", bytes(28))]
    path = tmp_path / "song.wav"
    path.write_bytes(wav(*others, (b"LIST", b"adtl")))
    old, sound = path.read_bytes(), decode(path)
    put(path, "Jazz", "Späße")
    new = path.read_bytes()
    assert new[8 : len(old)] == old[8:]
    assert struct.unpack_from("<I", new, 4) == (len(new) - 8,)
    assert [name for name, _ in chunks_of(new)[-2:]] == [b"LIST", b"id3 "]
    assert new[len(old) + 8 :].startswith(b"ID3\x04")
    assert decode(path) == sound
    write(path, api.OldGenres(None))
    assert path.read_bytes() == old


def test_an_aiff_gets_a_chunk_at_its_end_and_nothing_moves(tmp_path: Path) -> None:
    path = bare(tmp_path, "aiff")
    texts = [(b"NAME", b"A name"), (b"AUTH", b"Odd"), (b"ANNO", b"One"), (b"ANNO", b"Another"), (b"MARK", bytes(2))]
    chunks = [*texts[:2], *chunks_of(path.read_bytes(), ">"), *texts[2:]]
    path.write_bytes(whole(b"FORM", b"AIFF", chunks, ">"))
    old, sound = path.read_bytes(), decode(path)
    put(path, "Jazz")
    new = path.read_bytes()
    assert new[8 : len(old)] == old[8:]
    assert struct.unpack_from(">I", new, 4) == (len(new) - 8,)
    assert chunks_of(new, ">")[-1][0] == b"ID3 "
    assert decode(path) == sound
    write(path, api.OldGenres(None))
    assert path.read_bytes() == old


def test_aiff_c(tmp_path: Path) -> None:
    path = tmp_path / "song.aifc"
    soundfile.write(path, tone(0.2), 44100, format="AIFF", subtype="PCM_16", endian="LITTLE")
    assert path.read_bytes()[8:12] == b"AIFC"
    sound = decode(path)
    put(path, "Jazz")
    assert (decode(path), field_of(path).values) == (sound, ("Jazz",))


def test_a_dsf_gets_a_tag_at_its_end_and_nothing_moves(tmp_path: Path) -> None:
    path = bare(tmp_path, "dsf")
    old, sound = path.read_bytes(), decode(path)
    put(path, "Jazz")
    new = path.read_bytes()
    assert struct.unpack_from("<QQ", new, 12) == (len(new), len(old))
    assert (new[:12], new[28 : len(old)]) == (old[:12], old[28:])
    assert new[len(old) :].startswith(b"ID3\x04")
    assert decode(path) == sound
    write(path, api.OldGenres(None))
    assert path.read_bytes() == old


def test_bytes_between_the_audio_of_a_dsf_and_its_tag_stay(tmp_path: Path) -> None:
    path = make_dsf(tmp_path / "song.dsf", 0.1, ["Rock"])
    data = path.read_bytes()
    size, place = struct.unpack_from("<QQ", data, 12)
    path.write_bytes(data[:12] + struct.pack("<QQ", size + 5, place + 5) + data[28:place] + b"abcde" + data[place:])
    rest = others_of(path)
    put(path, *(f"Genre {number}" for number in range(500)))
    assert others_of(path) == rest, "the check of a write looks at them"
    path.write_bytes(path.read_bytes().replace(b"abcdeID3", b"abcdxID3"))
    assert others_of(path) != rest
    path.write_bytes(path.read_bytes().replace(b"abcdxID3", b"abcdeID3").replace(b"A title", b"B title"))
    assert others_of(path) != rest
    assert path.read_bytes()[place : place + 8] == b"abcdeID3"
    assert len(field_of(path).values) == 500


@pytest.mark.parametrize("name", [b"id3 ", b"ID3 "])
@pytest.mark.parametrize("version", [2, 3, 4])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_an_old_tag_keeps_its_place_its_name_and_its_version(
    tmp_path: Path, name: bytes, version: int, place: int
) -> None:
    form, data = parts(tmp_path)
    title = frame("TT2" if version == 2 else "TIT2", b"\x00A title", version)
    chunks = [form, data, (b"LIST", b"adtl")]
    chunks.insert(place, (name, id3(version, title, padding=11)))
    path = tmp_path / "song.wav"
    path.write_bytes(wav(*chunks))
    sound, payload = decode(path), payload_of(path)
    for genres in (("Jazz",), tuple(f"Genre {number}" for number in range(400)), ()):
        put(path, *genres)
        found = chunks_of(path.read_bytes())
        assert [content for n, content in found if n != name] == [content for n, content in chunks if n != name]
        assert (found[place][0], found[place][1][3]) == (name, version)
        assert title in found[place][1]
        assert (decode(path), payload_of(path)) == (sound, payload)


def test_the_order_of_the_other_chunks_is_not_part_of_the_payload(tmp_path: Path) -> None:
    form, data = parts(tmp_path)
    tag, junk = (b"id3 ", id3(4, frame("TCON", b"\x03Jazz", 4))), (b"JUNK", bytes(20))
    path = tmp_path / "song.wav"
    payloads = set()
    for chunks in ([form, data], [junk, form, tag, data], [form, junk, data, tag], [tag, form, data, junk, junk]):
        path.write_bytes(wav(*chunks))
        payloads.add(payload_of(path))
    assert len(payloads) == 1
    other = bytearray(form[1])
    other[4:8] = struct.pack("<I", 48000)
    path.write_bytes(wav((b"fmt ", bytes(other)), data))
    assert payload_of(path) not in payloads, "the same samples at another rate are other audio"


# Genres elsewhere


@pytest.mark.parametrize(
    ("text", "genres"),
    [
        (b"Soul\x00", ("Soul",)),
        ("Späße\x00".encode(), ("Späße",)),
        ("Späße\x00".encode("cp1252"), ("Späße",)),
        (b"Soul; Funk\x00junk\x00", ("Soul", "Funk")),
        (b" \x00", ()),
    ],
)
def test_the_genre_of_riff_info_counts_and_comes_back(tmp_path: Path, text: bytes, genres: tuple[str, ...]) -> None:
    path = tmp_path / "song.wav"
    path.write_bytes(wav(*parts(tmp_path), info((b"IGNR", text), (b"INAM", b"Odd\x00"))))
    old, field = path.read_bytes(), field_of(path)
    assert field.values == genres
    assert field.form == ("RIFF INFO" if genres else "no tag")
    put(path, "Jazz", "Blues")
    assert field_of(path).values == ("Jazz", "Blues")
    assert info((b"IGNR", b"Jazz; Blues\x00"), (b"INAM", b"Odd\x00")) in chunks_of(path.read_bytes())
    write(path, api.OldGenres(json.loads(json.dumps(field.raw))))
    assert path.read_bytes() == old


def test_what_an_older_version_stored_leaves_a_genre_in_riff_info(tmp_path: Path) -> None:
    """It wrote only ID3, so the genre in INFO is not ours."""
    path = tmp_path / "song.wav"
    old = wav(*parts(tmp_path), info((b"IGNR", b"Soul\x00")))
    path.write_bytes(wav(*chunks_of(old), (b"id3 ", id3(4, frame("TCON", b"\x03Jazz", 4)))))
    write(path, api.OldGenres(None))
    assert path.read_bytes() == old


@pytest.mark.parametrize("place", [1, 2], ids=["in front of the audio", "behind it"])
@pytest.mark.parametrize("empty", [b"", id3(3, padding=60), id3(4, padding=4000), bytes(30)], ids=len)
def test_what_riff_info_says_is_carried_over_and_goes_again(tmp_path: Path, place: int, empty: bytes) -> None:
    path = tmp_path / "song.wav"
    chunks = list(parts(tmp_path))
    chunks.insert(place, info((b"INAM", b"Song\x00"), (b"IART", "Späße\x00".encode()), (b"ISFT", b"Odd\x00")))
    path.write_bytes(wav(*chunks, *([(b"id3 ", empty)] if empty else [])))
    old, before, payload, seen = path.read_bytes(), field_of(path), payload_of(path), shown(path)
    put(path, "Jazz", "Blues")
    assert hidden(seen, shown(path), "Jazz", "Blues") == []
    tagged = path.read_bytes()
    change = write(path, api.OldGenres(json.loads(json.dumps(before.raw))))
    assert path.read_bytes() == old
    write(path, api.OldGenres(json.loads(json.dumps(change.before.raw))))
    assert len(path.read_bytes()) == len(tagged)
    assert hidden(seen, shown(path), "Jazz", "Blues") == []
    assert payload_of(path) == payload


def test_own_frames_that_say_the_same_as_riff_info_stay(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    tag = (b"id3 ", id3(4, frame("TIT2", b"\x00Song", 4), padding=50))
    path.write_bytes(wav(*parts(tmp_path), info((b"INAM", b"Song\x00")), tag))
    old, before = path.read_bytes(), field_of(path)
    put(path, "Jazz")
    write(path, api.OldGenres(before.raw))
    assert path.read_bytes() == old


def test_riff_info_that_readers_do_not_agree_on_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    for lists in (
        (info((b"INAM", b"One\x00")), info((b"INAM", b"Two\x00"))),
        (info((b"IPRT", b"1\x00"), (b"ITRK", b"2\x00")),),
    ):
        path.write_bytes(wav(*parts(tmp_path), *lists))
        assert "INFO" in (refusal_of(path) or "")


@pytest.mark.parametrize("name", ["wav", "aiff"])
@pytest.mark.parametrize("behind", [bytes(8), b"\x00\x01\x02", id3v1(), id3v1() * 2], ids=len)
def test_bytes_behind_the_end_stay(tmp_path: Path, name: str, behind: bytes) -> None:
    path = bare(tmp_path, name)
    sound = decode(path)
    path.write_bytes(path.read_bytes() + behind)
    old, seen, before = path.read_bytes(), shown(path), field_of(path)
    put(path, "Jazz", "Blues")
    assert hidden(seen, shown(path), "Jazz", "Blues") == []
    assert path.read_bytes().endswith(behind)
    assert decode(path) == sound
    write(path, api.OldGenres(before.raw))
    assert path.read_bytes() == old


def test_damaged_riff_info_is_no_genre_and_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    for content in (b"IGNR\xff\xff\xff\xffSoul", b"IGNR\xff"):
        path.write_bytes(wav(*parts(tmp_path), (b"LIST", b"INFO" + content)))
        assert field_of(path).values == ()
        assert "INFO" in (refusal_of(path) or "")
    path.write_bytes(wav(*parts(tmp_path), (b"LIST", b"adtlIGNR\x04\x00\x00\x00Soul")))
    assert field_of(path).values == ()
    put(path, "Jazz")
    assert field_of(path).values == ("Jazz",)


# Sloppy, but readable


@pytest.mark.parametrize("counted", [True, False], ids=["counted", "not counted"])
@pytest.mark.parametrize("present", [True, False], ids=["present", "missing"])
def test_the_last_padding_byte(tmp_path: Path, counted: bool, present: bool) -> None:
    form, data = parts(tmp_path, 4411)
    content = wav(form, data)
    content = content[: None if present else -1]
    size = len(wav(form, data)) - 8 - (0 if counted else 1)
    path = tmp_path / "song.wav"
    path.write_bytes(content[:4] + struct.pack("<I", size) + content[8:])
    sound = decode(path)
    put(path, "Jazz")
    assert decode(path) == sound
    assert chunks_of(path.read_bytes())[1] == data
    assert struct.unpack_from("<I", path.read_bytes(), 4) == (path.stat().st_size - 8,)


@pytest.mark.parametrize("name", ["wav", "aiff"])
@pytest.mark.parametrize("room", [0, 1, 10, 500])
def test_an_empty_tag_chunk_is_used(tmp_path: Path, name: str, room: int) -> None:
    path = bare(tmp_path, name)
    data, order = path.read_bytes(), ORDERS[name]
    path.write_bytes(whole(data[:4], data[8:12], [*chunks_of(data, order), (b"ID3 ", bytes(room))], order))
    sound = decode(path)
    put(path, "Jazz")
    assert [n for n, _ in chunks_of(path.read_bytes(), order)].count(b"ID3 ") == 1
    assert (field_of(path).values, decode(path)) == (("Jazz",), sound)


def test_room_behind_the_tag_is_kept(tmp_path: Path) -> None:
    tag = id3(4, frame("TCON", b"\x03Rock", 4), padding=50)
    path = tmp_path / "song.wav"
    path.write_bytes(wav(*parts(tmp_path), (b"id3 ", tag + bytes(33))))
    size = path.stat().st_size
    put(path, "Jazz")
    assert path.stat().st_size == size


@pytest.mark.parametrize("version", [2, 3, 4])
def test_a_tag_that_went_with_its_genre_comes_back_as_it_was(tmp_path: Path, version: int) -> None:
    genre = frame("TCO" if version == 2 else "TCON", b"\x00Rock", version)
    path = tmp_path / "song.wav"
    path.write_bytes(wav(*parts(tmp_path), (b"id3 ", id3(version, genre))))
    raw = put(path).before.raw
    assert b"ID3" not in path.read_bytes()
    write(path, api.OldGenres(raw))
    assert field_of(path).raw == raw
    assert genre in path.read_bytes()


def test_old_genres_go_into_a_tag_of_another_version_by_then(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    path.write_bytes(wav(*parts(tmp_path), (b"id3 ", id3(3, frame("TCON", b"\x00Rock; Pop")))))
    raw = put(path, "Jazz").before.raw
    path.write_bytes(wav(*parts(tmp_path), (b"id3 ", id3(4, frame("TCON", b"\x00Jazz", 4)))))
    assert write(path, api.OldGenres(raw)).after.values == ("Rock", "Pop")
    with pytest.raises(FileError, match="not one of ID3"):
        write(path, api.OldGenres({"form": "MP4 atom", "fields": []}))


def test_compressed_frames_of_others_are_never_inflated(tmp_path: Path) -> None:
    bomb = zlib.compress(bytes(200 << 20), 9)
    comment = frame("COMM", (200 << 20).to_bytes(4, "big") + bomb, 3, 0x80)
    path = tmp_path / "song.wav"
    path.write_bytes(wav(*parts(tmp_path), (b"id3 ", id3(3, comment))))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    put(path, "Jazz", audio_sample=None)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    assert field_of(path).values == ("Jazz",)
