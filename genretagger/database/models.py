"""The tables, for SQLAlchemy; the migrations build the same ones, and a test compares the two.

A track's identity is the hash of its audio (`payload_hash`): what was heard and decided belongs to
that, and survives a rename, a copy or a new tag. A row of `tracks` says what is at a path at
present. Nothing but plain types is used, so that other engines than SQLite can hold the same
tables.

These are tables of SQLAlchemy's core: its object-relational half takes a third of a second to load,
and 10 MB.
"""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, MetaData, Table, UniqueConstraint

from genretagger.database.columns import Blob, Document, Flag, Moment, PathBytes, SafeText, Whole

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""All tables. Every constraint has a name, so that a later migration can name it too."""

MODELS = Table(
    "models",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", SafeText, nullable=False),
    Column("fingerprint", SafeText, unique=True, nullable=False),
    Column("labels", Document, nullable=False),
    Column("added_at", Moment, nullable=False),
)
"""A model that has listened; the fingerprint is the sha256 of what it consists of."""

TRACKS = Table(
    "tracks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("path", PathBytes, unique=True, nullable=False),
    Column("size_bytes", Whole()),
    Column("mtime_ns", Whole()),
    Column("ctime_ns", Whole()),
    Column("inode", Whole(unsigned=True)),
    Column("device", Whole(unsigned=True)),
    Column("links", Whole()),
    Column("kind", SafeText),
    Column("duration_s", Float),
    Column("payload_hash", SafeText, index=True),
    Column("genres", Document),
    Column("genre_raw", Document),
    Column("genre_form", SafeText),
    Column("refusal", SafeText),
    Column("title", SafeText),
    Column("artist", SafeText),
    Column("album_artist", SafeText),
    Column("album", SafeText),
    Column("failure", SafeText),
    Column("failure_hint", SafeText),
    Column("failure_class", SafeText),
    Column("failure_retry", Flag),
    Column("seen_at", Moment, nullable=False),
    Column("handled", SafeText),
    Column("handled_as", SafeText),
    Index("ix_tracks_failure_class", "failure_class"),
)
"""What is at a path, or why it could not be read.

The stamp (size to links) belongs to everything else in the row; it is empty if `stat` failed.
`payload_hash` and its neighbours are empty if reading the file failed.
`failure` is the cause in words, `failure_class` the name of the error's class, `failure_retry`
whether to try the same file again. `handled` is the key of the rules by which the file was handled
to its end, `handled_as` the cause of how it ended.
"""

ANALYSES = Table(
    "analyses",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("payload_hash", SafeText, nullable=False),
    Column("model_id", Integer, ForeignKey("models.id"), index=True, nullable=False),
    Column("sampling", SafeText, nullable=False),
    Column("hearing", SafeText, nullable=False),
    Column("provider", SafeText, nullable=False),
    Column("windows", Integer, nullable=False),
    Column("labels", Integer, nullable=False),
    Column("activations", Blob),
    Column("embedding", Blob),
    Column("failure", SafeText),
    Column("failure_hint", SafeText),
    Column("failure_class", SafeText),
    Column("seconds", Float, nullable=False),
    Column("analysed_at", Moment, nullable=False),
    UniqueConstraint("payload_hash", "model_id", "sampling"),
)
"""What a model said of a payload, listening to some of its windows, which the `sampling` names.

`hearing` is "heard", "silent" or "undecodable" (values.HearingResult). The last two are results as
well, without activations: the payload is not listened to again by the same model and sampling.
Activations are (1, labels) little-endian float16, the mean over the `windows`; the embedding is
(dimensions,) little-endian float16, or float32 if that cannot hold it. Both are stored as `packing`
does it.
Earlier versions stored activations of each window, (windows, labels), and none of it packed.
"""

DECISIONS = Table(
    "decisions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("payload_hash", SafeText, nullable=False),
    Column("model_id", Integer, ForeignKey("models.id"), index=True, nullable=False),
    Column("sampling", SafeText, nullable=False),
    Column("genres", Document, nullable=False),
    Column("scores", Document, nullable=False),
    Column("reason", SafeText, nullable=False),
    Column("settings", SafeText, nullable=False),
    Column("decided_at", Moment, nullable=False),
    Column("cause", SafeText),
    Column("figures", Document),
    UniqueConstraint("payload_hash", "model_id", "sampling"),
)
"""The latest genres chosen for a payload by a model and sampling; scores [name, score], best first.

