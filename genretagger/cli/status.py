"""`genretagger status`: what the service does, and which files it set aside."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import typer

from genretagger.cli import output
from genretagger.cli.options import AsJson, quiet_settings
from genretagger.daemon.control import NoAnswer, ask
from genretagger.daemon.state import ServiceState
from genretagger.database.values import JobCounts, JobState, StoredJob
from genretagger.errors import GenretaggerError
from genretagger.text import moment, plural, printable
from genretagger.types import Json

_SHOWN = 10


def status(as_json: AsJson = False) -> None:
    """Show the queue, what is being done, the last errors, and whether the service is healthy.

    Exit status 1 if no service runs or it is not healthy; 2 if it runs as another user: only that
    user and root may ask it.
    """
    from genretagger.database.store import Store

    settings = quiet_settings()
    running = ask(settings.data_dir, "status")
    if running is NoAnswer.DENIED:
        raise GenretaggerError(
            "the service runs as another user, and only that user and root may ask it",
            path=settings.data_dir,
            hint="Run `genretagger status` as that user",
        )
    counts, quarantined = JobCounts(0, 0, 0, 0), []
    if settings.has_database:
        with Store.open(settings.database, create=False, read_only=True, libraries=settings.libraries) as store:
            counts = store.jobs.get_counts()
            quarantined = store.jobs.get_all(JobState.QUARANTINED, limit=1000)
    well = isinstance(running, ServiceState) and running.healthy
    if as_json:
        output.say_json(
            {
                "running": running is not NoAnswer.NOT_RUNNING,
                "healthy": well,
                "queue": asdict(counts),
                "quarantine": [_job_json(job) for job in quarantined],
                **(asdict(running) if isinstance(running, ServiceState) else {"model": settings.model}),
            }
        )
    else:
        for line in _lines(running, counts, quarantined, settings.model):
            output.say(line)
    if not well:
        raise typer.Exit(1)


def _job_json(job: StoredJob) -> Json:
    return {
        "path": str(job.path),
        "cause": job.cause,
        "reason": job.reason,
        "hint": job.hint,
        "attempts": job.attempts,
        "at": moment(job.updated_at),
    }


def _lines(running: ServiceState | NoAnswer, counts: Any, quarantined: list[StoredJob], model: str) -> list[str]:
    lines = []
    if running is NoAnswer.NOT_RUNNING:
        lines.append("service     not running: `genretagger watch DIR` or `genretagger service install DIR` starts it")
    elif isinstance(running, NoAnswer):
        lines.append("service     not healthy: it runs but does not answer; if genretagger was updated, restart it")
    else:
        health = "healthy" if running.healthy else "not healthy"
        lines.append(f"service     {health}, running for {_duration(running.uptime_s)}, process {running.pid}")
        for root in running.roots:
            why = f": {root.reason}" if root.reason else ""
            now = ", looking" if root.looking else ""
            found = f"{plural(root.files, 'file')} at the last scan"
            lines.append(f"folder      {printable(root.path)}, {found}, {root.way}{why}{now}")
        lines += [
            f"paused      below {printable(pause.path)}: {pause.reason}; work goes on when that is over"
            for pause in running.paused
        ]
        if running.database:
            lines.append(f"paused      everything: {printable(running.database)}; work goes on when that is over")
    lines.append(
        f"queue       {counts.new:,} new, {counts.backlog:,} in the backlog, {counts.working:,} being done, "
        f"{counts.quarantined:,} quarantined"
    )
    if isinstance(running, ServiceState):
        done = ", ".join(f"{count:,} {name}" for name, count in sorted(running.outcomes.items())) or "nothing yet"
        span = _span(running.uptime_s)
        lines.append(f"done        {done}; {running.per_minute:g} a minute, over the last {span}")
        if running.arrived:
            lines.append(f"arrived     {plural(running.arrived, 'file')} since it started")
        if running.settling:
            lines.append(f"waiting     for {plural(running.settling, 'file')} to be complete")
        lines += [f"at work on  {printable(path)}" for path in running.busy[:_SHOWN]]
        loaded = f", on {running.provider}" if running.provider else ""
        lines.append(f"model       {printable(running.model)}{loaded}")
        for error in running.errors[-_SHOWN:]:
            where = f" {printable(error.path)}:" if error.path else ""
            lines.append(f"error       {error.at}{where} {printable(error.reason)}")
    else:
        lines.append(f"model       {printable(model)}")
    lines += [f"quarantine  {printable(job.path)}: {printable(job.reason)}" for job in quarantined[:_SHOWN]]
    if len(quarantined) > _SHOWN:
        lines.append(f"            … and {len(quarantined) - _SHOWN:,} more; `--json` lists them")
    if quarantined:
        lines.append("            `genretagger retry` lets them be tried again")
    return lines


def _span(uptime_s: float) -> str:
    """The time over which the service counts files per minute."""
    from genretagger.daemon.account import RATE_SPAN_S

    return _duration(min(uptime_s, RATE_SPAN_S))


def _duration(seconds: float) -> str:
    minutes = int(seconds) // 60
    if minutes < 2:
        return f"{int(seconds)} s"
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} days"
