"""Pictures of each view of the page, in both widths, dark and light: `make screenshots`.

They are taken of a library that is made for it: rows without files for the figures, and a few short
tracks that can be played. All of them land in `.cache/pictures`, those of the documentation in
`docs/pictures` as well.

    python -m benchmarks.page_pictures [LIST OF VIEWS]
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import time
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import mutagen.flac
import numpy as np
import numpy.typing as npt
import soundfile
from playwright.sync_api import Page, sync_playwright

from benchmarks.music import RATE_HZ, synthesise
from benchmarks.page_library import make
from genretagger.model.store import DEFAULT, ModelStore
from genretagger.shelf.index import Index

FLAC: Any = mutagen.flac.FLAC
Picture: Any = mutagen.flac.Picture
ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "pictures"
DOCS = ROOT / "docs" / "pictures"
WIDTHS = {"wide": (1600, 1000), "narrow": (380, 800)}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
VIEWS = ("overview", "library", "albums", "track", "ear", "map")


def drums(seconds: float, bpm: float = 130) -> npt.NDArray[np.float32]:
    """A kick, hats, a bass and a pad, which the model takes for techno: (2, samples) float32."""
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    beat_s = 60 / bpm
    since = time % beat_s
    kick = np.sin(2 * np.pi * (50 * since + 8 * (1 - np.exp(-30 * since)))) * np.exp(-9 * since)
    hat = np.random.default_rng(1).standard_normal(len(time)) * np.exp(-45 * ((time + beat_s / 2) % beat_s))
    notes = np.array([33, 33, 45, 33, 36, 33, 48, 33, 33, 31, 43, 33, 36, 38, 40, 45])
    bass = _saw(notes[(time / (beat_s / 4)).astype(int) % 16]) * np.exp(-14 * (time % (beat_s / 4)))
    chord = np.array([69, 72, 76, 81])[(time / (2 * beat_s)).astype(int) % 4]
    pad = sum(_saw(chord + detune) for detune in (-0.08, 0.0, 0.1)) / 3 * (1 - 0.8 * np.exp(-6 * since))
    mix = 0.7 * kick + 0.12 * hat + 0.3 * bass + 0.12 * pad
    return np.tile((0.8 * mix / np.abs(mix).max()).astype(np.float32), (2, 1))


def _saw(notes: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    wave: npt.NDArray[np.float64] = 2 * ((np.cumsum(440 * 2 ** ((notes - 69) / 12)) / RATE_HZ) % 1) - 1
    return wave


def picture(number: int, size: int = 240) -> bytes:
    """A cover: two colours and a circle, as PNG."""
    random = np.random.default_rng(number)
    first, second = random.integers(40, 230, 3), random.integers(40, 230, 3)
    rows, columns = np.mgrid[0:size, 0:size]
    inside = (rows - size * random.uniform(0.3, 0.7)) ** 2 + (columns - size / 2) ** 2 < (size / 3.2) ** 2
    pixels = np.where(inside[..., None], first, second).astype(np.uint8)
    raw = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def music(folder: Path) -> None:
    """A few albums of short tracks, one of which changes in the middle."""
    titles = ("Harbour", "Slow Train", "Paper Boats", "Northern Line", "Half Awake", "Ferris Wheel")
    for album, name in enumerate(("Night Ferry", "Small Hours", "Open Water")):
        place = folder / "The Lighthouse Keepers" / name
        place.mkdir(parents=True, exist_ok=True)
        for number, title in enumerate(titles):
            sound = drums(24, 122 + album) if number % 2 == 0 else synthesise(24, 10 * album + number)
            if (album, number) == (0, 0):
                sound = np.concatenate([drums(30), synthesise(30, 5)], axis=1)
            path = place / f"{number + 1:02} {title}.flac"
            soundfile.write(path, sound.T, RATE_HZ)
            tags: Any = FLAC(path)
            tags.update(
                {"artist": "The Lighthouse Keepers", "album": name, "title": title, "date": str(1994 + 9 * album)}
            )
            cover: Any = Picture()
            cover.data, cover.mime, cover.type = picture(album), "image/png", 3
            tags.add_picture(cover)
            tags.save()


@contextlib.contextmanager
def served(data_dir: Path) -> Iterator[str]:
    """The address of the page for a data folder."""
    environment = {**os.environ, "GENRETAGGER_DATA_DIR": str(data_dir)}
    command = [sys.executable, "-m", "genretagger", "serve", "--port", "0"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            found = re.search(r"http://\S+", process.stderr.readline())
            assert found is not None
            yield found[0]
        finally:
            process.terminate()


def rows(data_dir: Path, tracks: int) -> None:
    """A data folder with the rows of a large library; the index has made-up years for them."""
    make(data_dir, tracks, windows=1)
    subprocess.run(
        [sys.executable, "-m", "genretagger.shelf"],
        input=json.dumps({"database": str(data_dir / "library.sqlite3"), "data_dir": str(data_dir)}).encode(),
        check=True,
    )
    random = np.random.default_rng(3)
    with Index(data_dir) as index, index.writing() as connection:
        for (album,) in connection.execute("SELECT DISTINCT album_id FROM rows").fetchall():
            year = int(np.clip(2024 - random.exponential(14), 1955, 2026))
            for (number,) in connection.execute("SELECT id FROM rows WHERE album_id = ?", (album,)).fetchall():
                index.put_look(number, "seen", year, "flac", False)


def played(data_dir: Path, folder: Path) -> None:
    """A data folder with some albums that were heard."""
    model = ModelStore(ROOT / ".cache" / "test-models").pull(DEFAULT)
    shutil.copytree(model.folder, data_dir / "models" / model.name)
    music(folder)
    environment = {
        **os.environ,
        "GENRETAGGER_DATA_DIR": str(data_dir),
        "GENRETAGGER_ALBUM": "each",
        "GENRETAGGER_MIN_SCORE": "0.8",
    }
    subprocess.run([sys.executable, "-m", "genretagger", "tag", str(folder)], env=environment, check=False)


def take(address: str, views: list[str]) -> None:
    """Take the pictures."""
    sys.path.insert(0, str(ROOT / "tests" / "web"))
    from chromium import find

    CACHE.mkdir(parents=True, exist_ok=True)
    DOCS.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=["--no-sandbox"])
        for width, (wide, high) in WIDTHS.items():
            for scheme in SCHEMES:
                context = browser.new_context(viewport={"width": wide, "height": high}, color_scheme=scheme)
                page = context.new_page()
                page.on("console", lambda message: print(message.text) if message.type == "error" else None)
                page.on("pageerror", lambda error: print(error))
                for view in views:
                    _open(page, address, view)
                    name = f"{view}-{width}-{scheme}.png"
                    page.screenshot(path=CACHE / name)
                    if (width, scheme) in (("wide", "light"), ("narrow", "dark")):
                        _small(CACHE / name, DOCS / f"{view}{'-narrow' if width == 'narrow' else ''}.png")
                context.close()
        browser.close()


def _open(page: Page, address: str, view: str) -> None:
    """Show a view as somebody sees it who uses it."""
    page.goto("about:blank")
    path = "" if view in ("overview", "track") else view
    page.goto(f"{address}#/{path}")
    page.wait_for_selector(".view h1")
    if view == "ear":
        page.goto(f"{address}#/ear/unsure")
        page.wait_for_selector(".desk .timeline", timeout=60_000)
    if view == "track":
        found = page.evaluate("fetch('/api/tracks?search=harbour&count=1').then((answer) => answer.json())")
        page.goto(f"{address}#/track/{found['rows'][0]['id']}")
        page.wait_for_selector(".timeline", timeout=60_000)
        page.wait_for_timeout(500)
        box = page.locator(".timeline").bounding_box()
        if box is not None:
            page.mouse.click(box["x"] + 0.6 * box["width"], box["y"] + 40)
    page.wait_for_timeout(1200)


def _small(source: Path, target: Path) -> None:
    """The same picture with 128 colours: a third of the bytes."""
    from PIL import Image

    with Image.open(source) as picture:
        picture.convert("RGB").quantize(128).save(target, optimize=True)


def main() -> None:
    """Make the libraries if they are missing, and take pictures of all views, or the named ones."""
    large, small = CACHE / "large", CACHE / "small"
    if not (small / "library.sqlite3").exists():
        shutil.rmtree(CACHE, ignore_errors=True)
        rows(large, 8000)
        played(small, CACHE / "music")
    wanted = sys.argv[1:] or list(VIEWS)
    for data_dir, views in ((large, ("overview", "library", "map")), (small, ("albums", "track", "ear"))):
        if chosen := [view for view in views if view in wanted]:
            with served(data_dir) as address:
                _settled(address)
                take(address, chosen)


def _settled(address: str) -> None:
    """Wait until the index is filled and every file was looked at."""
    for _ in range(120):
        with urllib.request.urlopen(f"{address}api/overview") as answer:
            overview = json.load(answer)
        if overview["tracks"] and overview["looked"] == overview["tracks"]:
            return
        time.sleep(1)


if __name__ == "__main__":
    main()
