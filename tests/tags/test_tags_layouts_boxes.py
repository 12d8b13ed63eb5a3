"""Every container in every layout: a genre hides no field, and undo gives the file back.

Or the file is skipped, with a reason that is known before the model listens.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from layouts_boxes import BEHINDS, CONTAINERS, FRONTS, LAYOUTS, Layout
from readers import hidden, shown
from tags_helpers import field_of, kind_at, payload_of, put, refusal_of, write

from genretagger.errors import WriteRefusedError
from genretagger.tags import api
from genretagger.tags.registry import container_of

REASONS = (
    "an ID3 tag precedes the ",
    "several ID3 tags precede the FLAC file",
    "another tag follows the one that ",
    "an ID3v1 tag follows an ID3 tag that is empty",
    "the remains of another APEv2 tag follow the audio",
    "the WavPack file ends with an ID3v1 tag",
    "bytes follow the end of the DSF file",
    "the blocks of the WavPack file do not fill it",
)
PADDED = {"ogg", "opus", "speex", "oggflac"}
"""Kinds in which padding that a write made stays: the next write then moves nothing."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("made")
    return {name: make_it(folder) for name, make_it in CONTAINERS.items()}


def others_of(path: Path) -> bytes:
    container = container_of(kind_at(path), api.WriteOptions())
    assert container is not None
    found = bytearray()
    with path.open("rb") as file:
        container.others(file, found.extend)
    return bytes(found)


def has_genre(layout: Layout, container: bytes) -> bool:
    words = [word.encode(encoding) for word in ("Rock", "Soul") for encoding in ("ascii", "utf-16-le")]
    return any(word in layout.build(container) for word in words) or layout.behind.endswith("a genre")


def is_refused(layout: Layout, container: bytes, folder: Path) -> bool:
    """Tag a file of this layout twice, undo it and tag it again; or say that it is refused."""
    path = folder / f"song{layout.suffix}"
    data = layout.build(container)
    path.write_bytes(data)
    before, field, reason, others = shown(path), field_of(path), refusal_of(path), others_of(path)
    cannot_be_seen = layout.container == "ape with a genre" and layout.behind in ("APEv2", "zeros", "text")
    assert bool(field.values) == has_genre(layout, container) or (cannot_be_seen and reason is not None), field
    if reason is not None:
        assert reason.startswith(REASONS), reason
        with pytest.raises(WriteRefusedError):
            put(path, "Jazz", "Blues", audio_sample=None)
        assert path.read_bytes() == data
        return True
    payload = payload_of(path)
    for genres in (("Jazz", "Blues"), ("Drum And Bass", "Späße")):
        change = put(path, *genres, audio_sample=None)
        faults = hidden(before, shown(path), *genres)
        assert not faults, faults
    tagged = path.read_bytes()
    write(path, api.OldGenres(json.loads(json.dumps(field.raw))), audio_sample=None)
    assert path.read_bytes() == data or kind_at(path).name in PADDED
    assert (field_of(path), others_of(path), payload_of(path), shown(path)) == (field, others, payload, before)
    write(path, api.OldGenres(json.loads(json.dumps(change.after.raw))), audio_sample=None)
    assert path.read_bytes() == tagged or kind_at(path).name in PADDED
    assert hidden(before, shown(path), "Drum And Bass", "Späße") == []
    return False


def faults_of(layouts: tuple[Layout, ...], made: dict[str, bytes], folder: Path) -> list[tuple[Layout, str]]:
    faults = []
    for layout in layouts:
        try:
            is_refused(layout, made[layout.container], folder)
        except Exception as error:  # noqa: BLE001 - all that fail are listed
            faults.append((layout, f"{type(error).__name__}: {error}"[:600]))
    return faults


def test_some_of_all_layouts(made: dict[str, bytes], tmp_path: Path) -> None:
    alone = tuple(layout for layout in LAYOUTS if not layout.front and not layout.behind)
    assert len(alone) == len(CONTAINERS)
    assert faults_of((*alone, *LAYOUTS[::83]), made, tmp_path) == []


def test_no_container_is_refused_without_a_reason_around_it(made: dict[str, bytes], tmp_path: Path) -> None:
    assert not any(is_refused(Layout(name, "", ""), made[name], tmp_path) for name in CONTAINERS)


@pytest.mark.slow
@pytest.mark.parametrize("container", CONTAINERS)
def test_all_layouts(made: dict[str, bytes], tmp_path: Path, container: str) -> None:
    layouts = tuple(layout for layout in LAYOUTS if layout.container == container)
    assert len(layouts) == len(FRONTS) * len(BEHINDS)
    assert faults_of(layouts, made, tmp_path) == []
