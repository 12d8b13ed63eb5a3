"""Files that failed once, by the names of their folders; each is also made here in the same way."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import pytest
from audio_factory import decode, make
from conftest import SHARED
from layouts_boxes import CONTAINERS, comments, id3v1, id3v2
from readers import hidden, shown
from tags_helpers import field_of, payload_of, put, refusal_of, write

from genretagger.audio import headers, listen
from genretagger.errors import FileError, WriteRefusedError
from genretagger.files.kinds import KINDS, kind_of
from genretagger.tags import api

pytestmark = pytest.mark.filterwarnings("error")
CASES = SHARED / "cases"


def case(folder: Path, name: str) -> Path:
    source = CASES / name
    if not source.exists():
        pytest.skip(f"{name} is not beside this repository")
    return Path(shutil.copy(source, folder / source.name))


def seen_and_undone(path: Path) -> None:
    """Tag it: readers still show all fields, and all of them show the genre; then undo it."""
    before, field, payload, sound = shown(path), field_of(path), payload_of(path), decode(path)
    assert refusal_of(path) is None
    for genres in (("Jazz", "Blues"), ("Späße",)):
        put(path, *genres)
        assert hidden(before, shown(path), *genres) == []
    assert (payload_of(path), decode(path)) == (payload, sound)
    write(path, api.OldGenres(json.loads(json.dumps(field.raw))))
    assert (field_of(path), shown(path), payload_of(path), decode(path)) == (field, before, payload, sound)


def skipped(path: Path, reason: str) -> None:
    """The inspection before a write knows the reason, so a dry run gives the same status."""
    data = path.read_bytes()
    with path.open("rb") as file:
        kind = kind_of(file)
        assert kind is not None
        api.read(file, kind)
        api.payload_hash(file, kind)
        with contextlib.suppress(FileError):  # as the worker does
            listen.duration(file, kind)
    assert reason in (refusal_of(path) or "")
    with pytest.raises(WriteRefusedError, match=reason):
        put(path, "Jazz", audio_sample=None)
    assert path.read_bytes() == data


def test_hidden_flac_id3(tmp_path: Path) -> None:
    seen_and_undone(case(tmp_path, "hidden-flac-id3/hide_id3v2.flac"))


def test_hidden_info_wav(tmp_path: Path) -> None:
    path = case(tmp_path, "hidden-info-wav/hide_info_front.wav")
    data, field = path.read_bytes(), field_of(path)
    seen_and_undone(path)
    put(path, "Jazz")
    write(path, api.OldGenres(field.raw))
    assert path.read_bytes() == data


def test_flac_vc_trailing(tmp_path: Path) -> None:
    seen_and_undone(case(tmp_path, "flac-vc-trailing/flac_vctrail.flac"))


@pytest.mark.parametrize("trailing", [b"\x01", b"\x00", bytes(200), b"x" * 200], ids=["1", "NUL", "zeros", "200"])
@pytest.mark.parametrize("last", [True, False], ids=["last", "not last"])
def test_flac_vc_trailing_made_here(tmp_path: Path, trailing: bytes, last: bool) -> None:
    """mutagen reads what follows the comments as the next block, so they must stay the last one."""
    data = CONTAINERS["flac without comments"](tmp_path)
    audio_start = data.index(b"\xff\xf8")
    content = comments("TITLE=Own", "ARTIST=Somebody") + trailing
    block = len(content).to_bytes(3, "big") + content
    blocks = b"\x84" + block if last else b"\x04" + block + b"\x83" + (18).to_bytes(3, "big") + bytes(18)
    path = tmp_path / "song.flac"
    path.write_bytes(data[:42].replace(b"\x80\x00\x00\x22", b"\x00\x00\x00\x22") + blocks + data[audio_start:])
    if last:
        seen_and_undone(path)
        put(path, "Jazz")
        assert content[len(comments("TITLE=Own", "ARTIST=Somebody")) :] in path.read_bytes()
    else:
        skipped(path, "comments of the FLAC file are followed by bytes")


def test_bw64_rifx(tmp_path: Path) -> None:
    """That folder is empty: these files are of the two kinds that its name means."""
    path = make(tmp_path / "song.wav", "wav", 1.0)
    data = path.read_bytes()
    path.write_bytes(b"BW64" + data[4:])
    skipped(path, "of the form BW64")
    # RIFX has all numbers in the other byte order, samples too
    size = int.from_bytes(data[4:8], "little")
    turned = b"RIFX" + size.to_bytes(4, "big") + b"WAVEfmt " + (16).to_bytes(4, "big")
    form = data[20:36]
    turned += b"".join(form[at : at + n][::-1] for at, n in ((0, 2), (2, 2), (4, 4), (8, 4), (12, 2), (14, 2)))
    start = data.index(b"data")
    count = int.from_bytes(data[start + 4 : start + 8], "little")
    samples = bytearray(data[start + 8 : start + 8 + count])
    samples[::2], samples[1::2] = samples[1::2], samples[::2]
    turned += b"data" + count.to_bytes(4, "big") + samples
    path.write_bytes(turned[:4] + (len(turned) - 8).to_bytes(4, "big") + turned[8:])
    skipped(path, "of the form RIFX")
    with path.open("rb") as file:
        assert listen.duration(file, KINDS["wav"]) == pytest.approx(1.0, abs=0.1)
    payload = payload_of(path)
    path.write_bytes(path.read_bytes()[:-2] + b"\x12\x34")
    assert payload_of(path) != payload
    path.write_bytes(path.read_bytes()[: -count // 2])
    with path.open("rb") as file:
        assert headers.wav_declared_s(file) == pytest.approx(1.0, abs=0.1)


def test_ogg_id3_front(tmp_path: Path) -> None:
    skipped(case(tmp_path, "ogg-id3-front/id3front.ogg"), "an ID3 tag precedes the Ogg stream")


@pytest.mark.parametrize("kind", ["ogg", "opus", "oggflac", "mp4", "wav", "aiff", "asf", "wavpack"])
def test_ogg_id3_front_and_that_of_others(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path / "song", kind, 0.3)
    path.write_bytes(id3v2(3, "Rock") + path.read_bytes())
    assert field_of(path).values == ("Rock",)
    skipped(path, "an ID3 tag precedes")


@pytest.mark.parametrize("name", ["fmt_dash", "fmt_frag", "gsidx_mfra"])
def test_mp4_mfra(tmp_path: Path, name: str) -> None:
    seen_and_undone(case(tmp_path, f"mp4-mfra/{name}.m4a"))


@pytest.mark.parametrize("name", ["trail_id3v1", "trail_junk"])
def test_wrong_reasons(tmp_path: Path, name: str) -> None:
    seen_and_undone(case(tmp_path, f"wrong-reasons/{name}.m4a"))


def test_wrong_reasons_of_wav(tmp_path: Path) -> None:
    path = make(tmp_path / "song.wav", "wav", 0.5)
    path.write_bytes(path.read_bytes() + bytes(range(1, 9)))
    seen_and_undone(path)


@pytest.mark.parametrize("name", ["flac_twovc.flac", "freeform_genre.m4a"])
def test_other_genre_places(tmp_path: Path, name: str) -> None:
    path = case(tmp_path, f"other-genre-places/{name}")
    assert field_of(path).values == ("Rock",)
    seen_and_undone(path)


@pytest.mark.parametrize("kind", ["flac", "ogg", "opus", "mp4", "wav", "aiff", "asf"])
def test_other_genre_places_behind_the_file(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path / "song", kind, 0.3)
    assert field_of(path).values == ()
    path.write_bytes(path.read_bytes() + id3v1(17))
    assert (field_of(path).values, field_of(path).form) == (("Rock",), "ID3v1")
    put(path, "Jazz")
    assert field_of(path).values == ("Jazz",)


def test_other_genre_places_of_a_chained_ogg(tmp_path: Path) -> None:
    first, second = make(tmp_path / "first", "ogg", 0.3), make(tmp_path / "second", "ogg", 0.3, ["Rock"])
    path = tmp_path / "song.ogg"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    data, before = path.read_bytes(), shown(path)
    assert field_of(path).values == ("Rock",)
    put(path, "Jazz", "Blues", audio_sample=None)
    assert hidden(before, shown(path), "Jazz", "Blues") == []
    write(path, api.OldGenres(None), audio_sample=None)
    assert shown(path) == before
    assert len(path.read_bytes()) >= len(data)


def test_undo_impossible(tmp_path: Path) -> None:
    skipped(case(tmp_path, "undo-impossible/UNDO-FAILED-82314053.wv"), "remains of another APEv2 tag")
