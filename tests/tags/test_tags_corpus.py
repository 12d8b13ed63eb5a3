"""Odd and broken files of two other projects: tagged, compared and undone, or left untouched."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from audio_factory import decode
from few import few
from readers import hidden, shown
from tags_helpers import only, put, sample, write

from genretagger.errors import FileError
from genretagger.files.kinds import kind_of
from genretagger.tags import api
from genretagger.tags.registry import container_of

mutagen: Any = importlib.import_module("mutagen")

CORPUS = Path(__file__).resolve().parents[2] / "../shared/corpus"
FILES = sorted(path for path in CORPUS.rglob("*") if path.is_file()) if CORPUS.exists() else []


def has_family(path: Path) -> bool:
    with path.open("rb") as file:
        kind = kind_of(file)
    return kind is not None and container_of(kind, api.WriteOptions()) is not None


GOOD = [path for path in FILES if has_family(path)]
GENRES = ("Doom Metal", "Späße", "日本")


def copy(source: Path, folder: Path) -> Path:
    path = folder / source.name
    path.write_bytes(source.read_bytes())
    return path


def seen(path: Path) -> tuple[str, ...]:
    """All tags but the genre, as mutagen reads them; any ID3 as version 2.4 without ID3v1."""
    try:
        file = mutagen.File(path)
    except mutagen.MutagenError as error:
        return (type(error).__name__,)
    pictures = [repr(picture.write()) for picture in getattr(file, "pictures", [])]
    tags = (file.tags if file is not None else None) or {}
    pairs = tags if isinstance(tags, list) else tags.items()
    return (
        *sorted(f"{k}={v!r}" for k, v in pairs if str(k).lower() not in ("genre", "tcon", "©gen", "wm/genre")),
        *pictures,
    )


@pytest.mark.skipif(not FILES, reason="the corpus of odd files is not beside this repository")
def test_most_of_the_corpus_can_be_written() -> None:
    assert len(GOOD) > 80


@pytest.mark.parametrize("source", few(GOOD, *range(0, 200, 4)), ids=lambda path: path.name)
def test_tagged_compared_and_put_back(source: Path, tmp_path: Path) -> None:
    path = copy(source, tmp_path)
    data = path.read_bytes()
    try:
        sound = decode(path)
    except Exception:  # noqa: BLE001 - FFmpeg has a class of errors for each kind of damage
        sound = None
    try:
        with path.open("rb") as file:
            kind = kind_of(file)
            assert kind is not None
            before, payload = api.read(file, kind), api.payload_hash(file, kind)
        rest, fields = seen(path), shown(path)
        change = put(path, *GENRES, audio_sample=None if sound is None else sample)
    except FileError:
        refused = path.read_bytes() == data and only(path)
        assert (refused, source.name in REFUSED) == (True, True)
        return
    assert only(path)
    assert source.name not in REFUSED
    assert change.after.values == GENRES
    assert set(rest) <= set(seen(path)), "a new tag may take over what it would hide, and nothing goes"
    assert hidden(fields, shown(path), *GENRES) == []
    assert sound is None or decode(path) == sound
    done = write(path, api.OldGenres(before.raw), audio_sample=None, payload_hash=payload)
    assert (done.after.raw, done.after.values) == (before.raw, before.values)
    assert shown(path) == fields
    assert (path.read_bytes() == data) != (source.name in GROWN), "an undo gives the same bytes, or is known not to"
    assert seen(path) == rest
    again = put(path, *GENRES, audio_sample=None if sound is None else sample, payload_hash=payload)
    assert again.after == change.after
    assert set(rest) <= set(seen(path))
    assert sound is None or decode(path) == sound


GROWN = {
    "coverart.ogg",
    "date_with_slashes.ogg",
    "discc.ogg",
    "empty.alac.m4a",
    "empty.ape",
    "empty.m4a",
    "empty.ogg",
    "empty.opus",
    "empty.spx",
    "image.ogg",
    "multipage-setup.ogg",
    "multipagecomment.ogg",
    "multiplexed.spx",
    "unparseable.ogg",
    "unparseable.opus",
    "whitenoise.opus",
    "year.ogg",
}
"""Files that stay larger: after an undo, the added room is padding (Ogg, MP4, an APEv2 tag)."""

REFUSED = {
    "106-invalid-streaminfo.flac",
    "106-short-picture-block-size.flac",
    "52-overwritten-metadata.flac",
    "52-too-short-block-size.flac",
    "ooming-header.flac",
    "truncated-64bit.mp4",
    "empty.wma",
    "full.wma",
    "image.wma",
    "issue_29.wma",
    "pure.wma",
    "unparseable.wma",
}
"""Each damaged so that a write could cost audio, or cut off."""
