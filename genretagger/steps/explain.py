"""Why a file is as it is, as far as that is known without listening: what `show` and the page tell.

`Verdicts` decides, as for `tag`. If `tag` would have to listen first, the file was not listened to
yet. Nothing is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from genretagger.causes import Cause, Reason, because
from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.database.values import HearingResult, Known
from genretagger.errors import FileChangedError, FileError, ModelError
from genretagger.files.discover import Found
from genretagger.files.replace import stamp_of
from genretagger.steps.ownership import Ownership, by_policy
from genretagger.steps.run import Run
from genretagger.steps.verdict import Verdicts, unheard
from genretagger.types import Albums, Decision, Status, Track

if TYPE_CHECKING:  # only files that `tag` would listen to need numpy and a model, which take a second
    from genretagger.steps.recall import Recall

_READ_AGAIN = "`genretagger tag` reads it again."


class Explainer:
    """Explains files.

    Args:
        settings: as for `tag`.
        store: the database; None if there is none.
    """

    def __init__(self, settings: Settings, store: Store | None) -> None:
        self.settings, self._store = settings, store
        self._ownership = None if store is None else Ownership(settings, store.writes, store.tracks)
        owned = self._ownership.reason if self._ownership else lambda track, _: by_policy(track, settings.policy)
        self._verdicts = Verdicts(settings, owned)

    def look(self, known: Known, read: Callable[[Path], Track] | None = None) -> tuple[Track | None, FileError | None]:
        """Say what a file is now, or why that is not known, and how it failed last as it is now.

        Args:
            known: of the file, from the database.
            read: reads a file that was touched since; None to leave it unread.
        """
        try:
            stamp = stamp_of(known.path)
            failure = self._store.tracks.get_failure(known.path, stamp) if self._store is not None else None
            track = known.track if known.track is not None and known.track.stamp == stamp else None
            if track is None and read is not None and (failure is None or failure.retry):
                track = read(known.path)
            elif track is None and failure is None:
                raise FileChangedError("the file changed since it was read", path=known.path, hint=_READ_AGAIN)
        except FileError as error:
            return None, error
        return track, None if failure is None else failure.error

    def explain(self, file: Found, track: Track | None, error: FileError | None, known: Known) -> tuple[Status, Reason]:
        """Say what became of a file, and why.

        Args:
            file: where it lies, and the folder that a write must not leave.
            track: what it is now; see `look`.
            error: how it failed last; see `look`.
            known: of its audio; its decisions count if the model in use is not installed.
        """
        try:
            status, reason = self._verdict(file, track, error, known)
        except FileError as failed:
            if isinstance(failed, FileChangedError) and not file.path.exists():
                return Status.FAILED, because(Cause.GONE)
            return Status.FAILED, because(failed.why, **failed.reason.figures, retry=failed.retry)
        assert track is not None  # what cannot be read has an error
        ours = self._ownership.write_in_effect(track) if self._ownership is not None else None
        if status is Status.UNCHANGED and ours is not None:
            return Status.TAGGED, ours.reason
        return status, reason if reason.cause is not Cause.HAS_GENRE else self._has_genre(track, known)

    def _verdict(
        self, file: Found, track: Track | None, error: FileError | None, known: Known
    ) -> tuple[Status, Reason]:
        if error is not None and (track is None or not error.retry):
            raise error
        assert track is not None  # what cannot be read has an error
        if found := self._verdicts.before(file, track, Run(0)):
            return found
        if error is not None and not isinstance(error, FileChangedError):  # which `before` would have seen again
            raise error
        try:
            decision = self._decision(track, known)
        except FileError as failed:
            return unheard(failed)
        except ModelError:  # a damaged model: `tag` says so, and what was decided is still known
            decision = _last(known)
        if decision is None:
            return Status.UNCHANGED, because(Cause.NOT_LISTENED_TO)
        status, reason, _ = self._verdicts.after(track, decision)
        if status is Status.TAGGED:
            return Status.UNCHANGED, because(Cause.NOT_WRITTEN, decision=reason)
        return status, reason

    def _has_genre(self, track: Track, known: Known) -> Reason:
        """That a file has a genre, and what was decided for it, if anything."""
        decision = _last(known)
        if decision is None:
            return because(Cause.HAS_GENRE, heard=False)
        if self._recall is not None:
            decision = self._recall.shown_decision(track)
        return because(Cause.HAS_GENRE, **({"decision": decision.reason} if decision else {}))

    def _decision(self, track: Track, known: Known) -> Decision | None:
        """What `tag` would decide from what was heard; None if nobody listened.

        Raises:
            FileError: the track could not be heard.
        """
        from genretagger.steps.recall import audible
        from genretagger.steps.schedule import wait_for
        from genretagger.steps.together import ByFolder, Each, Together

        recall = self._recall
        if recall is None or self._ownership is None:
            return _last(known)
        analysis = recall.heard(track)
        if analysis is None:
            return None
        audible(analysis, track)
        albums = Each() if self.settings.album is Albums.EACH else ByFolder()
        together = Together(recall, albums, [track], is_written=self._ownership.is_written, force=False)
        return wait_for(together.decision(track))

    @cached_property
    def _recall(self) -> Recall | None:
        """What the model in use said; None if it is not installed, or if there is no database."""
        if self._store is None:
            return None
        from genretagger.model.listener import Listener
        from genretagger.model.store import ModelStore
        from genretagger.steps.recall import Recall

        try:
            model = ModelStore(self.settings.models_dir).get(self.settings.model)
            return Recall(self._store, Listener(self.settings, model, notice=lambda _: None))
        except ModelError:
            return None

    def close(self) -> None:
        """Free the model."""
        if recall := self.__dict__.get("_recall"):
            recall.listener.close()


def _last(known: Known) -> Decision | None:
    """The latest decision on a track, by whichever model."""
    if known.decisions:
        return known.decisions[0].decision
    is_silent = known.analyses and known.analyses[0].hearing is HearingResult.SILENT
    return Decision((), {}, because(Cause.SILENT)) if is_silent else None
