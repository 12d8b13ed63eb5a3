"""A start as in a container: a user without name, HOME or capabilities, on a read-only system."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

UID = 12_345
"""Nobody bears this number."""

PACKAGE = Path(__file__).resolve().parents[1]

# Everything is read-only, but what is named. Python may lie in the home folder of root, where
# others may not look: then that folder is replaced by one with Python in it and nothing else.
_SCRIPT = """
set -e
mount --make-rprivate /
home=$1; writable=$2; kept=$3; shift 3
if [ -n "$home" ]; then
    mount --bind "$home" "$kept"
    top=/$(echo "$home" | cut -d/ -f2)
    mount -t tmpfs -o mode=755 tmpfs "$top"
    mkdir -p "$home"
    mount --bind "$kept" "$home"
    umount "$kept"
    mount -o remount,bind,ro "$top"
fi
[ -z "$writable" ] || mount --bind "$writable" "$writable"
mount -o remount,bind,ro /
cd /
exec "$@"
"""


def needs_container() -> None:
    """Skip, and say why, unless root may make namespaces of mounts here."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("only root on Linux can become another user on a read-only system")
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        pytest.skip("unshare or setpriv is not here")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("namespaces of mounts cannot be had here")


def contained(*command: str | Path, writable: Path | None, prefix: Sequence[str] = ()) -> list[str]:
    """The command that runs a command in such a place.

    Args:
        command: what to run.
        writable: the one folder that can be written; its owner is `UID`.
        prefix: what to put in front of it, such as `taskset`, inside.
    """
    real = Path(os.path.realpath(sys.executable)).parents[1]
    hidden = next((parent for parent in real.parents if parent.stat().st_mode & 0o005 != 0o005), None)
    kept = next(name for name in ("/mnt", "/srv", "/media") if Path(name).is_dir())  # in the namespace only
    script = ["unshare", "--mount", "sh", "-c", _SCRIPT, "sh"]
    places = ["" if hidden is None else str(real), "" if writable is None else str(writable), kept]
    user = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--no-new-privs"]
    return [*script, *places, *user, *prefix, *map(str, command)]


@pytest.fixture
def shelf() -> Iterator[Path]:
    """A folder that every user can reach."""
    with tempfile.TemporaryDirectory(prefix="shelf-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def give(folder: Path) -> None:
    """Let the user of the container own a folder and all in it."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, UID, UID, follow_symlinks=False)
