"""ONNX Runtime, imported here and nowhere else, so that it is silent from its first moment.

Its packages of 2026 send usage events to their maker, and keep a device's number under `~/.cache`,
unless the environment says otherwise before the library is loaded; its own switch for that comes
too late.
"""

from __future__ import annotations

import os
from typing import Any


def onnxruntime() -> Any:
    """The module, set to send and keep nothing; processes that start later inherit that."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime as module

    return module
