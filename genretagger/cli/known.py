"""Shared by `train` and `evaluate`: options, and hearing tracks of known genre with a bar."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from genretagger.cli import output
from genretagger.cli.interrupt import interruptible
from genretagger.cli.options import any_path, existing_file, existing_path
from genretagger.errors import ConfigError, FileError, GenretaggerError
from genretagger.files.discover import Found, find
from genretagger.text import printable
from genretagger.types import Heard

if TYPE_CHECKING:
    from genretagger.config import Settings
    from genretagger.pipeline import Pipeline, Progress
    from genretagger.training.examples import Lessons
    from genretagger.training.labels import LabelSource, NameMap

Known: TypeAlias = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="PATH",
        parser=existing_path,
        help="Music with known genres; may be left out if an option says where it is.",
    ),
]
Labels: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="tags|folder|FILE.csv",
        help="Where known genres are: in tags, folders' names, or a table of the columns path,genres. [default: tags]",
    ),
]
Beets: TypeAlias = Annotated[bool, typer.Option("--beets", help="Take the known genres from beets' library.")]
Names: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--map",
        metavar="FILE",
        parser=existing_file,
        help='TOML file with your names: "Deep House" = "House"; "" leaves a label out.',
    ),
]
Report: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="DIR", parser=any_path, help="Write a report there: HTML, JSON, pictures."),
]


@dataclass(frozen=True, slots=True)
class Gathered:
    """Tracks with known genres."""

    lessons: Lessons
    failures: tuple[FileError, ...]
    source: LabelSource


def source_of(labels: str | None, beets: bool, paths: Sequence[Path]) -> LabelSource:
    """Find the source of the known genres of the music in some places.

    Raises:
        ConfigError: there is no such source, or no files or folders were given.
    """
    from genretagger.training.labels import Folders, Tags
    from genretagger.training.tables import from_beets, from_csv

    if labels is not None and labels.endswith((".db", ".blb")):  # beets' database
        return from_beets(Path(labels), paths)
    if not paths and not beets:
        raise ConfigError("no files or folders were given", hint="Name files or folders with known genres")
    if beets and labels is not None:
        raise ConfigError("--beets and --labels cannot be used together", hint="Leave out one of the two")
    if beets:
        return from_beets()
    if labels in (None, "tags"):
        return Tags()
    if labels in ("folder", "folders"):
        return Folders()
    if labels is not None and Path(labels).is_file():
        return from_csv(Path(labels))
    raise ConfigError(
        f"--labels: {labels!r} is neither tags nor folder nor a file", hint="A table is named by its file: genres.csv"
    )


@contextmanager
def gathered(
    settings: Settings,
    paths: Sequence[Path],
    source: LabelSource,
    names: NameMap,
    *,
    shown: bool,
    lines: bool = False,
) -> Iterator[tuple[Pipeline, Gathered, Progress]]:
    """Listen to the tracks with known genres.

    Args:
        paths: files and folders; none for all that the source knows.
        shown: on a terminal.
        lines: as JSON, for a program.

    Yields:
        The pipeline, which is open in the block; the tracks; and a callback for progress.

    Raises:
        typer.Exit: interrupted.
    """
    from genretagger.pipeline import open_pipeline
    from genretagger.training.examples import collect
    from genretagger.training.labels import Table

    failures: list[FileError] = []
    heard: list[Heard] = []
    with _failures_listed(failures), output.Bar("tracks", shown=shown, lines=lines) as bar:
        bar.update("looking for music", 0, None)
        found: Iterable[Found]
        if paths or not isinstance(source, Table):
            found = find(paths, failures.append, folders=settings.ignore_folders)
            if isinstance(source, Table):
                found = (file for file in found if source.knows(file.path))
        else:
            found = source.files()
        files = _below_outermost({file.path: file for file in found})

        def worth(each: Heard) -> bool:
            return bool(names.apply(source.labels(each, files[each.track.path])))

        with open_pipeline(settings, notice=bar.notice, progress=bar.update) as pipeline:
            with interruptible() as stop:
                for each in pipeline.hear(files.values(), worth=worth, stop=stop):
                    if isinstance(each, FileError):
                        failures.append(each)
                        name = each.path.name if each.path else ""
                    else:
                        heard.append(each)
                        name = each.track.path.name
                    bar.update(name, len(heard) + len(failures), len(files))
            if stop.done():
                output.notice("interrupted; what was heard is kept")
                raise typer.Exit(130)
            yield pipeline, Gathered(collect(heard, files, source, names), tuple(failures), source), bar.update


@contextmanager
def _failures_listed(failures: Sequence[FileError]) -> Iterator[None]:
    """List the files that failed if all of it fails: they may be why there was too little."""
    try:
        yield
    except GenretaggerError:
        _list_failures(failures)
        raise


def _below_outermost(files: dict[Path, Found]) -> dict[Path, Found]:
    """Files with the outermost of the named folders as root: folder names count from there."""
    roots = {file.root for file in files.values()}
    return {
        path: replace(file, root=next((each for each in reversed(path.parents) if each in roots), file.root))
        for path, file in files.items()
    }


def tell_failures(failures: Sequence[FileError]) -> None:
    """Say which files failed, and why, to people; the command then ends with 1."""
    _list_failures(failures)
    if failures:
        raise typer.Exit(1)


def _list_failures(failures: Sequence[FileError], most: int = 20) -> None:
    for error in failures[:most]:
        output.say_aside(f"failed  {printable(error.path or '')}: {printable(str(error))}")
    if len(failures) > most:
        output.say_aside(f"  and {len(failures) - most} more")


def percent(share: float | None) -> str:
    """A share as per cent, for people."""
    return "-" if share is None else f"{100 * share:.0f} %"


def two_digits(value: float | None) -> str:
    """A measure for people, with two digits."""
    return "-" if value is None else f"{value:.2f}"
