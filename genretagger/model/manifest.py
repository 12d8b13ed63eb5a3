"""What an installed model consists of: its files, their sizes and hashes as they were installed."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from genretagger import strict
from genretagger.errors import ModelError
from genretagger.model.bounds import MAX_CARD_BYTES
from genretagger.model.catalogue import catalogue

PULLABLE = tuple(catalogue())
"""Models that can be fetched by name."""

ONNX, CARD, MANIFEST, LICENCE = "model.onnx", "card.json", "install.json", "LICENSE"
BANK = "filter_bank.npz"
"""The front end's numbers; models from earlier versions lack it until their first use."""
MAX_ONNX_BYTES = 1024**3
"""Twice the largest published model of this kind, and half of protobuf's own limit."""
_MAX_MANIFEST_BYTES = 64 * 1024
_MAX_LICENCE_BYTES = 1024 * 1024
_MAX_BANK_BYTES = 16 * 1024 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")
LIMITS_BYTES = {ONNX: MAX_ONNX_BYTES, CARD: MAX_CARD_BYTES, LICENCE: _MAX_LICENCE_BYTES, BANK: _MAX_BANK_BYTES}


@dataclass(frozen=True, slots=True)
class FileSum:
    """A file as it was installed."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class _Manifest:
    """The list as it is on the disk."""

    files: dict[str, FileSum]


Sums: TypeAlias = Mapping[str, FileSum]
"""By the file's name."""


def read(path: Path, limit_bytes: int) -> bytes:
    """The content of a file.

    Raises:
        ModelError: it cannot be read, or is larger.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            too_large = size > limit_bytes
            # no more than it holds: Python takes the memory for what was asked for, 1 GB under the
            # largest limit
            content = b"" if too_large else file.read(size + 1)
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read: {error.strerror}", path=path) from error
    if too_large or len(content) > limit_bytes:
        raise ModelError(f"{path.name} is larger than {limit_bytes >> 20} MB", path=path)
    return content


def sums(folder: Path) -> Sums:
    """Sizes and hashes as they were installed; checked, since a file may have been damaged since.

    Raises:
        ModelError: the list of them is damaged.
    """
    try:
        found = strict.read(_Manifest, json.loads(read(folder / MANIFEST, _MAX_MANIFEST_BYTES))).files
    except (ValueError, RecursionError) as error:
        raise damaged(folder.name, folder, f"{MANIFEST} is not valid") from error
    sound = all(file in LIMITS_BYTES and _SHA256.fullmatch(entry.sha256) for file, entry in found.items())
    if not sound or not {ONNX, CARD} <= found.keys():
        raise damaged(folder.name, folder, f"{MANIFEST} is not valid")
    return found


def manifest(files: Mapping[str, bytes]) -> bytes:
    """The list for files as they are to be installed."""
    return dumped({file: sum_of(content) for file, content in files.items()})


def sum_of(content: bytes) -> FileSum:
    """Size and hash of a file's content."""
    return FileSum(len(content), hashlib.sha256(content).hexdigest())


def dumped(sums: Sums) -> bytes:
    """The list as the bytes of its file."""
    return json.dumps({"format": 1, "files": {file: asdict(each) for file, each in sums.items()}}, indent=2).encode()


def fingerprint(sums: Sums) -> str:
    """One hash for the network and its card."""
    return hashlib.sha256(f"{sums[ONNX].sha256} {sums[CARD].sha256}".encode()).hexdigest()


def damaged(name: str, folder: Path, cause: str) -> ModelError:
    """The error of a model that is not as it was installed."""
    repair = (
        f"`genretagger models pull {name} --force`"
        if name in PULLABLE
        else f"`genretagger models add FILE.onnx --name {name} --force`; if it was learned here, learn it again: "
        f"`genretagger train --update {name}`"
    )
    return ModelError(f"Model {name!r} is damaged: {cause}", path=folder, hint=f"Install it again: {repair}.")
