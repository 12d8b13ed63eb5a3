"""Figures for Prometheus, in its text format, from the database; any machine can serve them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.database.units import Units
from genretagger.errors import ConfigError, GenretaggerError


def text_of(units: Units) -> str:
    """All figures; a scrape costs a few queries."""
    progress, totals = units.get_progress(), units.get_totals()
    failures = units.get_failures().items()
    outcomes = ((name, getattr(progress, name)) for name in ("tagged", "unchanged", "skipped", "failed"))
    lines = [
        *_metric("units", "gauge", "Folders of albums, by state.", _by("state", progress.units.items())),
        *_metric("files", "gauge", "Files in these folders, by state.", _by("state", progress.files.items())),
        *_metric("outcomes", "gauge", "What became of the files.", _by("status", outcomes)),
        *_metric("failures", "gauge", "Files that failed, by kind of error.", _by("error", failures)),
        *_metric("fetched_bytes_total", "counter", "Bytes read of object storage.", [("", units.get_fetched())]),
    ]
    for name, about in (("tracks", "Tracks that a stage handled on a node."), ("seconds", "Seconds of work for them.")):
        values = ((f'node="{_escaped(each.node)}",stage="{each.stage}"', float(getattr(each, name))) for each in totals)
        lines += _metric(f"stage_{name}_total", "counter", about, values)
    return "\n".join(lines) + "\n"


def _by(label: str, values: Iterable[tuple[str, float]]) -> Iterator[tuple[str, float]]:
    return ((f'{label}="{_escaped(str(name))}"', float(value)) for name, value in values)


def _metric(name: str, kind: str, about: str, values: Iterable[tuple[str, float]]) -> list[str]:
    full = f"genretagger_archive_{name}"
    lines = [f"# HELP {full} {about}", f"# TYPE {full} {kind}"]
    return lines + [
        f"{full}{{{labels}}} {value:g}" if value < 1e6 else f"{full}{{{labels}}} {value:.3f}"
        for labels, value in values
    ]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def place(text: str) -> tuple[str, int]:
    """Understand `9108` (this machine only) or `0.0.0.0:9108`.

    Raises:
        ConfigError: it is neither.
    """
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise ConfigError(f"--metrics: {text!r} is not a port", hint="write 9108, or 0.0.0.0:9108 for other machines")
    return host.strip("[]") or "127.0.0.1", int(port)


@contextmanager
def served(settings: Settings, where: tuple[str, int]) -> Iterator[int]:
    """Serve the figures at `/metrics` meanwhile; gives the port.

    Raises:
        ConfigError: the port is taken, or not allowed.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
                return
            try:
                with Store.open(settings.database, create=False, read_only=True, libraries=settings.libraries) as store:
                    body = text_of(store.units).encode()
            except GenretaggerError as error:
                self.send_error(503, error.cause.encode("ascii", "replace").decode())
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing: scrapes would fill the log."""

    try:
        server = ThreadingHTTPServer(where, Handler)
    except OSError as error:
        raise ConfigError(f"--metrics: port {where[1]} cannot be used: {error.strerror or error}") from error
    thread = threading.Thread(target=server.serve_forever, name="genretagger-metrics", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
