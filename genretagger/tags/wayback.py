"""Checks that a write can be undone, before it happens: tries the undo on a draft of the file.

`rehearse` tries a write and its undo on an unchanged file, so that a dry run knows what a real run
would refuse. `fault_of_undo` tries the undo on the copy that a real write has edited. Neither
changes a file or copies its audio.
"""

from __future__ import annotations

from typing import BinaryIO, cast

from genretagger.errors import TagError
from genretagger.files.kinds import Kind, kind_of
from genretagger.tags.container import Container, library
from genretagger.tags.draft import Draft, same
from genretagger.types import GenreField

_GENRES = ("Electronic", "Drum and Bass")
"""The genres that a rehearsal writes."""

_WHOLE_READERS = {
    "mp3": ("mp3", "MP3"),
    "ape": ("monkeysaudio", "MonkeysAudio"),
    "mpc": ("musepack", "Musepack"),
    "mpc8": ("musepack", "Musepack"),
    "wavpack": ("wavpack", "WavPack"),
    "tak": ("tak", "TAK"),
}
"""Module and class of mutagen that open a file of this kind with its audio.

For other kinds the second opinion is enough.
"""


def rehearse(container: Container, kind: Kind, file: BinaryIO) -> str | None:
    """Say why a genre could not be written to a file or undone; None if both would work.

    Raises:
        TagError: the tags are damaged. `tag_errors` of `faults.py` translates other errors.
    """
    original = Draft(file)
    tagged = original.fork()
    before = container.read(file)
    container.write(_open(tagged), _GENRES)
    if kind_of(_open(tagged)) != kind:
        return "a genre would make it a file of another kind"
    if container.read(_open(tagged)).values != _GENRES or container.second_opinion(_open(tagged)) != _GENRES:
        return "a genre would not read back as intended"
    if not same(container.payload, original, tagged):
        return "a genre would change the audio"
    if not same(container.others, original, tagged):
        return "a genre would change other tags"
    return fault_of_undo(container, kind, file, tagged, before)


def fault_of_undo(
    container: Container, kind: Kind, original: BinaryIO, tagged: BinaryIO | Draft, before: GenreField
) -> str | None:
    """Say why a write could not be undone; None if it can be.

    Args:
        container: the family of the file.
        kind: of the file.
        original: the file before the write.
        tagged: the file after it; known to have the same audio and the same other tags.
        before: the genre field of the original.

    Raises:
        TagError: as `rehearse`.
    """
    there = tagged if isinstance(tagged, Draft) else Draft(tagged)
    reason = container.refusal(_open(there))
    if reason is not None:
        return f"it could not be undone: {reason}"
    back = there.fork()
    try:
        container.restore(_open(back), before.raw)
        field = container.read(_open(back))
        is_back = (
            kind_of(_open(back)) == kind
            and (field.raw, field.values) == (before.raw, before.values)
            and container.second_opinion(_open(back)) == container.second_opinion(original)
            and same(container.payload, there, back)
            and same(container.others, there, back)
        )
    except TagError as error:
        return f"it could not be undone: {error.cause}"
    if not is_back:
        return "it could not be undone: the old genre, or another tag, would not come back as it was"
    if _opens(original, kind) and not (_opens(_open(there), kind) and _opens(_open(back), kind)):
        return "mutagen could no longer open the file"
    return None


def _opens(file: BinaryIO, kind: Kind) -> bool:
    """Whether mutagen opens a file with its audio, as players based on mutagen do."""
    if kind.name not in _WHOLE_READERS:
        return True
    module, name = _WHOLE_READERS[kind.name]
    id3 = library("id3")
    # it knows only genre frames here, so it inflates no others
    options = {"known_frames": {"TCON": id3.TCON}, "translate": False, "load_v1": False} if kind.name == "mp3" else {}
    file.seek(0)
    try:
        getattr(library(module), name)(file, **options)
    except library("_util").MutagenError:
        return False
    return True


def _open(draft: Draft) -> BinaryIO:
    """The draft from its start, as an open file."""
    draft.seek(0)
    return cast("BinaryIO", draft)
