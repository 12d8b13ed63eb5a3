"""The browser that the tests of the page share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from chromium import find

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the extra `browser` is not installed")
    with playwright.sync_playwright() as running:
        program = find()
        assert program, "Chromium is missing: make test-page installs it"
        options = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        opened = running.chromium.launch(executable_path=program, args=options)
        yield opened
        opened.close()
