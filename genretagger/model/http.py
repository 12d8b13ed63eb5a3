"""Fetches a file by address: resumes an earlier attempt, retries, and checks the result.

What has arrived is kept in its own file until it is whole, with the server's mark of the
version beside it, so that two versions are never mixed. Python's urllib is used, so the proxy
settings of the environment hold.

A server that sends too slowly is given up, and one that leads elsewhere than to http or https
(`opener.py`).
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from genretagger import __version__
from genretagger.errors import ModelError
from genretagger.model.download import Progress
from genretagger.model.opener import Speed, opener
from genretagger.strict import read

ATTEMPTS = 4
TIMEOUT_S = 30.0
_PAUSE_S = 2.0
_PIECE_BYTES = 256 * 1024
_GONE = (404, 410)
_HOPELESS = (400, 401, 403, 405, 451)


class _WrongFileError(Exception):
    """What arrived is not what was asked for."""


class _DiskError(Exception):
    """What arrived cannot be kept."""


def fetch(
    address: str,
    kept: Path,
    *,
    most_bytes: int,
    sha256: str = "",
    progress: Progress,
    pause: Callable[[float], None] = time.sleep,
) -> bytes:
    """Fetch a file.

    Args:
        address: http or https.
        kept: a file that takes what has arrived, in an existing folder; gone afterwards if all went
            well.
        most_bytes: more is refused.
        sha256: hex digest that the content must have; "" for any.
        progress: called with the number of bytes that have arrived.
        pause: waits between two attempts.

    Raises:
        ModelError: it cannot be fetched, is larger, or is another file.
    """
    wrong = 0
    for attempt in range(ATTEMPTS):
        if attempt:
            pause(_PAUSE_S * 2 ** (attempt - 1))
        try:
            _go_on(address, kept, most_bytes, progress)
            content = kept.read_bytes()
            if sha256 and hashlib.sha256(content).hexdigest() != sha256:
                raise _WrongFileError
        except _WrongFileError as error:
            _forget(kept)
            wrong += 1
            if wrong == 2:
                raise ModelError(
                    "This is not the expected file: its SHA-256 differs",
                    hint=f"It came from {address}; the publisher may have replaced it, "
                    "or the connection may be tampered with.",
                ) from error
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in _GONE:
                raise ModelError(
                    f"The file no longer exists ({error.code}): {address}",
                    hint="Fetch it from its publisher, and use `genretagger models add`.",
                ) from error
            if error.code in _HOPELESS or attempt == ATTEMPTS - 1:
                hint = f"Check the network and the proxy. {_next_try(kept, address)}"
                raise ModelError(f"The server refuses ({error.code}): {address}", hint=hint) from error
        except _DiskError as error:
            hint = f"Free some space, or name another place with GENRETAGGER_DATA_DIR. {_next_try(kept, address)}"
            raise ModelError(f"The download cannot be kept: {error}", path=kept.parent, hint=hint) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            if attempt == ATTEMPTS - 1:
                reason = getattr(error, "reason", None) or error
                hint = f"Check the network and the proxy. {_next_try(kept, address)}"
                what = "reached" if isinstance(error, urllib.error.URLError) else "fetched"
                raise ModelError(f"{address} cannot be {what}: {reason}", hint=hint) from error
        else:
            _forget(kept)
            return content
    raise ModelError(f"{address} cannot be fetched", hint=_next_try(kept, address))


def _go_on(address: str, kept: Path, most_bytes: int, progress: Progress) -> None:
    """Fetch what is missing.

    Raises:
        OSError: the network, the server, or the disk.
        ModelError: there is more than there may be.
    """
    have = kept.stat().st_size if kept.exists() else 0
    version = _version(kept, address) if have else ""
    headers = {"User-Agent": f"genretagger/{__version__}", "Accept-Encoding": "identity"}
    if have and version:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - from the catalogue or the owner
    with Speed() as speed:
        _receive(request, kept, have if version else 0, speed, most_bytes, progress)


def _receive(
    request: urllib.request.Request, kept: Path, have: int, speed: Speed, most_bytes: int, progress: Progress
) -> None:
    address = request.full_url
    try:
        answer: Any = opener(speed).open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # we have it all, or more than there is
            _forget(kept)
            raise ConnectionError("the server has another file now") from error
        raise
    with answer:
        goes_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if answer.status == 206 and not goes_on:
            _forget(kept)
            raise ConnectionError("the server sent a part that was not requested")
        start = have if goes_on else 0
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length and length.isdigit() else None
        if (total or 0) > most_bytes:
            raise _too_large(address, most_bytes)
        mark = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        refused_parts = (have and answer.status == 200) or answer.headers.get("Accept-Ranges", "").lower() == "none"
        same = not have or mark == request.get_header("If-range")  # parts of another version are of no use
        parts = "no" if refused_parts and same else "yes" if goes_on else "perhaps"
        version = "" if mark.startswith("W/") else mark
        note = json.dumps({"address": address, "version": version, "parts": parts})
        with _on_disk():
            _mark(kept).write_text(note)
            file = kept.open("ab" if goes_on else "wb", buffering=0)  # a full disk is noticed at once, and once
        with file:
            done = start
            while piece := answer.read1(_PIECE_BYTES):  # what has come, be it a single byte
                speed.arrived(len(piece))
                done += len(piece)
                if done > most_bytes:
                    _forget(kept)
                    raise _too_large(address, most_bytes)
                with _on_disk():
                    left = memoryview(piece)
                    while left:
                        left = left[file.write(left) :]
                progress("fetching", done, total)
        if speed.complaint or (total is not None and done < total):
            raise ConnectionError(speed.complaint or "the connection broke off")


@contextlib.contextmanager
def _on_disk() -> Iterator[None]:
    """Keep what the disk refuses apart from what the network does."""
    try:
        yield
    except OSError as error:
        raise _DiskError(error.strerror or str(error)) from error


def _too_large(address: str, most_bytes: int) -> ModelError:
    return ModelError(f"The file is larger than {most_bytes >> 20} MB: {address}", hint="This cannot be the model.")


def _mark(kept: Path) -> Path:
    return kept.with_name(kept.name + ".from")


def _version(kept: Path, address: str) -> str:
    """The server's mark of the file we have a part of; "" if unknown, or if it sends no parts."""
    note = _note(kept)
    fits = note.get("address") == address and note.get("parts") != "no"
    return str(note.get("version", "")) if fits else ""


def _note(kept: Path) -> dict[str, str]:
    try:
        return read(dict[str, str], json.loads(_mark(kept).read_text()))
    except (OSError, ValueError, RecursionError):
        return {}


def _next_try(kept: Path, address: str) -> str:
    """Say whether the next try goes on where this one ended; empty if nothing has arrived."""
    try:
        have = kept.stat().st_size
    except OSError:
        have = 0
    if not have:
        return "Then try again: nothing has arrived yet."
    size = f"{have / 1e6:.1f} MB" if have >= 100_000 else f"{have / 1000:.1f} kB"
    if not _version(kept, address):
        return f"The next try starts from the beginning ({size} arrived): the server does not support resuming."
    if _note(kept).get("parts") == "yes":
        return f"The next try goes on after the {size} that have arrived."
    return f"The next try goes on after the {size} that have arrived, if the server can send a part."


def _forget(kept: Path) -> None:
    for path in (kept, _mark(kept)):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
