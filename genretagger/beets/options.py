"""The plugin's options as genretagger's settings; those that lastgenre has too keep its names.

If beets' configuration does not set an option, genretagger's own configuration counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genretagger.config import Settings, load
from genretagger.errors import ConfigError, OptionError
from genretagger.textfile import read_text

_SAME = {
    "count": "max_genres",
    "min_weight": "min_score",
    "canonical": "add_parents",
    "title_case": "capitalisation",
    "whitelist": "allow",
    "aliases": "aliases",
    "album": "album",
    "model": "model",
    "device": "device",
    "windows": "windows",
    "hard_links": "hard_links",
}
"""The name of each option in genretagger's settings."""

_MOST_BYTES = 1 << 20


def settings_for(options: Mapping[str, Any]) -> Settings:
    """Make the settings.

    Args:
        options: by name, from beets' configuration.

    Raises:
        ConfigError: an option is invalid.
    """
    flags = {setting: options.get(name) for name, setting in _SAME.items()}
    flags["allow"] = _whitelist(options.get("whitelist"))
    flags["aliases"] = _aliases(options.get("aliases"))
    if options.get("title_case") is not None:
        flags["capitalisation"] = "title" if options["title_case"] else "standard"
    if not isinstance(options.get("canonical"), bool | None):
        raise _wrong("canonical", options["canonical"], "yes adds the parents of a genre; genretagger has its own tree")
    try:
        return load(**flags)
    except OptionError as error:
        name = next((name for name, setting in _SAME.items() if setting == error.option), None)
        if name is None or not error.is_flag:
            raise
        raise ConfigError(f"genretagger.{name} in beets' configuration: {error.says}", hint=error.hint) from error


def _whitelist(value: Any) -> tuple[str, ...] | None:
    """Yes and no mean every genre that genretagger's configuration allows; a text names a file."""
    if value is None or isinstance(value, bool) or value == "":
        return None
    if isinstance(value, list):
        return tuple(map(str, value))
    try:
        lines = read_text(Path(str(value)).expanduser(), most_bytes=_MOST_BYTES).splitlines()
    except (OSError, ValueError, RuntimeError) as error:
        raise _wrong("whitelist", value, f"The file cannot be read: {error}") from error
    names = tuple(line.strip() for line in lines if line.strip() and not line.strip().startswith("#"))
    if not names:
        raise _wrong("whitelist", value, "The file names no genre")
    return names


def _aliases(value: Any) -> dict[str, str] | None:
    """Turn lastgenre's `{Rap: [Hip-Hop]}`, the wanted name first, into ours.

    `no` removes the owner's names.
    """
    if value is False:
        return {}
    if value is None or value is True or value == "":
        return None
    try:
        return {str(spelling): str(name) for name, spellings in value.items() for spelling in _listed(spellings)}
    except (AttributeError, TypeError) as error:
        raise _wrong(
            "aliases", value, "It is yes, no, or names with the genres they stand for: {Rap: [Hip-Hop]}"
        ) from error


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _wrong(name: str, value: Any, hint: str) -> ConfigError:
    return ConfigError(f"genretagger.{name} in beets' configuration cannot be {value!r}", hint=hint)
