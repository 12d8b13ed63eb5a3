"""The driver: lists, hands out tickets in passes until nothing waits, and keeps the claims alive.

Ray Data runs the stages. If a worker dies, the database still shows what is done: after each pass,
the units whose worker died wait again, and the next pass takes them. If the driver dies, its
claims end after `LEASE_S`, and the same command goes on. Several drivers may work on one archive,
if their settings are the same.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from genretagger.addresses import is_object
from genretagger.archive.stages import LEASE_S, FinishingStage, ListeningStage, NetworkStage, Order, list_root
from genretagger.audio.windows import AUTO
from genretagger.config import Settings
from genretagger.database.libraries import Libraries
from genretagger.database.store import Store
from genretagger.database.units import Units
from genretagger.errors import ConfigError, DatabaseError, GenretaggerError
from genretagger.pipeline import Pipeline, open_pipeline
from genretagger.text import plural

_log = logging.getLogger("genretagger.archive")

TICKETS = 20_000
"""The most units of a pass: the driver's memory, and Ray's, depend on it and on nothing else."""

TICKETS_A_BLOCK = 4
"""Units that one task handles. Ray needs some milliseconds a task, a unit some seconds."""

_BLOCK_BYTES = 8 << 20
"""How much a stage gathers before it passes it on: about three tracks."""

_TRACKS_A_BATCH = {False: 8, True: 64}
"""Tracks that a copy of the model hears at once, on a CPU and on a GPU."""

_VAIN_PASSES = 5
"""After so many passes without a finished unit, the driver reports what stops them."""

_WAIT_S = 1.0


class ArchiveError(GenretaggerError):
    """Ray cannot be used, or nothing gets done."""


@dataclass(slots=True)
class ArchiveOptions:
    """What to do, and where.

    Attributes:
        settings: how to listen, decide and write.
        roots: the folders, absolute, or prefixes of objects.
        address: of a Ray cluster; "local" starts one on this machine.
        write: whether to write tags.
        again: whether units that are done are looked at again.
        resource: a resource of Ray that nodes have which mount the music; empty if all do.
        cpus: for "local", how many; 0 means all.
    """

    settings: Settings
    roots: Sequence[Path]
    address: str = "local"
    write: bool = False
    again: bool = False
    resource: str = ""
    cpus: int = 0


@dataclass(slots=True)
class Done:
    """The result: units and files that this driver saw done, and what could not be listed."""

    units: int = 0
    files: int = 0
    passes: int = 0
    failures: list[str] = field(default_factory=list)
    run_id: int = 0


def run(options: ArchiveOptions, *, notice: Callable[[str], None], progress: Callable[[Done], None]) -> Done:
    """Work until nothing waits.

    Args:
        options: what to do.
        notice: called with what a person should know.
        progress: called whenever units are done.

    Raises:
        GenretaggerError: the database, the model or Ray cannot be used, or another run with other
            settings is at work.
    """
    if options.write and any(map(is_object, options.roots)):
        raise ConfigError("object storage is read only: results only", hint="Leave out --write, or name folders only.")
    if options.settings.windows == AUTO:
        raise ConfigError(
            "an archive listens to the same number of windows of each track",
            hint="Set `windows` to a number, such as 16: `auto` would need the model between one window and the next",
        )
    with open_pipeline(options.settings, notice=notice) as pipeline:
        units = pipeline.store.units
        units.see_server()
        order = _order(options, pipeline)
        _see_alone(options, units, order, notice)
        begun = pipeline.begin("archive", dry_run=not options.write)
        order = replace(order, run_id=begun.id)
        done = Done(run_id=begun.id)
        with _cluster(options, notice), _kept_alive(options.settings, order.owner):
            try:
                _passes(options, units, order, done, notice=notice, progress=progress)
            finally:
                with suppress(DatabaseError):
                    units.give_back(order.owner)
        pipeline.finish(begun)
    return done


def rules_of(pipeline: Pipeline, settings: Settings, *, write: bool) -> str:
    """The digest of all that decides what becomes of a file."""
    listener = pipeline.listener
    parts = (settings.rules_key, listener.rules_key, listener.fingerprint, listener.sampling, str(write))
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:32]


def _order(options: ArchiveOptions, pipeline: Pipeline) -> Order:
    stored = Libraries(options.settings.libraries).to_stored
    return Order(
        settings=options.settings.model_dump(mode="json"),
        owner=f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}",
        rules=rules_of(pipeline, options.settings, write=options.write),
        roots=tuple(map(stored, options.roots)),
        run_id=0,
        write=options.write,
        is_local=options.address == "local",
    )


def _see_alone(options: ArchiveOptions, units: Units, order: Order, notice: Callable[[str], None]) -> None:
    owners = units.get_owners(options.roots)
    others = sorted(owner for owner, rules in owners.items() if rules != order.rules)
    if others:
        raise ArchiveError(
            f"another archive run is at work there with other settings: {', '.join(others)}",
            hint=f"wait for it, or start this one with the same settings; after a crash, wait {LEASE_S:.0f} seconds",
        )
    if owners:
        notice(f"another run is at work there ({', '.join(sorted(owners))}); this one helps")


@contextmanager
def _cluster(options: ArchiveOptions, notice: Callable[[str], None]) -> Iterator[None]:
    """A connection to Ray.

    Raises:
        ArchiveError: Ray is not installed, or does not answer.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ArchiveError(
            f"an archive needs the Python package {error.name}", hint="pip install 'genretagger[archive]'"
        ) from error
    try:
        if options.address == "local":
            ray.init(num_cpus=options.cpus or None, include_dashboard=False, log_to_driver=False, logging_level="error")
        else:
            ray.init(address=options.address, log_to_driver=False, logging_level="error")
    except Exception as error:
        raise ArchiveError(f"Ray cannot be used: {error}", hint="is the address right, and the cluster up?") from error
    try:
        context = ray.data.DataContext.get_current()
        context.target_max_block_size = _BLOCK_BYTES
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        resources = ray.cluster_resources()
        gpus = f", {resources['GPU']:.0f} GPUs" if "GPU" in resources else ""
        notice(f"Ray: {plural(len(ray.nodes()), 'node')}, {resources.get('CPU', 0):.0f} CPUs{gpus}")
        yield
    finally:
        ray.shutdown()


