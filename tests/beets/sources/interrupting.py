"""A Ctrl-C right after the second file was written, for tests."""

from __future__ import annotations

import os
import signal
from typing import Any

from beets.plugins import BeetsPlugin


class InterruptingPlugin(BeetsPlugin):
    """Interrupts this process once."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0
        self.register_listener("after_write", self.after_write)

    def after_write(self, **_: Any) -> None:
        """Count, and interrupt."""
        self.written += 1
        if self.written == 2:
            os.kill(os.getpid(), signal.SIGINT)
