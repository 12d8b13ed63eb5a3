"""Every write can be undone. One that could not be is refused, in a dry run too."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path
from typing import BinaryIO

import pytest
from ape_factory import make_ape
from audio_factory import make
from conftest import SHARED
from hypothesis import given, settings
from hypothesis import strategies as st
from tags_helpers import CASES, Case, bare_mp3, field_of, frame, id3, kind_at, only, put, refusal_of
from undo_helpers import undo_difference

from genretagger.errors import WriteRefusedError
from genretagger.tags import api, container
from genretagger.tags.container import Container
from genretagger.tags.draft import Draft, same
from genretagger.tags.registry import container_of
from genretagger.types import Json

UNDO_IMPOSSIBLE = SHARED / "cases" / "undo-impossible"


def refused_or_undone(path: Path) -> str:
    """Tag a file and undo it. A refusal comes before any change and leaves the file as it is."""
    data, reason = path.read_bytes(), refusal_of(path)
    if reason is not None:
        with pytest.raises(WriteRefusedError):
            put(path, "Doom Metal", audio_sample=None)
        assert path.read_bytes() == data
        assert only(path)
        return f"refused: {reason}"
    return undo_difference(path) or "the same bytes again"


def empty_tag_in_front(folder: Path) -> bytes:
    first = id3(3, padding=10)
    return first + id3(3, frame("TIT2", b"\x00A title"), padding=50) + bare_mp3(folder)


def footers_in_front(folder: Path) -> bytes:
    """ID3v2.4 tags with only a footer: mutagen opens the file until the first one grows."""
    empty = b"ID3\x04\x00\x10\x00\x00\x00\x003DI\x04\x00\x10\x00\x00\x00\x00"
    return empty + b"ID3\x04\x00\x10\xe0\xb1\x46\x74" + bare_mp3(folder)


def remains_of_ape(folder: Path) -> bytes:
    """The beginning of a header, left over from an APEv2 tag that was cut off."""
    path = make(folder / "whole", "wavpack", 1.0, title=None, artist=None)
    data = path.read_bytes()
    path.unlink()
    start = data.find(b"APETAGEX")
    return data[: start if start >= 0 else len(data)] + struct.pack("<8sIII3x", b"APETAGEX", 2000, 155, 5)


MADE = {
    "empty tag in front": ("song.mp3", empty_tag_in_front),
    "footers in front": ("song.mp3", footers_in_front),
    "remains of APEv2": ("song.wv", remains_of_ape),
}


@pytest.mark.parametrize("name", MADE)
def test_undo_impossible_made(name: str, tmp_path: Path) -> None:
    file_name, layout = MADE[name]
    data = layout(tmp_path)
    path = tmp_path / file_name
    path.write_bytes(data)
    assert refused_or_undone(path)


@pytest.mark.skipif(not UNDO_IMPOSSIBLE.is_dir(), reason="the given cases are not beside this repository")
@pytest.mark.parametrize("name", ["MUTAGEN-DIFF-3f48996f.mp3", "UNDO-FAILED-82314053.wv", "two_id3v2_first_empty.mp3"])
def test_undo_impossible_given(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes((UNDO_IMPOSSIBLE / name).read_bytes())
    assert refused_or_undone(path)


ALL = (*CASES, Case("ape", lambda path, genres: make_ape(path, 1, genres)))


@pytest.mark.parametrize("genres", [[], ["Rock"], ["Rock", "Späße"]], ids=len)
@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_an_undo_changes_nothing_but_padding(case: Case, genres: list[str], tmp_path: Path) -> None:
    path = case.make(tmp_path / "song", genres)
    assert refusal_of(path) is None
    assert undo_difference(path) in ("", "padding")


REHEARSED = tuple(case for case in ALL if case.name not in ("ogg", "opus", "oggflac"))
"""Not those whose pages a rehearsal would have to renumber."""


@pytest.mark.parametrize("case", REHEARSED, ids=lambda case: case.name)
def test_the_rehearsal_foresees_a_family_that_cannot_go_back(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = case.make(tmp_path / "song", ["Rock"])
    data, kind = path.read_bytes(), kind_at(path)
    family = container_of(kind, api.WriteOptions())
    assert family is not None

    def restore(self: Container, file: BinaryIO, raw: Json) -> None:
        del raw
        self.write(file, ("Polka",))

    monkeypatch.setattr(type(family), "restore", restore)
    assert "could not be undone" in (refusal_of(path) or "")
    with pytest.raises(WriteRefusedError, match="could not be undone"):
        put(path, "Jazz", audio_sample=None)
    assert path.read_bytes() == data
    assert only(path)
    assert field_of(path).values == ("Rock",)


STEPS = st.lists(
    st.tuples(st.sampled_from(["write", "truncate", "copy"]), st.integers(0, 200_000), st.integers(0, 200_000)),
    max_size=12,
)


@given(steps=STEPS, seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_a_draft_is_like_a_file(steps: list[tuple[str, int, int]], seed: int) -> None:
    chance = random.Random(seed)
    data = chance.randbytes(150_000)
    below, plain = io.BytesIO(data), io.BytesIO(data)
    draft = Draft(below)
    for what, first, second in steps:
        for file in (draft, plain):
            if what == "truncate":
                size = file.seek(0, 2)
                if first < size:
                    file.truncate(first)
                continue
            file.seek(second)
            piece = file.read(first) if what == "copy" else bytes([first % 256]) * (second % 90_000)
            file.seek(first)
            file.write(piece)
            assert file.tell() == first + len(piece)
        draft.seek(0)
        assert draft.read() == plain.getvalue()
    draft.seek(0)
    fork = draft.fork()
    fork.seek(5)
    fork.write(b"only here")
    assert draft.read() == plain.getvalue()
    assert below.getvalue() == data


def test_a_splice_moves_no_bytes(tmp_path: Path) -> None:
    """300 MB of audio after a tag that grows: the draft holds only new bytes, and reads once."""
    import tracemalloc

    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(300_000_000)
    with path.open("rb") as below:
        original = Draft(below)
        grown = original.fork()
        tracemalloc.start()
        container.splice(grown, 10, 100, b"x" * 5000)  # type: ignore[arg-type]

        def audio(file: BinaryIO, sink: container.Sink) -> None:
            shift = 4900 if file is grown else 0  # type: ignore[comparison-overlap]
            container.feed(file, 110 + shift, 300_000_000 + shift, sink)

        assert same(audio, original, grown)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert grown.seek(0, 2) == 300_004_900
    assert peak < 12_000_000
