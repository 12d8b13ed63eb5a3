"""WMA: three objects that can hold the genre, their order, bytes and sizes, and wrong headers."""

from __future__ import annotations

import importlib
import struct
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from audio_factory import decode, make, metadata
from tags_helpers import field_of, only, payload_of, put, refusal_of, write

from genretagger.errors import FileError, TagError, WriteRefusedError
from genretagger.tags import api
from genretagger.tags.asf import Asf

ASF: Any = importlib.import_module("mutagen.asf").ASF
TEXT, BYTES = 0, 1


def guid(text: str) -> bytes:
    return uuid.UUID(text).bytes_le


HEADER = guid("75b22630-668e-11cf-a6d9-00aa0062ce6c")
DATA = guid("75b22636-668e-11cf-a6d9-00aa0062ce6c")
PROPERTIES = guid("8cabdca1-a947-11cf-8ee4-00c00c205365")
EXTENSION = guid("5fbf03b5-a92e-11cf-8ee3-00c00c205365")
DESCRIPTION = guid("d2d0a440-e307-11d2-97f0-00a0c95ea850")
METADATA = guid("c5f8cbea-5baf-4877-8467-aa8c44fa4cca")
LIBRARY = guid("44231c94-9498-49d1-a141-1d134e457054")
SIGNATURE = guid("2211b3fc-bd23-11d2-b4b7-00a0c955fc6e")
PADDING = guid("1806d474-cadf-4509-a4ba-9aabcb96aae8")
INDEX = guid("33000890-e5b1-11cf-89f4-00a0c90349cb")


