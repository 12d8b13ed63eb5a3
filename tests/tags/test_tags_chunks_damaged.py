"""WAV, AIFF and DSF: writes that could cost audio are refused; damage never costs any."""

from __future__ import annotations

import importlib
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
from audio_factory import decode
from chunk_helpers import ORDERS, bare, chunk, chunks_of, wav, whole
from tags_helpers import frame, id3, only, put, refusal_of

from genretagger.errors import FileError


def sized(data: bytes, place: int, size: int, form: str = "<I") -> bytes:
    return data[:place] + struct.pack(form, size) + data[place + struct.calcsize(form) :]


def data_at(data: bytes, name: bytes) -> int:
    return data.index(name) + 4


TAG = id3(4, frame("TCON", b"\x03Rock", 4))

WAV_FAULTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "RF64": (lambda d: b"RF64" + d[4:], "of the form RF64"),
    "BW64": (lambda d: b"BW64" + d[4:], "of the form BW64"),
    "no length of the samples": (lambda d: sized(d, data_at(d, b"data"), 0), "how long"),
    "as a stream": (lambda d: sized(sized(d, data_at(d, b"data"), 2**32 - 1), 4, 2**32 - 1), "how long"),
    "as a stream of zero": (lambda d: sized(d, 4, 0), "how long"),
    "cut off": (lambda d: d[:-1000], "cut off"),
    "samples beyond the end": (lambda d: sized(d, data_at(d, b"data"), 90_000), "cut off"),
    "more samples than bytes": (lambda d: sized(d, data_at(d, b"data"), 2**31), "cut off"),
    "RIFF too long": (lambda d: sized(d, 4, len(d) + 2), "cut off"),
    "RIFF too short": (lambda d: sized(d, 4, len(d) - 100), "as long as"),
    "a chunk behind": (lambda d: d + chunk(b"id3 ", TAG), "chunks after its end"),
    "an unknown chunk behind": (lambda d: d + chunk(b"tune", b"1234"), "chunks after its end"),
    "junk inside": (lambda d: sized(d + bytes(40), 4, len(d) + 32), "no chunk|as long as"),
    "ID3 in front": (lambda d: TAG + d, "an ID3 tag precedes"),
    "two tags": (lambda d: wav(*chunks_of(d), (b"id3 ", TAG), (b"ID3 ", TAG)), "several"),
    "two data": (lambda d: wav(*chunks_of(d), (b"data", b"1234")), "several"),
    "no data": (lambda d: wav(*[c for c in chunks_of(d) if c[0] != b"data"]), "no data chunk"),
    "no fmt": (lambda d: wav(*[c for c in chunks_of(d) if c[0] != b"fmt "]), "no fmt chunk"),
    "a fmt of 100 kB": (lambda d: wav((b"fmt ", chunks_of(d)[0][1] + bytes(100_000)), *chunks_of(d)[1:]), "too long"),
    "5000 chunks": (lambda d: wav(*chunks_of(d), *[(b"JUNK", b"")] * 5000), "too many"),
    "LIST without type": (lambda d: wav((b"LIST", b""), *chunks_of(d)), "WAVE|fmt|chunk"),
}

TAG_FAULTS: dict[str, tuple[bytes, str]] = {
    "no tag": (b"What is this?", "no ID3 tag"),
    "broken header": (b"ID3\x04\x00\x00\xff\xff\xff\xff" + bytes(20), "is invalid"),
    "longer than its place": (id3(4, frame("TCON", b"\x03Rock", 4), padding=30)[:-20], "longer than its place"),
    "followed by more": (TAG + b"\x00\x00more", "followed"),
    "not empty": (id3(4, frame("TCON", b"\x03Rock", 4), b"\x00\x00\x07\x00"), "padding"),
    "an unknown version": (b"ID3\x05" + TAG[4:], "not known"),
}


def refused(path: Path, reason: str) -> None:
    data = path.read_bytes()
    found = refusal_of(path)
    assert found is not None
    assert any(part in found for part in reason.split("|")), found
    with pytest.raises(FileError):
        put(path, "Jazz", audio_sample=None)
    assert path.read_bytes() == data
    assert only(path)


@pytest.mark.parametrize("fault", WAV_FAULTS)
def test_a_wav_that_could_lose_audio_is_refused(tmp_path: Path, fault: str) -> None:
    path = bare(tmp_path, "wav")
    harm, reason = WAV_FAULTS[fault]
    path.write_bytes(harm(path.read_bytes()))
    refused(path, reason)


@pytest.mark.parametrize("name", ["wav", "aiff"])
@pytest.mark.parametrize("fault", TAG_FAULTS)
def test_a_tag_that_is_not_understood_is_refused(tmp_path: Path, name: str, fault: str) -> None:
    path = bare(tmp_path, name)
    data, order = path.read_bytes(), ORDERS[name]
    tag, reason = TAG_FAULTS[fault]
    path.write_bytes(whole(data[:4], data[8:12], [*chunks_of(data, order), (b"ID3 ", tag)], order))
    refused(path, reason)


