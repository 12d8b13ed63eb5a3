"""`genretagger doctor --adopt`: records our genres in files that lack a record, for `undo`.

A database that lost its newest entries has no record of those writes. A file with exactly the
genres that the model chooses for it, and without a recorded write, may be one of them. The owner
may have chosen the same genres, so nothing is recorded without --yes. The genre before the write is
lost, but under the policy "keep" it is known: the file had none.
"""

from __future__ import annotations

import os
from pathlib import Path

import typer

from genretagger.causes import Cause, because
from genretagger.cli import output
from genretagger.cli.interrupt import interruptible
from genretagger.cli.known import tell_failures
from genretagger.cli.options import quiet_settings
from genretagger.errors import ConfigError, FileError
from genretagger.files.discover import find
from genretagger.text import plural, printable
from genretagger.types import GenreField, Heard, Policy


def adopt_unrecorded(paths: list[Path], *, yes: bool, as_json: bool) -> None:
    """List files with genres that may be ours; with `yes`, record these as our writes.

    Raises:
        GenretaggerError: nothing was named, the policy is not "keep", or the database cannot be
            used.
        typer.Exit: interrupted, or files failed.
    """
    from genretagger.pipeline import open_pipeline

    if not paths:
        raise ConfigError("--adopt needs files or folders", hint="Name the folders of your music")
    settings = quiet_settings()
    if settings.policy is not Policy.KEEP:
        raise ConfigError(
            f'the policy is "{settings.policy}", so it is not known which genre a file had before',
            hint='Only under the policy "keep" a file had no genre before ours; --adopt is for that case alone',
        )
    failures: list[FileError] = []
    adopted = 0
    run_id = 0
    with (
        output.Bar("tracks", shown=True) as bar,
        open_pipeline(settings, notice=bar.notice, progress=bar.update) as pipeline,
    ):
        store = pipeline.store

        def unrecorded(each: Heard) -> bool:
            path = each.track.path
            writes = store.writes.get_history(path, each.track.payload_hash)
            # A write to the same audio at another path is that of a copy, unless the file was moved
            # from there.
            known = any(write.path == path or not os.path.lexists(write.path) for write in writes)
            return bool(each.track.genres.values) and not known

        with interruptible() as stop:
            for each in pipeline.hear(find(paths, failures.append), worth=unrecorded, stop=stop):
                if isinstance(each, FileError):
                    failures.append(each)
                    continue
                track = each.track
                if not each.decision.genres or track.genres.values != each.decision.genres or not unrecorded(each):
                    continue
                adopted += 1
                if yes:
                    run_id = run_id or store.runs.begin("adopt", settings.recorded())
                    before = GenreField((), None, track.genres.form)
                    store.writes.adopt(
                        run_id, track, before, model=pipeline.listener.name, reason=because(Cause.ADOPTED)
                    )
                if as_json:
                    output.say_json(
                        {"path": str(track.path), "genres": list(track.genres.values), "adopted": yes, "run": run_id}
                    )
                else:
                    bar.above(f"{printable(', '.join(track.genres.values)):<26} {printable(track.path)}")
        if stop.done():
            raise typer.Exit(130)
        if yes:
            if run_id:
                store.runs.finish(run_id)
            store.settle_loss()
    if yes:
        output.notice(f"{plural(adopted, 'file')} recorded as written to an empty genre field")
        if run_id:
            output.notice(f"`genretagger undo --run {run_id}` takes these genres out again")
    else:
        output.notice(f"{plural(adopted, 'file')} with genres that may be ours; --yes records them, if none is yours")
    tell_failures(failures)
