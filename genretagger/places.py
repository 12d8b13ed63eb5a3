"""Where configuration and data are: where the environment says, or the platform puts them.

A user may have no home folder (containers, `env -i`, systemd's DynamicUser); then the environment
has to say.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import platformdirs

from genretagger.errors import ConfigError

PREFIX = "GENRETAGGER_"


def default_data_dir() -> Path:
    """Where the platform puts data.

    Raises:
        ConfigError: this user has no home folder.
    """
    folder = _of_the_platform(platformdirs.user_data_path)
    if folder is None:
        raise ConfigError(
            "This user has no home folder (no entry in the list of users, and HOME is not set), so there is no place "
            "for the database and the models",
            hint=f"Name one: {PREFIX}DATA_DIR=/var/lib/genretagger",
        )
    return folder


def config_path() -> Path:
    """The configuration file: `GENRETAGGER_CONFIG`, or where the platform puts it.

    Raises:
        ConfigError: none is named, and this user has no home folder.
    """
    path = config_file()
    if path is None:
        raise ConfigError(
            "This user has no home folder, so there is no place for a configuration file",
            hint=f"Name one with {PREFIX}CONFIG; without a file the defaults and the environment apply",
        )
    return path


def config_file() -> Path | None:
    """As `config_path`; None if there is no place for one."""
    named = os.environ.get(f"{PREFIX}CONFIG")
    if named:
        return Path(named)
    folder = _of_the_platform(platformdirs.user_config_path)
    return None if folder is None else folder / "config.toml"


def _of_the_platform(place: Callable[..., Path]) -> Path | None:
    """A folder that platformdirs names; None for a user without a home folder."""
    try:
        folder = place("genretagger", appauthor=False)
    except (RuntimeError, KeyError):
        return None
    return folder if folder.is_absolute() else None  # older versions leave a ~ that nobody expands