def block(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<Q", 24 + len(content)) + content


def text(value: str) -> bytes:
    return value.encode("utf-16-le") + bytes(2)


def short(name: str, value: bytes, kind: int = TEXT) -> bytes:
    """An attribute of the Extended Content Description."""
    named = text(name)
    return struct.pack("<H", len(named)) + named + struct.pack("<HH", kind, len(value)) + value


def long(name: str, value: bytes, kind: int = TEXT, language: int = 0, stream: int = 0) -> bytes:
    """An attribute of the Metadata and the Metadata Library."""
    named = text(name)
    return struct.pack("<HHHHI", language, stream, len(named), kind, len(value)) + named + value


def attributes(name: bytes, *records: bytes) -> bytes:
    return block(name, struct.pack("<H", len(records)) + b"".join(records))


def extension(*inside: bytes) -> bytes:
    body = b"".join(inside)
    return block(EXTENSION, guid("abd3d211-a9ba-11cf-8ee6-00c00c205365") + struct.pack("<HI", 6, len(body)) + body)


def taken_apart(data: bytes) -> tuple[list[bytes], bytes]:
    """The objects of the header, and all that follows the header."""
    size = int.from_bytes(data[16:24], "little")
    found, position = [], 30
    while position < size:
        length = int.from_bytes(data[position + 16 : position + 24], "little")
        found.append(data[position : position + length])
        position += length
    return found, data[size:]


def put_together(objects: Sequence[bytes], rest: bytes) -> bytes:
    """A file whose File Properties have its size."""
    body = b"".join(objects)
    size = 30 + len(body) + len(rest)
    fixed = [o[:40] + size.to_bytes(8, "little") + o[48:] if o.startswith(PROPERTIES) else o for o in objects]
    return HEADER + struct.pack("<QI", 30 + len(body), len(objects)) + b"\x01\x02" + b"".join(fixed) + rest


@pytest.fixture
def parts(tmp_path: Path) -> tuple[list[bytes], bytes]:
    """The objects that make a file play, and its data."""
    path = make(tmp_path / "source", "asf", 0.5, title=None, artist=None)
    objects, rest = taken_apart(path.read_bytes())
    path.unlink()
    return [found for found in objects if not found.startswith((DESCRIPTION, EXTENSION))], rest


@pytest.fixture
def wma(parts: tuple[list[bytes], bytes], tmp_path: Path) -> Callable[..., Path]:
    def build(*more: bytes) -> Path:
        path = tmp_path / "song.wma"
        path.write_bytes(put_together([*parts[0], *more], parts[1]))
        return path

    return build


def seen(path: Path) -> list[str]:
    return [str(value) for value in ASF(path).tags["WM/Genre"]]


TITLE, YEAR = short("Title", text("T")), short("WM/Year", text("1999"))
ODD = short("WM/Odd", b"\xd8\x00\xff", BYTES)
GENRE_ID = short("WM/GenreID", text("(17)"))


def test_order_and_bytes_of_all_else_stay(wma: Callable[..., Path], parts: tuple[list[bytes], bytes]) -> None:
    def objects(*genres: bytes) -> list[bytes]:
        library = attributes(LIBRARY, long("WM/Picture", b"\x03" + bytes(90000), BYTES))
        return [
            block(PADDING, bytes(100)),
            attributes(DESCRIPTION, YEAR, ODD, *genres, YEAR, GENRE_ID),
            extension(attributes(METADATA, long("IsVBR", b"\x01\x00", 2, stream=1)), block(PADDING, b"x"), library),
            block(guid("298ae614-2622-4c17-b935-dae07ee9289c"), b"unknown"),
        ]

    path = wma(*objects(short("WM/Genre", text("Rock")), short("WM/Genre", text("Späße"))))
    data, sound, before = path.read_bytes(), decode(path), field_of(path)
    assert (before.values, before.form) == (("Rock", "Späße"), "WM/Genre")
    put(path, "Doom Metal", "日本", "Jazz")
    new = [short("WM/Genre", text(name)) for name in ("Doom Metal", "日本", "Jazz")]
    assert path.read_bytes() == put_together([*parts[0], *objects(*new)], parts[1])
    assert (decode(path), seen(path)) == (sound, ["Doom Metal", "日本", "Jazz"])
    write(path, api.OldGenres(before.raw))
    assert path.read_bytes() == data


@pytest.mark.parametrize("name", [METADATA, LIBRARY], ids=["metadata", "library"])
def test_the_genre_is_written_where_it_is(wma: Callable[..., Path], name: bytes) -> None:
    language = 1 if name == LIBRARY else 0
    old = [long("A", text("1")), long("WM/Genre", text("Rock"), TEXT, language, 2), long("B", text("2"))]
    path = wma(attributes(DESCRIPTION, TITLE), extension(attributes(name, *old)))
    data, before = path.read_bytes(), field_of(path)
    assert before.values == ("Rock",)
    put(path, "Jazz", "Blues")
    new = [long("WM/Genre", text(value), TEXT, language, 2) for value in ("Jazz", "Blues")]
    assert extension(attributes(name, old[0], *new, old[2])) in path.read_bytes()
    assert attributes(DESCRIPTION, TITLE) in path.read_bytes()
    assert seen(path) == ["Jazz", "Blues"]
    write(path, api.OldGenres(before.raw))
    assert path.read_bytes() == data


def test_genres_in_several_objects_become_those_of_one(wma: Callable[..., Path]) -> None:
    library = [long("WM/Genre", text("Pop")), long("A", text("1"))]
    genre = short("WM/Genre", text("Rock"))
    path = wma(extension(attributes(LIBRARY, *library)), attributes(DESCRIPTION, genre, TITLE))
    data, before = path.read_bytes(), field_of(path)
    assert before.values == ("Rock", "Pop")
    put(path, "Jazz", "Blues")
    assert extension(attributes(LIBRARY, library[1])) in path.read_bytes()
    assert seen(path) == ["Jazz", "Blues"]
    write(path, api.OldGenres(before.raw))
    assert path.read_bytes() == data


def test_what_mutagen_wrote(tmp_path: Path) -> None:
    """It puts the first value of a name into one object and the others into another."""
    path = make(tmp_path / "song.wma", "asf", 0.5, ["Rock", "Pop", "Jazz"])
    assert field_of(path).values == ("Rock", "Pop", "Jazz")
    put(path, "Blues", "Soul")
    assert seen(path) == ["Blues", "Soul"]
    file = ASF(path)
    file["WM/Genre"] = ["Funk", "Soul"]
    file.save()
    assert field_of(path).values == ("Funk", "Soul")


def test_a_missing_object_is_made_and_goes_again(
    wma: Callable[..., Path], parts: tuple[list[bytes], bytes], tmp_path: Path
) -> None:
    path = wma()
    data, payload = path.read_bytes(), payload_of(path)
    change = put(path, "Jazz")
    made = attributes(DESCRIPTION, short("WM/Genre", text("Jazz")))
    assert path.read_bytes() == put_together([*parts[0], made], parts[1])
    assert (metadata(path)["genre"], payload_of(path)) == ("Jazz", payload)
    write(path, api.OldGenres(change.before.raw))
    assert path.read_bytes() == data


def test_an_object_in_the_wrong_place_is_not_made_twice(wma: Callable[..., Path]) -> None:
    path = wma(extension(attributes(DESCRIPTION, TITLE)))
    put(path, "Jazz")
    assert extension(attributes(DESCRIPTION, TITLE, short("WM/Genre", text("Jazz")))) in path.read_bytes()
    assert seen(path) == ["Jazz"]


class Wrong(Asf):
    """A family with a bug."""

    def __init__(self, old: bytes, new: bytes) -> None:
        super().__init__("; ")
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
        (YEAR, short("WM/Year", text("1998"))),
        (PADDING + b"\x19", INDEX + b"\x19"),
        (INDEX, PADDING),
        (b"junk", b"jank"),
        (long("A", text("1")), long("A", text("1"), stream=1)),
        (GENRE_ID, GENRE_ID[:-4] + b"8" + GENRE_ID[-3:]),
        (PROPERTIES + b"\x68" + bytes(7), PROPERTIES + b"\x69" + bytes(7)),
    ],
    ids=["attribute", "object", "index", "end", "stream", "number", "properties"],
)
def test_a_wrong_edit_never_reaches_the_file(
    wma: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, old: bytes, new: bytes
) -> None:
    library = attributes(LIBRARY, long("A", text("1")))
    path = wma(attributes(DESCRIPTION, YEAR, GENRE_ID), block(PADDING, b"."), extension(library))
    path.write_bytes(path.read_bytes() + block(INDEX, b"\x01\x02" * 500) + b"junk")
    data = path.read_bytes()
    assert data.count(old) == 1
    monkeypatch.setattr(api, "container_of", lambda *_: Wrong(old, new))
    with pytest.raises(WriteRefusedError, match=r"changed other tags|cannot be read|changed the audio"):
        put(path, "Jazz", audio_sample=None)
    assert path.read_bytes() == data


