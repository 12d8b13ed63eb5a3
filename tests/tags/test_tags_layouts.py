"""MP3 files of every layout: a genre hides no field from any reader, and taking it back gives the file of before.

Or the file is refused, with a reason that a dry run tells as well.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from audio_factory import make
from layouts import FIRST, LAYOUTS, Layout
from readers import hidden, shown
from tags_helpers import field_of, put, refusal_of, write

from genretagger.errors import WriteRefusedError
from genretagger.tags import api

REASONS = (
    "its tags do not agree on the ",
    "the first of its ID3v2 tags is empty",
    "its ID3v2 tag begins with an empty frame",
    "another ID3 tag behind the first one names a genre",
)
"""Why a layout may be refused."""


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make(tmp_path_factory.mktemp("bare") / "bare", "mp3", 0.2, title=None, artist=None).read_bytes()


def is_refused(layout: Layout, audio: bytes, path: Path) -> bool:
    """Tag a file of this layout twice, and take it back; or say that it was refused."""
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
        before["FFmpeg"] = {}  # it loses its way in such a tag, and then reads ID3v1 or nothing
    for genres in (("Jazz", "Blues"), ("Drum And Bass", "Späße")):
        put(path, *genres, audio_sample=None)
        faults = hidden(before, shown(path), *genres)
        assert not faults, faults
    write(path, api.OldGenres(json.loads(json.dumps(field.raw))), audio_sample=None)
    assert path.read_bytes() == data
    assert field_of(path) == field
    return False


def test_some_of_all_layouts(audio: bytes, tmp_path: Path) -> None:
    chosen = LAYOUTS[::61]
    assert len(chosen) > 50
    faults = _faults(chosen, audio, tmp_path)
    assert faults == []


@pytest.mark.slow
@pytest.mark.parametrize("first", FIRST)
def test_all_layouts(audio: bytes, tmp_path: Path, first: str) -> None:
    assert _faults([layout for layout in LAYOUTS if layout.first == first], audio, tmp_path) == []


def _faults(layouts: list[Layout] | tuple[Layout, ...], audio: bytes, folder: Path) -> list[tuple[Layout, str]]:
    faults, refused = [], 0
    for layout in layouts:
        try:
            refused += is_refused(layout, audio, folder / "song.mp3")
        except Exception as error:  # noqa: BLE001 - all that fail are listed
            faults.append((layout, f"{type(error).__name__}: {error}"[:300]))
    assert refused < len(layouts) / 2, "most layouts can be written"
    return faults
