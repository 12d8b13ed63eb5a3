"""The lines of `tag` for people: one a file, whole in a pipe, fitted to a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len

from genretagger.causes import Cause, Reason, because, recorded
from genretagger.cli.rows import Rows, given
from genretagger.cli.time_left import TimeLeft, said
from genretagger.sentences import brief
from genretagger.types import Outcome, Status

ROOT = Path("/music")
SCORES = {"Jazz": 0.91, "Blues": 0.4}


def outcome(
    name: str,
    status: Status = Status.TAGGED,
    reason: Reason = because(Cause.CHOSEN, genres=[["Jazz", 0.91, "jazz 0.5"]]),  # noqa: B008 - it is frozen
    **fields: object,
) -> Outcome:
    genres = ("Jazz",) if status is Status.TAGGED else ()
    return Outcome(ROOT / name, status, reason, genres=genres, scores=SCORES, **fields)  # type: ignore[arg-type]


def shown(*outcomes: Outcome, terminal: bool = True, width: int = 80, verbose: bool = False) -> list[str]:
    rows = Rows([ROOT], terminal=terminal, width=width, verbose=verbose)
    return [line.plain for each in outcomes for line in rows.of(each)]


def test_a_terminal_has_folders_and_one_line_for_each_file() -> None:
    assert shown(
        outcome("a.mp3"),
        outcome("Album/01.mp3", dry_run=True),
        outcome("Album/02.mp3", Status.SKIPPED, because(Cause.NOT_MUSIC, nearest="Jazz", score=0.03)),
    ) == [
        "/music/",
        "  tagged     a.mp3                          Jazz",
        "",
        "Album/",
        "  would tag  01.mp3                         Jazz",
        "  skipped    02.mp3                         does not sound like music",
    ]


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("name", ["x" * 300 + ".mp3", "日本の音楽" * 30 + ".flac", "[/]a\nb\x1b[31m.mp3"])
def test_no_line_is_wider_than_the_terminal(width: int, name: str) -> None:
    long = outcome(f"{'folder' * 40}/{name}", Status.FAILED, recorded("a reason " * 40))
    lines = shown(outcome(name), long, width=width)
    assert len(lines) == 5
    assert all(cell_len(line) <= width and line.isprintable() for line in lines)


def test_a_pipe_has_everything_in_one_line() -> None:
    reason = because(Cause.TOO_SHORT, least_s=5.0)
    assert shown(outcome("Album/01.mp3"), outcome("a.mp3", Status.SKIPPED, reason), terminal=False) == [
        "tagged     Jazz                        Album/01.mp3",
        f"skipped{'':32}a.mp3: it is shorter than 5 s",
    ]


def test_details_on_demand() -> None:
    assert shown(outcome("a.mp3"), verbose=True)[2:] == ["    scores: Jazz 0.91, Blues 0.40", "    Jazz 0.91: jazz 0.5"]


def test_reasons_are_brief() -> None:
    assert brief(because(Cause.TOO_SHORT, least_s=5.0)) == "shorter than 5 s"
    assert (
        brief(because(Cause.NOT_CONFIDENT, least=0.5, nearest="Jazz", score=0.41, grounds="jazz 0.2"))
        == "no genre reaches 0.5"
    )


def test_a_table_of_what_was_given() -> None:
    assert list(given([("Jazz", 1200), ("Drum and Bass", 3)])) == [
        f"  Jazz           1,200  {'█' * 24}",
        "  Drum and Bass      3  █",
    ]
    assert list(given([])) == []


def test_the_time_left_does_not_jump() -> None:
    """5,000 known files in 5 s, then new ones, two a second: it once said 4 s, and then 40 min."""
    left = TimeLeft()
    now, wrong = 0.0, []
    for done in range(10_000):
        now += 0.001 if done < 5000 else 0.5
        if left.after(done, 10_000, now):
            wrong.append(left._shown_s / ((10_000 - done) * 0.5))
    assert wrong, "it says something in the end"
    assert min(wrong) > 0.3
    assert max(wrong[:-20]) < 1.1
    assert left.after(9_999, 10_000, now) == "5 s left"


def test_lengths_of_time() -> None:
    assert [said(seconds) for seconds in (1, 42, 58, 200, 3700, 7900)] == [
        "5 s", "40 s", "1 min", "3 min", "1 h", "2 h 10 min",
    ]  # fmt: skip


def test_the_usual_reasons_fit_into_80_columns() -> None:
    line = shown(outcome("a.mp3", Status.SKIPPED, because(Cause.SILENT)))[-1]
    assert line.endswith("  nothing but silence or steady noise")
