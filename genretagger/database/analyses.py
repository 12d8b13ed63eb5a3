"""What was heard; it belongs to a track's audio, wherever it is.

A `payload_hash` is the identity of the audio, a `fingerprint` the sha256 of a model, a `model_id`
its number here, and a `sampling` says which windows were listened to, in words of the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select

from genretagger.database.access import Access, Repository, upsert
from genretagger.database.columns import now
from genretagger.database.models import ANALYSES, MODELS
from genretagger.database.packing import packed, unpacked
from genretagger.database.values import HearingResult, StoredAnalysis, rebuild_error
from genretagger.errors import FileError
from genretagger.types import Activations, Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genretagger.types import FloatArray, HalfArray

_ANALYSIS = (
    select(ANALYSES, MODELS.c.name, MODELS.c.fingerprint)
    .join(MODELS, MODELS.c.id == ANALYSES.c.model_id)
    .where(
        ANALYSES.c.payload_hash == bindparam("payload_hash"),
        MODELS.c.fingerprint == bindparam("fingerprint"),
        ANALYSES.c.sampling == bindparam("sampling"),
    )
)
_NOTHING: Mapping[str, Json] = {
    **{"provider": "", "windows": 0, "labels": 0, "activations": None, "embedding": None},
    **{"failure": None, "failure_hint": None, "failure_class": None},
}
"""The columns of an analysis without a result."""


@dataclass(frozen=True, slots=True)
class Packed:
    """What a model said of a payload, as it is stored.

    Attributes:
        provider: the ONNX Runtime provider that computed it.
        windows: how many were listened to.
        labels: how many the model has.
        activations: packed.
        embedding: packed.
    """

    provider: str
    windows: int
    labels: int
    activations: bytes
    embedding: bytes


def pack(heard: Activations) -> Packed:
    """Pack what a model said, bit for bit; it takes longer than storing it, in any thread."""
    import numpy as np

    values = packed(heard.values.astype(np.float16, copy=False))
    return Packed(heard.provider, heard.windows, heard.values.shape[1], values, packed(_shortest(heard.embedding)))


class Models(Repository):
    """The table of models."""

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        self._ids: dict[tuple[str, str, tuple[str, ...]], int] = {}

    def save(self, name: str, fingerprint: str, labels: Sequence[str]) -> int:
        """The number of a model in this database, which is given on first sight.

        Args:
            name: what its owner calls it; a new name replaces the old one.
            fingerprint: hex sha256 of what it consists of: another fingerprint is another model.
            labels: its labels, in the order of its output.
        """
        seen = (name, fingerprint, tuple(labels))
        if seen not in self._ids:
            self._ids[seen] = self._find(*seen)
        return self._ids[seen]

    def _find(self, name: str, fingerprint: str, labels: tuple[str, ...]) -> int:
        wanted = select(MODELS.c.id, MODELS.c.name, MODELS.c.labels).where(MODELS.c.fingerprint == fingerprint)
        with self._access.read() as connection:
            row = connection.execute(wanted).first()
        if row is None or ((row.name, row.labels) != (name, list(labels)) and not self._access.read_only):
            with self._access.write() as connection:
                values = {"name": name, "labels": list(labels), "added_at": now()}
                upsert(connection, MODELS, {"fingerprint": fingerprint}, values)
                row = connection.execute(wanted).one()
        return int(row.id)


class Analyses(Repository):
    """The table of analyses."""

    def get(self, payload_hash: str, fingerprint: str, sampling: str) -> StoredAnalysis | None:
        """What a model said of a payload; None if nothing with this sampling, or a damaged row."""
        key = {"payload_hash": payload_hash, "fingerprint": fingerprint, "sampling": sampling}
        with self._access.read() as connection:
            rows = self._sound(connection, ANALYSES, _ANALYSIS, key)
        if not rows:
            return None
        row = rows[0]
        note = analysis_note(row)
        activations, error = None, None
        if note["hearing"] is HearingResult.HEARD:
            activations = _unpack(row.activations, row.embedding, row.windows, row.labels, row.provider)
            if activations is None:
                return None
        elif note["hearing"] is HearingResult.UNDECODABLE:
            error = rebuild_error(row.failure_class, row.failure or "", path=None, hint=row.failure_hint)
        return StoredAnalysis(**note, activations=activations, error=error)

    def save(
        self, payload_hash: str, model_id: int, sampling: str, heard: Activations | Packed, *, seconds: float
    ) -> None:
        """Keep what a model said of a payload, bit for bit."""
        stored = heard if isinstance(heard, Packed) else pack(heard)
        row = {**_NOTHING, "hearing": HearingResult.HEARD.value, **asdict(stored)}
        self._save_row(payload_hash, model_id, sampling, row, seconds)

    def save_unheard(
        self, payload_hash: str, model_id: int, sampling: str, error: FileError | None, *, seconds: float = 0.0
    ) -> None:
        """Keep that a payload has nothing to hear; nobody listens to it again with this sampling.

        Args:
            error: why it cannot be decoded; None if it can be, and is silent. An error that may
                pass (`retry`) says nothing about the audio and is not kept here: see
                `Tracks.save_failure`.
        """
        if error is not None and error.retry:
            return
        row = {**_NOTHING, "hearing": HearingResult.SILENT.value}
        if error is not None:
            why = {"failure": error.cause, "failure_hint": error.hint, "failure_class": type(error).__name__}
            row |= {**why, "hearing": HearingResult.UNDECODABLE.value}
        self._save_row(payload_hash, model_id, sampling, row, seconds)

    def _save_row(self, payload_hash: str, model_id: int, sampling: str, row: dict[str, Json], seconds: float) -> None:
        key = {"payload_hash": payload_hash, "model_id": model_id, "sampling": sampling}
        with self._access.write(one_statement=True) as connection:
            upsert(connection, ANALYSES, key, {**row, "seconds": float(seconds), "analysed_at": now()})


def analysis_note(row: Any) -> dict[str, Any]:
    """The fields of an `AnalysisNote` in a row of `analyses` that was joined with its model."""
    return {
        "model": model_name(row),
        "fingerprint": row.fingerprint if isinstance(row.fingerprint, str) else "",
        "hearing": HearingResult(row.hearing),
        "cause": row.failure or "",
        **{name: getattr(row, name) for name in ("sampling", "provider", "windows", "seconds", "analysed_at")},
    }


def model_name(row: Any) -> str:
    """The name in a row that was joined with its model; "?" if the model's row holds none."""
    return row.name if isinstance(row.name, str) else "?"


def _unpack(
    activations: bytes | None, embedding: bytes | None, windows: int, labels: int, provider: str
) -> Activations | None:
    import numpy as np

    if activations is None or embedding is None:
        return None
    # a model without labels has a row of nothing, of which numpy could not tell how many there are
    values = unpacked(activations, shape=(-1, labels) if labels else (1, 0), plain="<f2")
    mean = unpacked(embedding, shape=None, plain="<f4")
    if values is None or mean is None or len(values) not in (1, windows):
        return None
    heard = windows if len(values) < windows else 0
    return Activations(values.astype(np.float16, copy=False), mean.astype(np.float32, copy=False), provider, heard)


def _shortest(embedding: FloatArray) -> FloatArray | HalfArray:
    """The same numbers in half the bytes, if these can hold them."""
    import numpy as np

    with np.errstate(over="ignore"):
        half: HalfArray = embedding.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), embedding) else embedding.astype(np.float32, copy=False)
