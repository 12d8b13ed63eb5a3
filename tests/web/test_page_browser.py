"""The page in a real Chromium: each view, genres that move as a track plays, keyboard corrections.

Run by `make test-page`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
from audio_factory import make, tone
from command_helpers import settings as settings_of
from command_helpers import tag
from mutagen import File
from page_helpers import Server, serving

from genretagger.database.store import Store
from genretagger.model import InstalledModel

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

pytestmark = pytest.mark.page
PART_S = 24.0
VIEWS = ("", "library", "albums", "track/{track}", "ear/unsure", "ear/lesson", "map")
HOSTILE = "<img src=x onerror=\"document.title='taken'\">"


@pytest.fixture(scope="module")
def place(
    model: InstalledModel, techno_samples: npt.NDArray[np.float32], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with a library that was heard: `music`, and its `data`."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(model.folder, folder / "data" / "models" / model.name)
    music = folder / "music"
    music.mkdir()

    def techno(seconds: float) -> npt.NDArray[np.float32]:
        return np.tile(techno_samples, 2)[: int(seconds * 44100)]

    second = tone(PART_S, pitch_hz=220.0)
    changing = np.concatenate([techno(PART_S), 0.3 * second / np.abs(second).max()]).astype(np.float32)
    make(music / "changing.flac", "flac", samples=changing, title="Changing", artist="Both")
    make(music / "drums.flac", "flac", samples=techno(13.0), title="Drums", artist="One")
    make(music / "tone.flac", "flac", samples=tone(12.0), title=HOSTILE, artist="Tones")
    make(music / "yours.flac", "flac", samples=techno(14.0), title="Yours", artist="One", genre="Polka")
    make(music / "jazz.flac", "flac", samples=techno(15.0), title="Also yours", artist="Four", genre="Jazz")
    # so that the drums are heard, and nothing is sure enough
    tag(settings_of(folder / "data", min_score=1.0), music)
    return folder


@pytest.fixture(scope="module")
def served(place: Path) -> Iterator[Server]:
    with serving(place / "data") as server:
        server.until(lambda: server.ask("/api/needs/unsure").json["total"], lambda total: total >= 1)
        yield server


@pytest.fixture
def page(browser: Browser, served: Server) -> Iterator[Page]:
    """An open tab; an error in its console fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    errors: list[str] = []
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.set_default_timeout(60_000)
    yield opened
    assert opened.title() != "taken"
    context.close()
    assert errors == []


def number_of(server: Server, name: str) -> int:
    rows = server.ask("/api/tracks?count=99").json["rows"]
    return next(int(each["id"]) for each in rows if each["name"] == name)


def show(page: Page, server: Server, view: str) -> None:
    page.goto(f"{server.address}/#/{view.format(track=number_of(server, 'changing.flac'))}")
    page.wait_for_selector(".view h1")


