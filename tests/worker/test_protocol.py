"""What crosses the pipe, and what must not."""

from __future__ import annotations

import io
import json
import os
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genretagger.audio.mel import Ear, FilterBank
from genretagger.causes import Cause, because
from genretagger.errors import AudioError, WorkerError
from genretagger.model.front_ends import FRONT_ENDS
from genretagger.tags.api import NewGenres, OldGenres
from genretagger.types import GenreField, Json, Sound, Stamp, TagChange, Track, Window
from genretagger.worker import protocol
from genretagger.worker.wire import ProtocolError, read_frame, write_frame

STAMP = Stamp(1, 2, 3, 4, 5, 6)
GENRES = GenreField(("Röck", "odd \udcff"), {"frames": [1, None]}, "ID3v2.4")
PATH = Path(os.fsdecode(b"/music/odd \xff\n.mp3"))
TRACK = Track(PATH, STAMP, "mp3", 1.5, "abc", GENRES, because(Cause.INCOMPLETE, zeros=20_000))


def across(header: Json, body: bytes = b"", **bounds: int) -> tuple[Json, bytearray]:
    pipe = io.BytesIO()
    write_frame(pipe, header, body)
    pipe.seek(0)
    return read_frame(pipe, **bounds)


def test_a_frame_survives() -> None:
    header, body = across({"text": "\udcff", "path": protocol.path_to_json(PATH)}, b"\0\1\2", most_body=3)
    assert header["text"] == "\udcff"
    assert protocol.path_from_json(header["path"]) == PATH
    assert body == b"\0\1\2"


def test_values_survive() -> None:
    assert protocol.track_from_json(across(protocol.without_path(TRACK))[0], PATH) == TRACK
    change = TagChange(PATH, GENRES, GenreField((), None, "x"), STAMP)
    assert protocol.tag_change_from_json(across(protocol.without_path(change))[0], PATH) == change
    for wanted in (NewGenres(("A", "B")), NewGenres(()), OldGenres(None), OldGenres({"a": [1]})):
        assert protocol.change_from_json(across(protocol.change_to_json(wanted))[0]) == wanted


def test_a_sound_survives() -> None:
    sound = Sound(np.arange(8, dtype=np.float32).reshape(2, 4), 16000, (Window(0.0, 1.0), Window(2.5, 1.0)))
    header, body = across(protocol.sound_to_json(sound), sound.samples.tobytes(), most_body=32)
    found = protocol.sound_from_json(header, body, rate_hz=16000, window_samples=4)
    np.testing.assert_array_equal(found.samples, sound.samples)
    assert found.windows == sound.windows


def test_errors_keep_their_class() -> None:
    error = protocol.error_from_json(protocol.error_to_json(AudioError("bad", hint="buy it")), PATH)
    assert (type(error), error.cause, error.hint, error.path) == (AudioError, "bad", "buy it", PATH)


def test_only_our_errors_are_made() -> None:
    assert type(protocol.error_from_json({"name": "SystemExit", "cause": "x", "hint": ""}, PATH)) is WorkerError


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"PyAV says: garbage, garbage, garbage", id="text"),
        pytest.param(struct.pack(">4sIQ", b"gtw1", 0xFFFFFFFF, 0), id="huge header"),
        pytest.param(struct.pack(">4sIQ", b"gtw1", 2, 1 << 60) + b"{}", id="huge body"),
        pytest.param(struct.pack(">4sIQ", b"gtw1", 2, 0) + b"[]", id="no object"),
        pytest.param(struct.pack(">4sIQ", b"gtw1", 2, 0) + b"\xff\xff", id="no JSON"),
        pytest.param(struct.pack(">4sIQ", b"gtw1", 200_000, 0) + b"[" * 200_000, id="deep"),
    ],
)
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_frame(io.BytesIO(data), most_body=100)


@pytest.mark.parametrize("length", [0, 3, 17])
def test_a_closed_pipe_is_the_end(length: int) -> None:
    pipe = io.BytesIO()
    write_frame(pipe, {"a": 1})
    with pytest.raises(EOFError):
        read_frame(io.BytesIO(pipe.getvalue()[:length]))


def changed(value: Json, path: tuple[Any, ...], new: Json) -> Json:
    copy = json.loads(json.dumps(value))
    place = copy
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = new
    return copy


