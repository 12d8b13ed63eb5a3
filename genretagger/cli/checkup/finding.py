"""What a check found: how bad it is, what it is, and how to fix it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """The state of a thing: as it should be, working with a catch, or broken."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: what was looked at, in a word or two.
        state: its state.
        found: what was found, in words.
        fix: what to do about it; empty if there is nothing to do.
    """

    check: str
    state: Health
    found: str
    fix: str = ""


def ok(check: str, found: str) -> Finding:
    """Something is as it should be."""
    return Finding(check, Health.OK, found)


def warn(check: str, found: str, fix: str) -> Finding:
    """Something works, with a catch."""
    return Finding(check, Health.WARN, found, fix)


def bad(check: str, found: str, fix: str) -> Finding:
    """Something is broken."""
    return Finding(check, Health.BAD, found, fix)
