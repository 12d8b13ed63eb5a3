"""What `genretagger show` knows of one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from genretagger.causes import Reason
from genretagger.types import Status

if TYPE_CHECKING:
    from genretagger.database.values import AnalysisNote, StoredDecision, StoredWrite
    from genretagger.errors import FileError
    from genretagger.types import Track


@dataclass(frozen=True, slots=True)
class View:
    """One file as it is now, and what is known of it.

    Attributes:
        now: what it says at present; None if it cannot be read.
        error: why it cannot be read, or could not be listened to.
        analysis: who listened to its audio last; None if nobody did.
        decided: the latest genres that were chosen for its audio.
        writes: what was written to it, newest first.
    """

    path: Path
    now: Track | None
    error: FileError | None
    analysis: AnalysisNote | None
    decided: StoredDecision | None
    writes: tuple[StoredWrite, ...]
    status: Status
    reason: Reason
