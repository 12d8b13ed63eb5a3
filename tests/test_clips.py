"""Real recordings: music gets the genre a listener would give; other sounds stay untouched."""

from __future__ import annotations

import shutil
from pathlib import Path

import command_helpers as helpers

from genretagger.types import Policy, Status

NO_MUSIC = (
    "speech_austen.ogg",
    "speech_chivalry.ogg",
    "speech_mystery.ogg",
    "humpback.ogg",
    "dog.ogg",
    "robin.ogg",
)
FILLED = {"hungarian_dance.ogg": "Classical", "trumpet.ogg": "Jazz"}
HAD_A_GENRE = {
    "minuet.mp3": {"Classical"},
    "sugar_plum.ogg": {"Classical"},
    "vibe_ace.ogg": {"Jazz", "Electronic"},
    "lets_go_fishin.ogg": {"Folk", "Country", "Pop"},
}
"""Any of these is right."""


def test_real_recordings(data_dir: Path, shared_audio: Path, tmp_path: Path) -> None:
    """In one test, since listening to all of them is what takes the time."""
    music = tmp_path / "clips"
    music.mkdir()
    clips = {clip.name: clip for clip in shared_audio.iterdir() if clip.suffix in {".ogg", ".mp3"}}
    for clip in clips.values():
        shutil.copyfile(clip, music / clip.name)
    options = helpers.settings(data_dir, threads=0, jobs=2)
    replacing = helpers.tag(options.model_copy(update={"policy": Policy.REPLACE}), music, dry_run=True)
    tagged = helpers.tag(options, music)
    assert set(replacing) == set(tagged) == set(clips) == {path.name for path in music.iterdir()}
    assert [outcome for outcome in (*replacing.values(), *tagged.values()) if outcome.status is Status.FAILED] == []

    for name, genre in FILLED.items():
        assert tagged[name].status is Status.TAGGED
        assert genre in helpers.genres_of(music / name), tagged[name].reason
    for name, genres in HAD_A_GENRE.items():
        assert tagged[name].status is Status.UNCHANGED
        assert genres & set(replacing[name].genres), replacing[name].reason
    for name in NO_MUSIC:
        assert replacing[name].status is Status.SKIPPED, replacing[name]
    for name in (*HAD_A_GENRE, *NO_MUSIC):
        assert (music / name).read_bytes() == clips[name].read_bytes()
