"""MP3 files of every layout: a genre hides no field from any reader, and undo restores the file.

Or the file is refused, with a reason that a dry run gives as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from audio_factory import make
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layouts import FIRST, LAYOUTS, Layout, ape, id3v1, picture
from readers import Fields, hidden, shown
from tags_helpers import field_of, id3, put, refusal_of, write
from test_tags_carried import KEYS

from genretagger.errors import WriteRefusedError
from genretagger.tags import api
from genretagger.tags.id3 import Id3Tag

REASONS = (
    "its tags do not agree on the ",
    "the first of its ID3v2 tags is empty",
    "its ID3v2 tag begins with an empty frame",
    "another ID3 tag after the first one names a genre",
)
"""Why a layout may be refused."""


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make(tmp_path_factory.mktemp("bare") / "bare", "mp3", 0.2, title=None, artist=None).read_bytes()


def is_refused(layout: Layout, audio: bytes, path: Path) -> bool:
    """Tag a file of this layout twice, and undo that; or say that it was refused."""
    data = layout.build(audio)
    path.write_bytes(data)
    before, field, reason = shown(path), field_of(path), refusal_of(path)
    assert bool(field.values) or not layout.has_genre, "a genre that is there is seen"
    assert "Unknown" not in field.values
    if reason is not None:
        assert reason.startswith(REASONS), reason
        with pytest.raises(WriteRefusedError):
            put(path, "Jazz", "Blues", audio_sample=None)
        assert path.read_bytes() == data
        return True
    if layout.first == "unsynchronised":
        before["FFmpeg"] = {}  # it cannot read such a tag to the end, and then reads ID3v1 or nothing
    for genres in (("Jazz", "Blues"), ("Drum And Bass", "Späße")):
        put(path, *genres, audio_sample=None)
        faults = hidden(before, shown(path), *genres)
        assert not faults, faults
    write(path, api.OldGenres(json.loads(json.dumps(field.raw))), audio_sample=None)
    assert path.read_bytes() == data
    assert field_of(path) == field
    return False


def test_some_of_all_layouts(audio: bytes, tmp_path: Path) -> None:
    faults, refused = _faults(LAYOUTS[::211], audio, tmp_path)
    assert faults == []
    assert refused < len(LAYOUTS[::211]) / 2, "most can be written"


@pytest.mark.slow
@pytest.mark.parametrize("first", FIRST)
def test_all_layouts(audio: bytes, tmp_path: Path, first: str) -> None:
    faults, _ = _faults([layout for layout in LAYOUTS if layout.first == first], audio, tmp_path)
    assert faults == []


def _faults(layouts: Sequence[Layout], audio: bytes, folder: Path) -> tuple[list[tuple[Layout, str]], int]:
    """What failed with which layout, and how many were refused."""
    faults: list[tuple[Layout, str]] = []
    refused = 0
    for layout in layouts:
        try:
            refused += is_refused(layout, audio, folder / "song.mp3")
        except Exception as error:  # noqa: BLE001 - all that fail are listed
            faults.append((layout, f"{type(error).__name__}: {error}"[:300]))
    return faults, refused


_TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cn", "Zs")), max_size=40)
_ITEMS = st.dictionaries(st.sampled_from([key for key in KEYS.split("|") if key != "Genre"]), _TEXT, max_size=6)
_DATES = ("1999", "1999-05-01", "1999-05", "99", "abcd", "", "1999-05-01T12:30")
_SHORT = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30)


@dataclass(frozen=True)
class Generated:
    """Fields of any content in tags of any kind."""

    first: bytes
    items: dict[str, str]
    old: bytes | None

    def build(self, audio: bytes) -> bytes:
        return self.first + audio + (ape(**self.items) if self.items else b"") + (self.old or b"")


@st.composite
def generated(draw: st.DrawFn) -> Generated:
    version = draw(st.sampled_from((2, 3, 4)))
    tag = Id3Tag(version)
    names = ("TT2", "TP1", "TXX") if version == 2 else ("TIT2", "TPE1", "TXXX")
    frames = [tag.frame(name, tag.encoded([draw(_TEXT)] * 2)) for name in draw(st.lists(st.sampled_from(names)))]
    frames += draw(st.sampled_from(([], [picture(version)])))
    flags = 0x80 if version < 4 and draw(st.booleans()) else 0
    body = b"".join(frames)
    body = re.sub(rb"\xff(?=[\x00\xe0-\xff]|\Z)", b"\xff\x00", body) if flags else body
    first = id3(version, body, padding=draw(st.sampled_from((0, 20, 600))), flags=flags)
    items, old = draw(_ITEMS), None
    if draw(st.booleans()):
        items["Year"] = draw(st.sampled_from(_DATES))
    if draw(st.booleans()):
        title = draw(st.one_of(_SHORT, st.just(items.get("Title", "").encode("latin-1", "ignore").decode("latin-1"))))
        year = draw(st.sampled_from(_DATES)).encode()[:4]
        old = id3v1(title[:30].strip(), draw(st.integers(0, 255)), draw(_SHORT).encode()[:28], year)
    return Generated(draw(st.sampled_from((first, b""))), items, old)


def _without_a_false_id3v1(before: dict[str, Fields], data: bytes, audio: bytes, path: Path) -> dict[str, Fields]:
    """What readers show, without the nonsense that they read from the end of an APEv2 tag.

    They take its last 128 bytes for ID3v1 if these begin with "TAG", and only then.
    """
    end, foot = data[-128:], data[-32:]
    in_apev2 = foot.startswith(b"APETAGEX") and int.from_bytes(foot[12:16], "little") + 32 > len(end)
    if not (end.startswith(b"TAG") and in_apev2):
        return before
    path.write_bytes(audio + end)
    nonsense = shown(path)
    path.write_bytes(data)
    return {name: dict(fields.items() - nonsense[name].items()) for name, fields in before.items()}


def _holds(made: Generated, audio: bytes, path: Path) -> None:
    data = made.build(audio)
    path.write_bytes(data)
    before, field = _without_a_false_id3v1(shown(path), data, audio, path), field_of(path)
    if refusal_of(path) is not None:
        with pytest.raises(WriteRefusedError):
            put(path, "Jazz", "Späße", audio_sample=None)  # ID3v1 may say Jazz alone already
        assert path.read_bytes() == data
        return
    if made.first[5:6] == b"\x80":
        before["FFmpeg"] = {}
    put(path, "Jazz", "Späße", audio_sample=None)
    faults = hidden(before, shown(path), "Jazz", "Späße")
    assert not faults, faults
    write(path, api.OldGenres(field.raw), audio_sample=None)
    assert path.read_bytes() == data


_QUICK = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
_LONG = settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("items", [{"Title": "T", "Artist": "B", "Album": "A" * 22}, {"TAGGINGDATE": "1" * 84}])
def test_what_looks_like_id3v1_in_apev2_is_no_field(audio: bytes, tmp_path: Path, items: dict[str, str]) -> None:
    made = Generated(b"", items, None)
    assert made.build(audio)[-128:].startswith(b"TAG")
    _holds(made, audio, tmp_path / "song.mp3")


def test_only_the_end_of_apev2_is_no_field(audio: bytes, tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    for tail in (id3v1("Song", 17), ape(Title="T") + id3v1("Song", 17), ape(Title="T"), ape(TAGGINGDATE="1" * 83)):
        path.write_bytes(audio + tail)
        before = shown(path)
        assert _without_a_false_id3v1(before, audio + tail, audio, path) == before


@_QUICK
@given(made=generated())
def test_fields_of_any_content(audio: bytes, tmp_path: Path, made: Generated) -> None:
    _holds(made, audio, tmp_path / "song.mp3")


@pytest.mark.slow
@pytest.mark.timeout(900)
@_LONG
@given(made=generated())
def test_fields_of_any_content_for_long(audio: bytes, tmp_path: Path, made: Generated) -> None:
    _holds(made, audio, tmp_path / "song.mp3")