@pytest.mark.parametrize("width", [380, 1600])
@pytest.mark.parametrize("view", VIEWS)
def test_each_view_has_a_heading_and_fits(page: Page, served: Server, view: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    show(page, served, view)
    assert page.locator(".view h1").inner_text()
    wide = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1], "nothing reaches beyond the window"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing(browser: Browser, served: Server, view: str, scheme: Any) -> None:
    """What a screen reader, a keyboard or weak eyes could not use."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the extra `browser` is not installed")
    context = browser.new_context(bypass_csp=True, color_scheme=scheme)
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    show(opened, served, view)
    if view.startswith("track"):
        opened.wait_for_selector(".timeline")
    opened.wait_for_timeout(300)
    found = axe.Axe().run(opened).response["violations"]
    context.close()
    reply = [(each["id"], [node["html"][:200] for node in each["nodes"]][:3]) for each in found]
    assert reply == []


def test_the_genres_move_while_it_plays(page: Page, served: Server) -> None:
    """The sound changes in the middle of the track; so do the bars, in step with the player."""
    show(page, served, "track/{track}")
    page.wait_for_selector(".timeline")
    page.evaluate(
        """() => {
            window.seen = [];
            const audio = document.querySelector("#player") && window;
            const sound = document.querySelector(".sound");
            new MutationObserver(() => {
                const bars = [...document.querySelectorAll(".moment li")].map((each) =>
                    [each.querySelector(".name").textContent, Number(each.querySelector(".figure").textContent)]);
                window.seen.push([performance.now() / 1000, sound.querySelector(".clock").textContent, bars]);
            }).observe(sound, { attributes: true, attributeFilter: ["data-updates"] });
        }"""
    )
    box = page.locator(".timeline").bounding_box()
    assert box is not None
    start_s = PART_S - 5
    page.mouse.click(box["x"] + box["width"] * start_s / (2 * PART_S), box["y"] + 30)
    page.get_by_role("button", name="Play or pause").click()
    clock = page.locator(".player .clock")
    page.wait_for_function(
        "(seconds) => Number(document.querySelector('.player input').value) > seconds", arg=PART_S + 5
    )
    page.get_by_role("button", name="Play or pause").click()
    assert clock.inner_text().startswith("0:2") or clock.inner_text().startswith("0:3")
    seen = page.evaluate("window.seen")
    playing = [each for each in seen if each[1] >= "0:20"]
    took_s = playing[-1][0] - playing[0][0]
    assert len(playing) / took_s >= 10, "at least ten times a second"
    before = next(dict(each[2]) for each in reversed(seen) if each[1] == "0:20")
    after = dict(seen[-1][2])
    best = max(before, key=lambda name: before[name])
    assert before[best] > 0.5
    assert after[best] < 0.2
    crossing = next(each for each in seen if each[1] >= "0:20" and dict(each[2])[best] < before[best] / 2)
    minutes, seconds = crossing[1].split(":")
    assert abs(int(minutes) * 60 + int(seconds) - PART_S) <= 2.5


def test_a_click_and_the_keyboard_go_to_a_place(page: Page, served: Server) -> None:
    show(page, served, "track/{track}")
    line = page.wait_for_selector(".timeline")
    assert line is not None
    line.focus()
    page.keyboard.press("PageUp")
    page.wait_for_function("() => Math.abs(Number(document.querySelector('.player input').value) - 30) < 1")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("() => Math.abs(Number(document.querySelector('.player input').value) - 25) < 1")
    page.wait_for_function("() => document.querySelector('.timeline').getAttribute('aria-valuenow') === '25'")


def test_hostile_tags_are_shown_and_run_nothing(page: Page, served: Server) -> None:
    for view in ("library", f"track/{number_of(served, 'tone.flac')}"):
        show(page, served, view)
        page.wait_for_function("(text) => document.body.innerText.includes(text)", arg=HOSTILE)
    assert page.evaluate("document.querySelectorAll('img[src=\"x\"]').length") == 0


def test_the_grid_is_used_by_keyboard(page: Page, served: Server) -> None:
    show(page, served, "library?sort=title")
    page.wait_for_selector(".row .c-title")
    page.locator(".grid").focus()
    page.keyboard.press("ArrowDown")
    chosen = page.locator(".row.active .c-title").inner_text()
    page.keyboard.press("Enter")
    page.wait_for_selector(".headline h1")
    assert page.locator(".headline h1").inner_text() == chosen


def test_the_map_chooses_and_makes_a_playlist(page: Page, served: Server) -> None:
    show(page, served, "map")
    page.wait_for_selector(".map-canvas")
    box = page.locator(".map-canvas").bounding_box()
    assert box is not None
    x, y, wide, high = box["x"], box["y"], box["width"], box["height"]
    page.mouse.move(x + 3, y + 3)
    page.mouse.down()
    for left, top in ((wide - 3, 3), (wide - 3, high - 3), (3, high - 3), (3, 3)):
        page.mouse.move(x + left, y + top, steps=3)
    page.mouse.up()
    page.wait_for_selector(".picked ol li")
    with page.expect_download() as download:
        page.locator(".picked").get_by_role("button", name="Playlist").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert text.startswith("#EXTM3U")
    assert "drums.flac" in text


def genres(path: Path) -> list[str]:
    found = File(path, easy=True)
    return list(found.get("genre", [])) if found is not None else []


def train(place: Path) -> dict[str, Any]:
    """What the next training says it left out, and learned from."""
    ended = subprocess.run(
        [sys.executable, "-m", "genretagger", "train", "--json", "--min-tracks", "2", str(place / "music")],
        env={**os.environ, "GENRETAGGER_DATA_DIR": str(place / "data")},
        capture_output=True,
        text=True,
        timeout=100,
    )
    return json.loads(ended.stdout) if ended.stdout else {"failed": ended.stderr}


def test_a_correction_by_keyboard_is_the_owners_and_undo_takes_it_back(page: Page, served: Server, place: Path) -> None:
    """From the list to the file's tag, the history and the next training; then back."""
    show(page, served, "ear/unsure")
    page.wait_for_selector(".desk .timeline")
    titles = page.locator(".queue-list strong").all_inner_texts()
    title = page.locator(".desk h2").first.inner_text()
    song = place / "music" / {"Drums": "drums.flac", "Changing": "changing.flac"}[title]
    assert genres(song) == []

    page.keyboard.press("n")
    page.wait_for_function("() => Number(document.querySelector('.player input').value) > 5")
    page.keyboard.press("g")
    page.wait_for_selector(".chooser input:focus")
    page.keyboard.press("Backspace")
    page.keyboard.type("jaz")
    page.wait_for_selector("[role=option]")
    page.keyboard.press("Enter")
    page.keyboard.type("Polk")
    page.wait_for_selector("[role=option] >> text=Polka")
    page.keyboard.press("Enter")
    chosen = page.locator(".chosen button").all_inner_texts()
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#notice').textContent.includes('Jazz')")
    expected = [each.removesuffix(" ✕") for each in chosen]
    assert expected == ["Jazz", "Polka"]
    assert genres(song) == expected

    with Store.open(place / "data" / "library.sqlite3", read_only=True) as store:
        write = next(iter(store.writes.get_all(under=song)))
        assert (write.after.values, write.model, write.reason.cause) == (("Jazz", "Polka"), "", "chosen_listening")
    learned = train(place)
    assert learned.get("genres") == {"Jazz": 2, "Polka": 2}, learned

    assert len(titles) >= 1
    page.keyboard.press("u")
    page.wait_for_function("() => document.querySelector('#notice').textContent.includes('Undone')")
    assert genres(song) == []
    assert served.ask(f"/api/track/{number_of(served, song.name)}").json["genres"] == []


