"""Genres in files: read them, identify the audio, and write genres without changing anything else.

`write` is the only function that changes a file. It hands `files.replace` an edit and a check. The
check lets the copy replace the original only if

1. the payload hash of both is the expected one,
2. everything that is neither audio nor genre is equal, byte for byte,
3. our reader and mutagen both read back the intended genre,
4. the kind is the same, and, if the caller gives a decoder, a sample of the audio decodes to the
  same samples,
5. the write can be undone: the undo is tried in memory, see `wayback.py`.

Each family of formats has one file; `container.py` has their contract and `registry.py` the list.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeAlias

from genretagger.causes import Cause, Reason, because
from genretagger.errors import (
    FileChangedError,
    FileError,
    TagError,
    UnsupportedFileError,
    WriteRefusedError,
)
from genretagger.files import replace as files
from genretagger.files.kinds import Kind, kind_of
from genretagger.tags.container import Container, Sink, WriteOptions, feed, same_fields
from genretagger.tags.faults import tag_errors
from genretagger.tags.gaps import Zeros, gap
from genretagger.tags.ogg import Ogg
from genretagger.tags.registry import container_of
from genretagger.tags.wayback import fault_of_undo, rehearse
from genretagger.text import is_blank
from genretagger.types import GenreField, Json, Stamp, TagChange

__all__ = [
    "AudioSample",
    "Change",
    "NewGenres",
    "OldGenres",
    "WriteOptions",
    "fault_of_names",
    "payload_hash",
    "read",
    "refusal",
    "survey",
    "write",
]

AudioSample: TypeAlias = Callable[[BinaryIO, Kind], bytes]
"""Decodes a few stretches of an open file; equal bytes mean equal audio."""

_NAME_LENGTH = 200
_PAGED = {"ogg", "opus", "speex", "oggflac"}


@dataclass(frozen=True, slots=True)
class NewGenres:
    """A change: these become the genres, best first; an empty tuple removes the field."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OldGenres:
    """A change: the field returns to what `read` gave as `raw`."""

    raw: Json


Change: TypeAlias = NewGenres | OldGenres


def read(
    file: BinaryIO,
    kind: Kind,
    options: WriteOptions = WriteOptions(),  # noqa: B008 - frozen
    *,
    sparing: bool = False,
) -> GenreField:
    """Read the genre.

    Args:
        file: seekable, open for reading; the position is moved.
        kind: what `kind_of` returned for it.
        options: for the separator of ID3v2.3.
        sparing: look at the first stream of an Ogg file only: to find others, all is read.

    Returns:
        The field; empty for a kind with unknown tags.

    Raises:
        TagError: the tags are damaged.
        AccessError: the file cannot be read.
    """
    container = container_of(kind, options)
    if container is None:
        return GenreField((), None, "no known tag")
    with tag_errors():
        return container.read_first(file) if sparing and isinstance(container, Ogg) else container.read(file)


def payload_hash(file: BinaryIO, kind: Kind) -> str:
    """Hash the audio without the tags, reading the file once in pieces of 1 MB.

    The digest does not depend on the version of any library. If the tags of a kind are not known,
    the whole file is hashed.

    Raises:
        TagError: the structure of the container is damaged.
        AccessError: the file cannot be read.
    """
    container = container_of(kind, WriteOptions())
    if container is None:
        return _digest(lambda sink: feed(file, 0, file.seek(0, os.SEEK_END), sink), kind)
    return _digest(partial(container.payload, file), kind)


def survey(file: BinaryIO, kind: Kind) -> tuple[str, Reason | None]:
    """Hash as `payload_hash` does, and check in the same pass whether audio is missing.

    Returns:
        The hash, and why the file is not complete; None if no gap was found, or if the tags of its
        kind are not known, because no genre could be written to it anyway.

    Raises:
        TagError: the structure of the container is damaged.
        AccessError: the file cannot be read.
    """
    container = container_of(kind, WriteOptions())
    if container is None:
        return payload_hash(file, kind), None
    zeros: list[Zeros] = []

    def feeder(sink: Sink) -> None:
        zeros.append(Zeros(sink))
        container.payload(file, zeros[0])

    digest = _digest(feeder, kind)
    with tag_errors():
        return digest, gap(file, kind, zeros[0])


