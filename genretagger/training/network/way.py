"""What a network begins with. This needs no PyTorch, so that the command line can name the ways."""

from __future__ import annotations

from enum import StrEnum


class Way(StrEnum):
    """What a network begins with: the first ear of the default model, or nothing."""

    MUSICNN = "musicnn"
    SCRATCH = "scratch"
