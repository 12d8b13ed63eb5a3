"""What `tag` does with a file, and why; `show` and the page explain a file by the same rules.

`before` says why nobody should listen to a file, `unheard` what follows if it cannot be heard, and
`after` what follows from a decision on it.
"""

from __future__ import annotations

from collections.abc import Callable

from genretagger.addresses import is_object
from genretagger.causes import Cause, Reason, because
from genretagger.config import Settings
from genretagger.errors import FileError, TooShortError
from genretagger.files.discover import Found
from genretagger.files.replace import see_free
from genretagger.steps.refusal import Refusals
from genretagger.steps.run import Run
from genretagger.tags.api import fault_of_names
from genretagger.types import Decision, Status, Track
from genretagger.vocabulary.names import vocabulary
from genretagger.vocabulary.resolve import merged


class Verdicts:
    """The rules, in the order in which they are applied.

    Args:
        settings: what the owner wants.
        owned: says why only the owner may change the genres of a file; see `Ownership.reason`.
    """

    def __init__(self, settings: Settings, owned: Callable[[Track, Run], Reason | None]) -> None:
        self._settings, self._owned = settings, owned
        self._refusals = Refusals(settings)

    def before(self, file: Found, track: Track, run: Run) -> tuple[Status, Reason] | None:
        """Say why nobody should listen to a file; None if there is no reason.

        Raises:
            FileError: another program writes to the file, or changed it since it was read.
        """
        if reason := self._owned(track, run):
            return Status.UNCHANGED, reason
        if is_object(file.path):
            return None  # nobody will write to it
        if reason := self._refusals.unfit(file, track):
            return Status.SKIPPED, reason
        see_free(file.path)
        return None

    def after(self, track: Track, decision: Decision) -> tuple[Status, Reason, tuple[str, ...]]:
        """Say what follows from a decision on a track, and which genres the file then has.

        The file is to be written if the status is TAGGED.
        """
        now, rules = track.genres.values, self._settings
        if not decision.genres:
            return Status.SKIPPED, decision.reason, now
        wanted = merged(now, decision.genres, rules.policy, rules.protect, vocabulary())
        if wanted == now:
            return Status.UNCHANGED, decision.reason, now
        if fault := fault_of_names(wanted):
            return Status.SKIPPED, because(Cause.BAD_NAMES, fault=fault), now
        return Status.TAGGED, decision.reason, wanted


def unheard(error: FileError) -> tuple[Status, Reason]:
    """Say what follows if a file cannot be heard.

    Raises:
        FileError: it failed; a file that is too short is no failure.
    """
    if not isinstance(error, TooShortError):
        raise error
    return Status.SKIPPED, because(error.why, says=error.cause)