def _digest(feeder: Callable[[Sink], None], kind: Kind) -> str:
    digest = hashlib.blake2b(f"genretagger payload 1 {kind.name}\n".encode(), digest_size=32)
    with tag_errors():
        feeder(digest.update)
    return digest.hexdigest()


def refusal(file: BinaryIO, kind: Kind) -> Reason | None:
    """Say why the genre of this file cannot be written or undone; None if both are possible.

    A write and its undo are tried in memory, so a real write would end with the same answer. Ogg
    files are not tried: that would renumber all their pages, which takes ten times as long as
    reading them. A real write tries the undo of every file.

    Raises:
        AccessError: the file cannot be read.
    """
    says = _says(file, kind)
    return None if says is None else because(Cause.CONTAINER, says=says)


def _says(file: BinaryIO, kind: Kind) -> str | None:
    container = container_of(kind, WriteOptions())
    if container is None:
        return f"genres cannot be written to {kind.human} files"
    try:
        with tag_errors():
            says = _refusal(container, file)
            if says is None and kind.name not in _PAGED:
                says = rehearse(container, kind, file)
            return says
    except TagError as error:
        return f"a genre could not be written: {error.cause}"


def _refusal(container: Container, file: BinaryIO) -> str | None:
    """Say why this file must not be edited at all."""
    try:
        with tag_errors():
            reason = container.refusal(file)
            if reason is None:
                container.second_opinion(file)
            return reason
    except TagError as error:
        return error.cause


