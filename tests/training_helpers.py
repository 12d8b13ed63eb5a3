"""A library of synthesised genres that the default model hears once, in whichever test is first."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import command_helpers as helpers

from benchmarks.genres import write_track
from genretagger.errors import FileError
from genretagger.files.discover import find
from genretagger.model import Card, InstalledModel, ModelStore, install
from genretagger.training import learn as school
from genretagger.training.course import Course
from genretagger.training.examples import Lessons, collect
from genretagger.training.labels import LabelSource, NameMap, Tags
from genretagger.training.measures import ChoiceRules
from genretagger.training.memory import as_before
from genretagger.training.result import TrainingResult
from genretagger.types import Json

GENRES = ("Techno", "Solo Piano", "Chiptune", "Dub")
ARTISTS, TRACKS, SECONDS = 4, 2, 6.0
RULES = ChoiceRules(min_score=0.5, share_of_top=0.8, max_genres=2)
_TAUGHT: list[TrainingResult] = []
ORIGIN = {"source": "tags", "labels": "tags", "paths": []}


def library(data_dir: Path, kept_in: Path, target: Path) -> Path:
    """Give a test the library, and its data folder what was heard in it.

    Genre/artist/track.flac; the genre stands in the tags. What was heard belongs to the audio, so
    it holds for copies.
    """
    kept = (kept_in.parent if "PYTEST_XDIST_WORKER" in os.environ else kept_in) / "genres"
    with install.exclusive(kept, lambda: None):
        if not (kept / "library.sqlite3").exists():
            for genre in GENRES:
                for artist in range(ARTISTS):
                    for track in range(TRACKS):
                        path = kept / "music" / genre / f"{artist:02}" / f"{track:02}.flac"
                        write_track(path, genre, artist, track, seconds=SECONDS)
            gathered(data_dir, [kept / "music"])
            shutil.copy(data_dir / "library.sqlite3", kept / "new")
            (kept / "new").rename(kept / "library.sqlite3")
    shutil.copy(kept / "library.sqlite3", data_dir / "library.sqlite3")
    shutil.copytree(kept / "music", target)
    return target


def gathered(data_dir: Path, paths: Sequence[Path], source: LabelSource | None = None, **options: Any) -> Lessons:
    """Hear what is not heard yet, and give the known tracks."""
    source = source or Tags()
    files = {file.path: file for file in find(paths, helpers.unexpected)}
    heard = []
    with helpers.pipeline(helpers.settings(data_dir, **{"threads": 0, "jobs": 2, **options})) as opened:
        for each in opened.hear(files.values(), worth=lambda _: True, stop=Future()):
            assert not isinstance(each, FileError), each
            heard.append(each)
    return collect(heard, files, source, NameMap({}))


def taught(data_dir: Path, known: Path) -> TrainingResult:
    """Install `mine` as it learned from the library, which it does once in a test process.

    The same tracks give the same model, wherever they lie; test_train.py has a test for that.
    """
    if not _TAUGHT:
        _TAUGHT.append(learned(data_dir, gathered(data_dir, [known])))
    ModelStore(data_dir / "models").put("mine", _TAUGHT[0].onnx, as_before(_TAUGHT[0].card, None))
    return _TAUGHT[0]


def learned_on(
    lessons: Lessons,
    backbone: InstalledModel,
    *,
    least: int = 3,
    origin: Mapping[str, Json] = ORIGIN,
    before: Card | None = None,
) -> TrainingResult:
    """What a regression on a backbone learns, as the command has it."""
    course = Course.of(lessons, backbone, least=least, rules=RULES, before=before)
    return school.taught(course, name="mine", origin={**origin, "min_tracks": least})


def learned(
    data_dir: Path, lessons: Lessons, *, least: int = 3, before: InstalledModel | None = None
) -> TrainingResult:
    """Learn, and install what was learned as `mine`."""
    store = ModelStore(data_dir / "models")
    lesson = learned_on(lessons, store.get("musicnn-yamnet"), least=least, before=before.card if before else None)
    store.put("mine", lesson.onnx, as_before(lesson.card, before.card if before else None))
    return lesson
