"""Where the windows are in a track."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genretagger.audio.windows import FIRST, LONGEST_LISTENING_S, MOST, STAGES, sampling_key, spread, stage_of
from genretagger.types import Window

MUSICNN_S = 187 * 256 / 16000


def test_windows_lie_in_the_middle_of_equal_segments() -> None:
    windows = spread(240.0, 3.0, 16)
    assert [window.start_s for window in windows] == [6.0 + 15.0 * index for index in range(16)]
    assert {window.duration_s for window in windows} == {3.0}


def test_all_windows_follow_each_other_from_the_start() -> None:
    windows = spread(10.0, MUSICNN_S, None)
    assert [window.start_s for window in windows] == [0.0, 2.992, 5.984]


def test_all_windows_stay_on_the_frame_grid_of_the_reference() -> None:
    starts = [window.start_s * 16000 for window in spread(600.0, MUSICNN_S, None)]
    assert [round(start) for start in starts] == [187 * 256 * index for index in range(len(starts))]


@pytest.mark.parametrize(
    ("duration_s", "count", "expected"),
    [
        pytest.param(2.0, 16, (Window(0.0, 2.0),), id="shorter than a window"),
        pytest.param(3.0, 16, (Window(0.0, 3.0),), id="exactly a window"),
        pytest.param(5.0, 16, (Window(1.0, 3.0),), id="no room for two"),
        pytest.param(6.0, 16, (Window(0.0, 3.0), Window(3.0, 3.0)), id="exactly two"),
        pytest.param(9.0, 1, (Window(3.0, 3.0),), id="the middle"),
        pytest.param(2.0, None, (Window(0.0, 2.0),), id="all of less than one"),
    ],
)
def test_short_tracks(duration_s: float, count: int | None, expected: tuple[Window, ...]) -> None:
    assert spread(duration_s, 3.0, count) == expected


def test_a_mix_of_hours_is_spread_over_by_one_hour() -> None:
    windows = spread(7 * 3600.0, 3.0, None)
    assert len(windows) == LONGEST_LISTENING_S / 3
    assert windows[-1].start_s > 7 * 3600 - 30


@settings(deadline=None)
@given(
    duration_s=st.floats(0.001, 100_000),
    window_s=st.floats(0.5, 60),
    count=st.one_of(st.none(), st.integers(1, 500)),
)
def test_windows_never_overlap_nor_leave_the_track(duration_s: float, window_s: float, count: int | None) -> None:
    windows = spread(duration_s, window_s, count)
    assert 1 <= len(windows) <= (count or len(windows))
    assert windows == spread(duration_s, window_s, count)
    slack_s = 0.001  # starts are whole milliseconds
    assert windows[0].start_s >= 0
    assert windows[-1].start_s + windows[-1].duration_s <= duration_s + slack_s
    for one, other in itertools.pairwise(windows):
        assert one.start_s + one.duration_s <= other.start_s + slack_s


@pytest.mark.parametrize(("duration_s", "window_s", "count"), [(0.0, 3.0, 1), (1.0, 0.0, 1), (1.0, 3.0, 0)])
def test_nonsense_is_refused(duration_s: float, window_s: float, count: int) -> None:
    with pytest.raises(ValueError, match="no windows"):
        spread(duration_s, window_s, count)


def test_plans_have_names() -> None:
    assert sampling_key(16).startswith("spread-16.")
    assert sampling_key(None).startswith("all.")


@pytest.mark.parametrize("duration_s", [5.0, 20.0, 24.5, 60.0, 240.0])
def test_the_stages_of_auto_together_are_all_windows_once(duration_s: float) -> None:
    every = spread(duration_s, 2.992, MOST)
    if len(every) <= FIRST:
        assert [stage_of(every, stage) for stage in range(STAGES)] == [every] * STAGES
        return
    stages = [stage_of(every, stage) for stage in range(STAGES)]
    assert sorted(window.start_s for stage in stages for window in stage) == [window.start_s for window in every]
    assert stage_of(every, None) == every
    if len(every) == MOST:
        first = [window.start_s for window in stages[0]]
        assert len(first) == FIRST
        assert max(first) - min(first) > 0.8 * duration_s  # spread over the track


def test_the_name_of_the_plan_of_auto() -> None:
    assert sampling_key("auto") == "auto.1"