def test_a_stated_file_size_that_was_wrong_stays_wrong(wma: Callable[..., Path]) -> None:
    path = wma(attributes(DESCRIPTION, TITLE))
    data = bytearray(path.read_bytes())
    place = data.index(PROPERTIES) + 40
    assert int.from_bytes(data[place : place + 8], "little") == len(data)
    data[place : place + 8] = (12345).to_bytes(8, "little")
    path.write_bytes(data)
    put(path, "Jazz")
    assert path.read_bytes()[place : place + 8] == (12345).to_bytes(8, "little")


def test_the_data_and_the_index_are_moved_as_they_are(wma: Callable[..., Path]) -> None:
    path = wma(attributes(DESCRIPTION, TITLE))
    path.write_bytes(path.read_bytes() + block(INDEX, b"\x01\x02" * 500) + b"junk")
    payload, (_, rest) = payload_of(path), taken_apart(path.read_bytes())
    put(path, "Jazz", *(f"Genre {number}" for number in range(99)))
    assert taken_apart(path.read_bytes())[1] == rest
    assert payload_of(path) == payload
    path.write_bytes(path.read_bytes()[:-3])
    assert payload_of(path) == payload, "what follows the data is no audio"


def test_a_genre_that_is_no_text_is_none_and_comes_back(wma: Callable[..., Path]) -> None:
    path = wma(attributes(DESCRIPTION, TITLE, short("WM/Genre", b"\x01\x02", BYTES)))
    data, before = path.read_bytes(), field_of(path)
    assert before.values == ()
    put(path, "Jazz")
    write(path, api.OldGenres(before.raw))
    assert path.read_bytes() == data


def test_names_and_values_without_their_last_nul(wma: Callable[..., Path]) -> None:
    name, value = text("WM/Genre")[:-2], text("Rock")[:-2]
    record = struct.pack("<H", len(name)) + name + struct.pack("<HH", TEXT, len(value)) + value
    path = wma(attributes(DESCRIPTION, record, TITLE))
    data, before = path.read_bytes(), field_of(path)
    assert before.values == ("Rock",)
    put(path, "Jazz")
    assert seen(path) == ["Jazz"]
    write(path, api.OldGenres(before.raw))
    assert path.read_bytes() == data


