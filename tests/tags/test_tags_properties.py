"""Tag, undo, tag again, with any genres in every container: nothing else changes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ape_factory import make_ape
from audio_factory import decode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from speex_factory import make_speex
from tags_helpers import CASES, Case, field_of, payload_of, put, write
from test_tags_contract import others

from genretagger.tags import api
from genretagger.text import is_blank

ALL = (
    *CASES,
    Case("speex", lambda path, genres: make_speex(path, 0.2, genres)),
    Case("ape", lambda path, genres: make_ape(path, 1, genres)),
)

# Names that genres may have in every container: ID3 reads numbers, RX and CR as genres of its list,
# and separators split names. A name that cannot be written as intended is refused.
_NUMBERS = re.compile(r"\d+\Z|\(|RX\Z|CR\Z")
_LETTERS = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cn"), exclude_characters=";/\x00\ufeff")
_NAMES = (
    st.text(_LETTERS, min_size=1, max_size=30)
    .map(str.strip)
    .filter(lambda name: not is_blank(name) and not _NUMBERS.match(name))
)
GENRES = st.lists(_NAMES, max_size=5, unique=True)


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
@given(old=GENRES, new=GENRES.filter(bool))
@settings(max_examples=3, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_tag_undo_tag_again(case: Case, tmp_path: Path, old: list[str], new: list[str]) -> None:
    _cycle(case.make(tmp_path / "song", old), tuple(new))


@pytest.mark.slow
@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
@given(old=GENRES, new=GENRES.filter(bool))
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_tag_undo_tag_again_for_long(case: Case, tmp_path: Path, old: list[str], new: list[str]) -> None:
    _cycle(case.make(tmp_path / "song", old), tuple(new))


def _cycle(path: Path, genres: tuple[str, ...]) -> None:
    before = field_of(path)
    sound, rest, payload = decode(path), others(path), payload_of(path)
    first = put(path, *genres)
    assert first.after.values == genres
    tagged = path.read_bytes()
    undone = write(path, api.OldGenres(json.loads(json.dumps(before.raw))))
    assert (undone.after.raw, undone.after.values) == (before.raw, before.values)
    assert (decode(path), others(path), payload_of(path)) == (sound, rest, payload)
    again = put(path, *genres)
    assert again.after == first.after
    assert (decode(path), others(path), payload_of(path)) == (sound, rest, payload)
    if before.values != genres and len(path.read_bytes()) == len(tagged):
        assert path.read_bytes() == tagged
