"""In all JSON, `cause` is a word of `Cause`, and `reason` beside it is a sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon_helpers import Watcher
from postgres_server import Server

from genretagger.causes import Cause
from genretagger.database.store import Store
from genretagger.database.units import NewUnit
from genretagger.errors import ModelError
from genretagger.types import Json

CLI = Path(__file__).resolve().parents[1] / "genretagger" / "cli"

TRIED = {"tag", "show", "apply", "undo", "redo", "history", "export", "status", "archive"}
"""The commands whose JSON says why something happened to a file; all of them are run here."""

WITHOUT = {
    "config": "options",
    "doctor": "findings",
    "evaluate": "figures",
    "models": "models",
    "retry": "a count",
    "similar": "tracks that were found",
    "train": "figures",
}
"""The other commands with --json, and what they give."""


def genretagger(*arguments: str | Path, data_dir: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "genretagger", *arguments],
        env={**os.environ, "GENRETAGGER_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def told(value: Json) -> Iterator[tuple[Any, Any]]:
    """Each cause in a value, with the reason beside it."""
    if isinstance(value, dict):
        if "cause" in value:
            yield value["cause"], value.get("reason")
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from told(each)


def check(lines: str) -> set[str]:
    """The causes in lines of JSON."""
    found = [each for line in lines.splitlines() for each in told(json.loads(line))]
    for cause, reason in found:
        if cause is None:  # in `export`, if nothing was decided
            assert reason in ("", None)
            continue
        assert cause in list(Cause), (cause, reason)
        assert isinstance(reason, str), (cause, reason)
        assert " " in reason or cause == Cause.UNDONE, (cause, reason)
    return {cause for cause, _ in found}


def test_every_command_with_json_is_looked_at() -> None:
    with_json = {file.stem for file in CLI.glob("*.py") if "as_json: AsJson" in file.read_text("utf-8")}
    with_json = with_json - {"undoing"} | {"undo", "redo", "export"}
    assert with_json == TRIED | WITHOUT.keys()


def test_a_cause_is_a_word_and_a_reason_is_a_sentence(heard: Path, music: Path, song: bytes, tmp_path: Path) -> None:
    good, bad = music / "good.flac", music / "bad.mp3"
    with Watcher(music, data_dir=heard, attempts=1, on_tagged="/no/such/program") as watcher:
        watcher.wait_for("looked", why="start")
        good.write_bytes(song)
        bad.write_bytes(b"no music")
        watcher.wait_for("hook failed")
        _ = watcher.seen("quarantined") or watcher.wait_for("quarantined")
        assert "unsupported" in check(genretagger("status", "--json", data_dir=heard))
        log = "\n".join(json.dumps(line) for line in watcher.log)
    assert "unsupported" in check(log)
    assert (lines := json.loads(genretagger("status", "--json", data_dir=heard)))["quarantine"]
    assert {"path", "cause", "reason", "hint", "attempts", "at"} == lines["quarantine"][0].keys()
    plan = tmp_path / "plan.jsonl"
    for words, least in (
        (("tag", "--json", music), {"has_genre", "unsupported"}),
        (("show", "--json", music), {"chosen", "unsupported"}),
        (("history", "--json"), {"chosen"}),
        (("undo", "--last", "--json"), {"undo"}),
        (("tag", "--json", music), {"undone"}),
        (("redo", "--last", "--json"), {"redo"}),
        (("undo", "--last", "--json"), {"undo"}),
        (("tag", "--force", "--plan", plan, "--json", music), {"chosen"}),
        (("apply", plan, "--yes", "--json"), {"chosen"}),
        (("export", "--format", "json"), set()),
    ):
        assert check(genretagger(*words, data_dir=heard)) >= least, words


def test_folders_that_archive_sets_aside_say_why(postgres: Server, template: str, tmp_path: Path) -> None:
    folder = Path("/music/a")
    with postgres.database(template) as address:
        with Store.open(address) as store:
            store.units.add(
                [NewUnit(folder, folder, 0, 1, 12, "n"), NewUnit(folder / "b", folder, 0, 1, 12, "n")], rules="r"
            )
            claim = {"rules": "r", "roots": [folder], "lease_s": 60.0}
            unit = store.units.claim("run", attempts=1, **claim)  # type: ignore[arg-type]
            assert unit is not None
            store.units.fail(unit.id, "run", ModelError("the network gave nothing"), is_last=True)
            assert store.units.claim("run", attempts=1, **claim) is not None  # type: ignore[arg-type]
            store.units.give_back("run")
            assert store.units.claim("run", attempts=1, **claim) is None  # type: ignore[arg-type]
        shown = genretagger("archive", "status", "--json", "--database", address, data_dir=tmp_path)
    assert check(shown) == {"model", "killed"}
    assert json.loads(shown)["failed_folders"][0].keys() == {"path", "cause", "reason"}


@pytest.mark.parametrize(
    "line",
    [
        '{"cause": "the disk is full", "reason": "the disk is full"}',
        '{"a": [{"cause": "busy"}]}',
        '{"cause": "busy", "reason": "busy"}',
    ],
)
def test_the_check_sees_what_is_wrong(line: str) -> None:
    with pytest.raises(AssertionError):
        check(line)
