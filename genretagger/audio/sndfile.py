"""libsndfile: reads some Ogg and other files that FFmpeg refuses ("Header processing failed")."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import soundfile

from genretagger.audio.reader import Reader, Stretch, plausible, to_mono
from genretagger.audio.source import Source
from genretagger.errors import AudioError
from genretagger.files.kinds import Kind

READABLE = frozenset({"ogg", "opus", "oggflac", "flac", "wav", "aiff", "mp3", "caf"})
"""Kinds that libsndfile supports."""

_BLOCK = 1 << 16


class SndfileReader(Reader):
    """A track that libsndfile reads."""

    def __init__(self, file: BinaryIO, kind: Kind) -> None:
        """Open the file.

        Raises:
            AudioError: libsndfile cannot read it either.
            AccessError: the disk does not let it be read.
        """
        self._source = Source(file)
        with self._translated():
            self._sound = soundfile.SoundFile(self._source)
        self.rate_hz = plausible(self._sound.samplerate)
        declares = kind.name in {"flac", "wav", "aiff"} and 0 < self._sound.frames < 1 << 48
        self.declared_s = self._sound.frames / self.rate_hz if declares else None
        self.tolerance_s = 1.0

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Translate libsndfile's errors into ours; nothing else does."""
        damage: Exception | None = None
        try:
            yield
        except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
            damage = error
        self._source.tell_of_the_disk()
        if damage is not None:
            raise AudioError(f"damaged: libsndfile says: {damage}", hint="Get the file again.") from damage

    def length_s(self) -> float:
        """See `Reader`."""
        if self.declared_s is not None:
            return self.declared_s
        return (self._sound.frames if 0 < self._sound.frames < 1 << 48 else self.count()) / self.rate_hz

    def read(self, start: int, count: int) -> Stretch:
        """See `Reader`."""
        blocks = []
        with self._translated():
            if self._sound.tell() != start:
                self._sound.seek(min(start, self._sound.frames))
            while count > 0:
                # block by block: a file may claim 255 channels
                block = self._sound.read(min(count, _BLOCK), dtype="float32", always_2d=True)
                if not len(block):
                    break
                blocks.append(to_mono(block))
                count -= len(block)
        return Stretch(np.concatenate(blocks) if blocks else np.zeros(0, np.float32), 0)

    def count(self) -> int:
        """See `Reader`."""
        position = 0
        while read := len(self.read(position, _BLOCK).samples):
            position += read
        return position

    def close(self) -> None:
        """See `Reader`."""
        self._sound.close()
