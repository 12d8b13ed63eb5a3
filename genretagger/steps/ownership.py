"""Whose business the genres of a file are: its owner's, or ours.

By the policy, what the file has and what was written to it before. What its owner undid, edited or chose stays theirs,
also when the file is moved; `--force` takes it back.
"""

from __future__ import annotations

import os

from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.database.values import StoredWrite
from genretagger.files.replace import see_unchanged
from genretagger.steps.run import Run
from genretagger.types import Policy, Track


class Ownership:
    """The rules, and the history that they look at.

    Args:
        settings: for the policy, and the key of all rules.
        store: the database.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store

    def reason(self, track: Track, run: Run) -> str:
        """Say why the genres are the owner's business and not ours; empty where they are not.

        Raises:
            FileChangedError: the file is no longer the one that was read.
        """
        if self._settings.policy is Policy.KEEP and track.genres.values and not run.hear_only:
            return "it has a genre"
        last = None if run.force else self._store.writes.get_last(track.path, track.payload_hash)
        if last is not None and (reason := self._reason_of_history(last, track)):
            return reason
        if run.once and self._store.tracks.get_handled(track.path, track.payload_hash) == self._settings.rules_key:
            return "it was handled before, and its tags were edited by another program since"
        return ""

    def _reason_of_history(self, last: StoredWrite, track: Track) -> str:
        if last.path != track.path and (
            os.path.lexists(last.path) or not (last.is_undone or self._was_moved(last, track))
        ):
            return ""  # a copy is a file of its own
        if last.is_undone:
            return "its genre was undone; --force tags it again"
        if not last.model:
            return "you chose its genre in a plan; --force tags it again"
        if last.after.values != track.genres.values:
            see_unchanged(track)  # another genretagger may have written it, after we read it
            return "its genre was changed after genretagger wrote it, so it is yours; --force tags it again"
        return ""

    def _was_moved(self, last: StoredWrite, track: Track) -> bool:
        """Whether a track is the file that was written under a path where nothing lies now, and no newer copy of it."""
        if track.stamp.inode == self._store.tracks.get_inode(last.path):
            return True
        now = track.genres.values  # on another disk: somebody chose what is neither ours nor from before
        return bool(now) and now not in (last.before.values, last.after.values)
