"""The `genretagger` command: its sub-commands, and what becomes of errors.

Exit status: 0 all well, 1 some files failed, 2 wrong use or configuration, 130 interrupted.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from genretagger import __version__
from genretagger.cli import config, doctor, export, models, show, tag, undo
from genretagger.errors import GenretaggerError

app = typer.Typer(
    name="genretagger",
    help="Listen to music files and write each track's genre into its tags.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help comes twice as fast
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"genretagger {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    del version


app.command("tag")(tag.tag)
app.command("show")(show.show)
app.command("undo")(undo.undo)
app.command("export")(export.export)
app.add_typer(models.app, name="models")
app.add_typer(config.app, name="config")
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command line; errors that a user may meet end in one clear line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the locale cannot show must not end the run
    try:
        app()
    except GenretaggerError as error:
        from genretagger.cli.output import complain

        complain(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Somebody piped us into `head`: what they wanted they have. Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