@pytest.mark.parametrize(
    ("path", "new"),
    [
        (("kind",), 5),
        (("payload_hash",), None),
        (("duration_s",), "long"),
        (("duration_s",), float("inf")),
        (("duration_s",), -1.0),
        (("duration_s",), True),
        (("refusal",), []),
        (("refusal", "cause"), "no cause"),
        (("refusal", "figures"), 3),
        (("stamp",), {}),
        (("stamp", "inode"), "x"),
        (("genres", "values"), "Rock"),
        (("genres", "values"), [1]),
        (("genres", "form"), None),
        (("credits",), {"artist": "Somebody"}),
        (("credits",), 3),
        (("unknown",), 3),
    ],
)
def test_odd_tracks_are_refused(path: tuple[Any, ...], new: Json) -> None:
    with pytest.raises(ProtocolError):
        protocol.track_from_json(changed(protocol.without_path(TRACK), path, new), PATH)


@pytest.mark.parametrize(
    ("header", "samples"),
    [
        pytest.param({"rate_hz": 8000, "windows": [[0, 1]]}, [0.0] * 4, id="rate"),
        pytest.param({"rate_hz": 16000, "windows": [[0, 1]]}, [0.0] * 3, id="too few"),
        pytest.param({"rate_hz": 16000, "windows": []}, [0.0] * 4, id="too many"),
        pytest.param({"rate_hz": 16000, "windows": [[0, 1]]}, [0.0, 0.0, float("nan"), 0.0], id="nan"),
        pytest.param({"rate_hz": 16000, "windows": [[0, 1]]}, [0.0, 0.0, float("inf"), 0.0], id="inf"),
        pytest.param({"rate_hz": 16000, "windows": [[0]]}, [0.0] * 4, id="half a window"),
        pytest.param({"rate_hz": 16000, "windows": [[0, "x"]]}, [0.0] * 4, id="no number"),
        pytest.param({"rate_hz": 16000, "windows": [[0, float("nan")]]}, [0.0] * 4, id="no time"),
        pytest.param({"rate_hz": 16000}, [0.0] * 4, id="no windows"),
    ],
)
def test_odd_sounds_are_refused(header: Json, samples: list[float]) -> None:
    body = bytearray(np.asarray(samples, np.float32).tobytes())
    with pytest.raises(ProtocolError):
        protocol.sound_from_json(header, body, rate_hz=16000, window_samples=4)


def test_frames_survive() -> None:
    windows = (Window(0.0, 1.0), Window(2.5, 1.0))
    rows = np.arange(2 * (6 + 8), dtype=np.float32).reshape(2, 14)
    header, body = across(protocol.frames_to_json(windows), rows.tobytes(), most_body=112)
    found = protocol.frames_from_json(header, body, shapes=[(2, 3), (2, 2, 2)])
    assert found.windows == windows
    assert [mel.shape for mel in found.mels] == [(2, 2, 3), (2, 2, 2, 2)]
    assert found.mels[1][1].ravel().tolist() == list(range(20, 28))


@pytest.mark.parametrize(
    ("header", "values"),
    [
        pytest.param({"windows": [[0, 1]]}, [0.0] * 13, id="too few"),
        pytest.param({"windows": [[0, 1], [1, 1]]}, [0.0] * 14, id="too many windows"),
        pytest.param({"windows": []}, [0.0] * 14, id="no windows for them"),
        pytest.param({"windows": [[0, 1]]}, [float("nan")] + [0.0] * 13, id="nan"),
        pytest.param({"windows": [[0, -1]]}, [0.0] * 14, id="no time"),
        pytest.param({}, [0.0] * 14, id="no windows"),
    ],
)
def test_odd_frames_are_refused(header: Json, values: list[float]) -> None:
    body = bytearray(np.asarray(values, np.float32).tobytes())
    with pytest.raises(ProtocolError):
        protocol.frames_from_json(header, body, shapes=[(2, 3), (2, 2, 2)])


def test_ears_survive_bit_for_bit() -> None:
    dice = np.random.default_rng(1)
    front_end = FRONT_ENDS["YAMNet"]
    bank = FilterBank(dice.random(400), dice.random((64, 257)).astype(np.float32))
    (found,) = protocol.ears_from_text(protocol.ears_to_text([Ear(front_end, bank)]))
    assert found.front_end == front_end
    assert np.array_equal(found.bank.window, bank.window)
    assert np.array_equal(found.bank.filters, bank.filters)


def test_stamps_are_plain() -> None:
    assert Stamp(**across(asdict(STAMP))[0]) == STAMP
