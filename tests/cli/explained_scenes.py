"""Files in each state that `show` and `tag` explain: how they come about, and what is said."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mutagen
import numpy as np
from album_helpers import ELECTRONIC, JAZZY, METAL, SPEECH
from album_helpers import Library as Album
from audio_factory import make
from command_helpers import pipeline, retag, tag

from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.errors import AudioError, TooShortError
from genretagger.files.discover import Found
from genretagger.steps.plan.entry import Planned
from genretagger.types import Policy, Stamp

Command = Callable[..., Any]
REPLACE = {"policy": Policy.REPLACE}


OPTIONS = {"min_duration_s": 0.4, "protect": ("Christmas",)}


@dataclass(frozen=True)
class Scene:
    """A folder for files in some state.

    Attributes:
        library: makes music, each of its own length, and tells the database what was heard in it.
        name: of the folder.
        during: what is open while the commands run.
    """

    library: Album
    name: str
    during: ExitStack

    @property
    def music(self) -> Path:
        return self.library.music / self.name

    @property
    def settings(self) -> Settings:
        return self.library.settings.model_copy(update=OPTIONS)

    def song(self, genre: str | None = None, sound: Mapping[str, float] | None = ELECTRONIC) -> Path:
        """Music in which the database knows what was heard."""
        return self.library.add(f"{self.name}/song", sound, **({} if genre is None else {"genre": genre}))

    def other(self, **options: Any) -> Path:
        """Music that nobody has heard."""
        self.music.mkdir(exist_ok=True, parents=True)
        return make(self.music / "other.flac", "flac", **options)

    def tag(self, **options: Any) -> None:
        tag(self.settings.model_copy(update=options), self.music)

    def dry(self) -> None:
        tag(self.settings.model_copy(update=REPLACE), self.music, dry_run=True)

    def undo(self) -> None:
        with pipeline(self.settings) as opened:
            run = opened.begin("undo")
            list(opened.undo(list(opened.store.writes.get_all(under=self.music)), run, stop=Future()))
            opened.finish(run)

    def plan(self, song: Path, after: tuple[str, ...] | None) -> None:
        """Apply a plan for a song; None to leave it as it was made."""
        found: list[Planned] = []
        with pipeline(self.settings.model_copy(update=REPLACE)) as opened:
            run = opened.begin("tag", plan=found.append)
            list(opened.tag([Found(song, song.parent)], run, stop=Future()))
            applied = [each if after is None else replace(each, after=after) for each in found]
            list(opened.apply(applied, opened.begin("apply"), stop=Future()))

    @contextlib.contextmanager
    def store(self) -> Iterator[Store]:
        with Store.open(self.settings.database) as opened:
            yield opened


def _edited(scene: Scene) -> Path:
    song = scene.song()
    scene.tag()
    retag(song, "Polka")
    return song


def _emptied(scene: Scene) -> Path:
    song = scene.song()
    scene.tag()
    tags = mutagen.File(song)
    del tags["genre"]
    tags.save()
    return song


def _undone(genre: str | None) -> Callable[[Scene], Path]:
    def made(scene: Scene) -> Path:
        song = scene.song(genre)
        scene.tag(**REPLACE)
        scene.undo()
        return song

    return made


def _moved_and_undone(scene: Scene) -> Path:
    song = scene.song()
    scene.tag()
    scene.undo()
    return song.rename(scene.music / "moved.flac")


def _undone_and_on_another_disk(scene: Scene) -> Path:
    song = _undone(None)(scene)
    moved = scene.music / "moved.flac"
    moved.write_bytes(song.read_bytes())  # another inode
    song.unlink()
    return moved


def _copied(name: str) -> Callable[[Scene], Path]:
    """A copy of what was tagged, undone or edited."""

    def made(scene: Scene) -> Path:
        song = {"tagged": _tagged, "undone": _undone(None), "edited": _edited}[name](scene)
        copy = scene.music / "copy.flac"
        copy.write_bytes(song.read_bytes())
        return copy

    return made


def _tagged(scene: Scene) -> Path:
    song = scene.song()
    scene.tag()
    return song


def _busy(scene: Scene) -> Path:
    song = scene.song()
    scene.dry()
    scene.during.enter_context(song.open("r+b"))
    return song


def _busy_and_never_seen(scene: Scene) -> Path:
    song = scene.song(sound=None)
    scene.during.enter_context(song.open("r+b"))
    return song


def _hard_linked(scene: Scene) -> Path:
    song = scene.song()
    scene.dry()
    (scene.library.music.parent / "name.flac").hardlink_to(song)
    return song


def _outside(scene: Scene) -> Path:
    target = scene.song().rename(scene.library.music.parent / "elsewhere.flac")
    (scene.music / "link.flac").symlink_to(target)
    scene.dry()
    return scene.music / "link.flac"


def _too_short(scene: Scene) -> Path:
    return scene.other(seconds=0.2)


def _too_short_to_hear(scene: Scene) -> Path:
    return _unheard(scene, TooShortError("too short to hear anything"))


def _undecodable(scene: Scene) -> Path:
    return _unheard(scene, AudioError("no frames", hint="Fetch it again."))


def _unheard(scene: Scene, error: AudioError) -> Path:
    song = scene.song(sound=None)
    with pipeline(scene.settings) as opened:
        track = opened.by_request.read(song)
        model = opened.knowledge.model_id
        opened.store.analyses.save_unheard(track.payload_hash, model, opened.listener.sampling, error)
    return song


def _failed(scene: Scene) -> Path:
    song = scene.song("Polka")
    with scene.store() as store:
        store.tracks.save_failure(song, Stamp.of(song.stat()), AudioError("no frames"))
    return song


def _silent(scene: Scene) -> Path:
    song = scene.other(samples=np.zeros(44100, np.float32))
    scene.dry()
    return song


def _not_music(scene: Scene) -> Path:
    return scene.song(sound=SPEECH)


def _of_an_album(scene: Scene) -> Path:
    for name, sound in {"1": ELECTRONIC, "2": ELECTRONIC, "3": JAZZY, "4": METAL}.items():
        scene.library.add(f"{scene.name}/{name}", sound)
    scene.dry()
    scene.library.add(f"{scene.name}/5", ELECTRONIC)  # since then
    return scene.music / "3.flac"


def _unfinished(scene: Scene) -> Path:
    song = scene.song()
    scene.dry()
    (scene.music / "song.flac.part").touch()
    return song


def _has_what_was_decided(scene: Scene) -> Path:
    song = scene.song()
    with pipeline(scene.settings) as opened:
        genres = opened.decide(song).genres
    retag(song, *genres)
    return song


def _touched(scene: Scene) -> Path:
    song = scene.song()
    scene.dry()
    os.utime(song, (1, 1))
    return song


def _other_audio(scene: Scene) -> Path:
    """A recording that another file has, at a path where another one lay."""
    song = scene.song()
    scene.dry()
    return scene.library.add(f"{scene.name}/next", ELECTRONIC).rename(song)


def _chosen_in_a_plan(scene: Scene) -> Path:
    song = scene.song()
    scene.plan(song, ("Polka",))
    return song


def _applied(scene: Scene) -> Path:
    song = scene.song()
    scene.plan(song, None)
    return song


def _decided(scene: Scene) -> Path:
    song = scene.song()
    scene.dry()
    return song


def _protected(scene: Scene) -> Path:
    song = scene.song("Christmas")
    scene.dry()
    return song


def _protected_with_what_was_decided(scene: Scene) -> Path:
    song = _has_what_was_decided(scene)
    retag(song, "Christmas", *mutagen.File(song)["genre"])
    return song


def _bad_name(scene: Scene) -> Path:
    return scene.song("Pol\x02ka")


MIN_SCORE = "GENRETAGGER_MIN_SCORE"
Case = tuple[Callable[[Scene], Path], dict[str, str]]
TAGGED = "tagged"
"""`show` tells why a file got the genres that `tag` leaves as they are."""
ALL = ("keep", "replace", "add")
CASES: dict[str, Case] = {
    "edited": (_edited, {"keep": "has_genre", "replace": "changed_by_owner", "add": "changed_by_owner"}),
    "emptied": (_emptied, dict.fromkeys(ALL, "changed_by_owner")),
    "undone, had a genre": (_undone("Polka"), {"keep": "has_genre", "replace": "undone", "add": "undone"}),
    "undone, had none": (_undone(None), dict.fromkeys(ALL, "undone")),
    "moved and undone": (_moved_and_undone, dict.fromkeys(ALL, "undone")),
    "undone, on another disk": (_undone_and_on_another_disk, dict.fromkeys(ALL, "undone")),
    "tagged": (_tagged, dict.fromkeys(ALL, TAGGED)),
    "applied": (_applied, dict.fromkeys(ALL, TAGGED)),
    "a copy of a tagged file": (_copied("tagged"), {"keep": "has_genre", "replace": "chosen", "add": "chosen"}),
    "a copy of an undone file": (_copied("undone"), dict.fromkeys(ALL, "not_written")),
    "a copy of an edited file": (
        _copied("edited"),
        {"keep": "has_genre", "replace": "not_written", "add": "not_written"},
    ),
    "busy": (_busy, dict.fromkeys(ALL, "busy")),
    "busy, never seen": (_busy_and_never_seen, dict.fromkeys(ALL, "busy")),
    "hard-linked": (_hard_linked, dict.fromkeys(ALL, "hard_linked")),
    "an outside link": (_outside, dict.fromkeys(ALL, "outside")),
    "too short": (_too_short, dict.fromkeys(ALL, "too_short")),
    "too short to hear": (_too_short_to_hear, dict.fromkeys(ALL, "too_short")),
    "undecodable": (_undecodable, dict.fromkeys(ALL, "undecodable")),
    "failed": (_failed, dict.fromkeys(ALL, "undecodable")),
    "silent": (_silent, dict.fromkeys(ALL, "silent")),
    "not music": (_not_music, dict.fromkeys(ALL, "not_music")),
    "of an album that grew": (_of_an_album, dict.fromkeys(ALL, "not_written")),
    "unfinished": (_unfinished, dict.fromkeys(ALL, "unfinished")),
    "has what was decided": (_has_what_was_decided, {"keep": "has_genre", "replace": "chosen", "add": "chosen"}),
    "touched since": (_touched, dict.fromkeys(ALL, "not_written")),
    "other audio": (_other_audio, dict.fromkeys(ALL, "not_written")),
    "chosen in a plan": (_chosen_in_a_plan, {"keep": "has_genre"} | dict.fromkeys(ALL[1:], "chosen_by_owner")),
    "protected": (_protected, {"keep": "has_genre", "replace": "not_written", "add": "not_written"}),
    "protected, and what was decided": (
        _protected_with_what_was_decided,
        {"keep": "has_genre", "replace": "chosen", "add": "chosen"},
    ),
    "a bad name": (_bad_name, {"keep": "has_genre", "replace": "not_written", "add": "bad_names"}),
}
STRICTER: dict[str, Case] = {
    "decided": (_decided, dict.fromkeys(ALL, "not_confident")),
    "tagged": (_tagged, {"keep": TAGGED, "replace": "not_confident", "add": "not_confident"}),
}
