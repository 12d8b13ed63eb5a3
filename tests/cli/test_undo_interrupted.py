"""An interrupted undo goes on if it is run again; it does not put back what it has taken away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import command_helpers as helpers

from genretagger.database.store import Store

Command = Callable[..., Any]
MakeTechno = Callable[..., Path]


def test_an_interrupted_undo_goes_on(
    genretagger: Command, heard: Path, make_techno: MakeTechno, tmp_path: Path
) -> None:
    music = tmp_path / "music"
    music.mkdir()
    songs = [make_techno(music / f"{number}.flac") for number in range(12)]
    assert genretagger("tag", music).status == 0

    undo = subprocess.Popen(
        [sys.executable, "-u", "-m", "genretagger", "undo", "--last"],
        env={**os.environ, "GENRETAGGER_DATA_DIR": str(heard)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert undo.stdout is not None
    assert undo.stdout.readline().startswith("undone")
    undo.send_signal(signal.SIGINT)
    said = undo.communicate(timeout=60)[1]
    assert undo.returncode == 130
    assert "run the same command again to continue" in said
    left = [song for song in songs if helpers.genres_of(song)]
    assert 0 < len(left) < len(songs)

    again = genretagger("undo", "--last")
    assert again.status == 0
    assert f"{len(left)} writes undone" in again.err
    assert [helpers.genres_of(song) for song in songs] == [[]] * len(songs)
    with Store.open(heard / "library.sqlite3") as store:
        assert [run.finished_at is None for run in store.runs.get_all()][:3] == [False, True, False]
