"""What was heard and what was decided; both belong to a track's audio, wherever it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select, update

from genretagger.database.access import Access, upsert
from genretagger.database.columns import now
from genretagger.database.models import AnalysisRow, DecisionRow, ModelRow
from genretagger.database.values import (
    Hearing,
    StoredAnalysis,
    StoredDecision,
    reason_columns,
    reason_of,
    rebuild_error,
)
from genretagger.errors import DatabaseError, FileError
from genretagger.types import Activations, Decision, Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genretagger.types import FloatArray, HalfArray

_ANALYSIS = (
    select(
        AnalysisRow.id,
        AnalysisRow.hearing,
        AnalysisRow.provider,
        AnalysisRow.windows,
        AnalysisRow.labels,
        AnalysisRow.activations,
        AnalysisRow.embedding,
        AnalysisRow.failure,
        AnalysisRow.failure_hint,
        AnalysisRow.failure_class,
        AnalysisRow.plan,
        AnalysisRow.seconds,
        AnalysisRow.analysed_at,
        ModelRow.name,
    )
    .join(ModelRow, ModelRow.id == AnalysisRow.model_id)
    .where(
        AnalysisRow.payload_hash == bindparam("payload_hash"),
        ModelRow.fingerprint == bindparam("fingerprint"),
        AnalysisRow.plan == bindparam("plan"),
    )
)
_DECISION = (
    select(
        DecisionRow.id,
        DecisionRow.genres,
        DecisionRow.scores,
        DecisionRow.reason,
        DecisionRow.cause,
        DecisionRow.figures,
        DecisionRow.settings,
        DecisionRow.plan,
        DecisionRow.decided_at,
        ModelRow.name,
    )
    .join(ModelRow, ModelRow.id == DecisionRow.model_id)
    .where(DecisionRow.payload_hash == bindparam("payload_hash"), ModelRow.fingerprint == bindparam("fingerprint"))
    .order_by(DecisionRow.decided_at.desc(), DecisionRow.id.desc())
    .limit(1)
)
_DECISION_OF_PLAN = _DECISION.where(DecisionRow.plan == bindparam("plan"))


class Analyses(Access):
    """The tables of models, analyses and decisions."""

    def model_id(self, name: str, fingerprint: str, labels: Sequence[str]) -> int:
        """The number of a model in this database, which is given on first sight.

        Args:
            name: what its owner calls it; a new name replaces the old one.
            fingerprint: hex sha256 of what it consists of: another fingerprint is another model.
            labels: its labels, in the order of its output.
        """
        seen = (name, fingerprint, tuple(labels))
        if seen not in self._model_ids:
            self._model_ids[seen] = self._find_model(*seen)
        return self._model_ids[seen]

    def _find_model(self, name: str, fingerprint: str, labels: tuple[str, ...]) -> int:
        wanted = select(ModelRow.id, ModelRow.name, ModelRow.labels).where(ModelRow.fingerprint == fingerprint)
        with self._read() as connection:
            row = connection.execute(wanted).first()
        if row is None or ((row.name, row.labels) != (name, list(labels)) and not self.read_only):
            with self._write() as connection:
                values = {"name": name, "labels": list(labels), "added_at": now()}
                upsert(connection, ModelRow, {"fingerprint": fingerprint}, values)
                row = connection.execute(wanted).one()
        return int(row.id)

    def analysis(self, payload_hash: str, fingerprint: str, plan: str) -> StoredAnalysis | None:
        """What a model said of a payload, listening by this plan; None if it has not, or the row is damaged.

        Args:
            payload_hash: the track's identity.
            fingerprint: the model's sha256.
            plan: which windows were listened to, as the caller spells it.
        """
        key = {"payload_hash": payload_hash, "fingerprint": fingerprint, "plan": plan}
        with self._read() as connection:
            rows = self._sound(AnalysisRow, connection.execute(_ANALYSIS, key).all())
        if not rows:
            return None
        row = rows[0]
        hearing = Hearing(row.hearing)
        activations, error = None, None
        if hearing is Hearing.HEARD:
            activations = _unpack(row.activations, row.embedding, row.windows, row.labels, row.provider)
            if activations is None:
                return None
        elif hearing is Hearing.UNDECODABLE:
            error = rebuild_error(row.failure_class, row.failure or "", path=None, hint=row.failure_hint)
        return StoredAnalysis(hearing, activations, error, model_name(row), row.plan, row.seconds, row.analysed_at)

    def save_analysis(
        self, payload_hash: str, model_id: int, plan: str, activations: Activations, *, seconds: float
    ) -> None:
        """Keep what a model said of a payload, bit for bit.

        Args:
            payload_hash: the track's identity.
            model_id: from `model_id`.
            plan: which windows were listened to.
            activations: what was heard.
            seconds: how long it took.
        """
        import numpy as np

        windows, labels = activations.values.shape
        row = {
            "hearing": Hearing.HEARD.value,
            "provider": activations.provider,
            "windows": windows,
            "labels": labels,
            "activations": activations.values.astype(np.dtype("<f2"), copy=False).tobytes(),
            "embedding": activations.embedding.astype(np.dtype("<f4"), copy=False).tobytes(),
            "failure": None,
            "failure_hint": None,
            "failure_class": None,
        }
        self._save(payload_hash, model_id, plan, row, seconds)

    def save_unheard(
        self, payload_hash: str, model_id: int, plan: str, error: FileError | None, *, seconds: float = 0.0
    ) -> None:
        """Keep that there is nothing to hear in a payload, so that nobody listens to it again by this plan.

        Args:
            payload_hash: the track's identity.
            model_id: from `model_id`.
            plan: which windows were tried.
            error: why it cannot be decoded; None if it can be, and is silent. An error that may pass (`retry`)
                says nothing about the audio and is not kept here: see `save_failure`.
            seconds: how long it took.
        """
        if error is not None and error.retry:
            return
        row = {
            "hearing": (Hearing.SILENT if error is None else Hearing.UNDECODABLE).value,
            "provider": "",
            "windows": 0,
            "labels": 0,
            "activations": None,
            "embedding": None,
            "failure": error.cause if error else None,
            "failure_hint": error.hint if error else None,
            "failure_class": type(error).__name__ if error else None,
        }
        self._save(payload_hash, model_id, plan, row, seconds)

    def _save(self, payload_hash: str, model_id: int, plan: str, row: dict[str, Json], seconds: float) -> None:
        key = {"payload_hash": payload_hash, "model_id": model_id, "plan": plan}
        with self._write() as connection:
            upsert(connection, AnalysisRow, key, {**row, "seconds": float(seconds), "analysed_at": now()})

    def decision(self, payload_hash: str, fingerprint: str, plan: str | None = None) -> StoredDecision | None:
        """The latest genres chosen for a payload from a model.

        Args:
            payload_hash: the track's identity.
            fingerprint: the model's sha256.
            plan: only from these windows; None for whichever is newest.
        """
        key = {"payload_hash": payload_hash, "fingerprint": fingerprint}
        statement = _DECISION
        if plan is not None:
            key["plan"] = plan
            statement = _DECISION_OF_PLAN
        with self._read() as connection:
            rows = self._sound(DecisionRow, connection.execute(statement, key).all())
        return decision_of(rows[0]) if rows else None

    def save_decision(self, payload_hash: str, model_id: int, plan: str, decision: Decision, *, settings: str) -> None:
        """Keep the genres chosen for a payload; they replace earlier ones from the same model and plan.

        Args:
            payload_hash: the track's identity.
            model_id: from `model_id`.
            plan: the windows that they rest on.
            decision: genres, scores and reason.
            settings: fingerprint of the settings that they were chosen with.

        Raises:
            DatabaseError: if a score is not a number from 0 to 1, which JSON could not hold.
        """
        scores = [(name, float(score)) for name, score in decision.scores.items()]
        if not all(0 <= score <= 1 for _, score in scores):
            raise DatabaseError(f"a score lies outside of 0 to 1: {scores}", path=self.path)
        row = {
            "genres": list(decision.genres),
            "scores": scores,
            **reason_columns(decision.reason),
            "settings": settings,
            "decided_at": now(),
        }
        key = {"payload_hash": payload_hash, "model_id": model_id, "plan": plan}
        with self._write() as connection:
            upsert(connection, DecisionRow, key, row)

    def renew_decision(self, payload_hash: str, model_id: int, plan: str) -> None:
        """Make a decision that is used again the newest one of its payload; writes nothing where it is that already.

        Args:
            payload_hash: the track's identity.
            model_id: from `model_id`.
            plan: the windows that it rests on.
        """
        newest = (
            select(DecisionRow.model_id, DecisionRow.plan)
            .where(DecisionRow.payload_hash == payload_hash)
            .order_by(DecisionRow.decided_at.desc(), DecisionRow.id.desc())
            .limit(1)
        )
        with self._read() as connection:
            if connection.execute(newest).first() == (model_id, plan):
                return
        this = (DecisionRow.payload_hash == payload_hash, DecisionRow.model_id == model_id, DecisionRow.plan == plan)
        with self._write() as connection:
            connection.execute(update(DecisionRow).where(*this).values(decided_at=now()))


def model_name(row: Any) -> str:
    """The name in a row that was joined with its model; "?" if the model's row holds none."""
    return row.name if isinstance(row.name, str) else "?"


def decision_of(row: Any) -> StoredDecision:
    """The decision that a row with the columns of `decisions` and the model's name holds."""
    decision = Decision(tuple(row.genres), dict(row.scores), reason_of(row))
    return StoredDecision(decision, model_name(row), row.plan, row.settings, row.decided_at)


def _unpack(
    activations: bytes | None, embedding: bytes | None, windows: int, labels: int, provider: str
) -> Activations | None:
    import numpy as np

    if activations is None or embedding is None:
        return None
    values: HalfArray = np.frombuffer(activations, "<f2").astype(np.float16, copy=False)
    mean: FloatArray = np.frombuffer(embedding, "<f4").astype(np.float32, copy=False)
    return Activations(values.reshape(windows, labels), mean, provider)
