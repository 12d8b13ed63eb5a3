"""Parameters of which the fast tests take a few: `make test-all` takes all of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def few(cases: Iterable[Any], *fast: int) -> list[Any]:
    """Mark all cases as slow but those at these places; a case with several values is a tuple."""
    return [case if number in fast else _slow(case) for number, case in enumerate(cases)]


def _slow(case: Any) -> Any:
    values, marks, name = case if isinstance(case, tuple) else (case,), (), None
    if hasattr(case, "marks"):  # from `pytest.param`
        values, marks, name = case.values, tuple(case.marks), case.id
    return pytest.param(*values, marks=(*marks, pytest.mark.slow), id=name)
