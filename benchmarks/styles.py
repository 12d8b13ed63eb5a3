"""A library of arrangements with genres that other musicians named: MMA's styles.

MMA (Musical MIDI Accompaniment, by Bob van der Poel) comes with some hundred arrangements for a
band. Several authors wrote and named them: heavy metal, slow blues, jazz trio. Here each plays
chords of ours in some tempo and key, and FluidSynth plays that with the recorded instruments of a
sound font. So we did not choose what a genre sounds like. There are no voices and no studio, and
the drums of one font are always the same: it is closer to real music than `genres.py`, but still
not real.

    apt install mma fluidsynth fluid-soundfont-gm timgm6mb-soundfont
    apt install musescore-general-soundfont-small
    python -m benchmarks.styles FOLDER --makers casio

The same programs and numbers always give the same samples. `styles.toml` says which genres are
right, and why.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RATE_HZ = 22_050
SECONDS = 40.0
_ARRANGEMENTS = Path("/usr/share/mma/lib")
_FONTS = Path("/usr/share/sounds")
_FLUIDSYNTH = ("fluidsynth", "-q", "-n", "-i", "-g", "0.6", "-r", str(RATE_HZ), "-T", "flac")
FONTS = ("sf2/FluidR3_GM.sf2", "sf2/TimGM6mb.sf2", "sf3/MuseScore_General_Lite.sf3")
"""Three orchestras of recorded instruments."""

_NOT_THE_TUNE = re.compile(r"intro|end|fill|break|F[AB]+$|E$", re.IGNORECASE)
_GROOVE = re.compile(r"^DefGroove\s+(\S+)", re.MULTILINE)
_TIME = re.compile(r"^\s*Time\s+(\d+)", re.MULTILINE)

HARMONY: Mapping[str, tuple[str, ...]] = {
    "rock": ("C F G F", "Am F C G", "C Bb F C", "Am G F G", "C C F F C G F C"),
    "power": ("C5 Eb5 F5 C5", "A5 G5 F5 E5", "E5 E5 F5 G5", "D5 F5 C5 G5", "E5 G5 A5 Bb5"),
    "pop": ("C G Am F", "C Am F G", "F G C Am", "Am F C G", "C Em F G"),
    "loop": ("Am F C G", "Cm Ab Eb Bb", "Am Am F G", "Dm Bb F C", "Cm Cm Fm Gm"),
    "soul": ("Cmaj7 Am7 Dm7 G7", "Dm7 Dm7 G9 G9", "C7 C7 F7 F7", "Fmaj7 Em7 Dm7 Cmaj7", "Am7 D9 Am7 D9"),
    "blues": ("C7 F7 C7 C7 F7 F7 C7 C7 G7 F7 C7 G7", "Am7 Am7 Am7 A7 Dm7 Dm7 Am7 Am7 F7 E7 Am7 E7"),
    "jazz": (
        "Dm7 G7 Cmaj7 A7",
        "Cmaj7 A7 Dm7 G7 Em7 A7 Dm7 G7",
        "Am7 D7 Gmaj7 Cmaj7 F#m7b5 B7 Em7 E7",
        "Cm7 Fm7 Dm7b5 G7",
        "Fmaj7 Fmaj7 Gm7 C7 Am7 D7 Gm7 C7",
    ),
    "country": ("C F C G", "C C G G G G C C", "G C D G", "C F G C", "D G A D"),
}
"""Chords in a loop, one a bar; `Transpose` puts them in another key."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece to play.

    Attributes:
        maker: who wrote the arrangement.
        style: its file.
        groove: its name in there.
        genres: which are right; empty if the default model has no word for it.
        kind: of `styles.toml`.
        number: which piece of this groove.
        font: the sound font, below `/usr/share/sounds`.
    """

    maker: str
    style: str
    groove: str
    genres: tuple[str, ...]
    kind: str
    number: int
    font: str

    @property
    def name(self) -> str:
        """A name for a file."""
        return f"{self.style.replace('/', ' ')} {self.groove} {self.number}".replace("/", " ")


def table() -> dict[str, Any]:
    """The content of `styles.toml`."""
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def pieces(makers: Iterable[str], fonts: Iterable[str] = FONTS, *, each: int = 3) -> Iterator[Piece]:
    """The pieces to play: `each` for every arrangement, with its grooves and the fonts in turn.

    Args:
        makers: keys of `makers` in `styles.toml`.
        fonts: which play them.
        each: how many pieces.
    """
    document, played = table(), tuple(fonts)
    for maker in makers:
        for style, kind in document["makers"][maker].items():
            text = _file(maker, style).read_text(encoding="latin-1")
            every = _GROOVE.findall(text)
            grooves = [groove for groove in every if not _NOT_THE_TUNE.search(groove)] or every[:1]
            for number in range(each):
                groove, font = grooves[number % len(grooves)], played[number % len(played)]
                yield Piece(maker, style, groove, tuple(document["kinds"][kind]["genres"]), kind, number, font)


def _file(maker: str, style: str) -> Path:
    return _ARRANGEMENTS / f"{style if '/' in style else f'{maker}/{style}'}.mma"


def score(piece: Piece) -> str:
    """The input of MMA."""
    kind = table()["kinds"][piece.kind]
    dice = random.Random(piece.name)
    slow, fast = kind["bpm"]
    bpm = dice.randint(slow, fast)
    chords = dice.choice(HARMONY[kind["harmony"]]).split()
    file = _file(piece.maker, piece.style)
    found = _TIME.search(file.read_text(encoding="latin-1"))
    beats = int(found[1]) if found else 4
    bars = max(8, round(SECONDS * bpm / 60 / beats))
    lines = [
        f"RndSeed {dice.randint(1, 10_000)}",
        f"Tempo {bpm}",
        f"Transpose {dice.randint(-5, 6)}",
        f"Use {file.parent.name}/{file.stem}",
        f"Groove {piece.groove}",
        *(f"{bar + 1} {chords[bar % len(chords)]}" for bar in range(bars)),
    ]
    return "\n".join(lines) + "\n"


def play(piece: Piece, path: Path) -> Path:
    """Write a piece as a FLAC file with the tags of an album track; an existing file is kept.

    Raises:
        subprocess.CalledProcessError: MMA or FluidSynth refuses.
    """
    import mutagen

    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        source, notes, sound = (Path(folder) / f"piece.{suffix}" for suffix in ("mma", "mid", "flac"))
        source.write_text(score(piece), encoding="utf-8")
        subprocess.run(["mma", "-f", notes, source], check=True, capture_output=True, cwd=folder)
        subprocess.run(
            [*_FLUIDSYNTH, "-F", sound, _FONTS / piece.font, notes],
            check=True,
            capture_output=True,
        )
        tags: Any = mutagen.File(sound)
        tags["artist"], tags["album"], tags["title"] = piece.maker, f"{piece.maker} {piece.style}", piece.name
        tags["genre"] = list(piece.genres) or [piece.kind.title()]
        tags.save()
        shutil.move(sound, path)
    return path


def make_library(folder: Path, wanted: Iterable[Piece], *, jobs: int = 2) -> list[Path]:
    """Play pieces into FOLDER/maker/style/name.flac."""
    with ThreadPoolExecutor(jobs) as pool:
        return list(
            pool.map(
                lambda piece: play(piece, folder / piece.maker / piece.style.replace("/", " ") / f"{piece.name}.flac"),
                wanted,
            )
        )


def main() -> None:
    """Write a library by the arguments of the command line."""
    parser = argparse.ArgumentParser(description="Write a library of arrangements with genres named by their authors.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--makers", nargs="+", default=list(table()["makers"]))
    parser.add_argument("--each", type=int, default=3)
    options = parser.parse_args()
    missing = [name for name in ("mma", "fluidsynth") if shutil.which(name) is None]
    if missing:
        parser.exit(2, f"{' and '.join(missing)} not found; see the first lines of {__file__} for what to install\n")
    made = make_library(options.folder, pieces(options.makers, each=options.each))
    print(f"{len(made)} tracks in {options.folder}")


if __name__ == "__main__":
    main()
