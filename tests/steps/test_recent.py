"""What was heard last is kept, within bounds."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from genretagger.database.values import HearingResult, StoredAnalysis
from genretagger.steps.recent import Recent
from genretagger.types import Activations


def analysis(values: int) -> StoredAnalysis:
    heard = Activations(np.zeros((1, values), np.float16), np.zeros(0, np.float32), "CPU", 16)
    return StoredAnalysis(
        model="m",
        fingerprint="f",
        sampling="16",
        provider="CPU",
        hearing=HearingResult.HEARD,
        windows=16,
        cause="",
        seconds=1.0,
        analysed_at=datetime.now(UTC),
        activations=heard,
        error=None,
    )


def key(name: str) -> tuple[str, str, str]:
    return (name, "f", "16")


def test_the_oldest_are_forgotten_when_there_are_too_many_bytes() -> None:
    recent = Recent(most_bytes=10_000)
    kept = {name: analysis(1000) for name in "abcde"}  # 3,000 bytes each
    for name, each in kept.items():
        recent.keep(key(name), each)
    assert [name for name in kept if recent.get(key(name)) is not None] == ["c", "d", "e"]
    assert recent.get(key("e")) is kept["e"]


def test_one_that_is_too_large_is_not_kept_and_leaves_room_for_others() -> None:
    recent = Recent(most_bytes=10_000)
    recent.keep(key("large"), analysis(100_000))
    recent.keep(key("small"), analysis(1000))
    assert recent.get(key("large")) is None
    assert recent.get(key("small")) is not None


def test_what_is_kept_again_or_forgotten_takes_no_room() -> None:
    recent = Recent(most_bytes=10_000)
    for _ in range(20):
        recent.keep(key("a"), analysis(1000))
        recent.keep(key("b"), analysis(1000))
        recent.forget(key("b"))
    recent.keep(key("c"), analysis(1000))
    recent.keep(key("d"), analysis(1000))
    assert [name for name in "abcd" if recent.get(key(name)) is not None] == ["a", "c", "d"]
