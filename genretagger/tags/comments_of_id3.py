"""What an ID3 tag around a FLAC stream shows, as Vorbis comments.

TagLib and FFmpeg look into ID3 only as long as the Vorbis comments are empty. The first comment,
our genre, would hide title, artist and all the rest from them. So the rest is copied as well, under
TagLib's name for a frame, and also under FFmpeg's name if that differs. What no reader shows of
such a file (pictures, private frames) stays where it is and needs no copy. If a frame cannot be
copied, the file is not written.

Sources: the documents of ID3v2 and ID3v1; for the names, what TagLib 2 and FFmpeg 8 show.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

from genretagger.files.kinds import id3v2_size
from genretagger.tags import carried as carried_over
from genretagger.tags import tails
from genretagger.tags.container import TAG_BYTES
from genretagger.tags.id3 import Id3Tag, is_genre, text_of

_TAGLIB = {
    "TALB": "ALBUM", "TBPM": "BPM", "TCMP": "COMPILATION", "TCOM": "COMPOSER", "TCOP": "COPYRIGHT",
    "TDAT": "DATE", "TDEN": "ENCODINGTIME", "TDLY": "PLAYLISTDELAY", "TDOR": "ORIGINALDATE", "TDRC": "DATE",
    "TDRL": "RELEASEDATE", "TDTG": "TAGGINGDATE", "TENC": "ENCODEDBY", "TEXT": "LYRICIST", "TFLT": "FILETYPE",
    "TIT1": "WORK", "TIT2": "TITLE", "TIT3": "SUBTITLE", "TKEY": "INITIALKEY", "TLAN": "LANGUAGE", "TLEN": "LENGTH",
    "TMED": "MEDIA", "TMOO": "MOOD", "TOAL": "ORIGINALALBUM", "TOFN": "ORIGINALFILENAME", "TOLY": "ORIGINALLYRICIST",
    "TOPE": "ORIGINALARTIST", "TORY": "ORIGINALDATE", "TOWN": "OWNER", "TPE1": "ARTIST", "TPE2": "ALBUMARTIST",
    "TPE3": "CONDUCTOR", "TPE4": "REMIXER", "TPOS": "DISCNUMBER", "TPRO": "PRODUCEDNOTICE", "TPUB": "LABEL",
    "TRCK": "TRACKNUMBER", "TRSN": "RADIOSTATION", "TRSO": "RADIOSTATIONOWNER", "TSO2": "ALBUMARTISTSORT",
    "TSOA": "ALBUMSORT", "TSOC": "COMPOSERSORT", "TSOP": "ARTISTSORT", "TSOT": "TITLESORT", "TSRC": "ISRC",
    "TSSE": "ENCODING", "TSST": "DISCSUBTITLE", "TYER": "DATE",
}  # fmt: skip
"""TagLib's names of text frames."""
_FFMPEG = {
    "TALB": "ALBUM", "TCMP": "COMPILATION", "TCOM": "COMPOSER", "TCOP": "COPYRIGHT", "TDEN": "CREATION_TIME",
    "TDRC": "DATE", "TDRL": "DATE", "TENC": "ENCODED_BY", "TIT1": "GROUPING", "TIT2": "TITLE", "TLAN": "LANGUAGE",
    "TPE1": "ARTIST", "TPE2": "ALBUMARTIST", "TPE3": "PERFORMER", "TPOS": "DISCNUMBER", "TPUB": "PUBLISHER",
    "TRCK": "TRACKNUMBER", "TSOA": "ALBUM-SORT", "TSOP": "ARTIST-SORT", "TSOT": "TITLE-SORT", "TSSE": "ENCODER",
    "TYER": "DATE",
}  # fmt: skip
"""FFmpeg's names of these frames; it shows others by the name of the frame."""
_OLD = {
    "TT1": "TIT1", "TT2": "TIT2", "TT3": "TIT3", "TP1": "TPE1", "TP2": "TPE2", "TP3": "TPE3", "TP4": "TPE4",
    "TAL": "TALB", "TRK": "TRCK", "TPA": "TPOS", "TYE": "TYER", "TDA": "TDAT", "TCM": "TCOM", "TCR": "TCOP",
    "TEN": "TENC", "TPB": "TPUB", "TBP": "TBPM", "TSS": "TSSE", "TXT": "TOLY", "TLA": "TLAN", "TCP": "TCMP",
    "TRC": "TSRC", "TKE": "TKEY", "TLE": "TLEN", "TMT": "TMED", "TFT": "TFLT", "TOT": "TOAL", "TOA": "TOAL",
    "TOL": "TOLY", "TOF": "TOFN", "TOR": "TORY", "TDY": "TDLY", "TST": "TSOT", "TSP": "TSOP", "TSA": "TSOA",
    "TS2": "TSO2", "TSC": "TSOC", "TXX": "TXXX", "COM": "COMM", "ULT": "USLT",
}  # fmt: skip
"""The frames of ID3v2.2, and the later ones that TagLib takes them for."""
_FFMPEG_OLD = {"TAL", "TCP", "TT2", "TEN", "TP1", "TP2", "TP3", "TRK", "TYE"}
"""The frames of ID3v2.2 that FFmpeg shows under the same names as the newer ones."""
_TAGLIB_TEXTS = {
    "MUSICBRAINZ ALBUM ID": "MUSICBRAINZ_ALBUMID",
    "MUSICBRAINZ ARTIST ID": "MUSICBRAINZ_ARTISTID",
    "MUSICBRAINZ ALBUM ARTIST ID": "MUSICBRAINZ_ALBUMARTISTID",
    "MUSICBRAINZ ALBUM RELEASE COUNTRY": "RELEASECOUNTRY",
    "MUSICBRAINZ ALBUM STATUS": "RELEASESTATUS",
    "MUSICBRAINZ ALBUM TYPE": "RELEASETYPE",
    "MUSICBRAINZ RELEASE GROUP ID": "MUSICBRAINZ_RELEASEGROUPID",
    "MUSICBRAINZ RELEASE TRACK ID": "MUSICBRAINZ_RELEASETRACKID",
    "MUSICBRAINZ WORK ID": "MUSICBRAINZ_WORKID",
    "ACOUSTID ID": "ACOUSTID_ID",
    "ACOUSTID FINGERPRINT": "ACOUSTID_FINGERPRINT",
    "MUSICIP PUID": "MUSICIP_PUID",
}
"""TagLib's names for descriptions of TXXX."""
_LINKS = {
    "WCOP": "COPYRIGHTURL", "WOAF": "FILEWEBPAGE", "WOAR": "ARTISTWEBPAGE", "WOAS": "AUDIOSOURCEWEBPAGE",
    "WORS": "RADIOSTATIONWEBPAGE", "WPAY": "PAYMENTWEBPAGE", "WPUB": "PUBLISHERWEBPAGE",
}  # fmt: skip
"""Addresses, which only TagLib shows."""
_NOT_SHOWN = frozenset(
    (
        *("APIC", "PIC", "PRIV", "GEOB", "GEO", "POPM", "POP", "PCNT", "CNT", "MCDI", "MCI", "RVAD", "RVA", "RVA2"),
        *("RVRB", "REV", "EQUA", "EQU", "EQU2", "SYLT", "SLT", "SYTC", "STC", "ETCO", "ETC", "MLLT", "MLL", "POSS"),
        *("RBUF", "BUF", "CHAP", "CTOC", "LINK", "LNK", "OWNE", "COMR", "ENCR", "CRA", "GRID", "SEEK", "ASPI", "SIGN"),
        *("NCON", "XRVA"),
    )
)
"""Frames that neither program shows for a FLAC file."""
_LONGEST_NAME = 200
_FOUR_DIGITS = re.compile("[0-9]{4}")


