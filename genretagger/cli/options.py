"""Options that several commands share, how every command takes a path, and the configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from genretagger.cli.output import quieten
from genretagger.files.shards import Shard

if TYPE_CHECKING:
    from genretagger.config import Settings


def any_path(text: str | Path) -> Path:
    """Take a path from the command line; it need not be there.

    Every option and argument that is a path names this, or one of the two below, as its parser. An
    empty text would otherwise be the current folder, although `tag "$UNSET"` hardly means that.

    Raises:
        typer.BadParameter: nothing was named.
    """
    if not os.fspath(text):
        raise typer.BadParameter('no path was named: the argument is empty ("." is the current folder)')
    return Path(text)


def existing_path(text: str | Path) -> Path:
    """Take a path of a file or a folder that is there.

    Raises:
        typer.BadParameter: nothing was named, or it is not there.
    """
    path = any_path(text)
    try:
        path.stat()
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"Path {str(text)!r} does not exist.") from error
    return path


def existing_file(text: str | Path) -> Path:
    """Take a path of a file that is there and can be read.

    Raises:
        typer.BadParameter: nothing was named, or it is no such file.
    """
    path = existing_path(text)
    if path.is_dir():
        raise typer.BadParameter(f"File {str(text)!r} is a directory.")
    if not os.access(path, os.R_OK):
        raise typer.BadParameter(f"File {str(text)!r} is not readable.")
    return path


def share(text: str | Shard) -> Shard:
    """Take a share from the command line, such as `3/16`.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        return text if isinstance(text, Shard) else Shard.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def quiet_settings(**flags: Any) -> Settings:
    """Read the configuration, for a command in which libraries should print nothing; see `load`."""
    from genretagger.config import load

    quieten()
    return load(**flags)


Paths: TypeAlias = Annotated[
    list[Path], typer.Argument(metavar="PATH...", parser=existing_path, help="Music files, or folders to walk.")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")]
ModelName: TypeAlias = Annotated[str | None, typer.Option("--model", help="Name of the model to listen with.")]

Folders: TypeAlias = Annotated[
    list[Path], typer.Argument(metavar="DIR...", parser=any_path, help="Folders of music to watch.")
]
DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would be done.")]
