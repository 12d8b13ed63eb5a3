"""Lists and reads storages that are not file systems, such as `s3://bucket/key`.

Only this file uses fsspec. Options of a storage come from the environment and fsspec's own
configuration, such as `AWS_ENDPOINT_URL` or `FSSPEC_S3_ANON`. `addresses` defines the paths of
objects.

A refusal, a missing credential or a failing server is a fault of the system, never of the object.

Contents: `see_readable`, `entries`, `details`, `part`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from genretagger.addresses import address_of, below
from genretagger.errors import (
    AccessError,
    ConfigError,
    FileChangedError,
    FileError,
    SystemFaultError,
    UnsupportedFileError,
)
from genretagger.types import Stamp

_CALL_S = 60.0
"""How long one request may take, if the storage's package lets us say so."""

_TOKENS = ("ETag", "etag", "md5Hash", "content_md5", "Content-MD5", "version_id")
_TIMES = ("LastModified", "last_modified", "Last-Modified", "mtime", "updated", "modified", "created")
_MD5 = re.compile(r'"?[0-9a-f]{32}(-\d+)?"?')

_AGAIN = "It will be tried again."
_CREDENTIALS = "Look at this machine's credentials for the storage (AWS_PROFILE, AWS_ACCESS_KEY_ID) and their rights."
NETWORK = "Is the network up, and the endpoint right (AWS_ENDPOINT_URL)? It will be tried again."


class Details(NamedTuple):
    """What a storage says of an object."""

    stamp: Stamp
    token: str  # names the content, wherever it is if the storage gives an MD5


class StoredEntry(NamedTuple):
    """What is directly below a prefix, by its name as the storage has it."""

    path: Path
    name: str
    is_folder: bool


def see_readable(address: str) -> None:
    """Check that an address may be analysed.

    Raises:
        ConfigError: the protocol is unknown, its package is missing, or the address holds a
            password.
    """
    if urlsplit(address).password is not None:
        raise ConfigError(
            "an address must not hold a password, as it is stored with the results",
            hint="Give it by the environment or fsspec's configuration.",
        )
    _class_of(address)


def entries(folder: Path, skipped: Callable[[str], None] = lambda _: None) -> Iterator[StoredEntry]:
    """List what is directly below a prefix, in the order of the names' bytes.

    Args:
        folder: the prefix.
        skipped: called with each name that cannot be used, and why.

    Raises:
        AccessError: there is no such prefix, or the storage refuses.
        SystemFaultError: the storage does not answer.
    """
    place = _opened(folder)
    try:
        with _translated(folder):
            listed = place.files.ls(place.name, detail=True)
    except FileChangedError as error:
        raise AccessError(
            "there is no such bucket or prefix", path=folder, hint="Is the address right, and may this machine list it?"
        ) from error
    start = place.name.rstrip("/") + "/"
    found: dict[str, bool] = {}
    for info in listed:
        whole, is_folder = info["name"], info.get("type") == "directory"
        name = whole.removeprefix(start).rstrip("/") if whole.startswith(start) else ""
        if not name and not is_folder:
            continue  # the object that stands for the prefix itself
        if fault := _fault_of_name(folder, name, whole):
            skipped(f"{place.address.rstrip('/')}/{name or '/'}: {fault}")
        else:
            found[name] = is_folder
    for name in sorted(found, key=os.fsencode):
        yield StoredEntry(below(folder, name), name, found[name])


def _fault_of_name(folder: Path, name: str, whole: str) -> str:
    """Why an object's name cannot be used; empty if it can."""
    if name in ("", ".", "..") or "/" in name:
        return "a part of its name is empty or made of dots only"
    if "\0" in name or "\n" in name:
        return "its name holds a zero byte or a line break"
    address = address_of(below(folder, name))
    kind = _class_of(address)
    plain = kind._strip_protocol(address) == whole.rstrip("/")
    if not plain or kind._get_kwargs_from_urls(address) != kind._get_kwargs_from_urls(address_of(folder)):
        return "fsspec would take its name for another one"
    return ""


class _ObjectPlace(NamedTuple):
    files: Any
    """A file system of fsspec."""
    name: str
    """As that calls the object."""
    address: str


def _opened(path: Path) -> _ObjectPlace:
    """Find out who has an object.

    Raises:
        ConfigError: see `see_readable`.
    """
    address = address_of(path)
    kind = _class_of(address)
    options = tuple(sorted(kind._get_kwargs_from_urls(address).items()))
    with _translated(path):
        return _ObjectPlace(_file_system(kind, options), kind._strip_protocol(address), address)


