"""Finds Chromium, or installs Debian's: `python tests/web/chromium.py`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """Where Chromium is; None if there is none."""
    if named := os.environ.get("CHROMIUM"):
        return named if os.access(named, os.X_OK) else None
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def main() -> int:
    if find():
        return 0
    if os.environ.get("CHROMIUM"):
        print(f"CHROMIUM names {os.environ['CHROMIUM']}, which is no program", file=sys.stderr)
        return 2
    if shutil.which("apt-get") is None or (os.name == "posix" and os.geteuid() != 0):
        print("The tests of the page need Chromium: install it, or name one with CHROMIUM=/path/to/it", file=sys.stderr)
        return 2
    print("Chromium is missing: installing Debian's", file=sys.stderr)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core"],
    ):
        ended = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL)
        if ended.returncode:
            print(f"{' '.join(command)} failed, so the page cannot be tested here", file=sys.stderr)
            return 2
    return 0 if find() else 2


if __name__ == "__main__":
    sys.exit(main())
