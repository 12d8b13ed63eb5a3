"""One frozen `Settings`: defaults < config.toml < environment < flags.

Only front ends load it; the rooms get what they need as arguments. Every option can be set in
`config.toml` under its own name, in the environment as `GENRETAGGER_<OPTION>`, and, if it makes
sense, as a flag. Lists may be written with commas in the environment (`GENRETAGGER_FORBID="Pop,
Rock"`). An unknown option is an error that lists the valid ones, because a misspelt `polcy =
"replace"` that is silently ignored would do the wrong thing to somebody's library.

Two more variables say where things are: `GENRETAGGER_CONFIG` (the file) and `GENRETAGGER_DATA_DIR`
(database, models).
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from genretagger.errors import ConfigError, OptionError
from genretagger.option_values import (
    Capitalisation,
    Device,
    FolderNames,
    Names,
    address,
    complaint,
    file_of,
    lasting,
    mounts,
    shown,
    window_count,
    words,
    writable,
)
from genretagger.places import PREFIX, config_file, default_data_dir
from genretagger.textfile import read_text
from genretagger.types import Albums, Policy

_ELSEWHERE = {f"{PREFIX}CONFIG", f"{PREFIX}PAGE_PASSWORD"}  # read elsewhere, not options of their own


_FOLDERS_OF_OTHERS = (
    *("@eaDir", "#recycle", "#snapshot", "@tmp"),  # Synology
    *("@Recycle", "@Recently-Snapshot"),  # QNAP
    "~snapshot",  # NetApp
    *("$RECYCLE.BIN", "$Recycle.Bin", "System Volume Information"),  # Windows
    *("Network Trash Folder", "Temporary Items"),  # AFP servers
    "lost+found",  # ext and other file systems
    *(".Trash-*", ".Trashes", ".AppleDouble", ".stversions", ".snapshot", ".snapshots"),
)
"""Folders of systems and servers: bins, old versions, previews. Hidden ones are skipped anyway."""


_TABLES = {"aliases": '{"Hip-Hop": "Rap"}', "libraries": '{"music": "/mnt/nas/music"}'}
"""The options that are tables, with an example as JSON."""

_MOST_BYTES = 1 << 20
_MAKE_ONE = "`genretagger config init` makes a configuration file"

_RULES = {
    *("model", "windows", "max_genres", "min_score", "share_of_top", "allow", "forbid", "aliases", "add_parents"),
    *("capitalisation", "album", "policy", "protect", "hard_links", "outside_links", "min_duration_s"),
}


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Settings(BaseModel):
    """Every option, with its default; see the descriptions.

    Args:
        options: come before the environment, which comes before the configuration file.

    Raises:
        ConfigError: an unknown option or variable, a value out of range, a file that cannot be
            read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    # Listening
    model: str = Field("musicnn-yamnet", min_length=1, description="name of the model to listen with")
    device: Device = Field("auto", description="where the model runs; auto takes the best there is")
    tf32: bool = Field(False, description="let an NVIDIA card round to TF32: a third faster, activations off by 0.02")
    windows: Annotated[
        Annotated[int, Field(ge=1, le=10_000)] | Literal["auto"] | None, BeforeValidator(window_count)
    ] = Field(16, description='stretches of about 3 s to listen to, spread over the track, or "all", or "auto"')
    threads: int = Field(0, ge=0, le=1024, description="inference threads; 0 means one for each core")
    jobs: int = Field(0, ge=0, le=256, description="files decoded at once; 0 means one for each core")

    # Deciding
    max_genres: int = Field(2, ge=1, le=20, description="most genres for a track")
    min_score: float = Field(0.5, gt=0, le=1, description="least score of a genre that is written, 0 to 1")
    share_of_top: float = Field(
        0.8, ge=0, le=1, description="least score of a further genre, as a share of the best one's"
    )
    allow: Names = Field((), description="only these genres; empty means all")
    forbid: Names = Field((), description="never these genres")
    aliases: Annotated[dict[str, str], AfterValidator(writable)] = Field(
        {}, description='your own names: { "Hip-Hop" = "Rap" }'
    )
    add_parents: bool = Field(False, description="also write the parents of a genre (House: Electronic)")
    capitalisation: Capitalisation = Field(
        Capitalisation.STANDARD,
        description='"standard" (Drum and Bass), "lower" (drum and bass) or "title" (Drum And Bass)',
    )

    album: Albums = Field(
        Albums.POOL, description='"pool" decides tracks of one album by one artist together, "each" one by one'
    )

    # Writing
    policy: Policy = Field(
        Policy.KEEP, description='"keep" fills empty genres only, "replace" overwrites, "add" appends'
    )
    protect: Names = Field((), description='genres of yours that "replace" leaves in a file, in front of the new ones')
    id3v23_separator: str = Field(
        "; ", min_length=1, max_length=8, description="joins genres in ID3v2.3 tags, which know no lists"
    )
    hard_links: bool = Field(False, description="also write files that have several hard links (seeding torrents)")
    outside_links: bool = Field(
        False, description="also write what a symbolic link points to outside of the named folder"
    )
    preserve_mtime: bool = Field(False, description="keep the modification time (beets relies on it to see changes)")

    # Choosing files
    ignore: Names = Field((), description='files and folders to leave out, as patterns: "*.live.mp3", "Podcasts/*"')
    ignore_folders: FolderNames = Field(
        _FOLDERS_OF_OTHERS,
        description='names of folders that systems and servers keep for themselves; "none" looks into them as well',
    )
    min_duration_s: float = Field(5, ge=0, le=86_400, description="sounds shorter than this many seconds are left out")

    # The service
    quiet_s: float = Field(10, ge=0.1, le=86_400, description="seconds without a change before a new file is complete")
    rescan_s: float = Field(21_600, ge=1, description="seconds between two scans for what events missed")
    poll_s: float = Field(60, ge=1, description="seconds between two scans of folders that send no events (NFS, SMB)")
    attempts: int = Field(3, ge=1, le=100, description="attempts before a file is quarantined")
    retry_s: float = Field(60, ge=0, le=86_400, description="seconds before the second attempt; then twice as many")
    idle_s: float = Field(60, ge=0, le=86_400, description="seconds without work before the model is unloaded")
    low_priority: bool = Field(True, description="let every other program go first")
    on_tagged: Annotated[tuple[str, ...], BeforeValidator(words)] = Field(
        (), description='a command to run after each write, "mpc update"; the path and the genres follow it'
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")
    log_format: Literal["text", "json"] = Field("text", description='"text" (key=value) or "json"')
    summary_s: float = Field(3600, ge=1, description="seconds between two summaries in the log")

    # Limits of the child processes that touch media files
    memory_limit_mb: int = Field(1024, ge=256, le=1 << 20, description="most memory for one file")
    time_limit_s: float = Field(300, gt=0, le=604_800, description="most seconds for one step on one file")

    # Places
    data_dir: Annotated[Path, AfterValidator(lasting)] = Field(
        default_factory=default_data_dir, description="where the database and the models are"
    )
    database_url: Annotated[str, AfterValidator(address)] = Field(
        "", description="another database, as SQLAlchemy spells it; empty means data_dir"
    )
    libraries: Annotated[dict[str, Path], AfterValidator(mounts)] = Field(
        {},
        description='names of music folders, for a database that machines share: { "music" = "/mnt/nas/music" }',
    )

    def __init__(self, **options: Any) -> None:
        path = config_file()
        _see_readable(path)
        _check_environment()
        with _explained(path, options):
            super().__init__(**_from_outside(path, options))

    def recorded(self) -> dict[str, Any]:
        """The part of a run's settings that is kept: no places, which may contain a password."""
        return self.model_dump(mode="json", exclude={"data_dir", "database_url", "libraries"})

    @property
    def rules_key(self) -> str:
        """A digest of the options that decide what becomes of a file: if it differs, look again."""
        rules = self.model_dump(mode="json", include=_RULES)
        return hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def models_dir(self) -> Path:
        """Where the models are, one folder each."""
        return self.data_dir / "models"

    @property
    def database_file(self) -> Path | None:
        """The file that the database is in; None if it is one of another engine than SQLite."""
        if isinstance(self.database, Path):
            return self.database
        return file_of(self.database)

    @property
    def database(self) -> str | Path:
        """The database: the URL that was asked for, or the file in the data folder."""
        return self.database_url or self.data_dir / "library.sqlite3"

    @property
    def has_database(self) -> bool:
        """Whether the database exists, without opening it; one at an address counts as existing."""
        return not isinstance(self.database, Path) or self.database.exists()

    @property
    def worker_count(self) -> int:
        """How many child processes work at once: one per core, unless the settings give a count."""
        return self.jobs or cores()


class _Restored(Settings):
    """Settings from nowhere but the values given."""

    def __init__(self, **options: Any) -> None:
        BaseModel.__init__(self, **options)


def restored(values: dict[str, Any]) -> Settings:
    """The settings of another process, from what `model_dump(mode="json")` gave there.

    Raises:
        ValueError: they are anything else, such as a text in place of a number.
    """
    settings = _Restored(**values)
    if json.dumps(settings.model_dump(mode="json"), sort_keys=True) != json.dumps(values, sort_keys=True):
        raise ValueError("these are not the settings of another process")
    return settings


def _from_outside(path: Path | None, options: dict[str, Any]) -> dict[str, Any]:
    """Add what the environment and the file set; aliases and libraries of both count.

    Raises:
        ConfigError: a table in the environment is not JSON.
        OSError, ValueError: see `file_options`.
    """
    from_file, from_environment = file_options(path), _environment_options()
    both = {**from_file, **from_environment}
    for table in _TABLES:
        if all(isinstance(source.get(table), dict) for source in (from_file, from_environment)):
            both[table] = {**from_file[table], **from_environment[table]}
    return {**both, **options}


def _environment_options() -> dict[str, Any]:
    """Options that the environment sets, in any case, as texts; empty variables count as unset."""
    variables = {name.upper(): value for name, value in os.environ.items() if value}
    names = {f"{PREFIX}{name.upper()}": name for name in Settings.model_fields}
    found: dict[str, Any] = {name: variables[variable] for variable, name in names.items() if variable in variables}
    for table, example in _TABLES.items():
        if table not in found:
            continue
        try:
            found[table] = json.loads(found[table])
        except (ValueError, RecursionError) as error:
            raise ConfigError(
                f"{PREFIX}{table.upper()} is not valid JSON: {error}", hint=f"Write it as {example}"
            ) from error
    return found


def file_options(path: Path | None) -> dict[str, Any]:
    """The options that the configuration file sets, as TOML gives them; none if there is no file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not a text file, or not TOML (`UnicodeDecodeError`,
            `tomllib.TOMLDecodeError`).
    """
    if path is None:
        return {}
    try:
        return tomllib.loads(read_text(path, most_bytes=_MOST_BYTES))
    except FileNotFoundError:
        return {}
    except RecursionError as error:
        raise ValueError("its brackets are nested too deeply") from error


def load(**flags: Any) -> Settings:
    """Read the configuration.

    Args:
        flags: options given on the command line; those that are None were not given.

    Raises:
        ConfigError: an unknown option, a value out of range, a file that cannot be read.
    """
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except OptionError as error:
        if not error.is_flag:
            raise
        flag = f"--{error.option.replace('_', '-')}"
        raise OptionError(error.option, flag, error.says, is_flag=True, hint=error.hint) from error.__cause__


def _see_readable(path: Path | None) -> None:
    """Refuse a configuration file that is a folder, or that was named and does not exist."""
    try:
        named_but_missing = path is not None and bool(os.environ.get(f"{PREFIX}CONFIG")) and not path.exists()
        is_folder = path is not None and path.is_dir()
    except OSError as error:
        raise _unusable(path, error) from error
    if is_folder:
        says = f"{path} is a folder, no configuration file"
        raise ConfigError(says, path=path, hint="Name the file in it", named=True)
    if named_but_missing:
        raise ConfigError(
            f"{PREFIX}CONFIG names a file that does not exist",
            path=path,
            hint="Create it with `genretagger config init`, or unset the variable",
        )


@contextmanager
def _explained(path: Path | None, options: Mapping[str, Any]) -> Iterator[None]:
    """Translate what a configuration file or a value may raise into ConfigError."""
    try:
        yield
    except ValidationError as error:
        raise _explain(error, path or Path(os.devnull), options) from error
    except (OSError, ValueError) as error:
        raise _unusable(path, error) from error


def _unusable(path: Path | None, error: OSError | ValueError) -> ConfigError:
    """Say why a configuration file cannot be used."""
    if isinstance(error, tomllib.TOMLDecodeError):
        says, hint = f"is not valid TOML: {error}", _toml_hint(str(error))
    elif isinstance(error, UnicodeDecodeError):
        line = error.object[: error.start].count(b"\n") + 1
        says, hint = f"is not UTF-8 (line {line})", "Save it as UTF-8"
    elif isinstance(error, OSError):
        says, hint = f"cannot be read: {error}", "Check its permissions"
    else:
        says, hint = f"cannot be used: {error}", _MAKE_ONE
    return ConfigError(f"{path} {says}", path=path, hint=hint, named=True)


def _check_environment() -> None:
    valid = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | _ELSEWHERE
    for name in os.environ:
        if name.startswith(PREFIX) and name not in valid:
            raise ConfigError(f"unknown variable {name} in the environment", hint=_did_you_mean(name, valid))


def _did_you_mean(name: str, valid: set[str]) -> str:
    by_ending = {other.removeprefix(PREFIX): other for other in valid}  # the prefix would make all of them similar
    close = difflib.get_close_matches(name.removeprefix(PREFIX), by_ending, n=1)
    return f"Did you mean {by_ending[close[0]]}?" if close else f"Valid are: {', '.join(sorted(valid))}"


def _explain(error: ValidationError, path: Path, given: Mapping[str, Any]) -> ConfigError:
    """Name the option, where it was set, what is wrong with it and what is valid."""
    first = error.errors(include_url=False)[0]
    option = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        where, place_of = ("", None) if option in given else (f" in {path}", path)
        hint = _did_you_mean(option, set(Settings.model_fields))
        return ConfigError(f"unknown option {option}{where}", path=place_of, hint=hint, named=True)
    if option in given:
        place = option
    elif f"{PREFIX}{option.upper()}" in os.environ:
        place = f"{PREFIX}{option.upper()}"
    else:
        place = f"{option} in {path}"
    field = Settings.model_fields.get(option)
    hint = f"It is: {field.description}" if field is not None else ""
    got = "" if option == "database_url" else f", got {shown(first['input'])}"  # it may hold a password
    return OptionError(option, place, f"{complaint(first)}{got}", is_flag=option in given, hint=hint)


def _toml_hint(said: str) -> str:
    if any(word in said for word in ("overwrite", "twice", "Duplicate")):
        return "A name is defined twice: remove one of the two"
    if "Invalid value" in said:
        return "Texts need quotation marks"
    if "'\\'" in said:
        return "Write \\\\ for a backslash, or put the text between single quotation marks"
    if "Unclosed" in said or "Unterminated" in said:
        return "A bracket or a quotation mark is not closed"
    return "Correct that line"