@contextmanager
def _kept_alive(settings: Settings, owner: str) -> Iterator[None]:
    """Renew the leases of a run's units in its own thread."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(LEASE_S / 4):
            try:
                with Store.open(settings.database, libraries=settings.libraries) as store:
                    store.units.renew(owner, LEASE_S)
            except GenretaggerError as error:
                _log.warning("the leases could not be renewed: %s", error)

    thread = threading.Thread(target=renew, name="genretagger-leases", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _passes(
    options: ArchiveOptions,
    units: Units,
    order: Order,
    done: Done,
    *,
    notice: Callable[[str], None],
    progress: Callable[[Done], None],
) -> None:
    import ray

    lister = ray.remote(list_root).options(num_cpus=0.01, max_retries=3, **_where(options))
    listings = [lister.remote(order, root, options.again) for root in order.roots]
    where: dict[str, Any] = {"rules": order.rules, "roots": options.roots}
    vain = 0
    while True:
        units.give_back_lost()
        waiting = units.get_waiting_count(most=TICKETS, **where)
        if waiting:
            before, done.passes = done.units, done.passes + 1
            error = _pass(options, order, waiting, done, progress)
            units.give_back(order.owner)
            vain = 0 if done.units > before else vain + 1
            if error is not None:
                notice(f"a pass ended early, and the next one goes on: {_short(error)}")
            if vain >= _VAIN_PASSES:
                raise ArchiveError(
                    f"nothing was done in {vain} passes: {_short(error)}",
                    hint="`genretagger archive status` says more",
                )
        elif listings:
            ready, listings = ray.wait(listings, timeout=_WAIT_S)
            for listing in ready:
                try:
                    done.failures += ray.get(listing)[1]
                except ray.exceptions.RayTaskError as error:
                    raise (
                        error.cause
                        if isinstance(error.cause, GenretaggerError)
                        else ArchiveError(f"the listing failed: {_short(error)}")
                    ) from error
        elif units.get_lease_end(**where) is not None:
            time.sleep(_WAIT_S)  # another run has the rest, and may die over it
        else:
            return


def _pass(
    options: ArchiveOptions, order: Order, tickets: int, done: Done, progress: Callable[[Done], None]
) -> Exception | None:
    """Hand out tickets and wait until all are used; returns the error that ended it, if any."""
    import ray
    import ray.data

    resources = ray.cluster_resources()
    cpus, gpus = max(1, int(resources.get("CPU", 1))), int(resources.get("GPU", 0))
    blocks = -(-tickets // TICKETS_A_BLOCK)
    cpus = min(cpus, blocks)
    model = {"num_gpus": 1, "num_cpus": 0.1} if gpus else {"num_cpus": 0.3}
    data = ray.data.from_items([{"ticket": number} for number in range(tickets)], override_num_blocks=blocks)
    for stage, most, batch_size, needs in (
        (ListeningStage, cpus, None, {"num_cpus": 0.5, **_where(options)}),
        (NetworkStage, gpus or cpus, _TRACKS_A_BATCH[bool(gpus)], model),
        (FinishingStage, max(1, cpus // 2), None, {"num_cpus": 0.1, **_where(options)}),
    ):
        data = data.map_batches(
            stage,
            batch_size=batch_size,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most),
            fn_constructor_args=(order,),
            **needs,
        )
    try:
        for batch in data.iter_batches(batch_size=None, prefetch_batches=0):
            done.units += len(batch["unit"])
            done.files += int(sum(batch["files"]))
            progress(done)
    except Exception as error:  # noqa: BLE001 - Ray raises whatever its parts do; the database knows what is done
        return error
    return None


def _where(options: ArchiveOptions) -> dict[str, Any]:
    """Where music is mounted, for Ray."""
    return {"resources": {options.resource: 0.001}} if options.resource else {}


def _short(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
