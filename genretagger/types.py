"""The nouns: frozen values that the rooms pass to each other.

Times end in `_s` (seconds) or `_ns` (nanoseconds), rates in `_hz`. Arrays give their shape and
type. A path is a `pathlib.Path`; Python's surrogate escapes keep its odd bytes;
`os.fsencode` gives them back.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from genretagger.causes import Reason
from genretagger.errors import FileError
from genretagger.sentences import sentence

if TYPE_CHECKING:  # numpy takes 0.1 s to import, and `--help` does not need it
    import numpy as np
    import numpy.typing as npt

    FloatArray: TypeAlias = npt.NDArray[np.float32]
    HalfArray: TypeAlias = npt.NDArray[np.float16]
    DoubleArray: TypeAlias = npt.NDArray[np.float64]
    IndexArray: TypeAlias = npt.NDArray[np.int64]
    FlagArray: TypeAlias = npt.NDArray[np.bool_]
else:
    FloatArray = HalfArray = DoubleArray = IndexArray = FlagArray = Any

Json: TypeAlias = Any
"""Whatever the `json` module gives and takes."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What `stat` says of a file: equal stamps mean that nobody touched it."""

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int
    links: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Stamp:
        """Take the stamp from a stat result."""
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev, stat.st_nlink)


@dataclass(frozen=True, slots=True)
class GenreField:
    """The genre as it is in a file.

    Attributes:
        values: the genres, one by one, as a reader sees them; empty if there is none.
        raw: the field exactly as stored, as JSON, enough to put it back; None if the file has no
            such field.
        form: the kind of tag, for people: "ID3v2.4", "Vorbis comment", "MP4 atom" …
    """

    values: tuple[str, ...]
    raw: Json
    form: str


@dataclass(frozen=True, slots=True)
class Credits:
    """Who plays, on which album, and what the track is called; "" if the tags do not say."""

    artist: str = ""
    album_artist: str = ""
    album: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Track:
    """What is known of a file before anybody listens to it.

    Attributes:
        path: where it is.
        stamp: what `stat` said when the rest was read.
        kind: the container, judged by its content: "mp3", "flac", "ogg", "opus", "mp4" …
        duration_s: length as the container declares it; None if it does not.
        payload_hash: hex digest of the audio bytes without the tags: the track's identity across
            renames.
        genres: the genre field.
        refusal: why genres cannot be written to it; None if they can.
        credits: who plays, and what; None if nobody has read them yet.
    """

    path: Path
    stamp: Stamp
    kind: str
    duration_s: float | None
    payload_hash: str
    genres: GenreField
    refusal: Reason | None = None
    credits: Credits | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of audio that the model hears at once."""

    start_s: float
    duration_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """The stretches of a track that were decoded.

    Attributes:
        samples: (windows, samples) float32, mono, -1 to 1.
        rate_hz: sample rate.
        windows: where in the track each row comes from, in order.
    """

    samples: FloatArray
    rate_hz: int
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """The stretches of a track as a model takes them.

    Attributes:
        windows: where in the track they are, in order; those in which nothing happens are left out.
        mels: for each input of the model, (windows, frames, bands) float32, or (windows, patches,
            frames, bands).
    """

    windows: tuple[Window, ...]
    mels: tuple[FloatArray, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A whole track as a picture: each band's loudness in each column of time, and the wave.

    Attributes:
        levels_db: (bands, columns) float32, -80 to 0: how far below the loudest place of the
            picture; low bands first.
        bands_hz: (bands,) float32, the middle of each band, rising.
        envelope: (columns, 2) float32, the lowest and the highest sample of each column, -1 to 1
            unless it clips.
        column_s: seconds of a column; the last one may be shorter.
        length_s: seconds of the track, as it was decoded.
    """

    levels_db: FloatArray
    bands_hz: FloatArray
    envelope: FloatArray
    column_s: float
    length_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """A whole track as a model takes it, and as a picture.

    Attributes:
        windows: all of the track, one after the other; in a very long track every second, fourth …
            one.
        frames: those of them in which something happens.
        picture: of all of it.
    """

    windows: tuple[Window, ...]
    frames: Frames
    picture: Picture


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """The genres of a track over time.

    Attributes:
        seconds: (n,) float32, where each window starts, rising.
        window_s: seconds that the model hears at once.
        genres: every genre that the model can hear, the one with the highest mean score first.
        scores: (n, genres) float32, 0 to 1: the score that a decision on this window alone would
            give; 0 in windows in which nothing happens.
        heard: (n,) bool, the windows in which something happens.
        picture: of the same track.
        model: the name of the model.
    """

    seconds: FloatArray
    window_s: float
    genres: tuple[str, ...]
    scores: FloatArray
    heard: FlagArray
    picture: Picture
    model: str


@dataclass(frozen=True, slots=True, eq=False)
class Activations:
    """What the model said of a track.

    Attributes:
        values: (windows, labels) float16, each 0 to 1, in the order of the model's labels; or one
            row, their mean.
        embedding: (dimensions,) float32, the mean over the windows.
        provider: the ONNX Runtime provider that computed them.
        heard: how many windows the single row is the mean of; 0 if each window has a row.
    """

    values: HalfArray
    embedding: FloatArray
    provider: str
    heard: int = 0

    @property
    def windows(self) -> int:
        """How many windows were listened to."""
        return self.heard or len(self.values)


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """A track with everything that a learner or a judge wants to know of it.

    Attributes:
        track: the file as it is.
        credits: who plays, and on which album.
        activations: what the model said; None if it said nothing.
        decision: the genres that follow from that.
        ours: genres in the file that genretagger chose, and nobody confirmed.
    """

    track: Track
    credits: Credits
    activations: Activations | None
    decision: Decision
    ours: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """The genres chosen for a track.

    Attributes:
        genres: chosen names, best first; empty if none is confident enough.
        scores: the genres with a calibrated score of 0.001 or more, up to 1, best first.
        reason: why; `sentences` puts it into words.
    """

    genres: tuple[str, ...]
    scores: Mapping[str, float]
    reason: Reason

    @property
    def explanation(self) -> str:
        """The reason in words, for people; it may read differently in the next version."""
        return sentence(self.reason)


class Policy(StrEnum):
    """What happens to genres that a file already has."""

    KEEP = "keep"
    REPLACE = "replace"
    ADD = "add"


class Albums(StrEnum):
    """How the tracks of an album by one artist are decided."""

    POOL = "pool"
    EACH = "each"


class Status(StrEnum):
    """How a file ended."""

    TAGGED = "tagged"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TagChange:
    """A genre field before and after a write."""

    path: Path
    before: GenreField
    after: GenreField
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file in a run.

    Attributes:
        path: the file as it was named or found.
        status: how it ended.
        genres_before: the genres that it had.
        genres: the genres that it has now, or would have after a run that is not dry.
        scores: every genre of the vocabulary with its score; empty if nobody listened.
        reason: why it ended so; `sentences` puts it into words.
        model: name of the model.
        seconds: time spent on it.
        dry_run: whether writing was off.
        error: what went wrong, if it failed; a `SystemFaultError` was not the file's fault.
    """

    path: Path
    status: Status
    reason: Reason
    genres_before: tuple[str, ...] = ()
    genres: tuple[str, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    model: str = ""
    seconds: float = 0.0
    dry_run: bool = False
    error: FileError | None = field(default=None, compare=False)

    @property
    def explanation(self) -> str:
        """The reason in words, for people; it may read differently in the next version."""
        return sentence(self.reason)
