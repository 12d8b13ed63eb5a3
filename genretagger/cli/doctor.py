"""`genretagger doctor`: what is wrong with my set-up?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from genretagger.cli import output
from genretagger.cli.adopting import adopt_unrecorded
from genretagger.cli.options import AsJson, any_path
from genretagger.cli.restoring import put_back
from genretagger.errors import ConfigError
from genretagger.text import plural, printable

_MARKS = {"ok": "ok  ", "warn": "warn", "bad": "BAD "}


def doctor(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]...",
            parser=any_path,
            help="Folders of music to look at as well. With --restore: which backup, by its number or name.",
        ),
    ] = None,
    restore: Annotated[
        bool, typer.Option("--restore", help="List the backups of the database and restore one.")
    ] = False,
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="List files that carry a genre of ours without a record; --yes records them."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Restore or record without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look for what is wrong with the set-up, and say how to fix it.

    Nothing is written, made or downloaded, except with --restore, or --adopt and --yes. Exit status
    1 if something is broken; warnings alone are 0.
    """
    if restore and adopt:
        raise ConfigError("--restore and --adopt cannot be used together", hint="Leave out one of the two")
    if restore or adopt:
        work = put_back if restore else adopt_unrecorded
        work(paths or [], yes=yes, as_json=as_json)
        return
    if yes:
        raise ConfigError("--yes needs --restore or --adopt")
    from genretagger.cli.checkup import Health, examine

    counts = dict.fromkeys(Health, 0)
    for finding in examine([path.absolute() for path in paths or []]):
        counts[finding.state] += 1
        if as_json:
            output.say_json(asdict(finding))
            continue
        output.say(f"{_MARKS[finding.state]}  {printable(finding.check)}: {printable(finding.found)}")
        if finding.fix:
            output.say(f"      → {printable(finding.fix)}")
    bad, warned = counts[Health.BAD], counts[Health.WARN]
    if not as_json:
        output.say()
        output.say(f"{bad:,} broken, {plural(warned, 'warning')}" if bad or warned else "No problems found.")
    if bad:
        raise typer.Exit(1)