def test_who_types_before_the_names_of_genres_are_there_gets_the_same(page: Page, served: Server, place: Path) -> None:
    """The answer is held back until all is typed: `jaz` still means Jazz, and is no new genre."""
    held: list[Route] = []
    page.route("**/api/genres", lambda route: held.append(route))
    number = number_of(served, "yours.flac")
    page.goto(f"{served.address}/#/track/{number}")
    page.wait_for_selector(".headline .genre >> text=Polka")
    page.get_by_role("button", name="Change the genre").click()
    page.wait_for_selector(".chooser input:focus")
    page.keyboard.press("Backspace")
    page.keyboard.type("jaz")
    page.keyboard.press("Enter")
    page.keyboard.type("Polk")
    assert held
    for each in held:
        each.continue_()
    page.wait_for_selector("[role=option] >> text=Polka")
    page.keyboard.press("Enter")
    assert page.locator(".chosen button").all_inner_texts() == ["Jazz ✕", "Polka ✕"]
    page.keyboard.press("Escape")


def test_two_tabs_agree(page: Page, served: Server, place: Path) -> None:
    number = number_of(served, "yours.flac")
    page.goto(f"{served.address}/#/track/{number}")
    page.wait_for_selector(".headline .genre >> text=Polka")
    other = page.context.new_page()
    other.goto(f"{served.address}/#/track/{number}")
    other.get_by_role("button", name="Change the genre").click()
    other.get_by_role("button", name="Remove Polka").click()
    other.get_by_role("combobox").fill("Ska")
    other.keyboard.press("Enter")
    other.get_by_role("button", name="Save").click()
    other.wait_for_selector(".headline .genre >> text=Ska")
    page.bring_to_front()
    page.wait_for_selector(".headline .genre >> text=Ska")
    other.get_by_role("button", name="Undo the last write").click()
    page.wait_for_selector(".headline .genre >> text=Polka")
    assert genres(place / "music" / "yours.flac") == ["Polka"]
