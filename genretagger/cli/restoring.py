"""`genretagger doctor --restore`: put a backup in place of the database, which is kept aside."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from genretagger.cli import output
from genretagger.cli.describe import when
from genretagger.cli.options import quiet_settings
from genretagger.errors import ConfigError
from genretagger.text import printable

if TYPE_CHECKING:
    from genretagger.database.backups import Backup


def put_back(which: list[Path], *, yes: bool, as_json: bool) -> None:
    """List the backups, ask, and put one back.

    Args:
        which: the number, name or path of a backup; none for the newest sound one.

    Raises:
        GenretaggerError: there is no such backup, it is damaged, or somebody uses the database.
    """
    from genretagger.daemon import lock
    from genretagger.database import backups

    settings = quiet_settings()
    database = settings.database_file
    if database is None:
        raise ConfigError("only an SQLite database has backups here", hint="Use the backups of your database server")
    found = backups.backups(database)
    if not found:
        raise ConfigError("there is no backup", path=database, hint="The service makes one a day while it runs")
    chosen = _chosen(found, which)
    if not as_json:
        for number, each in enumerate(found, start=1):
            mark = "→" if each == chosen else " "
            name = printable(each.path.name)
            output.say_aside(f"{mark} {number:>2}  {when(each.made_at)}  {each.size_bytes / 1e6:8,.1f} MB  {name}")
    if not yes:
        question = f"Put {printable(chosen.path.name)} back? Writes made after it will have no record. Go on?"
        if not (sys.stdin.isatty() and typer.confirm(question, err=True)):
            output.notice("nothing was changed; --yes puts it back without a question")
            raise typer.Exit(0 if sys.stdin.isatty() else 2)
    held = lock.take(settings.data_dir, wait_s=0)
    try:
        aside = backups.put_back(chosen.path, database)
    finally:
        os.close(held)
    if as_json:
        kept = None if aside is None else str(aside)
        output.say_json({"restored": str(chosen.path), "database": str(database), "aside": kept})
        return
    output.say(f"{printable(chosen.path.name)} is the database now")
    if aside is not None:
        output.say(f"the previous database is now {printable(aside)}")
    output.say("`genretagger doctor --adopt PATH` finds files that were written after the backup was made")


def _chosen(found: list[Backup], which: list[Path]) -> Backup:
    """The backup that is meant.

    Raises:
        ConfigError: there is no such one.
    """
    from genretagger.database.backups import damage_of

    hint = "`genretagger doctor --restore` lists them"
    if len(which) > 1:
        raise ConfigError("--restore takes one backup", hint=hint)
    if not which:
        for each in found:
            if not damage_of(each.path):
                return each
        raise ConfigError("all backups are damaged", path=found[0].path, hint="Check the disk for errors")
    name = os.fspath(which[0])
    if name.isascii() and name.isdigit() and len(name) < 6 and 0 < int(name) <= len(found):
        return found[int(name) - 1]
    for each in found:
        if name in (each.path.name, os.fspath(each.path)) or which[0].absolute() == each.path.absolute():
            return each
    raise ConfigError(f"there is no backup {name!r}", hint=hint)
