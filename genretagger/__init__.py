"""genretagger listens to music files and writes each track's genre into its tags.

The names in `__all__` are the public API; docs/api.md shows how they are used. Everything else in
this package is private and changes without notice.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genretagger.config import Settings
    from genretagger.errors import GenretaggerError
    from genretagger.pipeline import open_pipeline
    from genretagger.types import Decision, Outcome

__version__ = "0.2.0"
__all__ = ["Decision", "GenretaggerError", "Outcome", "Settings", "open_pipeline"]

_HOMES = {
    "Decision": "types",
    "GenretaggerError": "errors",
    "Outcome": "types",
    "Settings": "config",
    "open_pipeline": "pipeline",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: all of them together take half a second."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
