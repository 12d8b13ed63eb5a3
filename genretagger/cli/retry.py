"""`genretagger retry`: lets files be tried again that the service set aside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genretagger.cli import output
from genretagger.cli.options import AsJson, any_path, quiet_settings
from genretagger.daemon.control import NoAnswer, ask
from genretagger.files.discover import whole
from genretagger.text import plural


def retry(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH...]", parser=any_path, help="Files, or folders for all in them; all by default."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Try quarantined files again."""
    from genretagger.database.store import Store

    settings = quiet_settings()
    named = [whole(path) for path in paths or ()]
    with Store.open(settings.database, create=False, libraries=settings.libraries) as store:
        released = store.jobs.retry(named)
    running = ask(settings.data_dir, "wake") is not NoAnswer.NOT_RUNNING
    if as_json:
        for path in released:
            output.say_json({"path": str(path)})
    else:
        then = "" if running or not released else ", when the service runs"
        output.say(
            f"{plural(len(released), 'file')} will be tried again{then}" if released else "nothing is quarantined"
        )
    if named and not released:
        raise typer.Exit(1)
