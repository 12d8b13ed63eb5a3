"""How long a run will still take, smoothed.

Files that are known take a thousandth of the time of new ones, and come in long stretches. So
nothing is said before enough time has passed, the pace is that of the last files and not of all,
and what is shown follows it slowly.
"""

from __future__ import annotations

import math

_FIRST_S = 10.0
"""Nothing is said before this: the first files pay for loading the model."""
_MEMORY = 20.0
"""Files after which a pace is two thirds forgotten."""
_FOLLOWS_S = 8.0
"""Seconds in which what is shown takes on two thirds of a change."""


class TimeLeft:
    """Estimates the time left from how many are done when."""

    def __init__(self) -> None:
        self._began = self._last = math.nan
        self._done = 0
        self._weight = self._each_s = 0.0
        self._shown_s = math.nan

    def after(self, done: int, total: int | None, now_s: float) -> str:
        """The time left in words; empty if there is nothing to say yet.

        Args:
            now_s: any clock that only goes forward.
        """
        if math.isnan(self._began) or done < self._done:
            self._began = self._last = now_s
            self._done, self._weight, self._each_s, self._shown_s = done, 0.0, 0.0, math.nan
            return ""
        passed, new = now_s - self._last, done - self._done
        if new and passed > 0:
            fade = math.exp(-new / _MEMORY)
            self._each_s, self._weight = fade * self._each_s + passed, fade * self._weight + new
            self._last, self._done = now_s, done
        if total is None or not self._weight or now_s - self._began < _FIRST_S or done >= total:
            return ""
        left_s = (total - done) * self._each_s / self._weight
        if math.isnan(self._shown_s):
            self._shown_s = left_s
        elif new and passed > 0:
            expected_s = max(0.0, self._shown_s - passed)
            self._shown_s = expected_s + (left_s - expected_s) * (1 - math.exp(-passed / _FOLLOWS_S))
        return f"{said(self._shown_s)} left"


def said(seconds: float) -> str:
    """A length of time as people say it: `40 s`, `6 min`, `2 h 10 min`."""
    if seconds < 55:
        return f"{max(5, 5 * round(seconds / 5))} s"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(10 * round(minutes / 10), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
