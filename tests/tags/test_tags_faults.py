"""A write is killed or fails at its system calls: the file is the old or the new one exactly.

The default run tries only the calls that change something, for one container of each family.
`make torture` tries each call for each container, and reports how many there were.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from fault_helpers import CHANGING, ERRORS, KILL, NAME, Fault, Writer, containers, make_song, points
from few import few
from tracing import needs_strace

pytestmark = needs_strace

FAMILIES = ("mp3 2.4", "flac", "ogg", "mp4", "asf", "ape")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "music"
    place.mkdir()
    return place


@pytest.mark.parametrize("container", few(containers(), *range(0, 40, 5)))
def test_order_of_making_durable(container: str, folder: Path, tmp_path: Path) -> None:
    with Writer(make_song(container, tmp_path), folder) as writer:
        calls = writer.trace(tmp_path / "trace")
    touching = [call for call in calls if str(folder) in call.text or NAME in call.text]
    order = [
        next(number for number, call in enumerate(touching) if call.name == name and text in call.text)
        for name, text in (
            ("fsync", NAME),
            ("renameat2", "RENAME_EXCHANGE"),
            ("fsync", f"{folder}>"),
            ("unlinkat", NAME),
        )
    ]
    assert order == sorted(order)
    leases = [number for number, call in enumerate(touching) if call.name == "fcntl" and "SETLEASE" in call.text]
    assert ["F_RDLCK" in touching[number].text for number in leases] == [True, False, True, False]
    look, look_before, taken, given_back = leases
    assert look < look_before < order[0] < taken < order[1]  # nobody waits for us during the copy
    assert given_back > order[-1]
    looks = [number for number, call in enumerate(touching) if call.name == "fcntl" and "GETLEASE" in call.text]
    assert order[1] < looks[0] < order[2] < looks[1] < order[3]
    opened = [
        call.text for call in touching if call.name == "openat" and ("O_RDWR" in call.text or "O_WR" in call.text)
    ]
    assert len(opened) == 1  # the copy; the song itself is never open for writing
    assert NAME in opened[0]
    assert "O_EXCL" in opened[0]
    after_sync = [call.name for call in touching[order[0] + 1 : order[1]]]
    assert not CHANGING.intersection(after_sync)


@pytest.mark.parametrize("container", few(FAMILIES, 1, 3))
def test_faults_where_something_changes(container: str, folder: Path, tmp_path: Path) -> None:
    with Writer(make_song(container, tmp_path), folder) as writer:
        calls = writer.trace(tmp_path / "trace")
        new = writer.path.read_bytes()
        ends = Counter(
            writer.suffer(Fault(name, number, what), new)
            for (name, number), what in product(points(calls, CHANGING), (KILL, "ENOSPC"))
        )
    assert ends["killed"] > 4
    assert ends["refused"] > 2


@pytest.mark.torture
@pytest.mark.parametrize("what", [KILL, *ERRORS])
@pytest.mark.parametrize("container", containers())
def test_faults_at_every_call(
    container: str, what: str, folder: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with Writer(make_song(container, tmp_path), folder) as writer:
        calls = writer.trace(tmp_path / "trace")
        new = writer.path.read_bytes()
        ends = Counter(writer.suffer(Fault(name, number, what), new) for name, number in points(calls))
    record_property("torture", [container, "kills" if what == KILL else "errors", dict(ends)])
    if what == KILL:
        assert ends.keys() == {"killed"}
    else:
        assert ends["refused"] > 2
