"""APEv2: order, spelling, flags, odd items; the tags around it; and sizes that do not agree."""

from __future__ import annotations

import importlib
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from ape_factory import make_ape
from audio_factory import decode, make, metadata
from tags_helpers import field_of, frame, id3, id3v1, kind_at, only, payload_of, put, refusal_of, write

from genretagger.audio.listen import sample  # accepts a tail, which FFmpeg's WavPack reads as a broken block
from genretagger.errors import FileError, WriteRefusedError
from genretagger.files import replace as files
from genretagger.files import swap
from genretagger.tags import api
from genretagger.tags.ape import Ape

APEv2: Any = importlib.import_module("mutagen.apev2").APEv2
CORPUS = Path(__file__).resolve().parents[2] / "../shared/corpus"
HAS_HEADER, HAS_NO_FOOTER, IS_HEADER = 1 << 31, 1 << 30, 1 << 29
TEXT, READ_ONLY, BINARY, LINK = 0, 1, 2, 4


def item(key: str, value: bytes, flags: int = TEXT) -> bytes:
    return struct.pack("<II", len(value), flags) + key.encode() + b"\x00" + value


def end(
    items: tuple[bytes, ...], flags: int, *, version: int = 2000, extra: int = 0, count: int | None = None
) -> bytes:
    size = sum(map(len, items)) + 32 + extra
    return struct.pack("<8sIIII8x", b"APETAGEX", version, size, len(items) if count is None else count, flags)


def ape(*items: bytes, flags: int = 0) -> bytes:
    header, footer = (end(items, HAS_HEADER | flags | part) for part in (IS_HEADER, 0))
    return header + b"".join(items) + footer


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    path = make(tmp_path / "song.wv", "wavpack", 0.5, title=None, artist=None)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"APETAGEX")])  # FFmpeg names itself in a tag
    return path


@pytest.fixture
def monkey(tmp_path: Path) -> Path:
    path = make_ape(tmp_path / "song.ape")
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"APETAGEX")])
    return path


def add(path: Path, *parts: bytes) -> bytes:
    path.write_bytes(path.read_bytes() + b"".join(parts))
    return path.read_bytes()


def test_order_spelling_flags_and_odd_items_stay(bare: Path) -> None:
    audio = bare.read_bytes()
    first = (item("TITLE", b"T", READ_ONLY), item("Cover Art (Front)", b"a.jpg\x00\xff\xd8APETAGEX\x00" * 50, BINARY))
    last = (item("artist", b"A\x00B"), item("Artist", b"twice"), item("Related", b"http://example.invalid", LINK))
    old = (item("gEnRe", b"Rock\x00Sp\xc3\xa4\xc3\x9fe", READ_ONLY), last[0], item("GENRE", b"Pop"), *last[1:])
    data = add(bare, ape(*first, *old))
    before = field_of(bare)
    assert (before.values, before.form) == (("Rock", "Späße", "Pop"), "APEv2")
    put(bare, "Doom Metal", "Jazz")
    assert bare.read_bytes() == audio + ape(*first, item("gEnRe", b"Doom Metal\x00Jazz"), *last)
    write(bare, api.OldGenres(before.raw))
    assert bare.read_bytes() == data


def test_a_new_tag_has_a_header_and_goes_again(bare: Path) -> None:
    audio = bare.read_bytes()
    change = put(bare, "Jazz", "Blues")
    assert bare.read_bytes() == audio + ape(item("Genre", b"Jazz\x00Blues"))
    write(bare, api.OldGenres(change.before.raw))
    assert bare.read_bytes() == audio


@pytest.mark.parametrize(
    ("header", "footer"),
    [(None, 0), (HAS_HEADER | HAS_NO_FOOTER | IS_HEADER, HAS_HEADER | HAS_NO_FOOTER)],
    ids=["without header", "a flag that old taggers set"],
)
def test_the_form_of_the_tag_stays(bare: Path, header: int | None, footer: int) -> None:
    def tag(*items: bytes) -> bytes:
        return (b"" if header is None else end(items, header)) + b"".join(items) + end(items, footer)

    audio = bare.read_bytes()
    data = add(bare, tag(item("Genre", b"Rock")))
    change = put(bare, "Jazz")
    assert bare.read_bytes() == audio + tag(item("Genre", b"Jazz"))
    put(bare)
    assert bare.read_bytes() == audio + tag(), "no tag of our form, so it stays, empty"
    write(bare, api.OldGenres(change.before.raw))
    assert bare.read_bytes() == data


