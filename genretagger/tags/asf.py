"""ASF, which is WMA: a header of objects, then the data, then perhaps an index.

The genre is the attribute WM/Genre, once for each value. Three objects of the header can hold it,
each in its own form: the Extended Content Description, the Metadata and the Metadata Library. An
existing genre is changed in its place; a new one goes into the Extended Content Description, which
every reader knows. All other objects and attributes keep their order and their bytes. Nothing
changes behind the header: ASF counts places in the data from the start of the data.

WM/GenreID, a number that some programs write beside it, is not touched. An attribute named Genre
counts, but FFmpeg then shows no other, so a file with it is not written. A file with an ID3 tag in
front is not written either.

Source: Microsoft's Advanced Systems Format (ASF) Specification, revision 01.20.
"""

from __future__ import annotations

import os
import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from genretagger.files.kinds import id3v2_end
from genretagger.tags.around import field_or_around
from genretagger.tags.container import (
    TAG_BYTES,
    Family,
    Sink,
    damaged,
    feed,
    feed_field,
    library,
    meant,
    replaced,
    restored,
    splice,
    taken,
)
from genretagger.types import GenreField, Json

FORM = "WM/Genre"
_GENRE = FORM.encode("utf-16-le")
_HEADER = uuid.UUID("75b22630-668e-11cf-a6d9-00aa0062ce6c").bytes_le
_DATA = uuid.UUID("75b22636-668e-11cf-a6d9-00aa0062ce6c").bytes_le
_PROPERTIES = uuid.UUID("8cabdca1-a947-11cf-8ee4-00c00c205365").bytes_le
_EXTENSION = uuid.UUID("5fbf03b5-a92e-11cf-8ee3-00c00c205365").bytes_le
_SIGNATURE = uuid.UUID("2211b3fc-bd23-11d2-b4b7-00a0c955fc6e").bytes_le
_DESCRIPTION = uuid.UUID("d2d0a440-e307-11d2-97f0-00a0c95ea850").bytes_le
_METADATA = uuid.UUID("c5f8cbea-5baf-4877-8467-aa8c44fa4cca").bytes_le
_LIBRARY = uuid.UUID("44231c94-9498-49d1-a141-1d134e457054").bytes_le
_HOLDERS = {_DESCRIPTION: b"D", _METADATA: b"M", _LIBRARY: b"L"}
"""The objects with attributes, and the letter in front of each of their attributes."""

_HEADER_BYTES, _OBJECT_BYTES, _EXTENSION_BYTES, _DATA_BYTES = 30, 24, 22, 50
"""The least bytes of the header, any object, the Header Extension's content and the data."""
_OBJECTS = 4096
_PROPERTIES_BYTES, _FILE_SIZE = 80, slice(16, 24)
"""Bytes of the File Properties' content, and the place of the file size in it."""
_TEXT = 0
_MOST = 0xFFFF


@dataclass(frozen=True, slots=True)
class _Object:
    """An object of the header.

    Attributes:
        guid: what it is.
        content: its bytes without GUID and size; for the Header Extension, the bytes before its
            objects.
        inside: the objects of the Header Extension.
    """

    guid: bytes
    content: bytes
    inside: tuple[_Object, ...] = ()

    def render(self) -> bytes:
        """The bytes of the object."""
        inside = b"".join(inner.render() for inner in self.inside)
        content = self.content
        if self.guid == _EXTENSION:
            content = content[:18] + struct.pack("<I", len(inside)) + inside
        return self.guid + struct.pack("<Q", _OBJECT_BYTES + len(content)) + content


@dataclass(frozen=True, slots=True)
class _Header:
    """The header of a file.

    Attributes:
        size: its bytes in the file.
        objects: in it.
        fields: the attributes of all three objects, each with its letter in front.
        reserved: two bytes.
        fault: why it must not be written; None if all of it is understood.
    """

    size: int
    objects: tuple[_Object, ...]
    fields: tuple[bytes, ...] = ()
    reserved: bytes = b"\x01\x02"
    fault: str | None = None

    def render(self) -> bytes:
        """The bytes of the header."""
        body = b"".join(found.render() for found in self.objects)
        return _HEADER + struct.pack("<QI", _HEADER_BYTES + len(body), len(self.objects)) + self.reserved + body

    def flat(self) -> list[_Object]:
        """The objects in order, each followed by the objects inside it."""
        return [inner for found in self.objects for inner in (found, *found.inside)]


