"""What an undo leaves, for tests of many files."""

from __future__ import annotations

import json
from pathlib import Path

from tags_helpers import field_of, kind_at, payload_of, put, write

from genretagger.tags import api
from genretagger.tags.registry import container_of


def undo_difference(path: Path, *genres: str) -> str:
    """Tag a file, undo that, and say how the file differs from before.

    Args:
        path: a file that can be written; afterwards it is as the undo left it.
        genres: what is written in between.

    Returns:
        "" if it is equal byte for byte, or "padding" if only the empty room for tags, and the sizes
        that count it, differ.

    Raises:
        AssertionError: the genre field, the audio or another tag did not come back.
        FileError: the write or the undo was refused or failed.
    """
    data, field, payload, others = path.read_bytes(), field_of(path), payload_of(path), _others(path)
    put(path, *(genres or ("Doom Metal", "Späße")), audio_sample=None)
    write(path, api.OldGenres(json.loads(json.dumps(field.raw))), audio_sample=None, payload_hash=payload)
    now = field_of(path)
    assert (now.raw, now.values) == (field.raw, field.values), "the genre field did not come back"
    assert payload_of(path) == payload, "the audio did not come back"
    assert _others(path) == others, "another tag did not come back"
    return "" if path.read_bytes() == data else "padding"


def _others(path: Path) -> list[bytes]:
    """Everything but audio, genre and padding, as the family feeds it."""
    fed: list[bytes] = []
    family = container_of(kind_at(path), api.WriteOptions())
    assert family is not None
    with path.open("rb") as file:
        family.others(file, lambda piece: fed.append(bytes(piece)))
    return [b"".join(fed)]
