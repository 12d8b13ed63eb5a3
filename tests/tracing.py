"""Looking at, and disturbing, the system calls of a process, by strace."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


def can_trace() -> bool:
    """Whether system calls can be traced here."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], capture_output=True).returncode == 0


needs_strace = pytest.mark.skipif(not can_trace(), reason="strace is not here, or may not trace")
