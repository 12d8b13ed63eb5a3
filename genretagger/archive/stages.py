"""The stages on the nodes. Ray Data runs copies of each class, each copy in its own process.

    a ticket → `ListeningStage` claims a unit, reads and decodes its files in limited child
               processes, and makes mel frames
             → `NetworkStage` runs the model over batches of many tracks, and stores what it said
             → `FinishingStage` decides, with the albums, and writes; then the unit is done

A ticket says nothing but "take the next unit", so one that is handled twice does no harm. What the
stages pass on is one row a track with its frames, and at the end of a unit one without. A unit goes
on when the database holds what the model said of all of its tracks, whichever processes they went
through.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from genretagger.addresses import is_object
from genretagger.archive.listing import files_of, units
from genretagger.config import Settings, load, restored
from genretagger.database.libraries import Libraries
from genretagger.database.store import Store
from genretagger.database.units import Unit
from genretagger.errors import AccessError, DatabaseError, GenretaggerError, SystemFaultError
from genretagger.files.discover import Found
from genretagger.pipeline import Pipeline, Unheard, open_pipeline
from genretagger.steps.run import Run
from genretagger.strict import read
from genretagger.types import Frames, Json, Status
from genretagger.worker.protocol import frames_from_json, frames_to_json

Batch: TypeAlias = Mapping[str, Any]
"""Column → values, as Ray Data gives it."""

LEASE_S = 60.0
"""How long a claim holds if its driver says nothing more; it says so four times as often."""

_EACH_TIME = 4
"""How many tracks `ListeningStage` passes on together; their frames are about 2.5 MB each."""

_STORAGE_ATTEMPTS = 2
"""After so many attempts at which object storage failed, a unit is left to the next run."""

_LISTED = 2000
"""How many units a listing stores at a time."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a driver passes to its stages.

    Attributes:
        settings: as `Settings.model_dump` gives them.
        owner: the owner of the claims.
        rules: the digest that units are claimed by.
        roots: the folders, as they are stored: relative to their library.
        run_id: the run that the writes belong to.
        write: whether to write tags.
        is_local: whether all nodes are this machine, so that places are the driver's.
    """

    settings: Json
    owner: str
    rules: str
    roots: tuple[bytes, ...]
    run_id: int
    write: bool
    is_local: bool

    def settings_here(self) -> Settings:
        """The settings of the driver, with the places of this node."""
        if self.is_local:
            return restored({**self.settings, "jobs": 1, "threads": 1})
        here = load().model_dump(mode="json", include={"data_dir", "libraries"})
        places = {**here, "libraries": here["libraries"] or self.settings["libraries"]}
        return restored({**self.settings, **places, "jobs": 1, "threads": 1})

    def roots_here(self, settings: Settings) -> list[Path]:
        """The folders that this node mounts."""
        libraries = Libraries(settings.libraries)
        return [path for root in self.roots if is_object(path := libraries.from_stored(root)) or path.is_dir()]


class Stage:
    """What the stages share: their own pipeline.

    Args:
        order: from the driver.
    """

    name = ""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._settings = order.settings_here()
        self._stack = ExitStack()
        self._pipeline: Pipeline = self._stack.enter_context(open_pipeline(self._settings))
        self._units = self._pipeline.store.units
        self._run = Run(order.run_id, dry_run=not order.write)
        self._node = node_name()

    def _files(self, unit: Unit) -> list[Found]:
        rules = self._settings
        return files_of(
            unit.folder, unit.root, part=unit.part, parts=unit.parts, ignore=rules.ignore, folders=rules.ignore_folders
        )

    def _count(self, tracks: int, started_s: float) -> None:
        if tracks:
            fetched, seconds = self._pipeline.take_fetched(), time.monotonic() - started_s
            self._units.save_stage(self._node, self.name, tracks=tracks, seconds=seconds, fetched_bytes=fetched.bytes)


class ListeningStage(Stage):
    """Claims units, and makes mel frames of their tracks."""

    name = "listen"

    def __init__(self, order: Order) -> None:
        super().__init__(order)
        self._roots = order.roots_here(self._settings)

    def __call__(self, tickets: Batch) -> Iterator[dict[str, list[Any]]]:
        """One unit for each ticket, as long as some wait."""
        for _ in tickets["ticket"]:
            unit = self._claim()
            if unit is None:
                return
            yield from self._frames(unit)

    def _claim(self) -> Unit | None:
        if not self._roots:
            raise AccessError("no folder of this archive is mounted on this node", hint="see docs/archives.md")
        order, attempts = self._order, self._settings.attempts
        return self._units.claim(order.owner, rules=order.rules, roots=self._roots, lease_s=LEASE_S, attempts=attempts)

    def _frames(self, unit: Unit) -> Iterator[dict[str, list[Any]]]:
        started, wanted, read = time.monotonic(), [], 0
        rows: list[tuple[int, str, str, bytes]] = []
        try:
            for file in self._files(unit):
                unheard, read = self._pipeline.unheard(file, self._run), read + 1
                if unheard is None or unheard.track.payload_hash in wanted:
                    continue
                wanted.append(unheard.track.payload_hash)
                rows.append((unit.id, unheard.track.payload_hash, *packed(unheard)))
                if len(rows) == _EACH_TIME:
                    yield _columns(rows)
                    rows = []
        except DatabaseError:
            raise
        except GenretaggerError as error:
            self._units.fail(unit.id, self._order.owner, error)
            return
        self._units.save_wanted(unit.id, self._order.owner, wanted)
        self._count(read, started)
        yield _columns([*rows, (unit.id, "", "", b"")])


class NetworkStage(Stage):
    """Runs the model."""

    name = "hear"

    def __init__(self, order: Order) -> None:
        super().__init__(order)
        self._listener = self._pipeline.listener
        self._model_id = self._pipeline.knowledge.model_id

    def __call__(self, tracks: Batch) -> dict[str, list[int]]:
        """Hear the tracks of a batch; gives the units of which all is heard now."""
        started = time.monotonic()
        rows = zip(tracks["payload"], tracks["header"], tracks["mels"], strict=True)
        submitted = {
            payload: self._listener.submit(unpacked(header, mels)) for payload, header, mels in rows if payload
        }
        said = {payload: future.result() for payload, future in submitted.items()}
        seconds = (time.monotonic() - started) / max(1, len(said))
        with self._pipeline.store.group():
            for payload, activations in said.items():
                self._pipeline.knowledge.keep_heard(payload, activations, seconds=seconds)
        self._count(len(said), started)
        where = (self._order.owner, self._model_id, self._listener.sampling)
        return {
            "unit": [unit for unit in dict.fromkeys(map(int, tracks["unit"])) if self._units.is_heard(unit, *where)]
        }


class FinishingStage(Stage):
    """Decides, writes, and notes that a unit is done."""

    name = "finish"

    def __call__(self, heard: Batch) -> dict[str, list[int]]:
        """Take the files of units through all stages; most results are already in the database."""
        ended: list[tuple[int, int]] = []
        for number in dict.fromkeys(map(int, heard["unit"])):
            with self._units.held(number) as held:
                unit = self._units.get(number, self._order.owner) if held else None
                if unit is not None and (counts := self._finish(unit)) is not None:
                    ended.append((number, counts))
        return {"unit": [unit for unit, _ in ended], "files": [files for _, files in ended]}

    def _finish(self, unit: Unit) -> int | None:
        started, fault = time.monotonic(), None
        try:
            if self._order.write:
                self._pipeline.writer.recover_below(unit.folder, "archive")
            files = self._files(unit)
            counts: Counter[Status] = Counter()
            for outcome in self._pipeline.tag(files, self._run, stop=Future()):
                counts[outcome.status] += 1
                if isinstance(outcome.error, SystemFaultError) and is_object(outcome.path):
                    fault = outcome.error
        except DatabaseError:
            raise
        except GenretaggerError as error:
            self._units.fail(unit.id, self._order.owner, error)
            return None
        self._count(len(files), started)
        if fault is not None:  # of the storage, which passes: what is known by now is not asked again
            self._units.fail(unit.id, self._order.owner, fault, is_last=unit.attempts >= _STORAGE_ATTEMPTS)
            return None
        ended = {status.value: counts[status] for status in Status}
        return len(files) if self._units.finish(unit.id, self._order.owner, self._node, ended) else None


def list_root(order: Order, root: bytes, again: bool) -> tuple[int, list[str]]:
    """Walk a folder on a node that mounts it, and store its units; gives how many, and failures."""
    settings = order.settings_here()
    folder = Libraries(settings.libraries).from_stored(root)
    failures: list[str] = []
    if not is_object(folder) and not folder.is_dir():
        raise AccessError("the folder is not there", path=folder, hint="Is the library mounted on every node?")

    def failed(error: AccessError) -> None:
        failures.append(error.message)

    found = units(folder, ignore=settings.ignore, folders=settings.ignore_folders, failed=failed)
    added = 0
    with Store.open(settings.database, libraries=settings.libraries) as store:
        while some := list(islice(found, _LISTED)):
            added += store.units.add(some, rules=order.rules, again=again)
    return added, failures[:100]


def node_name() -> str:
    """What this node is called: by its own name, and Ray's, as several may run on one machine."""
    try:
        import ray

        return f"{socket.gethostname()}/{ray.get_runtime_context().get_node_id()[:8]}"
    except (ImportError, RuntimeError):
        return f"{socket.gethostname()}/{os.getpid()}"


@dataclass(frozen=True, slots=True)
class _UnheardHeader:
    """The header of frames: the shape of each ear's windows, and what `frames_from_json` reads."""

    shapes: tuple[tuple[int, ...], ...]
    windows: Json


def packed(unheard: Unheard) -> tuple[str, bytes]:
    """Frames as a header and bytes, as child processes give them."""
    frames = unheard.frames
    shapes = [mels.shape[1:] for mels in frames.mels]
    parts = [mels.reshape(len(mels), prod(shape)) for mels, shape in zip(frames.mels, shapes, strict=True)]
    header = _UnheardHeader(tuple(shapes), frames_to_json(frames.windows))
    return json.dumps(asdict(header)), np.concatenate(parts, axis=1).tobytes()


def unpacked(header: str, mels: bytes) -> Frames:
    """Make frames of what `packed` gave."""
    known = read(_UnheardHeader, json.loads(header))
    return frames_from_json(known.windows, bytearray(mels), shapes=known.shapes)


def _columns(rows: list[tuple[int, str, str, bytes]]) -> dict[str, list[Any]]:
    unit, payload, header, mels = (list(column) for column in zip(*rows, strict=True))
    return {"unit": unit, "payload": payload, "header": header, "mels": mels}