AIFF_FAULTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "no length of the samples": (lambda d: sized(d, data_at(d, b"SSND"), 0, ">I"), "how long"),
    "as a stream": (lambda d: sized(d, 4, 0, ">I"), "how long"),
    "cut off": (lambda d: d[:-1000], "cut off"),
    "FORM too short": (lambda d: sized(d, 4, len(d) - 100, ">I"), "as long as"),
    "no SSND": (lambda d: whole(b"FORM", b"AIFF", chunks_of(d, ">")[:1], ">"), "no SSND"),
    "a tag by another name": (lambda d: whole(b"FORM", b"AIFF", [*chunks_of(d, ">"), (b"id3 ", TAG)], ">"), "name"),
}


@pytest.mark.parametrize("fault", AIFF_FAULTS)
def test_an_aiff_that_could_lose_audio_is_refused(tmp_path: Path, fault: str) -> None:
    path = bare(tmp_path, "aiff")
    harm, reason = AIFF_FAULTS[fault]
    path.write_bytes(harm(path.read_bytes()))
    refused(path, reason)


DSF_FAULTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut off": (lambda d: d[:-1000], "cut off"),
    "cut off, and refused": (lambda d: sized(d[:-1000], 12, len(d) - 1000, "<Q"), "cut off"),
    "more samples than bytes": (lambda d: sized(d, 84, 1 << 60, "<Q"), "cut off"),
    "no samples": (lambda d: sized(d, 84, 0, "<Q"), "do not follow"),
    "a wrong length": (lambda d: sized(d, 12, len(d) - 1, "<Q"), "follow the end"),
    "no length": (lambda d: sized(d, 12, 0, "<Q"), "follow the end"),
    "junk behind": (lambda d: sized(d, 12, len(d) + 9, "<Q") + b"something", "bytes after its audio"),
    "the tag inside the audio": (lambda d: sized(d, 20, 2000, "<Q"), "wrong place"),
    "the tag beyond the end": (lambda d: sized(d, 20, len(d), "<Q"), "wrong place"),
    "no tag there": (lambda d: sized(sized(d, 12, len(d) + 9, "<Q"), 20, len(d), "<Q") + b"something", "no ID3 tag"),
    "junk behind the tag": (
        lambda d: sized(sized(d, 12, len(d) + len(TAG) + 4, "<Q"), 20, len(d), "<Q") + TAG + b"more",
        "followed",
    ),
    "another chunk first": (lambda d: d[:28] + b"fmtx" + d[32:], "do not follow"),
    "ID3 in front": (lambda d: TAG + d, "an ID3 tag precedes"),
}


@pytest.mark.parametrize("fault", DSF_FAULTS)
def test_a_dsf_that_could_lose_audio_is_refused(tmp_path: Path, fault: str) -> None:
    path = bare(tmp_path, "dsf")
    harm, reason = DSF_FAULTS[fault]
    path.write_bytes(harm(path.read_bytes()))
    refused(path, reason)


def test_a_wav_of_4_gb_has_no_room(tmp_path: Path) -> None:
    path = bare(tmp_path, "wav")
    data, size = path.read_bytes(), 2**32 - 1000
    place = data_at(data, b"data")
    path.write_bytes(sized(sized(data, 4, size - 8), place, size - place - 4))
    with path.open("r+b") as file:
        file.truncate(size)
    assert "4 GB" in (refusal_of(path) or "")


# Damage


@pytest.mark.parametrize("name", ["wav", "aiff", "dsf"])
@pytest.mark.parametrize("tagged", [False, True])
def test_whatever_byte_of_the_structure_is_wrong_the_audio_stays(tmp_path: Path, name: str, tagged: bool) -> None:
    path = bare(tmp_path, name)
    if tagged:
        put(path, "Rock")
    data = path.read_bytes()
    audio = data_at(data, {"wav": b"data", "aiff": b"SSND", "dsf": b"data"}[name]) + 8
    tag = data.index(b"ID3") - 8 if tagged else len(data)
    written = 0
    for place in (*range(4, audio), *range(tag, min(tag + 40, len(data)))):
        for value in {0, 1, 0xFF, data[place] ^ 1, data[place] ^ 0x20} - {data[place]}:
            path.write_bytes(data[:place] + bytes((value,)) + data[place + 1 :])
            broken = path.read_bytes()
            sound = heard(path)
            try:
                put(path, "Jazz", audio_sample=None)
            except (AssertionError, FileError):  # no audio any more, or refused
                assert path.read_bytes() == broken, place
            else:
                written += 1
                assert heard(path) == sound, place
                assert genres_by_mutagen(path) == ["Jazz"]
    assert written, "where all is refused, nothing is shown"


def heard(path: Path) -> bytes | None:
    try:
        return decode(path)
    except (av.error.FFmpegError, ValueError, IndexError):
        return None


def genres_by_mutagen(path: Path) -> list[str]:
    tags: Any = importlib.import_module("mutagen").File(path).tags
    return [str(text) for text in tags["TCON"].text]
