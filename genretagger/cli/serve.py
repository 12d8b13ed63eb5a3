"""`genretagger serve`: the library in a browser."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from genretagger.cli import output
from genretagger.cli.options import any_path
from genretagger.errors import ConfigError


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen at; any other than this machine's own needs a password.")
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")] = 8338,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in your browser.")] = False,
    read_only: Annotated[bool, typer.Option("--read-only", help="Show everything, and change nothing.")] = False,
    password_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=any_path,
            help="File with the password, or its hash. [default: the variable GENRETAGGER_PAGE_PASSWORD]",
        ),
    ] = None,
    name: Annotated[list[str] | None, typer.Option(help="Another name that browsers use for this machine.")] = None,
    hash_password: Annotated[
        bool, typer.Option("--hash-password", help="Read a password, print its hash for --password-file, and end.")
    ] = False,
) -> None:
    """Show your library in a browser: look, listen, and correct.

    Only this machine can reach it, unless you say otherwise with --host. It needs the extra `web`.
    """
    from genretagger.config import load

    output.quieten()
    try:
        from genretagger.web.password import Hash
        from genretagger.web.serve import Options
        from genretagger.web.serve import serve as start
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the page needs the Python package {error.name}", hint="Install it: pip install 'genretagger[web]'"
        ) from error
    if hash_password:
        entered = typer.prompt("Password", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline()
        output.say(str(Hash.of(entered.rstrip("\r\n"))))
        return
    options = Options(host, port, open_browser, read_only, password_file, tuple(name or ()))
    start(load(), options, output.notice)