def lyrics() -> bytes:
    body = b"LYRICSBEGINLYR00006A line."
    return body + f"{len(body):06d}LYRICS200".encode()


def test_lyrics3_behind_the_tag_is_skipped(monkey: Path) -> None:
    """TagLib does not find the tag then."""
    add(monkey, ape(item("Title", b"T")), lyrics(), id3v1(genre=255))
    assert "another tag follows" in (refusal_of(monkey) or "")


def test_id3v1_stays_behind_the_tag(monkey: Path) -> None:
    tail = id3v1()
    audio = monkey.read_bytes()
    data = add(monkey, ape(item("Title", b"T"), item("Genre", b"Rock")), tail)
    payload, before = payload_of(monkey), field_of(monkey)
    put(monkey, "Jazz", "Blues", audio_sample=sample)
    assert monkey.read_bytes() == audio + ape(item("Title", b"T"), item("Genre", b"Jazz\x00Blues")) + tail
    assert payload_of(monkey) == payload
    write(monkey, api.OldGenres(before.raw), audio_sample=sample)
    assert monkey.read_bytes() == data


def test_what_id3v1_says_is_carried_over_and_goes_again(monkey: Path) -> None:
    audio = monkey.read_bytes()
    data = add(monkey, id3v1())
    assert (field_of(monkey).values, field_of(monkey).form) == (("Rock",), "ID3v1")
    change = put(monkey, "Jazz", audio_sample=sample)
    carried = dict(APEv2(monkey))
    names = {"Title": "V1 title", "Artist": "V1 artist", "Album": "V1 album", "Year": "1999", "Comment": "V1 comment"}
    assert {key: str(value) for key, value in carried.items()} == {**names, "Track": "7", "Genre": "Jazz"}
    assert monkey.read_bytes().startswith(audio)
    assert monkey.read_bytes().endswith(id3v1())
    write(monkey, api.OldGenres(change.before.raw), audio_sample=sample)
    assert monkey.read_bytes() == data


def test_id3v1_behind_wavpack_is_skipped(bare: Path) -> None:
    """FFmpeg then shows ID3v1 and nothing else, so it would not show the genre."""
    for tag in (b"", ape(item("Title", b"T"))):
        data = add(bare, tag, id3v1())
        assert field_of(bare).values == ("Rock",)
        assert "ID3v1" in (refusal_of(bare) or "")
        bare.write_bytes(data[: -128 - len(tag)])


def test_id3v2_in_front_is_read_and_skipped(bare: Path, monkey: Path) -> None:
    """FFmpeg and mutagen do not open such a file."""
    tag = id3(3, frame("TIT2", b"\x00Title"), frame("TCON", b"\x00Rock; Pop"), padding=40)
    for path in (bare, monkey):
        path.write_bytes(tag + path.read_bytes())
        assert (field_of(path).values, field_of(path).form, field_of(path).raw) == (("Rock", "Pop"), "ID3v2.3", None)
        assert "an ID3 tag precedes" in (refusal_of(path) or "")


def test_the_payload_is_what_lies_between_the_tags(bare: Path) -> None:
    payload = payload_of(bare)
    bare.write_bytes(id3(4, frame("TIT2", b"\x00Title", 4)) + bare.read_bytes())
    add(bare, ape(item("Title", b"T")), lyrics(), id3v1())
    assert payload_of(bare) == payload


def test_a_genre_that_is_no_text_is_none_and_comes_back(bare: Path) -> None:
    data = add(bare, ape(item("Genre", b"\x00\x01\x02", BINARY)))
    before = field_of(bare)
    assert before.values == ()
    put(bare, "Jazz")
    write(bare, api.OldGenres(before.raw))
    assert bare.read_bytes() == data


