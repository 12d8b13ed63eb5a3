"""Child processes that are killed or hang in the middle of a write."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import command_helpers as helpers
import pytest
from recovery_helpers import pipeline_of, settled

from genretagger.config import Settings
from genretagger.database.store import Store
from genretagger.database.values import WriteState
from genretagger.files.discover import find
from genretagger.sentences import sentence
from genretagger.steps.rewriting import Rewriting
from genretagger.types import Outcome, Status
from genretagger.worker.pool import WorkerPool

MakeTechno = Callable[..., Path]

_FRAGILE = """
import os, signal
from genretagger.files.system import Folder
from genretagger.worker import child

def stop_at(moment):
    if moment == {moment!r}:
        os.kill(os.getpid(), signal.SIGSTOP)

exchange = Folder.exchange

def exchanged(*arguments):
    stop_at("before the swap")
    exchange(*arguments)
    stop_at("after the swap")

def written(*arguments):
    result = child.write(*arguments)
    stop_at("before the answer")
    return result

def inspected(*arguments):
    stop_at("reading")
    return child.inspect(*arguments)

Folder.exchange = exchanged
child.main({{**child.OPERATIONS, "write": written, "inspect": inspected}})
"""


@contextmanager
def fragile(data_dir: Path, moment: str) -> Iterator[tuple[Settings, Store, WorkerPool]]:
    """What a pipeline is made of, with children that stop at a moment until somebody kills them."""
    options = helpers.settings(data_dir)
    command = [sys.executable, "-c", _FRAGILE.format(moment=moment)]
    with Store.open(options.database) as store, WorkerPool(1, command=command) as workers:
        yield options, store, workers


def stopped_child(workers: WorkerPool, over: Future[None]) -> int | None:
    """Wait for a child to stop; None where it is no longer needed."""
    while not over.done():
        for number in workers.process_ids():
            if helpers.state(number) == "T":
                return number
    return None


@pytest.mark.parametrize("moment", ["before the swap", "after the swap", "before the answer"])
def test_a_child_killed_in_a_write(heard: Path, music: Path, make_techno: MakeTechno, moment: str) -> None:
    song = make_techno(music / "song.flac")
    old = song.read_bytes()

    def kill(workers: WorkerPool, over: Future[None]) -> None:
        if number := stopped_child(workers, over):
            os.kill(number, signal.SIGKILL)

    with fragile(heard, moment) as (options, store, workers), helpers.beside(kill, workers):
        pipeline = pipeline_of(options, store, workers)
        (outcome,) = pipeline.tag(find([music], helpers.unexpected), pipeline.begin("tag"), stop=Future())
    took_place = moment != "before the swap"
    assert outcome.status is (Status.TAGGED if took_place else Status.FAILED)
    assert (song.read_bytes() != old) is took_place
    assert helpers.genres_of(song) == (["Trance"] if took_place else [])
    (write,) = helpers.writes(heard)
    assert write.state is (WriteState.DONE if took_place else WriteState.ABANDONED)
    assert sorted(music.iterdir()) == [song]
    if not took_place:
        assert "killed (signal 9)" in sentence(outcome.reason)

    # The file is not to blame, and the next run does what is left to do.
    again = helpers.tag(helpers.settings(heard), music)["song.flac"]
    assert again.status is (Status.UNCHANGED if took_place else Status.TAGGED)
    settled(heard, music, [song])


@pytest.mark.parametrize("command", ["tag", "undo"])
def test_a_stop_does_not_wait_for_a_child_that_hangs(
    heard: Path, music: Path, make_techno: MakeTechno, command: str
) -> None:
    """Its own limit is five minutes, which this test does not have."""
    song = make_techno(music / "song.flac")
    if command == "undo":
        helpers.tag(helpers.settings(heard), music)
    before = song.read_bytes()
    stop: Future[None] = Future()

    def ask_to_stop(workers: WorkerPool, over: Future[None]) -> None:
        if stopped_child(workers, over):
            stop.set_result(None)

    with fragile(heard, "reading") as (options, store, workers), helpers.beside(ask_to_stop, workers):
        outcomes: Iterator[Outcome]
        if command == "tag":
            pipeline = pipeline_of(options, store, workers)
            outcomes = pipeline.tag(find([music], helpers.unexpected), pipeline.begin("tag"), stop=stop)
        else:
            rewriting = Rewriting(options, store, workers)
            outcomes = rewriting.undo(list(store.writes.get_all()), rewriting.begin("undo"), stop=stop)
        assert list(outcomes) == []
    assert song.read_bytes() == before
    assert sorted(music.iterdir()) == [song]