def write(
    path: Path,
    *,
    root: Path,
    change: Change,
    expected: Stamp,
    payload_hash: str,
    temporary_name: str,
    options: WriteOptions = WriteOptions(),  # noqa: B008 - frozen
    audio_sample: AudioSample | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> TagChange:
    """Change the genre of a file, and nothing else, by the protocol of `files.replace`.

    Args:
        path: the file, or a symbolic link to it.
        root: the library folder that it must be in.
        change: new genres, or the field that an earlier `read` found.
        expected: the stamp of the file when the change was decided.
        payload_hash: what `payload_hash` returned for it then.
        temporary_name: from `files.new_temporary_name`, written down before the call.
        options: how to write.
        audio_sample: decodes parts of a file, to compare before and after.
        step: is called at each step; see `swap.STEPS`.

    Returns:
        The field before and after, and the stamp after. A change that would change nothing is not
        written.

    Raises:
        UnsupportedFileError: the file is not audio, or the tags of its kind are not known.
        WriteRefusedError: the write would have endangered the file; it is as it was.
        FileChangedError: another program changed the file; its version stays.
        TagError: the tags are damaged.
        AccessError: the system refuses, or there is no space.
    """
    with files.access_errors(path), files.open_for_reading(path) as file:
        if Stamp.of(os.fstat(file.fileno())) != expected:
            raise FileChangedError("the file changed since it was read", path=path, hint="It will be read again.")
        with tag_errors(path):
            kind = kind_of(file)
            container = container_of(kind, options) if kind else None
            if kind is None or container is None:
                name = kind.human if kind else "unknown"
                raise UnsupportedFileError(f"genres cannot be written to {name} files", path=path)
            before = container.read(file)
        if change == OldGenres(before.raw) or (isinstance(change, NewGenres) and change.values == before.values):
            return TagChange(path, before, before, expected)
        if isinstance(change, NewGenres):
            fault = fault_of_names(change.values)
            if fault:
                raise WriteRefusedError(fault, path=path)
        reason = _refusal(container, file)
        if reason is not None:
            raise WriteRefusedError(reason, path=path, hint="The file was left as it is.")
    job = _Job(path, kind, container, change, payload_hash, audio_sample)
    stamp = files.replace(
        path,
        root=root,
        edit=job.edit,
        check=job.check,
        expected=expected,
        temporary_name=temporary_name,
        allow_hard_links=options.allow_hard_links,
        allow_outside=options.allow_outside,
        preserve_mtime=options.preserve_mtime,
        step=step,
    )
    return TagChange(path, before, job.after, stamp)


def fault_of_names(values: tuple[str, ...]) -> str:
    """Say why these cannot be the genres of a file; empty if they can."""
    for value in values:
        is_text = value == value.strip() and value and not any(unicodedata.category(c) in ("Cc", "Cs") for c in value)
        if not is_text or is_blank(value) or len(value) > _NAME_LENGTH:
            return f"{value[:40]!r} cannot be the name of a genre"
    return "a genre is named twice" if len(set(values)) < len(values) else ""


class _Job:
    """The edit and the check of one write."""

    def __init__(
        self,
        path: Path,
        kind: Kind,
        container: Container,
        change: Change,
        payload: str,
        audio_sample: AudioSample | None,
    ) -> None:
        self.path, self.kind, self.container, self.change = path, kind, container, change
        self.payload, self.audio_sample = payload, audio_sample
        self.after = GenreField((), None, "")

    def edit(self, temporary: BinaryIO) -> None:
        """Change the genre of the copy."""
        with tag_errors(self.path):
            if isinstance(self.change, NewGenres):
                self.container.write(temporary, self.change.values)
            else:
                self.container.restore(temporary, self.change.raw)

    def check(self, original: BinaryIO, temporary: BinaryIO) -> None:
        """Compare the original with the edited copy."""
        if payload_hash(original, self.kind) != self.payload:
            raise FileChangedError("the audio of the file changed since it was read", path=self.path)
        others = self._others(original)
        sample = self.audio_sample(original, self.kind) if self.audio_sample else b""
        try:
            with tag_errors(self.path):
                fault = self._fault(temporary, others, sample) or self._fault_of_undo(original, temporary)
        except FileError as error:
            fault = f"the edited copy cannot be read: {error.cause}"
            raise self._refused(fault) from error
        if fault:
            raise self._refused(fault)

    def _refused(self, fault: str) -> WriteRefusedError:
        return WriteRefusedError(fault, path=self.path, hint="The file was left as it is.")

    def _fault(self, temporary: BinaryIO, others: str, sample: bytes) -> str | None:
        if kind_of(temporary) != self.kind:
            return "the edited copy is of another kind"
        if payload_hash(temporary, self.kind) != self.payload:
            return "the edit would have changed the audio"
        if self._others(temporary) != others:
            return "the edit would have changed other tags"
        self.after = self.container.read(temporary)
        seen = self.container.second_opinion(temporary)
        if isinstance(self.change, NewGenres):
            if self.change.values and self.after.values != self.change.values:
                return "the genres would not read back as intended"
            if seen != self.change.values:
                return "another reader would not see the intended genres"
        elif self.after.form == (self.change.raw or {}).get("form") and not same_fields(
            self.after.raw, self.change.raw
        ):
            return "the old genres would not read back as they were"
        if self.audio_sample and self.audio_sample(temporary, self.kind) != sample:
            return "the edited copy would sound different"
        return None

    def _fault_of_undo(self, original: BinaryIO, temporary: BinaryIO) -> str | None:
        """Say why the write could not be undone.

        An undo is not checked: it is done even if it could not be redone.
        """
        if isinstance(self.change, OldGenres):
            return None
        return fault_of_undo(self.container, self.kind, original, temporary, self.container.read(original))

    def _others(self, file: BinaryIO) -> str:
        return _digest(partial(self.container.others, file), self.kind)
