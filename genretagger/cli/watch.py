"""`genretagger watch`: the service, in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genretagger.cli import output
from genretagger.cli.options import Folders, ModelName
from genretagger.errors import ConfigError
from genretagger.files.discover import whole
from genretagger.files.replace import inside


def watch(
    folders: Folders,
    model: ModelName = None,
    device: Annotated[str | None, typer.Option("--device", help="Where the model runs, such as cpu or cuda.")] = None,
) -> None:
    """Watch folders, and tag new music as soon as it is complete."""
    from genretagger.config import Settings, load
    from genretagger.daemon.events import Events
    from genretagger.daemon.service import Service

    def settings() -> Settings:
        return load(model=model, device=device)

    output.quieten()
    first = settings()
    roots = distinct(folders)
    raise typer.Exit(Service(roots, settings, Events(first.log_level, first.log_format)).run())


def distinct(folders: list[Path]) -> list[Path]:
    """The folders as absolute paths, without those that are inside another one.

    Raises:
        ConfigError: one is not a folder, or is not there: a disk that may come later has at least
        its
            mount point.
    """
    roots: list[Path] = []
    for folder in sorted(map(whole, folders)):
        if folder.exists() and not folder.is_dir():
            raise ConfigError("that is not a folder", path=folder, hint="Name the folder that it is in")
        if not folder.exists() and not folder.parent.is_dir():
            raise ConfigError("there is no such folder", path=folder, hint="Check the spelling")
        if not any(inside(folder, root) for root in roots):
            roots = [root for root in roots if not inside(root, folder)]  # it may be a link to a folder above
            roots.append(folder)
    return roots
