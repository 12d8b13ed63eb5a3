"""Addresses of objects, such as `s3://bucket/key`, as paths that the rest of genretagger can carry.

`pathlib` would make `s3:/bucket/key` of an address. So an object's path is written
`s3::/bucket/key`. No other path looks like that: it is not absolute, and the path of a library
(`nas2:/song.mp3`) has one colon. A part of an address that `pathlib` would drop, or that begins
with `%`, gets a `%` in front. So each address has one path, and each path one address.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)
_PATH = re.compile(r"([a-z][a-z0-9+.-]*)::/(.*)", re.DOTALL)


def is_address(text: str) -> bool:
    """Whether a text is the address of an object or a prefix: a protocol, then `://`."""
    return _ADDRESS.fullmatch(text) is not None


def is_object(path: str | os.PathLike[str]) -> bool:
    """Whether a path stands for an object and not for a file."""
    return _PATH.fullmatch(os.fspath(path)) is not None


def path_of(address: str) -> Path:
    """The path of an address.

    Raises:
        ValueError: it is not an address.
    """
    if (match := _ADDRESS.fullmatch(address)) is None:
        raise ValueError(f"{address!r} is not an address")
    return Path(f"{match[1]}::/{'/'.join(map(_kept, match[2].split('/')))}")


def address_of(path: str | os.PathLike[str]) -> str:
    """The address of an object; any other path as it is."""
    if (match := _PATH.fullmatch(os.fspath(path))) is None:
        return os.fspath(path)
    return f"{match[1]}://{'/'.join(part.removeprefix('%') for part in match[2].split('/'))}"


def below(folder: Path, name: str) -> Path:
    """The path of what a prefix holds under a name, which is one part of an address."""
    return folder / _kept(name)


def absolute(path: Path) -> Path:
    """The absolute path of a file; that of an object as it is."""
    return path if is_object(path) else path.absolute()


def _kept(part: str) -> str:
    return f"%{part}" if part in ("", ".", "..") or part.startswith("%") else part