class Asf(Family):
    """The family of ASF; see `Container`."""

    def read(self, file: BinaryIO) -> GenreField:
        """Read the WM/Genre attributes that are text; if there are none, other places.

        The other places are never written.
        """
        fields = _header(file).fields
        texts = [_text(record) for record in fields if is_genre(record)]
        others = [_text(record) for record in fields if _is_other_genre(record)]
        field = GenreField(meant(texts) or meant(others), taken(FORM, fields, is_genre), FORM)
        return field_or_around(field, file, self.separator)

    def refusal(self, file: BinaryIO) -> str | None:
        """Refuse a header that is not fully understood, or data that does not follow it."""
        if id3v2_end(file, 0):
            return "an ID3 tag precedes the WMA file"
        header = _header(file)
        if header.fault:
            return header.fault
        if any(_is_other_genre(record) for record in header.fields):
            return "the WMA file has its genre in an attribute that hides all others from some programs"
        _, end = _data(file, header)
        if end > file.seek(0, os.SEEK_END):
            return "the WMA file is cut off"
        return None

    def payload(self, file: BinaryIO, sink: Sink) -> None:
        """Feed the data object."""
        start, end = _data(file, _header(file))
        feed(file, start, end, sink)

    def others(self, file: BinaryIO, sink: Sink) -> None:
        """Feed the other objects and attributes, and what follows the data."""
        header = _header(file)
        sink(header.reserved)
        for found in header.flat():
            if found.guid in _HOLDERS:
                continue
            content = found.content
            if found.guid == _PROPERTIES:
                content = _with_file_size(content, 0)
            elif found.guid == _EXTENSION:
                content = content[:18]
            sink(found.guid)
            feed_field(sink, content)
        for record in header.fields:
            if not is_genre(record):
                feed_field(sink, record)
        feed(file, _data(file, header)[1], file.seek(0, os.SEEK_END), sink)

    def write(self, file: BinaryIO, values: Sequence[str]) -> None:
        """Write attributes of the same form as the first genre that the file has."""
        header = _header(file)
        model = next((record for record in header.fields if is_genre(record)), b"D")
        _store(file, header, replaced(header.fields, is_genre, [_attribute(model, value) for value in values]))

    def restore(self, file: BinaryIO, raw: Json) -> None:
        """Put the attributes back as they were."""
        if raw is not None and raw.get("form") != FORM:
            raise damaged("the stored genre field is not one of WMA")
        header = _header(file)
        _store(file, header, restored(header.fields, is_genre, raw))

    def second_opinion(self, file: BinaryIO) -> tuple[str, ...]:
        """Return the genres as mutagen reads them."""
        file.seek(0)
        tags = library("asf").ASF(file).tags
        return meant([str(value) for value in tags.get(FORM, ())])


def is_genre(record: bytes) -> bool:
    """Whether an attribute is a genre."""
    name, _, _ = _parts(record)
    return name.removesuffix(b"\x00\x00") == _GENRE


def _is_other_genre(record: bytes) -> bool:
    """Whether an attribute is named just Genre."""
    name, kind, _ = _parts(record)
    return kind == _TEXT and name.decode("utf-16-le", "replace").rstrip("\x00").lower() == "genre"


def _parts(record: bytes) -> tuple[bytes, int, bytes]:
    """Name, type and value of an attribute."""
    if record[:1] == b"D":
        (length,) = struct.unpack_from("<H", record, 1)
        kind, size = struct.unpack_from("<HH", record, 3 + length)
        return record[3 : 3 + length], kind, record[7 + length : 7 + length + size]
    _, _, length, kind, size = struct.unpack_from("<HHHHI", record, 1)
    return record[13 : 13 + length], kind, record[13 + length : 13 + length + size]


def _text(record: bytes) -> str:
    _, kind, value = _parts(record)
    return value.decode("utf-16-le", "replace") if kind == _TEXT else ""


def _attribute(model: bytes, text: str) -> bytes:
    """A genre attribute with the object, language and stream of another attribute."""
    name, value = _GENRE + bytes(2), text.encode("utf-16-le") + bytes(2)
    if model[:1] == b"D":
        return b"D" + struct.pack("<H", len(name)) + name + struct.pack("<HH", _TEXT, len(value)) + value
    return model[:5] + struct.pack("<HHI", len(name), _TEXT, len(value)) + name + value


