"""A library with known genres: ten kinds of synthesised music by made-up artists.

Each genre is a recipe for rhythm, harmony and sound; each artist has a tempo, a key and a timbre
within it, and each track its own notes. So a learner can be tested on the question that matters:
does it know the genre of artists that it was not trained on? The music is no more than that: it
says nothing about real recordings.

    python -m benchmarks.genres FOLDER --artists 0 1 2 --tracks 3

The same numbers always give the same samples.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

RATE_HZ = 16_000
_Wave = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Artist:
    """How an artist plays.

    Attributes:
        time: (samples,) seconds.
        beat_s: seconds of a beat.
        key: MIDI note of the tonic, 36 to 47.
        colour: 0 to 1, dark to bright.
        dice: gives the notes of one track.
    """

    time: _Wave
    beat_s: float
    key: int
    colour: float
    dice: np.random.Generator

    def since(self, step_beats: float, offset_beats: float = 0.0) -> _Wave:
        """Seconds since the last step of a grid."""
        return (self.time - offset_beats * self.beat_s) % (step_beats * self.beat_s)

    def step(self, step_beats: float) -> npt.NDArray[np.int64]:
        """Number of the present step of a grid."""
        return (self.time / (step_beats * self.beat_s)).astype(np.int64)

    def melody(self, step_beats: float, notes: Iterable[int], octave: int = 2) -> _Wave:
        """Frequencies of notes drawn from a scale, one for each step."""
        scale = np.array(list(notes))
        drawn = self.dice.choice(scale, 512)
        return hertz(self.key + 12 * octave + drawn[self.step(step_beats) % 512])

    def noise(self) -> _Wave:
        """White noise."""
        return self.dice.standard_normal(len(self.time))


def hertz(midi: npt.NDArray[Any] | float) -> _Wave:
    """The frequency of a MIDI note."""
    return np.asarray(440 * 2 ** ((np.asarray(midi, np.float64) - 69) / 12))


def _phase(hz: _Wave) -> _Wave:
    return np.asarray(np.cumsum(np.broadcast_to(hz, hz.shape)) / RATE_HZ)


def _saw(hz: _Wave) -> _Wave:
    return 2 * (_phase(hz) % 1) - 1


def _square(hz: _Wave, width: float = 0.5) -> _Wave:
    return np.where(_phase(hz) % 1 < width, 1.0, -1.0)


def _overtones(hz: _Wave, strengths: Iterable[float]) -> _Wave:
    turns = 2 * np.pi * _phase(hz)
    parts = [strength * np.sin(number * turns) for number, strength in enumerate(strengths, 1)]
    return np.asarray(sum(parts))


def _kick(since: _Wave, deep: float = 50.0) -> _Wave:
    return np.asarray(np.sin(2 * np.pi * (deep * since + 7 * (1 - np.exp(-30 * since)))) * np.exp(-8 * since))


def _smooth(wave: _Wave, samples: int) -> _Wave:
    """A moving average: a dark filter."""
    summed = np.cumsum(np.concatenate([np.zeros(samples), wave]))
    return np.asarray((summed[samples:] - summed[:-samples]) / samples)


def _echo(wave: _Wave, delay_s: float, feedback: float, times: int = 4) -> _Wave:
    out, delay = wave.copy(), max(1, round(delay_s * RATE_HZ))
    for number in range(1, times + 1):
        if number * delay < len(wave):
            out[number * delay :] += feedback**number * wave[: -number * delay]
    return out


def _techno(a: _Artist) -> _Wave:
    bass = _saw(a.melody(0.25, (0, 0, 0, 3, 7, 12), 0)) * np.exp(-(10 + 8 * a.colour) * a.since(0.25))
    hat = a.noise() * np.exp(-45 * a.since(1, 0.5))
    stab = _saw(a.melody(2, (0, 3, 7), 2)) * np.exp(-6 * a.since(0.75))
    return 0.8 * _kick(a.since(1)) + 0.3 * bass + (0.08 + 0.1 * a.colour) * hat + 0.12 * stab


def _waltz(a: _Artist) -> _Wave:
    strings = (1, 0.6, 0.45, 0.35, 0.25 * a.colour, 0.2 * a.colour)
    vibrato = 1 + 0.004 * np.sin(2 * np.pi * 5.5 * a.time)
    swell = 0.6 + 0.4 * np.sin(np.pi * a.since(3) / (3 * a.beat_s))
    tune = _overtones(a.melody(1, (0, 2, 4, 5, 7, 9, 11, 12), 3) * vibrato, strings) * swell
    bass = _overtones(a.melody(3, (0, 5, 7), 1), strings) * np.exp(-2 * a.since(3))
    chord = sum(_overtones(hertz(a.key + 24 + note) * vibrato, strings) for note in (4, 7, 12))
    return 0.4 * tune + 0.4 * bass + 0.12 * chord * (a.since(3) > a.beat_s) * np.exp(-3 * a.since(1))


def _metal(a: _Artist) -> _Wave:
    root = a.melody(0.5, (0, 0, 1, 3, 5, 6), 0)
    chug = np.exp(-(2 + 6 * a.colour) * a.since(0.25))
    guitar = np.tanh(9 * (_saw(root) + _saw(1.5 * root) + _saw(2.01 * root)) * chug)
    snare = a.noise() * np.exp(-18 * a.since(2, 1))
    cymbal = np.diff(a.noise(), prepend=0.0) * np.exp(-4 * a.since(1))
    return 0.45 * guitar + 0.5 * _kick(a.since(0.25), 60) + 0.35 * snare + 0.12 * cymbal


def _piano(a: _Artist) -> _Wave:
    strengths = [1 / number ** (1.2 + a.colour) for number in range(1, 9)]
    right = _overtones(a.melody(0.5, (0, 2, 4, 7, 9, 12, 14), 3), strengths) * np.exp(-4 * a.since(0.5))
    left = _overtones(a.melody(1, (0, 4, 7, 12), 1), strengths) * np.exp(-2.5 * a.since(1))
    return 0.5 * right + 0.45 * left


def _jazz(a: _Artist) -> _Wave:
    walk = _overtones(a.melody(1, (0, 2, 3, 5, 7, 9, 10), 1), (1, 0.5, 0.2)) * np.exp(-3 * a.since(1))
    ride = np.diff(a.noise(), prepend=0.0) * (np.exp(-14 * a.since(1)) + 0.6 * np.exp(-18 * a.since(2, 1.66)))
    brass = (1, 0.9, 0.8, 0.6, 0.4 + 0.4 * a.colour, 0.3)
    bend = 1 + 0.006 * np.sin(2 * np.pi * 5 * a.time)
    horn = _overtones(a.melody(0.667, (0, 3, 5, 6, 7, 10, 12), 3) * bend, brass)
    rest = a.dice.random(512)[a.step(0.667) % 512] > 0.35
    comp = sum(_overtones(a.melody(4, (note,), 3), (1, 0.4)) for note in (4, 10, 14)) * np.exp(-7 * a.since(2, 1.66))
    return 0.6 * walk + 0.12 * ride + 0.22 * horn * rest * np.exp(-1.5 * a.since(0.667)) + 0.15 * comp


def _ambient(a: _Artist) -> _Wave:
    pads = [
        _overtones(hertz(a.key + 24 + note) * (1 + 0.002 * np.sin(2 * np.pi * (0.1 + 0.05 * place) * a.time)), (1, 0.3))
        * (0.6 + 0.4 * np.sin(2 * np.pi * (0.05 + 0.03 * place) * a.time + place))
        for place, note in enumerate(a.dice.choice([0, 4, 7, 11, 14, 16, 19], 5, replace=False))
    ]
    air = _smooth(a.noise(), 40)
    bell = _overtones(a.melody(4, (0, 7, 14, 19), 4), (1, 0, 0.4)) * np.exp(-1.2 * a.since(4))
    return 0.25 * np.asarray(sum(pads)) + (0.2 + 0.5 * a.colour) * air + 0.1 * _echo(bell, 0.6, 0.5)


def _hip_hop(a: _Artist) -> _Wave:
    kick = _kick(a.since(4)) + _kick(a.since(4, 2.5)) + 0.7 * _kick(a.since(4, 1.75))
    snare = a.noise() * np.exp(-22 * a.since(2, 1)) + 0.5 * np.sin(2 * np.pi * 190 * a.time) * np.exp(
        -25 * a.since(2, 1)
    )
    hat = np.diff(a.noise(), prepend=0.0) * np.exp(-50 * a.since(0.5))
    sub = np.sin(2 * np.pi * _phase(a.melody(2, (0, 0, 3, 5), 0))) * np.exp(-1.2 * a.since(2))
    sample = _smooth(_saw(a.melody(1, (0, 3, 7, 10), 2)), 6) * np.exp(-3 * a.since(1))
    voice = _formant(a, a.melody(0.25, (0, 0, 1, 2), 1), 0.25) * (a.dice.random(512)[a.step(0.25) % 512] > 0.3)
    return 0.7 * kick + 0.4 * snare + 0.1 * hat + 0.5 * sub + 0.15 * sample + (0.2 + 0.15 * a.colour) * voice


def _formant(a: _Artist, hz: _Wave, step_beats: float) -> _Wave:
    """A pulse train through vowels that change with the steps."""
    turns = 2 * np.pi * _phase(hz)
    vowels = np.array([(800, 1200), (400, 2000), (350, 800), (500, 1500)])
    first, second = vowels[a.dice.integers(0, 4, 512)[a.step(step_beats) % 512]].T
    parts = [
        np.sin(number * turns)
        * (np.exp(-(((number * hz - first) / 180) ** 2)) + 0.6 * np.exp(-(((number * hz - second) / 250) ** 2)))
        for number in range(1, 25)
    ]
    return np.asarray(sum(parts))


def _choir(a: _Artist) -> _Wave:
    voices = []
    for place, notes in enumerate(((0, 5, 7), (4, 9, 11), (7, 12, 14), (12, 16, 19))):
        singer = a.melody(4, notes, 2 if place else 1)
        vibrato = 1 + 0.006 * np.sin(2 * np.pi * (4.8 + 0.4 * place) * a.time + place)
        voices.append(_formant(a, singer * vibrato, 8))
    breath = _smooth(a.noise(), 8)
    return _echo(0.3 * np.asarray(sum(voices)) * (1 - np.exp(-4 * a.since(4))), 0.09, 0.6) + 0.02 * breath


def _chiptune(a: _Artist) -> _Wave:
    width = 0.125 + 0.375 * a.colour
    arpeggio = _square(a.melody(0.125, (0, 4, 7, 12), 3), width)
    lead = _square(a.melody(0.5, (0, 2, 4, 7, 9, 12), 4), 0.5)
    bass = 2 * np.abs(_saw(a.melody(0.5, (0, 7, 12), 1))) - 1
    hiss = np.sign(np.repeat(a.noise()[: len(a.time) // 4 + 1], 4)[: len(a.time)]) * np.exp(-30 * a.since(1, 0.5))
    return 0.2 * arpeggio + 0.25 * lead + 0.35 * bass + 0.15 * hiss


def _dub(a: _Artist) -> _Wave:
    bass = _smooth(_square(a.melody(1, (0, 0, 3, 5, 7), 0)), 25) * (a.dice.random(512)[a.step(1) % 512] > 0.25)
    skank = sum(_square(hertz(a.key + 36 + note), 0.3 + 0.2 * a.colour) for note in (0, 3, 7)) * np.exp(
        -22 * a.since(1, 0.5)
    )
    rim = a.noise() * np.exp(-60 * a.since(4, 2))
    melodica = _smooth(_square(a.melody(2, (0, 3, 5, 7, 10), 3), 0.4), 3) * (a.since(4) < 2 * a.beat_s)
    wet = _echo(0.1 * skank + 0.5 * rim, 0.75 * a.beat_s, 0.62, 6)
    return 0.9 * bass + wet + 0.6 * _kick(a.since(4, 2)) + 0.07 * melodica


RECIPES: Mapping[str, tuple[Callable[[_Artist], _Wave], tuple[float, float]]] = {
    "Techno": (_techno, (122, 140)),
    "Waltz": (_waltz, (130, 175)),
    "Metal": (_metal, (150, 200)),
    "Solo Piano": (_piano, (80, 130)),
    "Jazz": (_jazz, (120, 190)),
    "Ambient": (_ambient, (60, 80)),
    "Hip-Hop": (_hip_hop, (82, 100)),
    "Choral": (_choir, (70, 100)),
    "Chiptune": (_chiptune, (130, 170)),
    "Dub": (_dub, (68, 82)),
}
"""Genre → its recipe, and its range of beats a minute."""


def compose(genre: str, artist: int, track: int, seconds: float = 8.0) -> npt.NDArray[np.float32]:
    """Compose a track.

    Args:
        genre: a key of `RECIPES`.
        artist: which one; artists of two genres have nothing in common.
        track: which of the artist's tracks.
        seconds: its length.

    Returns:
        (samples,) float32 at 16 kHz, -0.8 to 0.8.
    """
    recipe, (slow, fast) = RECIPES[genre]
    place = list(RECIPES).index(genre)
    manner = np.random.default_rng([place, artist])
    beat_s = 60 / manner.uniform(slow, fast)
    key, colour = int(manner.integers(36, 48)), float(manner.uniform())
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    wave = recipe(_Artist(time, beat_s, key, colour, np.random.default_rng([place, artist, track])))
    samples: npt.NDArray[np.float32] = (0.8 * wave / np.abs(wave).max()).astype(np.float32)
    return samples


def write_track(path: Path, genre: str, artist: int, track: int, *, seconds: float = 8.0, tag: str | None = "") -> Path:
    """Write a FLAC file with the tags of a track of an album.

    Args:
        path: the file; its folder is created.
        genre: what it sounds like.
        artist: who plays.
        track: number of the track.
        seconds: its length.
        tag: the genre in its tag; empty for the true one, None for no tag.
    """
    import soundfile
    from mutagen.flac import FLAC

    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, compose(genre, artist, track, seconds), RATE_HZ, format="FLAC")
    tags: Any = FLAC(path)  # type: ignore[no-untyped-call]
    name = f"{genre} artist {artist}"
    tags.update({"artist": name, "albumartist": name, "album": f"{genre} album {artist}", "title": f"Track {track}"})
    if tag is not None:
        tags["genre"] = tag or genre
    tags.save()
    return path


def make_library(
    folder: Path, artists: Iterable[int], tracks: int, *, seconds: float = 8.0, genres: Iterable[str] = tuple(RECIPES)
) -> list[Path]:
    """Write a library: FOLDER/genre/artist/track.flac.

    Args:
        folder: where.
        artists: which artists of each genre.
        tracks: how many tracks of each.
        seconds: length of a track.
        genres: which genres.

    Returns:
        The files.
    """
    return [
        write_track(folder / genre / f"{artist:02}" / f"{track:02}.flac", genre, artist, track, seconds=seconds)
        for genre in genres
        for artist in artists
        for track in range(tracks)
    ]


def main() -> None:
    """Write a library by the arguments of the command line."""
    parser = argparse.ArgumentParser(description="Write a library of synthesised music with known genres.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--artists", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tracks", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    made = make_library(options.folder, options.artists, options.tracks, seconds=options.seconds)
    print(f"{len(made)} tracks in {options.folder}")


if __name__ == "__main__":
    main()
