"""The documentation keeps its size, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
README = REPOSITORY / "README.md"
PAGES = sorted({*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")})
COLUMNS, README_LINES = 100, 100

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def too_long(text: str) -> list[str]:
    """The lines that are too wide. Rows of tables cannot be wrapped."""
    lines = enumerate(text.splitlines(), 1)
    return [f"{number}: {len(line)}" for number, line in lines if len(line) > COLUMNS and line[:1] != "|"]


def prose(text: str) -> str:
    """A page without its code, in which brackets and hashes mean other things."""
    blocks = re.sub(r"^```[\s\S]*?^```$|^ {4}.*$", "", text, flags=re.MULTILINE)
    return re.sub(r"`[^`]*`", "", blocks)


def links(text: str) -> list[str]:
    """The addresses that a page links to, except those on the web."""
    found = re.findall(r"\]\(([^)\s]+)", prose(text)) + re.findall(r"^\[[^\]]+\]:\s*(\S+)", text, re.MULTILINE)
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(text: str) -> set[str]:
    """The anchors that a page's headings get: lower case, hyphens for spaces, no other marks."""
    headings = re.findall(r"^#+ +(.+)$", re.sub(r"^ {4}.*$", "", text, flags=re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def dead_links(page: Path) -> list[str]:
    """The local links of a page that lead to no file, or to no heading."""
    dead = []
    for link in links(page.read_text("utf-8")):
        name, _, anchor = unquote(link).partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text("utf-8"))):
            dead.append(link)
    return dead


def test_the_readme_can_be_read_in_minutes() -> None:
    text = README.read_text("utf-8")
    assert len(text.splitlines()) <= README_LINES
    assert max(map(len, text.splitlines())) <= COLUMNS


@each_page
def test_lines_fit_a_window(page: Path) -> None:
    assert too_long(page.read_text("utf-8")) == []


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    assert dead_links(page) == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, left = {README}, [README]
    while left:
        page = left.pop()
        targets = {page.parent / link.partition("#")[0] for link in links(page.read_text("utf-8"))}
        new = {target.resolve() for target in targets if target.suffix == ".md"} - reached
        reached |= new
        left += new
    assert set((REPOSITORY / "docs").rglob("*.md")) <= reached


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Two words, here\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md) [b](other.md#two-words-here) [c](https://example.org/no) `[d](code.md)`\n\n"
        "    [e](code.md)\n\n[f](gone.md) [g](other.md#gone)\n[h]: lost.md\n"
    )
    assert dead_links(page) == ["gone.md", "other.md#gone", "lost.md"]
    assert too_long(f"{'é' * 100}\n{'e' * 101}\n| {'e' * 200} |\n    {'e' * 100}\n") == ["2: 101", "4: 104"]
