"""JSON from outside: strict about values, lax about the shapes that JSON cannot tell apart."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from genretagger.strict import UnfitError, read


@dataclass(frozen=True)
class Inner:
    names: tuple[str, ...]
    count: int


@dataclass(frozen=True)
class Outer:
    inner: Inner
    share: float | None = None
    sure: bool = False


GOOD: dict[str, Any] = {"inner": {"names": ["a", "odd \udcff"], "count": 2}, "share": 1, "sure": True}


def test_objects_become_dataclasses_lists_tuples_and_odd_bytes_survive() -> None:
    assert read(Outer, GOOD) == Outer(Inner(("a", "odd \udcff"), 2), 1.0, True)
    assert read(Outer, {"inner": GOOD["inner"], "of a later version": 1}) == Outer(Inner(("a", "odd \udcff"), 2))


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"share": "1"}, "share"),
        ({"share": True}, "share"),
        ({"sure": 1}, "sure"),
        ({"sure": "yes"}, "sure"),
        ({"inner": ["a", 2]}, "inner"),
        ({"inner": {"names": "a", "count": 2}}, "inner.names"),
        ({"inner": {"names": ["a", 1], "count": 2}}, "inner.names"),
        ({"inner": {"names": [], "count": 2.0}}, "inner.count"),
        ({"inner": {"names": [], "count": True}}, "inner.count"),
        ({"inner": {"names": []}}, "inner.count"),
    ],
)
def test_no_value_becomes_another(change: dict[str, Any], where: str) -> None:
    with pytest.raises(UnfitError) as caught:
        read(Outer, GOOD | change)
    assert caught.value.where == where


def test_exactly_the_fields() -> None:
    assert read(Outer, GOOD, exact=True).sure
    for odd in (GOOD | {"more": 1}, {name: GOOD[name] for name in ("inner", "share")}, {"inner": GOOD["inner"]}):
        with pytest.raises(UnfitError):
            read(Outer, odd, exact=True)


@pytest.mark.parametrize("module", ["worker.child", "model.trial"])
def test_a_child_process_does_not_load_pydantic(module: str) -> None:
    code = f"import sys, genretagger.{module}; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