@dataclass(frozen=True, slots=True)
class Carried:
    """Vorbis comments for what ID3 says.

    Attributes:
        entries: each `KEY=value`.
        fault: why comments cannot hold it; None if they can.
    """

    entries: tuple[bytes, ...] = ()
    fault: str | None = None


class _UnknownFrameError(Exception):
    """A frame that comments cannot hold; the text is its name."""


def vorbis_comments(file: BinaryIO) -> Carried:
    """The first ID3v2 tag in front of a file, else the ID3v1 tag at its end; without the genre."""
    file.seek(0)
    size = id3v2_size(file.read(10))
    if not size:
        return _of_id3v1(tails.id3v1(file))
    if size > TAG_BYTES:
        return Carried(fault=f"the ID3 tag takes more than {TAG_BYTES >> 20} MB")
    file.seek(0)
    tag = Id3Tag.parse(file.read(size))
    if not tag.frames and not tag.fault:
        return _of_id3v1(tails.id3v1(file))
    if tag.fault:
        return Carried(fault=f"{tag.fault}, and the genre would hide this tag from other programs")
    try:
        return Carried(_of_id3v2(tag))
    except _UnknownFrameError as error:
        return Carried(fault=f"the genre would hide the ID3 field {error} from other programs")


def _of_id3v1(data: bytes) -> Carried:
    try:
        fields = carried_over.of_id3v1(data)
    except carried_over.CarryError as error:
        return Carried(fault=error.cause)
    return Carried(tuple(_entry(name, value) for name, values in fields.items() for value in values))


