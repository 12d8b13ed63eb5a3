"""`genretagger show`: what is known of a track, and why it got its genres.

A file is read, in a child process, only if the database does not know it, or if its stamp has
changed since. So known files show quickly, even a whole library.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genretagger.cli import describe, output
from genretagger.cli.options import AsJson, any_path, quiet_settings
from genretagger.cli.view import View
from genretagger.database.values import AnalysisNote, Known, StoredDecision, StoredWrite
from genretagger.errors import AccessError, FileError
from genretagger.files.discover import Found, whole
from genretagger.types import Timeline, Track

if TYPE_CHECKING:
    from genretagger.config import Settings
    from genretagger.database.store import Store
    from genretagger.model.installed import InstalledModel
    from genretagger.pipeline import Pipeline
    from genretagger.steps.explain import Explainer
    from genretagger.worker.pool import WorkerPool


def show(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", parser=any_path, help="Files, or folders for all known files below."),
    ],
    as_json: AsJson = False,
    all_scores: Annotated[
        bool, typer.Option("--all-scores", "-a", help="Show every genre's score, not only the best five.")
    ] = False,
    over_time: Annotated[
        bool, typer.Option("--over-time", "-t", help="Listen to all of each track, and show its genres over time.")
    ] = False,
) -> None:
    """Show what is known of tracks, and why they got their genres."""

    settings = quiet_settings()
    missing = False
    with _Library(settings) as library, _OverTime(settings, wanted=over_time) as times:
        for path in paths:
            place, found = whole(path), False
            for view in library.views(place):
                found = True
                heard = times.of(view)
                if as_json:
                    more = {"over_time": None if heard is None else describe.timeline_json(heard)} if over_time else {}
                    output.say_json({**describe.as_json(view), **more})
                else:
                    lines = list(describe.lines(view, all_scores=all_scores))
                    if heard is not None:
                        lines[-1:] = [*describe.timeline_lines(heard), ""]
                    output.say("\n".join(lines))
            if found:
                continue
            if place.is_dir():
                output.notice(f"nothing is known of {path} yet; `genretagger tag` listens to it")
            else:
                missing = True
                output.complain(AccessError("there is no such file, and nothing is known of it", path=path))
    if missing:
        raise typer.Exit(1)


class _OverTime(ExitStack):
    """Listens to whole tracks, if asked for; the model loads on first use."""

    def __init__(self, settings: Settings, *, wanted: bool) -> None:
        super().__init__()
        self._settings, self._wanted = settings, wanted

    @cached_property
    def _pipeline(self) -> Pipeline:
        from genretagger.pipeline import open_pipeline

        return self.enter_context(open_pipeline(self._settings, notice=output.notice))

    def of(self, view: View) -> Timeline | None:
        """The genres of a file over time; None if nobody asked, or after reporting a failure."""
        if not self._wanted or view.now is None:
            return None
        try:
            return self._pipeline.timeline(view.path)
        except FileError as error:
            output.complain(error)
            return None


class _Library(ExitStack):
    """The files, the database and the reading child, each opened when needed."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    @cached_property
    def _store(self) -> Store | None:
        """The database; without one, a file still says something for itself."""
        from genretagger.database.store import Store

        if not self._settings.has_database:
            return None
        where, libraries = self._settings.database, self._settings.libraries
        return self.enter_context(Store.open(where, create=False, read_only=True, libraries=libraries))

    @cached_property
    def _explainer(self) -> Explainer:
        from genretagger.steps.explain import Explainer

        explainer = Explainer(self._settings, self._store)
        self.callback(explainer.close)
        return explainer

    @cached_property
    def _workers(self) -> WorkerPool:
        from genretagger.worker.pool import WorkerPool

        return self.enter_context(WorkerPool.of(self._settings, 1))

    @cached_property
    def _models(self) -> list[InstalledModel]:
        """The installed models, the one in use first."""
        from genretagger.model.store import ModelStore

        models = ModelStore(self._settings.models_dir).installed()
        return sorted(models, key=lambda model: model.name != self._settings.model)

    def views(self, path: Path) -> Iterator[View]:
        """Look at a file, or at the known files of a folder; yields nothing if nothing is there."""
        if path.is_dir():
            if self._store is not None:
                for each in self._store.reports.get_all(path):
                    yield self._view(each.path, each, path)
            return
        known = self._store.reports.get(path) if self._store is not None else None
        if known is not None or path.exists() or path.is_symlink():
            yield self._view(path, known, path.parent)

    def _view(self, path: Path, known: Known | None, root: Path) -> View:
        known = known or Known(path, None, None, (), (), (), None)
        if known.track is not None and known.track.credits is None:  # from an earlier version
            known = replace(known, track=None)
        now, error = self._explainer.look(known, self._read)
        analyses, decisions, writes = known.analyses, known.decisions, known.writes
        moved = known.track is None or (now is not None and known.track.payload_hash != now.payload_hash)
        if now is not None and moved:  # the audio may be known from another path, or it has changed
            analyses, decisions, writes = self._by_audio(now, writes)
            known = replace(known, analyses=analyses, decisions=decisions)
        decided = decisions[0] if decisions else None
        status, reason = self._explainer.explain(Found(path, root), now, error, known)
        return View(path, now, error, _heard_for(decided, analyses), decided, writes, status, reason)

    def _read(self, path: Path) -> Track:
        """Read what a file says."""
        from genretagger.tags.api import WriteOptions

        options = WriteOptions(id3v23_separator=self._settings.id3v23_separator)
        track: Track = self._workers.inspect(path, options=options).result()
        return track

    def _by_audio(
        self, now: Track, writes: tuple[StoredWrite, ...]
    ) -> tuple[tuple[AnalysisNote, ...], tuple[StoredDecision, ...], tuple[StoredWrite, ...]]:
        """Find the installed models' analyses of this audio, whatever its path was."""
        store = self._store
        if store is None:
            return (), (), writes
        notes: list[AnalysisNote] = []
        decisions: list[StoredDecision] = []
        for model in self._models:
            decided = store.decisions.get(now.payload_hash, model.sha256)
            if decided is None:
                continue
            decisions.append(decided)
            heard = store.analyses.get(now.payload_hash, model.sha256, decided.sampling)
            if heard is not None:
                notes.append(heard)
        last = store.writes.get_last(now.path, now.payload_hash)
        if last is not None and last.id not in {write.id for write in writes}:
            writes = (*writes, last)
        return tuple(notes), tuple(decisions), tuple(sorted(writes, key=lambda write: -write.id))


def _heard_for(decided: StoredDecision | None, analyses: tuple[AnalysisNote, ...]) -> AnalysisNote | None:
    """The analysis behind a decision; the newest one if that is newer, or without a decision."""
    if decided is not None and analyses and analyses[0].analysed_at <= decided.decided_at:
        for each in analyses:
            if (each.model, each.sampling) == (decided.model, decided.sampling):
                return each
    return analyses[0] if analyses else None