def _header(file: BinaryIO) -> _Header:
    start = id3v2_end(file, 0)
    file.seek(start)
    head = file.read(_HEADER_BYTES)
    if len(head) < _HEADER_BYTES or not head.startswith(_HEADER):
        raise damaged("the WMA file has no header")
    size, _, reserved = struct.unpack_from("<QI2s", head, 16)
    if size > TAG_BYTES:
        raise damaged(f"the header of the WMA file takes more than {TAG_BYTES >> 20} MB")
    data = head + file.read(max(0, size - _HEADER_BYTES))
    if len(data) < size or size < _HEADER_BYTES:
        raise damaged("the WMA file ends inside its header")
    objects = tuple(_objects(data[_HEADER_BYTES:], outside=True))
    header = _Header(size, objects, reserved=reserved)
    guids = [found.guid for found in header.flat()]
    fields: list[bytes] = []
    for guid, letter in _HOLDERS.items():
        for found in header.flat():
            fields += _records(found.content, letter) if found.guid == guid else ()
    fault = None
    if any(guids.count(guid) > 1 for guid in (*_HOLDERS, _EXTENSION, _PROPERTIES)) or header.render() != data:
        fault = "the header of the WMA file is inconsistent"
    elif _SIGNATURE in guids:
        fault = "the header of the WMA file is signed"
    elif not any(found.guid == _PROPERTIES and len(found.content) == _PROPERTIES_BYTES for found in objects):
        fault = "the WMA file has no file properties"
    full = replace(header, fields=tuple(fields), fault=fault)
    if fault is None and _with_fields(full, fields).render() != data:
        return replace(full, fault="the attributes of the WMA file are inconsistent")
    return full


def _objects(data: bytes, *, outside: bool) -> list[_Object]:
    found: list[_Object] = []
    position = 0
    while position < len(data):
        size = int.from_bytes(data[position + 16 : position + _OBJECT_BYTES], "little")
        if not _OBJECT_BYTES <= size <= len(data) - position or len(found) == _OBJECTS:
            raise damaged("the header of the WMA file is damaged")
        guid, content = data[position : position + 16], data[position + _OBJECT_BYTES : position + size]
        inside: tuple[_Object, ...] = ()
        if guid == _EXTENSION and outside:
            inside = tuple(_objects(content[_EXTENSION_BYTES:], outside=False))
            content = content[:_EXTENSION_BYTES]
        found.append(_Object(guid, content, inside))
        position += size
    return found


def _records(content: bytes, letter: bytes) -> list[bytes]:
    """The attributes of an object that can be read, each with the letter of its object in front."""
    found: list[bytes] = []
    position = 2
    for _ in range(int.from_bytes(content[:2], "little")):
        try:
            if letter == b"D":
                (length,) = struct.unpack_from("<H", content, position)
                (size,) = struct.unpack_from("<H", content, position + 4 + length)
                end = position + 6 + length + size
            else:
                length, _, size = struct.unpack_from("<HHI", content, position + 4)
                end = position + 12 + length + size
        except struct.error:
            break
        if end > len(content):
            break
        found.append(letter + content[position:end])
        position = end
    return found


def _with_fields(header: _Header, fields: Sequence[bytes]) -> _Header:
    """The header with other attributes."""

    def changed(found: _Object) -> _Object:
        letter = _HOLDERS.get(found.guid)
        if letter is None:
            return replace(found, inside=tuple(map(changed, found.inside)))
        own = [record[1:] for record in fields if record[:1] == letter]
        if len(own) > _MOST:
            raise damaged("the WMA file has no room for more attributes")
        return replace(found, content=struct.pack("<H", len(own)) + b"".join(own))

    return replace(header, objects=tuple(map(changed, header.objects)))


def _store(file: BinaryIO, header: _Header, fields: Sequence[bytes]) -> None:
    objects = header.objects
    empty = _Object(_DESCRIPTION, bytes(2))
    if not any(found.guid == _DESCRIPTION for found in header.flat()):
        objects = (*objects, empty)
    new = _with_fields(replace(header, objects=objects), fields)
    if new.objects[-1] == empty:  # the first write added it; once empty, it is removed completely
        new = replace(new, objects=new.objects[:-1])
    size = file.seek(0, os.SEEK_END)
    rendered = new.render()
    new_size = size - header.size + len(rendered)
    corrected = tuple(_with_size(found, size, new_size) for found in new.objects)
    splice(file, 0, header.size, replace(new, objects=corrected).render())


def _with_size(found: _Object, size: int, new_size: int) -> _Object:
    """The File Properties with the new size of the file, if their size was right before."""
    if found.guid != _PROPERTIES or int.from_bytes(found.content[_FILE_SIZE], "little") != size:
        return found
    return replace(found, content=_with_file_size(found.content, new_size))


def _with_file_size(content: bytes, size: int) -> bytes:
    return content[: _FILE_SIZE.start] + size.to_bytes(8, "little") + content[_FILE_SIZE.stop :]


def _data(file: BinaryIO, header: _Header) -> tuple[int, int]:
    """Where the data object starts, and where it ends according to its size."""
    start = id3v2_end(file, 0) + header.size
    file.seek(start)
    head = file.read(_OBJECT_BYTES)
    size = int.from_bytes(head[16:], "little")
    if not head.startswith(_DATA) or size < _DATA_BYTES:
        raise damaged("the header of the WMA file does not end where its audio starts")
    return start, start + size