class Wrong(Ape):
    """A family with a bug."""

    def __init__(self, old: bytes, new: bytes) -> None:
        super().__init__("; ", "ape")
        self.old, self.new = old, new

    def write(self, file: BinaryIO, values: Sequence[str]) -> None:
        super().write(file, values)
        file.seek(0)
        data = file.read().replace(self.old, self.new)
        file.seek(0)
        file.write(data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (item("Title", b"T"), item("Title", b"U")),
        (item("Title", b"T"), item("Title", b"T", READ_ONLY)),
        (item("Title", b"T"), item("TITLE", b"T")),
        (b"V1 album", b"V2 album"),
        (bytes(3) + b"\xa0" + bytes(8), bytes(3) + b"\xe0" + bytes(8)),
    ],
    ids=["item", "flag", "case", "ID3v1", "form"],
)
def test_a_wrong_edit_never_reaches_the_file(
    monkey: Path, monkeypatch: pytest.MonkeyPatch, old: bytes, new: bytes
) -> None:
    data = add(monkey, ape(item("Title", b"T"), item("Genre", b"Rock")), id3v1())
    assert data.count(old) == 1
    monkeypatch.setattr(api, "container_of", lambda *_: Wrong(old, new))
    with pytest.raises(WriteRefusedError, match="changed other tags"):
        put(monkey, "Jazz", audio_sample=None)
    assert monkey.read_bytes() == data


ROCK = (item("Title", b"T"), item("Genre", b"Rock"))


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        (b"".join(ROCK) + end(ROCK, 0, version=1000), "APEv1"),
        (b"".join(ROCK) + end(ROCK, 0, version=3000), "APE version 3000"),
        (b"".join(ROCK) + end(ROCK, 0, count=3), "another number of items"),
        (b"".join(ROCK) + end(ROCK, 0, count=1), "another number of items"),
        (b"".join(ROCK) + end(ROCK, 0, count=0), "another number of items"),
        (b"".join(ROCK) + end(ROCK, 0, count=0xFFFFFFFF), "more bytes or items"),
        (b"".join(ROCK) + end(ROCK, 0, extra=0x7FFFFFFF), "more bytes or items"),
        (b"".join(ROCK) + end(ROCK, 0, extra=-60), "more bytes or items"),
        (b"".join(ROCK) + end(ROCK, 0, extra=40), "another number of items"),
        (b"".join(ROCK) + end(ROCK, HAS_HEADER), "do not agree"),
        (end(ROCK, IS_HEADER, extra=1) + b"".join(ROCK) + end(ROCK, HAS_HEADER), "do not agree"),
        (end(ROCK, IS_HEADER) + b"".join(ROCK) + end(ROCK, HAS_HEADER | IS_HEADER), "do not agree"),
        (end(ROCK, IS_HEADER) + b"".join(ROCK) + end(ROCK, 0), "remains"),
        (ape(*ROCK)[:24] + ape(*ROCK), "remains"),
        (ape(struct.pack("<II", 0xFFFFFFF0, 0) + b"Genre\x00Rock"), "another number of items"),
        (ape(struct.pack("<II", 4, 0) + b"Genre:Rock"), "another number of items"),
        (ape(item("Title", b"caf\xe9")), "utf-8"),
        (ape(item("X" * 99, b"1", 6)), "value type"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_understood_is_refused(bare: Path, tag: bytes, reason: str) -> None:
    data = add(bare, tag)
    field_of(bare)
    assert reason in (refusal_of(bare) or "")
    with pytest.raises(WriteRefusedError, match=reason):
        put(bare, "Jazz")
    assert bare.read_bytes() == data
    assert only(bare)


def test_apev1_is_read(bare: Path) -> None:
    add(bare, b"".join(ROCK) + end(ROCK, 0, version=1000))
    assert (field_of(bare).values, field_of(bare).form) == (("Rock",), "APEv1")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("145-invalid-item-count.apev2", "another number of items"),
        ("brokentag.apev2", "remains"),
        ("oldtag.apev2", None),
    ],
)
def test_broken_tags_of_other_taggers(bare: Path, name: str, reason: str | None) -> None:
    source = CORPUS / "mutagen" / name
    if not source.exists():
        pytest.skip("the corpus of odd files is not beside this repository")
    data = source.read_bytes()
    tag = data[data.index(b"APETAGEX") :]
    whole = add(bare, tag)
    if reason is None:
        change = put(bare, "Jazz")
        write(bare, api.OldGenres(change.before.raw))
    else:
        with pytest.raises(WriteRefusedError, match=reason):
            put(bare, "Jazz")
    assert bare.read_bytes() == whole


