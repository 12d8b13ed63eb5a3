"""`genretagger config`: shows options and their sources, finds the file, or makes a first one."""

from __future__ import annotations

import contextlib
import json
import os
import re
import textwrap
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from genretagger.cli import output
from genretagger.cli.commands import Commands
from genretagger.cli.options import AsJson
from genretagger.errors import ConfigError
from genretagger.files.durable import OutputError, saved
from genretagger.places import PREFIX, config_file, config_path
from genretagger.text import printable
from genretagger.textfile import decoded, open_binary

config = typer.Typer(cls=Commands, no_args_is_help=True, rich_markup_mode=None)

_SECTIONS = {
    "model": "Listening",
    "max_genres": "Deciding",
    "policy": "Writing",
    "ignore": "Choosing files",
    "quiet_s": "The service",
    "memory_limit_mb": "Limits of the child processes that touch media files",
    "data_dir": "Places",
}
"""The headings of a new file, each before its first option."""

_PASSWORD = re.compile(r"(?<=://)([^:/@\s]*):.*@")
_PASSWORD_IN_QUERY = re.compile(r"(?<=[?&])(\w*password=)[^&]*", re.IGNORECASE)


@config.command()
def show(as_json: AsJson = False) -> None:
    """Show every option, its value, and where that comes from: default, file or environment."""
    from genretagger.config import Settings, file_options, load

    settings, file = load(), config_file()
    in_file: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):  # it has been loaded before
        in_file = file_options(file)
    rows = []
    for name, field in Settings.model_fields.items():
        source = "environment" if _in_environment(name) else "file" if name in in_file else "default"
        value = plain(name, getattr(settings, name))
        if as_json:
            output.say_json({"option": name, "value": value, "source": source, "description": field.description})
        else:
            rows.append((name, literal(value), source))
    if not as_json:
        output.table(("option", "value", "from"), rows)

        output.say()
        if file is None:
            output.say("file: none, as this user has no home folder; GENRETAGGER_CONFIG names one")
        else:
            state = "" if file.exists() else " (no such file; `genretagger config init` makes it)"
            output.say(f"file: {printable(file)}{state}")


@config.command()
def path() -> None:
    """Print where the configuration file is, or would be."""
    # Bytes, so that `$EDITOR "$(genretagger config path)"` finds the file whatever its name holds.
    typer.echo(os.fsencode(config_path()))
    if not config_path().exists():
        output.notice("there is no such file; `genretagger config init` makes it")


@config.command()
def init(
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Replace a file that is there; it is kept as config.toml.old.")
    ] = False,
) -> None:
    """Make a configuration file that names every option, each commented out with its default."""
    target = Path(os.path.realpath(config_path()))
    old: bytes | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            if not force:
                raise OutputError(
                    "there is a configuration already, and it was left as it is",
                    path=config_path(),
                    hint="Edit it, or replace it with `genretagger config init --force`",
                )
            old = target.read_bytes()
    except OSError as error:
        raise OutputError(
            f"the configuration cannot be made: {error.strerror or error}",
            path=config_path(),
            hint="Check the folder's permissions, or name another file with GENRETAGGER_CONFIG",
        ) from error
    kept = target.with_name(f"{target.name}.old")
    if old is not None:
        with saved(kept) as file:
            file.write(old)
    with saved(target, overwrite=force) as file:
        file.write(template().encode("utf-8", "backslashreplace"))
    output.notice(f"wrote {config_path()}")
    if old is not None:
        output.notice(f"the old one is now {kept}")


def change(option: str, value: str) -> Path:
    """Set one option in the configuration file and keep everything else, including comments.

    Returns:
        The file, which is made if there is none.

    Raises:
        ConfigError: the file is not TOML, or cannot be read.
        OutputError: it cannot be written.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    path = config_path()
    target = Path(os.path.realpath(path))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        document = tomlkit.parse(_as_it_is(target))
    except (ValueError, RecursionError, TOMLKitError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}", path=path, hint="Fix it first", named=True) from error
    except OSError as error:
        raise OutputError(
            f"the configuration cannot be changed: {error.strerror or error}", path=path, hint="Check its permissions"
        ) from error
    document[option] = value
    with saved(target) as file:
        file.write(tomlkit.dumps(document).encode())
    return path


def _as_it_is(path: Path) -> str:
    """The text of a file, with the line ends that it has; empty if there is none."""
    try:
        with decoded(open_binary(path, most_bytes=1 << 20)) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def template() -> str:
    """A configuration file with every option, its meaning and its default, and nothing set."""
    from genretagger.config import Settings

    lines = [
        "# What genretagger does, unless the environment (GENRETAGGER_<OPTION>) or a flag says otherwise.",
        "# Every option is here with its default: take the # away in front of the ones that you change.",
    ]
    for name, field in Settings.model_fields.items():
        if name in _SECTIONS:
            heading = _SECTIONS[name]
            lines += ["", "", f"# {heading}", f"# {'-' * len(heading)}"]
        description = field.description or name
        lines.append("")
        lines += textwrap.wrap(
            f"{description[:1].upper()}{description[1:]}.", 100, initial_indent="# ", subsequent_indent="# "
        )
        lines.append(f"#{name} = {literal(plain(name, field.get_default(call_default_factory=True)))}")
    return "\n".join(lines) + "\n"


def plain(name: str, value: Any) -> Any:
    """An option's value as JSON and TOML know it, without a password."""
    if name == "windows" and value is None:
        return "all"
    if name == "database_url":
        return _PASSWORD.sub(r"\1:***@", _PASSWORD_IN_QUERY.sub(r"\1***", value))
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def literal(value: Any) -> str:
    """A plain value as TOML spells it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, dict):
        pairs = ", ".join(f"{literal(key)} = {literal(part)}" for key, part in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    return str(value)


def _in_environment(name: str) -> bool:
    """Whether the environment sets an option, in any case and not empty, as `Settings` reads it."""
    wanted = f"{PREFIX}{name}".upper()
    return any(variable.upper() == wanted and value for variable, value in os.environ.items())
