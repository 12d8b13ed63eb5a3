"""One run of a command over many files: what it may do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from genretagger.steps.plan.entry import Planned


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command over many files.

    Attributes:
        id: its number in the database; its writes belong to it.
        dry_run: listen and decide, but write no tag.
        force: listen again, and write even if the owner undid or edited what was written before.
        plan: called with each change; then nothing is written, as in a dry run.
        once: leave the audio that was handled to its end before at its path, whatever was done to
            its tags since.
        hear_only: listen and decide, whatever the file has and whoever may write it: the caller
            applies its own rules.
    """

    id: int
    dry_run: bool = False
    force: bool = False
    plan: Callable[[Planned], None] | None = None
    once: bool = False
    hear_only: bool = False
