"""What a check found: how bad it is, what it is, and how to fix it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """The state of a thing: fine, working with a restriction, or broken."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

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
    """A finding that something is fine."""
    return Finding(check, Health.OK, found)


def warn(check: str, found: str, fix: str) -> Finding:
    """A finding that something works with a restriction."""
    return Finding(check, Health.WARN, found, fix)


def bad(check: str, found: str, fix: str) -> Finding:
    """A finding that something is broken."""
    return Finding(check, Health.BAD, found, fix)
