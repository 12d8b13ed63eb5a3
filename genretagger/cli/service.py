"""`genretagger service`: have systemd run `genretagger watch`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

import genretagger
from genretagger.cli import output
from genretagger.cli.commands import Commands
from genretagger.cli.options import Folders
from genretagger.cli.watch import distinct
from genretagger.errors import ConfigError, GenretaggerError
from genretagger.files.durable import OutputError, saved

service = typer.Typer(cls=Commands, no_args_is_help=True, rich_markup_mode=None)

NAME = "genretagger.service"

_System = Annotated[bool, typer.Option("--system", help="For the whole system, not for your user; needs root.")]


@service.command()
def install(
    folders: Folders,
    system: _System = False,
    user: Annotated[
        str | None,
        typer.Option(help="With --system: who it runs as. [default: the owner of the first folder]"),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the unit, and change nothing.")] = False,
    start: Annotated[bool, typer.Option("--start/--no-start", help="Start it now.")] = True,
) -> None:
    """Install the service, and start it now and at every start of the system (or your session)."""
    text = unit(distinct(folders), system=system, user=user)
    if show:
        output.say(text.rstrip("\n"))
        return
    _need_systemd()
    place = unit_path(system=system)
    _may_install(place, system=system)
    before = place.read_bytes() if place.is_file() else None
    with saved(place) as file:
        file.write(text.encode("utf-8"))
    try:
        _systemctl("daemon-reload", system=system)
        _systemctl("enable", *(["--now"] if start else []), NAME, system=system)
        if start:
            _systemctl("restart", NAME, system=system)  # a service that ran already still has the old folders
    except GenretaggerError as error:
        raise GenretaggerError(
            f"{error.cause}; {_taken_back(place, before, system=system)}", hint=error.hint
        ) from error
    output.notice(f"installed {place}")
    output.notice(f"its log: journalctl {'' if system else '--user '}-u {NAME} -f")
    if not system:
        output.notice("it runs while you are logged in; `loginctl enable-linger` keeps it running")


@service.command()
def uninstall(system: _System = False) -> None:
    """Stop the service and remove it; the database and your tags stay."""
    place = unit_path(system=system)
    if not place.exists():
        raise ConfigError("the service is not installed", path=place, hint="`genretagger service install DIR` does it")
    undone = _failure("disable", "--now", NAME, system=system)
    try:
        _remove(place)
    except OSError as error:
        raise ConfigError(f"it cannot be removed: {error.strerror}", path=place, hint="Run it with sudo") from error
    undone = undone or _failure("daemon-reload", system=system)
    output.notice(f"removed {place}")
    if undone:
        output.notice(f"{undone}: if it runs, it runs on until it is stopped or the system restarts")
        raise typer.Exit(1)


@service.command()
def status(system: _System = False) -> None:
    """Show what systemd says of the service; `genretagger status` shows what it does."""
    _need_systemd()
    ended = subprocess.run([*_command(system), "status", "--no-pager", NAME], check=False)
    if ended.returncode:
        raise typer.Exit(1)


def unit(folders: list[Path], *, system: bool, user: str | None) -> str:
    """The text of the unit for some folders.

    Raises:
        ConfigError: a unit cannot contain a name.
    """
    template = units_folder() / ("genretagger-system.service" if system else NAME)
    places = [unit_word(folder) for folder in folders]
    arguments = [unit_word(folder, in_command=True) for folder in folders]
    lines = []
    for line in template.read_text("utf-8").splitlines():
        key = line.partition("=")[0]
        if key == "ExecStart":
            lines.append(" ".join([f"ExecStart={unit_word(Path(sys.executable))} -m genretagger watch", *arguments]))
        elif key == "User":
            lines.append(f"User={user or _owner(folders[0])}")
        elif key in ("ReadWritePaths", "RequiresMountsFor"):
            # a folder may be away when the service starts: it waits for it
            lines += [f"{key}={_optional(place) if key == 'ReadWritePaths' else place}" for place in places]
        elif not line.startswith("#"):
            lines.append(line)
    variables = [name for name in ("GENRETAGGER_CONFIG", "GENRETAGGER_DATA_DIR") if os.environ.get(name)]
    for name in [] if system else variables:
        value = os.path.abspath(os.environ[name])  # noqa: PTH100 - as it was named
        lines.insert(lines.index("[Service]") + 1, f"Environment={unit_word(Path(f'{name}={value}'))}")
    return "# Written by `genretagger service install`.\n" + "\n".join(lines).strip() + "\n"


def _optional(place: str) -> str:
    """A path that need not be there."""
    return '"-' + place[1:] if place.startswith('"') else f"-{place}"


def unit_word(path: Path, *, in_command: bool = False) -> str:
    """A path as a word of a unit file, with systemd's escapes, and in quotation marks if needed.

    Args:
        in_command: whether it is an argument of a command, the only place where systemd looks for
            variables.

    Raises:
        ConfigError: the name holds bytes that a unit cannot.
    """
    text = os.fspath(path)
    if any(not mark.isprintable() for mark in text):
        raise ConfigError(
            "a systemd unit cannot contain this name", path=path, hint="Name the folder above it, or rename it"
        )
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    text = text.replace("$", "$$") if in_command else text
    return f'"{text}"' if any(mark in text for mark in " '\"\\;#") else text


def units_folder() -> Path:
    """Where the templates are: inside the installed package, or beside it in a checkout."""
    package = Path(genretagger.__file__).parent
    for folder in (package / "systemd", package.parent / "systemd"):
        if (folder / NAME).is_file():
            return folder
    raise ConfigError("the unit files are missing", path=package, hint="Install genretagger again")


def unit_path(*, system: bool) -> Path:
    """Where systemd looks for it."""
    if system:
        return Path("/etc/systemd/system") / NAME
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111
    if home.startswith("~"):
        cause = "this user has no home folder, where systemd looks for units"
        raise ConfigError(cause, hint="Set HOME, or use --system")
    return Path(home) / "systemd" / "user" / NAME


def _owner(folder: Path) -> str:
    """Who may write to the music: the owner of the folder."""
    try:
        return folder.owner()
    except (OSError, KeyError) as error:
        raise ConfigError("its owner is not known", path=folder, hint="Name a user with --user") from error


def _may_install(place: Path, *, system: bool) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"it cannot be made: {error.strerror}", path=place.parent, hint="Check its permissions"
        ) from error
    if system and not os.access(place.parent, os.W_OK):
        raise ConfigError("only root may install a service for the system", path=place, hint="Run it with sudo")


def _remove(place: Path) -> None:
    """Remove a unit and the links by which systemd starts it: `systemctl disable` may miss some."""
    for path in (place, *place.parent.glob(f"*.wants/{NAME}")):
        if path == place or path.is_symlink():
            path.unlink(missing_ok=True)


def _taken_back(place: Path, before: bytes | None, *, system: bool) -> str:
    """Put back what was there before an installation that failed, and say what became of it."""
    try:
        if before is not None:
            with saved(place) as file:
                file.write(before)
            outcome = f"{place} is as it was"
        else:
            _failure("disable", "--now", NAME, system=system)
            _remove(place)
            outcome = f"{place} was taken away again"
    except (OSError, OutputError):
        return f"{place} was written and cannot be taken back: remove it yourself"
    _failure("daemon-reload", system=system)
    return outcome


def _command(system: bool) -> list[str]:
    return ["systemctl"] if system else ["systemctl", "--user"]


def _need_systemd() -> None:
    if shutil.which("systemctl") is None:
        raise ConfigError(
            "there is no systemd here",
            hint="Have `genretagger watch DIR` started by what starts your services: it stays in the foreground",
        )


def _systemctl(*arguments: str, system: bool) -> None:
    ended = subprocess.run([*_command(system), *arguments], capture_output=True, check=False)
    if ended.returncode:
        said = ended.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise GenretaggerError(
            f"systemctl {arguments[0]} failed: {said or ended.returncode}",
            hint="Without a session of systemd for your user, try --system, or start `genretagger watch` yourself",
        )


def _failure(*arguments: str, system: bool) -> str:
    """Ask systemd for something that may fail; gives why it did, or nothing."""
    try:
        _need_systemd()
        _systemctl(*arguments, system=system)
    except GenretaggerError as error:
        return error.cause
    return ""
