"""Albums for the tests: real files, and in the database what the model said of them, made up."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import mutagen
import numpy as np
from audio_factory import make
from command_helpers import pipeline

from genretagger.config import Settings
from genretagger.files.discover import Found
from genretagger.files.kinds import kind_of
from genretagger.model.card import EMBEDDINGS
from genretagger.model.listener import Listener
from genretagger.model.store import ModelStore
from genretagger.pipeline import Pipeline
from genretagger.tags import api
from genretagger.types import Activations, Outcome

MUSIC = {"yamnet/Music": 0.9}
ELECTRONIC = MUSIC | {
    **{"electronic": 0.6, "techno": 0.35, "dance": 0.3, "electronica": 0.3, "jazz": 0.05},
    **{"yamnet/Techno": 0.1, "yamnet/Electronic music": 0.3, "yamnet/Jazz": 0.01},
}
JAZZY = MUSIC | {
    **{"electronic": 0.35, "techno": 0.1, "electronica": 0.15, "jazz": 0.4},
    **{"yamnet/Jazz": 0.15, "yamnet/Electronic music": 0.15},
}
METAL = MUSIC | {
    **{"metal": 0.8, "heavy metal": 0.6, "rock": 0.5, "hard rock": 0.4},
    **{"yamnet/Heavy metal": 0.4, "yamnet/Rock music": 0.2},
}
SPEECH = {"yamnet/Speech": 0.9}
ALBUM = {"1": ELECTRONIC, "2": ELECTRONIC, "3": JAZZY, "4": ELECTRONIC, "5": ELECTRONIC, "6": METAL}


class Library:
    """Music of which the database knows what the model says.

    Args:
        settings: of the default model.
        music: the folder.
    """

    def __init__(self, settings: Settings, music: Path) -> None:
        self.settings, self.music = settings.model_copy(update={"min_duration_s": 0.1}), music
        self._count = 0
        described = ModelStore(settings.models_dir).get().card.output(EMBEDDINGS)
        assert described is not None
        assert described.shape[-1] is not None
        self._size = described.shape[-1]

    def add(
        self, name: str, sound: Mapping[str, float] | None, *, artist: str = "Anna", album: str = "Works", **tags: str
    ) -> Path:
        """Make a file; a sound that is None is not known to the database."""
        path = self.music / f"{name}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._count += 1
        make(path, "flac", seconds=0.5 + self._count / 100)
        file = mutagen.File(path)
        file.update({"artist": artist, "album": album, **tags})
        file.save()
        if sound is not None:
            self.hear(path, sound)
        return path

    def hear(self, path: Path, sound: Mapping[str, float]) -> None:
        """Let the database know what the model said of a file."""
        with self.open() as opened, path.open("rb") as file:
            kind = kind_of(file)
            assert kind is not None
            listener = opened.listener
            model = opened.store.models.save(listener.name, listener.fingerprint, listener.labels)
            said = self._said(listener, sound, seed=path.name, size=self._size)
            opened.store.analyses.save(api.payload_hash(file, kind), model, listener.sampling, said, seconds=1)

    @staticmethod
    def _said(listener: Listener, sound: Mapping[str, float], *, seed: str, size: int) -> Activations:
        chance = np.random.default_rng(sum(seed.encode()))
        values = chance.uniform(0.001, 0.003, (4, len(listener.labels)))
        for number, label in enumerate(listener.labels):
            values[:, number] += sound.get(label, sound.get(label.rpartition("/")[2], 0.0))
        embedding = chance.uniform(0, 0.01, size)
        embedding[:10] += 0.5 * (sound == METAL)
        return Activations(values.astype(np.float16), embedding.astype(np.float32), "CPUExecutionProvider")

    def open(self, **options: Any) -> Any:
        """A pipeline with other options."""
        return pipeline(self.settings.model_copy(update=options))

    def files(self) -> list[Found]:
        """All of it, in the order of the names."""
        return [Found(path, self.music) for path in sorted(self.music.rglob("*.flac"))]

    def tag(self, files: list[Found] | None = None, *, dry_run: bool = False, **options: Any) -> dict[str, Outcome]:
        """Tag it, or some of it."""
        with self.open(**options) as opened:
            return outcomes(opened, self.music, files or self.files(), dry_run=dry_run)


def outcomes(opened: Pipeline, music: Path, files: list[Found], **options: Any) -> dict[str, Outcome]:
    dry_run = bool(options.pop("dry_run", False))
    run = opened.begin("tag", dry_run=dry_run)
    found = {
        str(each.path.relative_to(music).with_suffix("")): each
        for each in opened.tag(files, run, stop=Future(), **options)
    }
    opened.finish(run)
    return found