def _of_id3v2(tag: Id3Tag) -> tuple[bytes, ...]:
    year, day = _first(tag, "TYER"), _first(tag, "TDAT")
    entries = [entry for frame in tag.frames for entry in _of_frame(tag, frame, year, day)]
    return tuple(dict.fromkeys(entries))


def _first(tag: Id3Tag, name: str) -> str:
    """The text of the first such frame; empty if there is none."""
    return next((text[0] for f in tag.frames if _name(f, tag) == name and (text := text_of(tag.version, f))), "")


def _of_frame(tag: Id3Tag, frame: bytes, year: str, day: str) -> Iterable[bytes]:
    written = frame[: 3 if tag.version == 2 else 4].decode("latin-1")
    name = _name(frame, tag)
    if is_genre(frame) or name in _NOT_SHOWN:
        return ()
    if name in ("TXXX", "COMM", "USLT"):
        return _of_described(tag, frame, name)
    if name in _LINKS:
        return [_entry(_LINKS[name], frame[10:].decode("latin-1").rstrip("\x00"))]
    if name == "UFID" and frame[10:].startswith(b"http://musicbrainz.org\x00"):
        return [_entry("MUSICBRAINZ_TRACKID", frame[33:].decode("latin-1"))]
    if name == "UFID":
        return ()
    if name not in _TAGLIB:
        raise _UnknownFrameError(written)
    texts = text_of(tag.version, frame)
    if texts is None:
        raise _UnknownFrameError(written)
    if name in ("TYER", "TDAT"):
        return _of_date(tag.version, written, name, texts, year, day)
    shown = _FFMPEG.get(name, name) if tag.version > 2 or written in _FFMPEG_OLD else written
    return [_entry(key, text) for key in dict.fromkeys((_TAGLIB[name], shown)) for text in texts if text]


def _of_date(version: int, written: str, name: str, texts: list[str], year: str, day: str) -> list[bytes]:
    """A frame with the year, or with day and month, which readers join to one date.

    FFmpeg joins the first two of them if each has four digits. If it does not use a frame, it shows
    the frame's text under its name. TagLib joins any four letters, but only in ID3v2.3.
    """
    if name == "TDAT" and version == 4:
        raise _UnknownFrameError(written)  # TagLib takes it for another date
    if name == "TDAT":
        used = _FOUR_DIGITS.fullmatch(year) and _FOUR_DIGITS.fullmatch(day)
        return [] if used else [_entry(written, text) for text in texts if text]
    four = re.compile(".{4}", re.DOTALL) if version == 3 else _FOUR_DIGITS
    dates = [f"{text}-{day[2:]}-{day[:2]}" if four.fullmatch(text) and four.fullmatch(day) else text for text in texts]
    entries = [_entry("DATE", date) for date in dates if date]
    if not _FOUR_DIGITS.fullmatch(year):
        entries += [_entry(written, text) for text in texts if text]
    return entries


def _of_described(tag: Id3Tag, frame: bytes, name: str) -> list[bytes]:
    """A frame that has a description beside its text."""
    head = 6 if tag.version == 2 else 10
    language = ""
    if name != "TXXX":
        if tag.version > 2 and frame[9]:
            raise _UnknownFrameError(name)
        language = frame[head + 1 : head + 4].decode("latin-1")
        frame = frame[: head + 1] + frame[head + 4 :]
    texts = text_of(tag.version, frame)
    if not texts or len(texts) < 2:
        raise _UnknownFrameError(name)
    described, values = texts[0], [text for text in texts[1:] if text]
    if name == "TXXX":
        names = [_TAGLIB_TEXTS.get(described.upper(), described.upper()), described.upper()]
    elif name == "COMM":
        names = [f"COMMENT:{described.upper()}", described.upper()] if described else ["COMMENT"]
    else:
        names = [f"LYRICS:{described.upper()}" if described else "LYRICS"]
        names.append("-".join(part.upper() for part in ("LYRICS", described, language) if part))
    return [_entry(key, value) for key in dict.fromkeys(names) for value in values]


def _name(frame: bytes, tag: Id3Tag) -> str:
    if tag.version == 2:
        written = frame[:3].decode("latin-1")
        return _OLD.get(written, written)
    return frame[:4].decode("latin-1")


def _entry(key: str, text: str) -> bytes:
    if not 0 < len(key) <= _LONGEST_NAME or any(not " " <= letter <= "}" or letter == "=" for letter in key):
        raise _UnknownFrameError(repr(key[:40]))
    return f"{key}={text}".encode("utf-8", "replace")