@lru_cache(maxsize=8)
def _file_system(kind: Any, options: tuple[tuple[str, Any], ...]) -> Any:
    """Listings are not cached: an archive's would fill the memory, and they go out of date."""
    return kind(**dict(options), use_listings_cache=False, skip_instance_cache=True)


def _class_of(address: str) -> Any:
    protocol = address.partition("://")[0]
    try:
        import fsspec
    except ImportError as error:
        raise ConfigError(
            f"{protocol}:// needs the Python package fsspec", hint="pip install 'genretagger[archive]'"
        ) from error
    try:
        return fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        raise ConfigError(
            f"{protocol}:// cannot be read: {error}", hint="Install the package that it names."
        ) from error
    except ValueError as error:
        raise ConfigError(f"fsspec knows no {protocol}://", hint="Is the address spelled right?") from error


def _call(files: Any, method: str, *arguments: Any, **more: Any) -> Any:
    """Call a file system, with a limit on the time if it has asynchronous methods."""
    if not getattr(files, "async_impl", False):
        return getattr(files, method)(*arguments, **more)
    from fsspec.asyn import sync

    return sync(files.loop, getattr(files, f"_{method}"), *arguments, timeout=_CALL_S, **more)


def details(path: Path) -> Details:
    """What the storage says of an object now.

    The inode of the stamp is a digest of the ETag or its like: equal stamps mean equal content.

    Raises:
        FileChangedError: there is no such object.
        SystemFaultError: the storage does not answer, or refuses.
    """
    place = _opened(path)
    with _translated(path):
        info = _call(place.files, "info", place.name)
    if info.get("type") == "directory":
        raise FileChangedError("the object is gone", path=path, hint="It was moved or deleted meanwhile.")
    size, seconds = info.get("size"), next((info[name] for name in _TIMES if info.get(name)), None)
    if not isinstance(size, int):
        raise UnsupportedFileError(
            "the storage does not report its size", path=path, hint="It must report sizes and support range requests."
        )
    mtime_s = _seconds(seconds)
    token = str(next((info[name] for name in _TOKENS if info.get(name)), ""))
    if not _MD5.fullmatch(token):
        token = f"{place.address} {token} {mtime_s}"
    number = int.from_bytes(hashlib.blake2b(token.encode("utf-8", "surrogateescape"), digest_size=7).digest())
    return Details(Stamp(size, int(mtime_s * 1_000_000_000), 0, number, 0, 1), token)


def part(path: Path, start: int, end: int) -> bytes:
    """Bytes `start` to `end` of an object.

    Raises:
        FileChangedError: there is no such object.
        SystemFaultError: the storage does not answer, or refuses.
    """
    place = _opened(path)
    with _translated(path):
        return bytes(_call(place.files, "cat_file", place.name, start=start, end=end))


def _seconds(value: object) -> float:
    """A point in time as storages give it, in seconds since 1970; 0 if that is not clear."""
    with contextlib.suppress(ValueError, TypeError):
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, (int, float)):
            return float(value)
        if isinstance(value, str):
            moment = parsedate_to_datetime(value) if "," in value else datetime.fromisoformat(value)
            return moment.timestamp()
    return 0.0


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Translate what storages raise; each has exceptions of its own."""
    try:
        yield
    except (FileError, ConfigError, MemoryError):
        raise
    except Exception as error:
        raise _meant(error, path) from error


def _meant(error: Exception, path: Path) -> FileError:
    name, said = type(error).__name__, " ".join(str(error).split())[:200] or type(error).__name__
    status = getattr(error, "status", None)  # of aiohttp
    if isinstance(error, FileNotFoundError) or status == 404:
        return FileChangedError("the object is gone", path=path, hint="It was moved or deleted meanwhile.")
    if "Credential" in name or "Token" in name or "credentials" in said:
        return SystemFaultError(f"there are no credentials for the storage: {said}", path=path, hint=_CREDENTIALS)
    if isinstance(error, PermissionError) or status in (401, 403):
        return SystemFaultError(f"the storage refuses: {said}", path=path, hint=_CREDENTIALS)
    if isinstance(error, (TimeoutError, ConnectionError)) or "Timeout" in name or "Connect" in name:
        return SystemFaultError(f"the storage does not answer: {said}", path=path, hint=NETWORK)
    return SystemFaultError(f"the storage failed: {said}", path=path, hint=_AGAIN)
