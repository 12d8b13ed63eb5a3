"""What was decided for a track's audio, wherever it is; `analyses.py` says what identifies it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, select, update

from genretagger.database.access import Repository, upsert
from genretagger.database.analyses import model_name
from genretagger.database.columns import now
from genretagger.database.models import DECISIONS, MODELS
from genretagger.database.reasons import reason_columns, reason_of
from genretagger.database.values import StoredDecision
from genretagger.errors import DatabaseError
from genretagger.types import Decision

_DECISION = (
    select(DECISIONS, MODELS.c.name)
    .join(MODELS, MODELS.c.id == DECISIONS.c.model_id)
    .where(DECISIONS.c.payload_hash == bindparam("payload_hash"), MODELS.c.fingerprint == bindparam("fingerprint"))
    .order_by(DECISIONS.c.decided_at.desc(), DECISIONS.c.id.desc())
    .limit(1)
)
_DECISION_OF_SAMPLING = _DECISION.where(DECISIONS.c.sampling == bindparam("sampling"))


class Decisions(Repository):
    """The table of decisions."""

    def get(self, payload_hash: str, fingerprint: str, sampling: str | None = None) -> StoredDecision | None:
        """The latest genres chosen for a payload from a model.

        Args:
            sampling: only from these windows; None for whichever is newest.
        """
        key = {"payload_hash": payload_hash, "fingerprint": fingerprint}
        with self._access.read() as connection:
            wanted = _DECISION if sampling is None else _DECISION_OF_SAMPLING
            rows = self._sound(connection, DECISIONS, wanted, {**key, "sampling": sampling})
        return decision_of(rows[0]) if rows else None

    def save(self, payload_hash: str, model_id: int, sampling: str, decision: Decision, *, settings: str) -> None:
        """Keep the genres chosen for a payload; they replace those of the same model and sampling.

        Args:
            settings: fingerprint of the settings that they were chosen with.

        Raises:
            DatabaseError: if a score is not a number from 0 to 1, which JSON could not hold.
        """
        scores = [(name, float(score)) for name, score in decision.scores.items()]
        if not all(0 <= score <= 1 for _, score in scores):
            raise DatabaseError(f"a score is outside of 0 to 1: {scores}", path=self._access.path)
        row = {
            "genres": list(decision.genres),
            "scores": scores,
            **reason_columns(decision.reason),
            "settings": settings,
            "decided_at": now(),
        }
        key = {"payload_hash": payload_hash, "model_id": model_id, "sampling": sampling}
        with self._access.write(one_statement=True) as connection:
            upsert(connection, DECISIONS, key, row)

    def renew(self, payload_hash: str, model_id: int, sampling: str) -> None:
        """Make a decision that is used again the newest of its payload, unless it is already."""
        newest = (
            select(DECISIONS.c.model_id, DECISIONS.c.sampling)
            .where(DECISIONS.c.payload_hash == payload_hash)
            .order_by(DECISIONS.c.decided_at.desc(), DECISIONS.c.id.desc())
            .limit(1)
        )
        with self._access.read() as connection:
            if connection.execute(newest).first() == (model_id, sampling):
                return
        this = (
            DECISIONS.c.payload_hash == payload_hash,
            DECISIONS.c.model_id == model_id,
            DECISIONS.c.sampling == sampling,
        )
        with self._access.write() as connection:
            connection.execute(update(DECISIONS).where(*this).values(decided_at=now()))


def decision_of(row: Any) -> StoredDecision:
    """The decision that a row with the columns of `decisions` and the model's name holds."""
    decision = Decision(tuple(row.genres), dict(row.scores), reason_of(row))
    return StoredDecision(decision, model_name(row), row.sampling, row.settings, row.decided_at, row.reason)
