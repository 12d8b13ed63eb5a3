"""What is known of the owner's library, in SQLite: files, what was heard, what was decided, what was written.

`Store.open` is the way in. Importing this package imports SQLAlchemy (about a quarter of a second): do so where it is
needed only.
"""

from genretagger.database.store import Store
from genretagger.database.values import (
    AnalysisNote,
    Claimant,
    Counts,
    Hearing,
    JobCounts,
    JobState,
    Known,
    NewJob,
    Seen,
    StoredAnalysis,
    StoredDecision,
    StoredFailure,
    StoredJob,
    StoredRun,
    StoredWrite,
    WriteKind,
    WriteState,
)

__all__ = [
    "AnalysisNote",
    "Claimant",
    "Counts",
    "Hearing",
    "JobCounts",
    "JobState",
    "Known",
    "NewJob",
    "Seen",
    "Store",
    "StoredAnalysis",
    "StoredDecision",
    "StoredFailure",
    "StoredJob",
    "StoredRun",
    "StoredWrite",
    "WriteKind",
    "WriteState",
]
