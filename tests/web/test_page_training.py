"""Training, choosing the model and logging in, in a real Chromium. Run by `make test-page`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from command_helpers import settings as settings_of
from command_helpers import tag
from page_helpers import PASSWORD, Server, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.page


@pytest.fixture
def taught(data_dir: Path, known: Path) -> Path:
    """The data folder of a library whose tracks have their owner's genres."""
    tag(settings_of(data_dir), known)
    return data_dir


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An open tab."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    yield opened
    context.close()


def models(data_dir: Path) -> list[dict[str, Any]]:
    """What `models list --json` says."""
    ended = subprocess.run(
        [sys.executable, "-m", "genretagger", "models", "list", "--json"],
        env={**os.environ, "GENRETAGGER_DATA_DIR": str(data_dir)},
        capture_output=True,
        check=True,
        timeout=60,
    )
    return [json.loads(line) for line in ended.stdout.splitlines()]


def own(server: Server) -> int:
    return int(server.ask("/api/teaching").json["own"])


def test_training_shows_its_progress_and_its_model_is_used(page: Page, taught: Path) -> None:
    """From the first click to the model in use, then a correction and an update."""
    with serving(taught) as server:
        server.until(lambda: own(server), lambda count: count > 0)
        page.goto(f"{server.address}/#/ear/lesson")
        page.get_by_role("button", name="Learn from my genres").click()
        page.wait_for_selector("progress[aria-label=Training]")
        assert page.locator(".view [role=status]").first.inner_text().startswith("mine:")
        page.wait_for_selector("text=mine learned 4 genres")
        page.get_by_role("button", name="Use mine from now on").click()
        page.wait_for_function(
            "() => document.querySelector('#notice').textContent.includes('mine is now the default model')"
        )
        assert [each["name"] for each in models(taught) if each["used"]] == ["mine"]
        assert server.ask("/api/teaching").json["updates"] == "mine"

        number = server.ask("/api/tracks?count=1").json["rows"][0]["id"]
        answer = server.ask(f"/api/track/{number}").json
        wish = {"track": number, "payload_hash": answer["payload_hash"], "before": answer["exact"], "genres": ["Polka"]}
        assert server.post("/api/choose", wish).json["ok"]
        page.goto("about:blank")
        page.goto(f"{server.address}/#/ear/lesson")
        page.wait_for_selector("text=1 correction since the last training.")
        page.get_by_role("button", name="Learn again (train --update mine)").click()
        page.wait_for_selector("progress[aria-label=Training]")
        page.wait_for_selector("progress[aria-label=Training]", state="detached")
        assert page.locator(".view .warn").all_inner_texts() == []
        words = page.locator(".view table tbody td:last-child").all_inner_texts()
        assert len(words) >= 4, "each genre with what became of it"
        assert set(words) <= {"as before", "better", "worse"}


def test_a_training_is_stopped_and_says_so(page: Page, taught: Path) -> None:
    with serving(taught) as server:
        server.until(lambda: own(server), lambda count: count > 0)
        page.goto(f"{server.address}/#/ear/lesson")
        page.get_by_role("button", name="Learn from my genres").click()
        page.get_by_role("button", name="Stop").click()
        page.wait_for_selector("button >> text=Learn from my genres")
        assert page.locator(".view .warn").inner_text()
        assert "mine" not in [each["name"] for each in models(taught)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_password_is_asked_for_and_axe_finds_nothing(browser: Browser, data_dir: Path, scheme: Any) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the extra `browser` is not installed")
    with serving(data_dir, GENRETAGGER_PAGE_PASSWORD=PASSWORD) as server:
        context = browser.new_context(bypass_csp=True, color_scheme=scheme)
        opened = context.new_page()
        opened.set_default_timeout(60_000)
        opened.goto(server.address)
        opened.wait_for_selector("#password:focus")
        found = axe.Axe().run(opened).response["violations"]
        assert [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found] == []
        opened.keyboard.type("wrong")
        opened.keyboard.press("Enter")
        opened.wait_for_function("() => document.querySelector('#said').textContent.length > 0")
        assert opened.url.endswith("/login")
        opened.get_by_label("Password").fill(PASSWORD)
        opened.keyboard.press("Enter")
        opened.wait_for_selector(".view h1")
        assert [cookie["httpOnly"] for cookie in context.cookies()] == [True]
        assert opened.evaluate("document.cookie") == ""
        context.close()
