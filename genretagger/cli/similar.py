"""`genretagger similar`: the tracks that sound most like one; see `export --similar-to`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genretagger.cli import output
from genretagger.cli.describe import joined
from genretagger.cli.options import AsJson, any_path, quiet_settings
from genretagger.errors import ConfigError
from genretagger.files.discover import whole
from genretagger.text import printable

if TYPE_CHECKING:
    from genretagger.config import Settings
    from genretagger.database.store import Store
    from genretagger.database.values import Known
    from genretagger.shelf.index import Index


@dataclass(frozen=True, slots=True)
class Alike:
    """A track, and how much it sounds like another: 1 is the same, 0 has nothing in common."""

    known: Known
    alike: float


def similar(
    path: Annotated[Path, typer.Argument(metavar="PATH", parser=any_path, help="A track that was listened to.")],
    count: Annotated[int, typer.Option("--count", "-c", min=1, max=1000, help="How many tracks.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the tracks that sound most like one, nearest first, at most two by one artist.

    It compares what the model heard, so only tracks that were listened to count.
    """
    from genretagger.database.store import Store

    settings = quiet_settings()
    with Store.open(settings.database, create=False, read_only=True, libraries=settings.libraries) as store:
        for each in nearest(settings, store, path, count):
            track = each.known.track
            genres = track.genres.values if track is not None else ()
            credits = track.credits if track is not None else None
            if as_json:
                output.say_json(
                    {
                        "path": os.fspath(each.known.path),
                        "alike": each.alike,
                        "artist": credits.artist if credits else "",
                        "title": credits.title if credits else "",
                        "genres": list(genres),
                    }
                )
            else:
                output.say(f"{each.alike:.2f}  {printable(joined(genres)):<24}  {printable(each.known.path)}")


def nearest(settings: Settings, store: Store, path: Path, count: int) -> Iterator[Alike]:
    """The tracks that sound most like one.

    Raises:
        ConfigError: genretagger has not listened to it yet.
    """
    from genretagger.database.paths import BATCH
    from genretagger.shelf.likeness import Likeness

    with _index(settings, store) as index:
        known = store.reports.get(whole(path))
        payload_hash = known.track.payload_hash if known is not None and known.track is not None else None
        likeness = Likeness(index)
        if payload_hash is None or likeness.position(payload_hash) is None:
            raise ConfigError(
                "genretagger has not listened to it yet",
                path=path,
                hint="`genretagger tag --dry-run` listens to it, and writes nothing",
            )
        found = {near: alike for _, near, alike in likeness.nearest(payload_hash, count)}
        ordered = list(found)
        for start in range(0, len(ordered), BATCH):
            for each in store.reports.get_some(ordered[start : start + BATCH]):
                yield Alike(each, found[each.path])


@contextmanager
def _index(settings: Settings, store: Store) -> Iterator[Index]:
    """The index beside the database, with everything that was heard."""
    from genretagger.shelf import filling, likeness
    from genretagger.shelf.index import Index

    with Index(settings.data_dir) as index, output.Bar("tracks") as bar:
        if likeness.is_behind(store.listings, index):
            filling.refresh(store, index, progress=lambda done, of: bar.update("reading the library", done, of))
            likeness.refresh(store.listings, index, progress=lambda done, of: bar.update("comparing tracks", done, of))
        yield index
