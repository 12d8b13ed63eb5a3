"""The `genretagger` command: its sub-commands, and how errors are shown.

Exit status: 0 success, 1 some files failed, 2 wrong use or configuration, 130 interrupted.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import Annotated, Any

import typer

from genretagger import __version__
from genretagger.cli.commands import LoadedWhenNeeded
from genretagger.daemon import early
from genretagger.errors import GenretaggerError
from genretagger.text import printable

COMMANDS = {
    "tag": "Listen to music and write the genre into the files that have none.",
    "show": "Show what is known of tracks, and why they got their genres.",
    "similar": "Show the tracks that sound most like one, nearest first, at most two by one artist.",
    "picture": "Draw what the network sees of a track, and the genres that it hears over time.",
    "watch": "Watch folders, and tag new music as soon as it is complete.",
    "status": "Show the queue, what is being done, the last errors, and whether the service is healthy.",
    "retry": "Try quarantined files again.",
    "apply": "Write the genres of a plan into the files that are still as they were when it was made.",
    "archive": "Listen to an archive with many machines, by Ray and PostgreSQL, or show its progress.",
    "undo": "Put back the genres that files had before genretagger wrote them.",
    "redo": "Put back the genres that `genretagger undo` took away.",
    "history": "Show what was written to your files, newest first, run by run.",
    "export": "Write what is known of your tracks as a table (csv), as JSON lines, or as a playlist (m3u).",
    "train": "Learn your own genres from tracks that have some, and measure the result.",
    "evaluate": "Measure how often a model is right, on music with known genres.",
    "serve": "Show your library in a browser: look, listen, and correct.",
    "doctor": "Look for what is wrong with the set-up, and say how to fix it.",
    "service": "Have systemd run the service.",
    "models": "List, fetch, check and remove the models that listen.",
    "config": "Show the options, or make a file to set them in.",
}
"""The first sentence of each command's help, here as well, so that `--help` loads no command."""


class _AllCommands(LoadedWhenNeeded):
    """All commands; if a file's name was taken for an option, the error says how to name it."""

    summaries = COMMANDS

    def invoke(self, ctx: Any) -> Any:
        """Run the command; explain an error that a file name beginning with a dash caused."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            named = next((each for each in sys.argv[1:] if each.startswith("-") and os.path.lexists(each)), None)
            if named is not None and hasattr(error, "option_name") and hasattr(error, "message"):
                error.message = f"{error.message}. If you mean the file of that name, write .{os.sep}{printable(named)}"
            raise


app = typer.Typer(
    name="genretagger",
    cls=_AllCommands,
    help="Listen to music files and write each track's genre into its tags.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help is shown in half the time
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


def main() -> None:
    """Run the command line; errors that a user may meet end in one clear line."""
    _fill_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the locale cannot show must not end the run
    if not early.is_installed():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C: no child and no half is left
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # here, while a full disk can still be reported
    except GenretaggerError as error:
        complain(error)
        sys.exit(error.exit_code)
    except (ImportError, MemoryError) as error:
        said = (str(error).strip().splitlines() or [""])[-1].rstrip(". ")
        short = isinstance(error, MemoryError) or "failed to map" in said
        cause = "there is not enough memory" if short else f"a library cannot be loaded: {said}"
        hint = (
            "Raise the limit on memory (`ulimit -v`)"
            if short
            else "Install genretagger again, or ask `genretagger doctor`"
        )
        complain(GenretaggerError(cause, hint=hint))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of the pipe, such as `head`, has what it needs. Python would complain at exit.
        _give_up_output()
        sys.exit(1)
    except OSError as error:  # errors of files and of the database are translated elsewhere
        complain(_of_the_surroundings(error))
        _give_up_output()
        sys.exit(2)


def complain(error: GenretaggerError) -> None:
    """Print an error for people; see `output.complain`."""
    from genretagger.cli import output  # a quarter of what `--help` would load

    output.complain(error)


def _fill_streams() -> None:
    """Put /dev/null in place of closed standard streams, or the database becomes one of them."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


def _give_up_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _of_the_surroundings(error: OSError) -> GenretaggerError:
    try:
        os.getcwd()  # noqa: PTH109 - Path.cwd() is no clearer
    except OSError:
        return GenretaggerError("the current folder is gone", hint="Change to one that exists, or name whole paths")
    where = f"{error.filename}: " if error.filename is not None else ""
    return GenretaggerError(
        f"{where}{error.strerror or error}", hint="Check the place that the output goes to, and the free space"
    )