`reason` is the sentence that was shown, for people who read the table; `cause` and `figures` are
what code looks at.
"""

RUNS = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("command", SafeText, nullable=False),
    Column("settings", Document, nullable=False),
    Column("host", SafeText, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment),
)
"""One command that may write; host and pid show whether it may still be at work."""

WRITES = Table(
    "writes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", Integer, ForeignKey("runs.id"), index=True, nullable=False),
    Column("path", PathBytes, index=True, nullable=False),
    Column("payload_hash", SafeText, index=True, nullable=False),
    Column("before", Document, nullable=False),
    Column("after", Document, nullable=False),
    Column("model", SafeText, nullable=False),
    Column("reason", SafeText, nullable=False),
    Column("temporary_name", PathBytes),
    Column("state", SafeText, index=True, nullable=False),
    Column("undo_of", Integer, ForeignKey("writes.id"), index=True),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Column("cause", SafeText),
    Column("figures", Document),
)
"""One change of a genre field; before, after: {"values", "raw", "form"}; reason: `decisions`."""

JOBS = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("path", PathBytes, unique=True, nullable=False),
    Column("root", PathBytes, nullable=False),
    Column("state", SafeText, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("not_before", Moment, nullable=False),
    Column("lease_until", Moment),
    Column("worker", SafeText),
    Column("failure", SafeText),
    Column("failure_hint", SafeText),
    Column("failure_cause", SafeText),
    Column("added_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Index("ix_jobs_state", "state", "priority", "not_before", "id"),
    Index("ix_jobs_not_before", "state", "not_before"),
)
"""A file that the service has to handle; it goes when that is done.

`state` is "waiting", "working" or "quarantined" (values.JobState). A lower `priority` comes first.
`attempts` counts before the file is opened. `worker` is the owner of the job
(values.Claimant.name): while it waits, the service that queued it; while somebody works on it, the
process that claimed it, and nobody else may have it before `lease_until`. `not_before` is when it
may be tried.
"""

UNITS = Table(
    "units",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("folder", PathBytes, nullable=False),
    Column("root", PathBytes, nullable=False),
    Column("part", Integer, nullable=False),
    Column("parts", Integer, nullable=False),
    Column("files", Integer, nullable=False),
    Column("names", SafeText, nullable=False),
    Column("rules", SafeText, nullable=False),
    Column("state", SafeText, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("owner", SafeText),
    Column("lease_until", Moment),
    Column("node", SafeText),
    Column("wanted", Document),
    Column("tagged", Integer, nullable=False),
    Column("unchanged", Integer, nullable=False),
    Column("skipped", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("failure", SafeText),
    Column("failure_cause", SafeText),
    Column("updated_at", Moment, nullable=False),
    UniqueConstraint("folder", "part", "parts"),
    Index("ix_units_state", "state", "id"),
    Index("ix_units_root", "root", "state", "files"),
)
"""A unit that `archive` hands out: an album's folder, or a part of a folder that is not an album.

`names` is a digest of the names of the files, `rules` of the settings. `state` is "waiting",
"working", "done" or "failed" (units.UnitState). While somebody works on it, `owner` is the run that
claimed it, and nobody else may have it before `lease_until`. `wanted` are the payloads that the
model was sent; they are known when all files were decoded. `tagged` to `failed` count what became
of its files.
"""

STAGES = Table(
    "stages",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("node", SafeText, nullable=False),
    Column("stage", SafeText, nullable=False),
    Column("minute", Moment, index=True, nullable=False),
    Column("tracks", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("fetched_bytes", Whole(), nullable=False, server_default="0"),
    UniqueConstraint("node", "stage", "minute"),
)
"""Tracks that a stage of `archive` handled on a node in a minute, their seconds of work, and what
was read of objects.
"""
