"""The tables, as SQLAlchemy models; the migrations build the same ones, and a test compares the two.

A track's identity is the hash of its audio (`payload_hash`): what was heard and decided belongs to that, and survives
a rename, a copy or a new tag. A row of `tracks` says what lies at a path at present. Nothing but plain types is
used, so that other engines than SQLite can hold the same tables.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sqlalchemy import Float, ForeignKey, Index, Integer, MetaData, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from genretagger.database.columns import Blob, Document, Flag, Moment, PathBytes, SafeText, Whole
from genretagger.types import Json


class Base(DeclarativeBase):
    """What all tables share: every constraint has a name, so that a later migration can name it too."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy reads it from the class)
        str: SafeText,
        Path: PathBytes,
        datetime: Moment,
        bytes: Blob,
        bool: Flag,
        float: Float,
        int: Integer,
    }


class ModelRow(Base):
    """A model that has listened; the fingerprint is the sha256 of what it consists of."""

    __tablename__ = "models"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    fingerprint: Mapped[str] = mapped_column(unique=True)
    labels: Mapped[Json] = mapped_column(Document)
    added_at: Mapped[datetime]


class TrackRow(Base):
    """What lies at a path, or why it could not be read.

    The stamp (size to links) belongs to everything else in the row; it is empty where the file could not even be
    asked. `payload_hash` and its neighbours are empty where reading the file failed. `failure` is the cause in
    words, `failure_class` the name of the error's class, `failure_retry` whether to try the same file again.
    `handled` is the key of the rules by which the file was handled to its end, `handled_as` the cause of how it ended.
    """

    __tablename__ = "tracks"

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[Path] = mapped_column(unique=True)
    size_bytes: Mapped[int | None] = mapped_column(Whole())
    mtime_ns: Mapped[int | None] = mapped_column(Whole())
    ctime_ns: Mapped[int | None] = mapped_column(Whole())
    inode: Mapped[int | None] = mapped_column(Whole(unsigned=True))
    device: Mapped[int | None] = mapped_column(Whole(unsigned=True))
    links: Mapped[int | None] = mapped_column(Whole())
    kind: Mapped[str | None]
    duration_s: Mapped[float | None]
    payload_hash: Mapped[str | None] = mapped_column(index=True)
    genres: Mapped[Json] = mapped_column(Document, nullable=True)
    genre_raw: Mapped[Json] = mapped_column(Document, nullable=True)
    genre_form: Mapped[str | None]
    refusal: Mapped[str | None]
    title: Mapped[str | None]
    artist: Mapped[str | None]
    album_artist: Mapped[str | None]
    album: Mapped[str | None]
    failure: Mapped[str | None]
    failure_hint: Mapped[str | None]
    failure_class: Mapped[str | None]
    failure_retry: Mapped[bool | None]
    seen_at: Mapped[datetime]
    handled: Mapped[str | None]
    handled_as: Mapped[str | None]


class AnalysisRow(Base):
    """What a model said of a payload, listening by a plan.

    `hearing` is "heard", "silent" or "undecodable" (values.Hearing). The last two are results as well, without
    activations: the payload is not listened to again by the same model and plan. Activations are (windows, labels)
    little-endian float16, the embedding is (dimensions,) little-endian float32.
    """

    __tablename__ = "analyses"
    __table_args__ = (UniqueConstraint("payload_hash", "model_id", "plan"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    payload_hash: Mapped[str]
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"), index=True)
    plan: Mapped[str]
    hearing: Mapped[str]
    provider: Mapped[str]
    windows: Mapped[int]
    labels: Mapped[int]
    activations: Mapped[bytes | None]
    embedding: Mapped[bytes | None]
    failure: Mapped[str | None]
    failure_hint: Mapped[str | None]
    failure_class: Mapped[str | None]
    seconds: Mapped[float]
    analysed_at: Mapped[datetime]


class DecisionRow(Base):
    """The latest genres chosen for a payload from one model and plan; scores are [name, score] pairs, best first.

    `reason` is the sentence that was told, for people who read the table; `cause` and `figures` are what code looks at.
    """

    __tablename__ = "decisions"
    __table_args__ = (UniqueConstraint("payload_hash", "model_id", "plan"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    payload_hash: Mapped[str]
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"), index=True)
    plan: Mapped[str]
    genres: Mapped[Json] = mapped_column(Document)
    scores: Mapped[Json] = mapped_column(Document)
    reason: Mapped[str]
    settings: Mapped[str]
    decided_at: Mapped[datetime]
    cause: Mapped[str | None]
    figures: Mapped[Json] = mapped_column(Document, nullable=True)


class RunRow(Base):
    """One command that may write; host and pid tell whether it may still be at work."""

    __tablename__ = "runs"

    id: Mapped[int] = mapped_column(primary_key=True)
    command: Mapped[str]
    settings: Mapped[Json] = mapped_column(Document)
    host: Mapped[str]
    pid: Mapped[int]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class WriteRow(Base):
    """One change of a file's genre field; before and after are {"values", "raw", "form"}, reason as in `decisions`."""

    __tablename__ = "writes"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), index=True)
    path: Mapped[Path] = mapped_column(index=True)
    payload_hash: Mapped[str] = mapped_column(index=True)
    before: Mapped[Json] = mapped_column(Document)
    after: Mapped[Json] = mapped_column(Document)
    model: Mapped[str]
    reason: Mapped[str]
    temporary_name: Mapped[Path | None]
    state: Mapped[str] = mapped_column(index=True)
    undo_of: Mapped[int | None] = mapped_column(ForeignKey("writes.id"), index=True)
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    cause: Mapped[str | None]
    figures: Mapped[Json] = mapped_column(Document, nullable=True)


class JobRow(Base):
    """A file that the service has to handle; it goes when that is done.

    `state` is "waiting", "working" or "quarantined" (values.JobState). A lower `priority` comes first. `attempts`
    counts before the file is opened. `worker` is whose job it is (values.Claimant.name): while it waits, the service
    that queued it; while somebody works on it, the process that claimed it, and nobody else may have it before
    `lease_until`. `not_before` is when it may be tried.
    """

    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_state", "state", "priority", "not_before", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[Path] = mapped_column(unique=True)
    root: Mapped[Path]
    state: Mapped[str]
    priority: Mapped[int]
    attempts: Mapped[int]
    not_before: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    worker: Mapped[str | None]
    failure: Mapped[str | None]
    failure_hint: Mapped[str | None]
    added_at: Mapped[datetime]
    updated_at: Mapped[datetime]
