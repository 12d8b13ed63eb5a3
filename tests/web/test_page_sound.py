"""What no browser plays is made into FLAC."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import soundfile
from ape_factory import make_ape
from audio_factory import FORMATS, make, make_dsf, tone
from audio_helpers import SHARED
from command_helpers import settings as settings_of
from command_helpers import tag
from page_helpers import serving


def test_what_a_browser_cannot_play_is_made_into_flac(heard: Path, music: Path, tmp_path: Path) -> None:
    for kind in ("alac", "aiff", "asf", "wavpack", "tta", "caf", "ac3"):
        make(music / f"{kind}{FORMATS[kind][2]}", kind, samples=tone(6.0))
    make_dsf(music / "dsf.dsf", 6.0)
    tag(settings_of(heard), music, dry_run=True)
    with serving(heard) as server:
        found = server.until(
            lambda: {Path(each["name"]).stem: each["id"] for each in server.ask("/api/tracks?count=99").json["rows"]},
            lambda numbers: "dsf" in numbers and "alac" in numbers,
        )
        for kind in ("alac", "aiff", "asf", "wavpack", "tta", "caf", "ac3", "dsf"):
            answer = server.ask(f"/audio/{found[kind]}")
            assert (answer.status, answer.headers["content-type"], kind) == (200, "audio/flac", kind)
            part = server.ask(f"/audio/{found[kind]}", headers={"Range": "bytes=10-19"})
            assert (part.status, part.body) == (206, answer.body[10:20])
            played = tmp_path / "played.flac"
            played.write_bytes(answer.body)
            samples, rate_hz = soundfile.read(played)
            assert len(samples) / rate_hz == pytest.approx(6.0, abs=0.1)
            assert abs(samples).max() > 0.05


def test_monkeys_audio_and_musepack_are_made_into_flac(heard: Path, music: Path, tmp_path: Path) -> None:
    """FFmpeg only decodes them: one is made by hand, the other a click among the shared files."""
    make_ape(music / "ape.ape", frames=4)
    make(music / "short.aiff", "aiff", samples=tone(0.05))  # shorter than a block of FLAC
    musepack = SHARED / "corpus" / "mutagen" / "click.mpc"
    wanted = {"ape": 4 * 73728 / 44100, "short": 0.05}
    if musepack.exists():
        shutil.copy(musepack, music / "mpc.mpc")
        wanted["mpc"] = 0.05
    tag(settings_of(heard), music, dry_run=True)
    with serving(heard) as server:
        found = server.until(
            lambda: {Path(each["name"]).stem: each["id"] for each in server.ask("/api/tracks?count=99").json["rows"]},
            lambda numbers: numbers.keys() >= wanted.keys(),
        )
        for kind, least_s in wanted.items():
            answer = server.ask(f"/audio/{found[kind]}")
            assert (answer.status, answer.headers["content-type"], kind) == (200, "audio/flac", kind)
            (tmp_path / "played.flac").write_bytes(answer.body)
            samples, rate_hz = soundfile.read(tmp_path / "played.flac")
            assert len(samples) / rate_hz >= least_s - 0.01
