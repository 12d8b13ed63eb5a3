"""Figures for Prometheus, over HTTP, from a database on PostgreSQL."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest
from postgres_server import Server

from genretagger.archive.metrics import place, served, text_of
from genretagger.config import load
from genretagger.database.store import Store
from genretagger.database.units import NewUnit
from genretagger.errors import ConfigError

REPOSITORY = Path(__file__).resolve().parents[2]
METRIC = re.compile(r"genretagger_archive_\w+")


@pytest.fixture
def address(postgres: Server, template: str) -> Iterator[str]:
    with postgres.database(template) as address:
        yield address


def test_figures_are_served(address: str) -> None:
    with Store.open(address) as store:
        store.units.add([NewUnit(Path("/m/a"), Path("/m"), 0, 1, 12, "n")], rules="r")
        store.units.save_stage('a"b', "hear", tracks=4, seconds=2.0)
    with served(load(database_url=address), ("127.0.0.1", 0)) as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        with pytest.raises(HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/other")
    assert 'genretagger_archive_files{state="waiting"} 12' in lines
    assert 'genretagger_archive_stage_tracks_total{node="a\\"b",stage="hear"} 4' in lines
    assert "# TYPE genretagger_archive_stage_seconds_total counter" in lines


def test_the_dashboard_asks_for_figures_that_are_served(address: str) -> None:
    dashboard = json.loads((REPOSITORY / "docs/archive-dashboard.json").read_text("utf-8"))
    asked = {
        name for panel in dashboard["panels"] for each in panel["targets"] for name in METRIC.findall(each["expr"])
    }
    with Store.open(address) as store:
        served = set(METRIC.findall(text_of(store.units)))
    assert asked == served


def test_a_place_is_on_this_machine_unless_another_is_named() -> None:
    assert place("9108") == ("127.0.0.1", 9108)
    assert place("0.0.0.0:9108") == ("0.0.0.0", 9108)
    for wrong in ("", "x", "1:2:x", "99999"):
        with pytest.raises(ConfigError, match="port"):
            place(wrong)