GENRE = attributes(DESCRIPTION, TITLE, short("WM/Genre", text("Rock")))


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ([GENRE, block(SIGNATURE, bytes(20))], "signed"),
        ([GENRE, GENRE], "is inconsistent"),
        ([GENRE, extension(), extension()], "is inconsistent"),
        ([GENRE, extension()[:-1] + b"\x01"], "is inconsistent"),
        ([GENRE, extension(extension())], "is inconsistent"),
        ([block(DESCRIPTION, GENRE[24:] + b"more")], "attributes"),
        ([block(DESCRIPTION, b"\x03" + GENRE[25:])], "attributes"),
        ([block(DESCRIPTION, GENRE[24:-1])], "attributes"),
        ([block(DESCRIPTION, b"")], "attributes"),
        ([GENRE, extension(attributes(LIBRARY, long("A", b"")[:-1]))], "attributes"),
        ([GENRE, extension(block(PADDING, b"")[:-1])], "header of the WMA file is damaged"),
        ([GENRE, GENRE[:16] + bytes(8) + GENRE[24:]], "header of the WMA file is damaged"),
        ([GENRE, GENRE[:16] + b"\xff" * 8 + GENRE[24:]], "header of the WMA file is damaged"),
        ([GENRE, *[block(PADDING, b"")] * 5000], "header of the WMA file is damaged"),
        ([GENRE, block(PROPERTIES, bytes(90))], "is inconsistent"),
        ([attributes(DESCRIPTION, short("X", b"\x00\xd8"))], "utf-16|surrogate|cannot be read"),
    ],
)
def test_what_is_not_understood_is_refused(wma: Callable[..., Path], more: list[bytes], reason: str) -> None:
    path = wma(*more)
    data = path.read_bytes()
    with pytest.raises((WriteRefusedError, TagError), match=reason):
        put(path, "Jazz", payload_hash="", audio_sample=None)
    assert refusal_of(path)
    assert path.read_bytes() == data
    assert only(path)


def with_bytes(place: int, new: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data[:place] + new + data[place + len(new) :]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (with_bytes(24, b"\x09"), "is inconsistent"),
        (with_bytes(16, b"\xff" * 8), "more than 128 MB"),
        (with_bytes(16, struct.pack("<Q", 30)), "is inconsistent|does not end where"),
        (with_bytes(16, struct.pack("<Q", 10)), "ends inside its header"),
        (with_bytes(16, struct.pack("<Q", 100 << 20)), "ends inside its header"),
        (lambda data: data[:-100], "cut off"),
        (lambda data: data[: data.index(DATA)], "does not end where"),
        (lambda data: data.replace(DATA, DATA + b"\x31" + bytes(7) + b"skip"), "does not end where"),
        (lambda data: data.replace(PROPERTIES, bytes(16)), "no file properties"),
        (lambda data: data.replace(DATA, bytes(16)), "does not end where"),
    ],
)
def test_wrong_sizes_are_refused(wma: Callable[..., Path], change: Callable[[bytes], bytes], reason: str) -> None:
    path = wma(GENRE)
    data = change(path.read_bytes())
    path.write_bytes(data)
    with pytest.raises((WriteRefusedError, TagError), match=reason):
        put(path, "Jazz", payload_hash="", audio_sample=None)
    assert refusal_of(path)
    assert path.read_bytes() == data
    assert only(path)


def test_damage_anywhere_in_the_header_never_costs_audio(wma: Callable[..., Path]) -> None:
    path = wma(GENRE, extension(attributes(LIBRARY, long("A", text("1")))))
    data = path.read_bytes()
    _, rest = taken_apart(data)
    written = 0
    for place in range(16, len(data) - len(rest), 2):
        broken = bytearray(data)
        broken[place] ^= 0x41
        path.write_bytes(broken)
        try:
            change = put(path, "Jazz", audio_sample=None)
        except FileError:
            assert path.read_bytes() == broken
        else:
            written += 1
            assert change.after.values == ("Jazz",)
            assert path.read_bytes().endswith(rest)
    assert written > 50, "most of the header is nothing of ours"
    assert only(path)


def test_an_attribute_named_genre_counts_and_is_skipped(tmp_path: Path) -> None:
    """FFmpeg shows it and no WM/Genre."""
    path = make(tmp_path / "song.wma", "asf", 0.3)
    tags = ASF(path)
    tags["Genre"] = ["Rock"]
    tags.save()
    data = path.read_bytes()
    assert field_of(path).values == ("Rock",)
    assert "hides all others" in (refusal_of(path) or "")
    with pytest.raises(WriteRefusedError, match="hides all others"):
        put(path, "Jazz")
    assert path.read_bytes() == data
