"""Reasons not to write to a file: the settings, the container or the rights.

These checks run before decoding; results are not stored, because settings and rights may change.
"""

from __future__ import annotations

import os

from genretagger.causes import Cause, Reason, because
from genretagger.config import Settings
from genretagger.files.discover import Found
from genretagger.files.replace import inside, unwritable
from genretagger.files.unfinished import companion
from genretagger.types import Track


class Refusals:
    """The rules.

    Args:
        settings: what the owner allows.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def unfit(self, file: Found, track: Track) -> Reason | None:
        """Say why a file should not be analysed; None if there is no reason.

        Args:
            file: where it is, and the folder that a write must not leave.
            track: what it is.
        """
        least_s = self._settings.min_duration_s
        if track.duration_s is not None and track.duration_s < least_s:
            return because(Cause.TOO_SHORT, least_s=least_s)
        return self.of(file, track)

    def of(self, file: Found, track: Track, *, in_place: bool = False) -> Reason | None:
        """Say why genres should not be written to a file; None if there is no reason.

        Args:
            file: where it is, and the folder that a write must not leave.
            track: what it is.
            in_place: another program is about to write it by its own means, for which it needs
                other rights.
        """
        if beside := companion(file.path, file.root):
            return because(Cause.UNFINISHED, beside=beside)
        if track.refusal:
            return track.refusal
        return self.forbidden(file, track, in_place=in_place)

    def forbidden(self, file: Found, track: Track, *, in_place: bool = False) -> Reason | None:
        """Say why settings or rights forbid to write a file, whatever it contains; see `of`."""
        if track.stamp.links > 1 and not self._settings.hard_links:
            return because(Cause.HARD_LINKED, names=track.stamp.links)
        if not self._settings.outside_links and not inside(file.path, file.root):
            return because(Cause.OUTSIDE, real_path=os.path.realpath(file.path))
        return None if in_place else unwritable(file.path)
