"""Who may decide on the genres of a file: its owner, or genretagger.

The policy, the genres of the file and the history of writes decide. What its owner undid, edited or
chose stays theirs, also when the file is moved; `--force` overrules that.
"""

from __future__ import annotations

import os

from genretagger.causes import REFUSALS, Cause, Reason, because
from genretagger.config import Settings
from genretagger.database.libraries import is_elsewhere
from genretagger.database.tracks import Tracks
from genretagger.database.undos import Undos
from genretagger.database.values import StoredWrite
from genretagger.files.replace import see_unchanged
from genretagger.steps.run import Run
from genretagger.types import Policy, Track


class Ownership:
    """The rules, and the history that they look at.

    Args:
        settings: for the policy, and the key of all rules.
        undos: the history of writes.
        tracks: what is known of files.
    """

    def __init__(self, settings: Settings, undos: Undos, tracks: Tracks) -> None:
        self._settings = settings
        self._undos, self._tracks = undos, tracks

    def reason(self, track: Track, run: Run) -> Reason | None:
        """Say why only the owner may change the genres; None if genretagger may.

        Raises:
            FileChangedError: the file is no longer the one that was read.
        """
        if not run.hear_only and (reason := by_policy(track, self._settings.policy)):
            return reason
        if not run.force and (reason := self.by_history(track)):
            return reason
        if run.once and self._was_handled(track):
            return because(Cause.HANDLED_BEFORE)
        return None

    def is_written(self, track: Track) -> bool:
        """Whether a file has just the genres that we wrote, by a decision of ours."""
        write = self.write_in_effect(track)
        return write is not None and write.path == track.path

    def write_in_effect(self, track: Track) -> StoredWrite | None:
        """The write that gave a file its present genres by a decision of ours, if one did."""
        last = self._last(track)
        if last is None or last.is_undone or not last.model or not track.genres.values:
            return None
        return last if last.after.values == track.genres.values else None

    def _was_handled(self, track: Track) -> bool:
        """Whether its audio was handled to its end by the present rules, and not refused."""
        key, cause = self._tracks.get_handled(track.path, track.payload_hash)
        return key == self._settings.rules_key and cause not in REFUSALS

    def by_history(self, track: Track) -> Reason | None:
        """Say why, by earlier writes, only the owner may change the genres; None if not.

        Raises:
            FileChangedError: the file is no longer the one that was read.
        """
        last = self._last(track)
        if last is None or (last.path != track.path and not (last.is_undone or self._was_moved(last, track))):
            return None
        if last.is_undone:
            return because(Cause.UNDONE)
        if not last.model:
            return because(Cause.CHOSEN_BY_OWNER)
        if last.after.values != track.genres.values:
            see_unchanged(track)  # another genretagger may have written it, after we read it
            return because(Cause.CHANGED_BY_OWNER)
        return None

    def _last(self, track: Track) -> StoredWrite | None:
        """The last write to a file, also under an earlier path; a copy counts as its own file."""
        last = self._undos.get_last(track.path, track.payload_hash)
        if last is not None and last.path != track.path and (is_elsewhere(last.path) or os.path.lexists(last.path)):
            return None
        return last

    def _was_moved(self, last: StoredWrite, track: Track) -> bool:
        """Whether a track is the file that we wrote at a path that is gone, and no newer copy."""
        if track.stamp.inode == self._tracks.get_inode(last.path):
            return True
        now = track.genres.values  # on another disk: the owner chose genres that are neither ours nor the old ones
        return bool(now) and now not in (last.before.values, last.after.values)


def by_policy(track: Track, policy: Policy) -> Reason | None:
    """Say why the policy leaves the genres of a file as they are; None if it does not."""
    return because(Cause.HAS_GENRE) if policy is Policy.KEEP and track.genres.values else None
