"""`make wheels`: does each dependency have wheels for all platforms and Pythons? Installs nothing.

uv resolves all extras as pip would on that platform, without packages that would have to be built.
For the Pythons that the project supports a missing wheel is an error; for the next, a remark.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from types import MappingProxyType

from project import PROJECT, ROOT, next_python, supported
from uv import find_uv_bin

PLATFORMS: Mapping[str, str] = MappingProxyType(
    {
        "Linux x86-64": "x86_64-manylinux_2_28",
        "Linux ARM64": "aarch64-manylinux_2_28",
        "macOS ARM64": "aarch64-apple-darwin",
        "Windows x86-64": "x86_64-pc-windows-msvc",
    }
)
"""For people → for uv. glibc 2.28 is that of Debian 10 and RHEL 8."""

_MACOS = "14.0"
"""The oldest macOS that ONNX Runtime's wheels of today are for."""


def missing(platform: str, python: str) -> str:
    """Say what has no wheel, in uv's words; nothing if all do."""
    extras = [part for extra in PROJECT["optional-dependencies"] for part in ("--extra", extra)]
    command = [find_uv_bin(), "pip", "compile", "--quiet", "--no-header", "--only-binary", ":all:", *extras]
    ended = subprocess.run(
        [*command, "--python-platform", platform, "--python-version", python, "pyproject.toml"],
        cwd=ROOT,
        env={**os.environ, "MACOSX_DEPLOYMENT_TARGET": _MACOS},
        capture_output=True,
        text=True,
    )
    return (ended.stderr.strip() or f"uv ended with {ended.returncode}") if ended.returncode else ""


def main() -> int:
    """Ask for each, tell, and give the exit status."""
    claimed = supported()
    status = 0
    for minor in [*claimed, next_python()]:
        python = ".".join(map(str, minor))
        for name, platform in PLATFORMS.items():
            reason = missing(platform, python)
            status |= bool(reason) and minor in claimed
            print(f"Python {python}  {name:15} {'NOT ALL: ' + reason if reason else 'all wheels exist'}", flush=True)
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