def test_damage_anywhere_in_the_tag_never_costs_audio(bare: Path) -> None:
    sound, audio = decode(bare), bare.read_bytes()
    data = add(bare, ape(item("Title", b"A title"), item("Genre", b"Rock"), item("Artist", b"An artist")))
    written = 0
    for place in range(len(audio), len(data)):
        for wrong in (0xFF, data[place] ^ 1):
            broken = bytearray(data)
            broken[place] = wrong
            bare.write_bytes(broken)
            try:
                put(bare, "Jazz", audio_sample=None)
            except FileError:
                assert bare.read_bytes() == broken
            else:
                written += 1
                assert bare.read_bytes().startswith(audio)
                assert field_of(bare).values == ("Jazz",)
    assert written > 20, "letters of other values may be any"
    assert decode(bare) == sound
    assert only(bare)


def test_a_tag_that_claims_gigabytes_costs_nothing(bare: Path) -> None:
    import resource

    with bare.open("r+b") as file:
        file.truncate(400_000_000)
        file.seek(0, os.SEEK_END)
        file.write(end((), 0, extra=300_000_000, count=1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "more bytes or items" in (refusal_of(bare) or "")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000


REAL = ("beets/full.ape", "beets/full.mpc", "mutagen/sv8_header.mpc", "mutagen/has-tags.tak", "beets/full.wv")


@pytest.fixture(params=REAL)
def real(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    source = CORPUS / str(request.param)
    if not source.exists():
        pytest.skip("the corpus of odd files is not beside this repository")
    path = tmp_path / source.name
    path.write_bytes(source.read_bytes())
    return path


def test_every_kind_of_the_family(real: Path) -> None:
    kind, sound, before, data = kind_at(real), decode(real), field_of(real), real.read_bytes()
    assert kind.tags == "ape"
    put(real, "Doom Metal", "日本")
    assert APEv2(real)["genre"].value == "Doom Metal\x00日本"
    assert metadata(real)["genre"].startswith("Doom Metal")
    assert decode(real) == sound
    write(real, api.OldGenres(before.raw))
    assert real.read_bytes() == data


@pytest.mark.slow
@pytest.mark.parametrize("step", swap.STEPS)
def test_a_kill_leaves_a_whole_file(real: Path, step: str) -> None:
    old, payload, before = real.read_bytes(), payload_of(real), field_of(real).values
    temporary = files.new_temporary_name(real)
    code = (
        "import os, sys; from pathlib import Path; from genretagger.tags import api\n"
        "from genretagger.types import Stamp\n"
        "path, wanted, payload, temporary = Path(sys.argv[1]), *sys.argv[2:]\n"
        "api.write(path, root=path.parent, change=api.NewGenres(('Jazz', 'Blues')), expected=Stamp.of(path.stat()),\n"
        "    payload_hash=payload, temporary_name=temporary,\n"
        "    step=lambda name: os.kill(os.getpid(), 9) if name == wanted else None)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, real, step, payload, temporary], capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    swapped = swap.STEPS.index(step) >= swap.STEPS.index("swapped")
    assert field_of(real).values == (("Jazz", "Blues") if swapped else before)
    assert swapped or real.read_bytes() == old
    assert payload_of(real) == payload
    files.remove_left_over(real.parent, temporary)
    assert only(real)


def test_a_tag_of_131_bytes_is_no_id3v1(tmp_path: Path) -> None:
    """The TAG in its APETAGEX is where an ID3v1 tag would begin."""
    path = make_ape(tmp_path / "song")
    put(path, "A genre")
    size = len(path.read_bytes()) - len(path.read_bytes().partition(b"APETAGEX")[0])
    put(path, "A genre" + "x" * (131 - size))
    assert path.read_bytes()[-131:-128] == b"APE"
    assert field_of(path).values == ("A genre" + "x" * (131 - size),)
    put(path, "Jazz")
    assert field_of(path).values == ("Jazz",)
