"""The password, the sessions of those who knew it, and how often one may try.

Only a scrypt hash of the password is kept, and only a hash of each session's token. Nobody may try
faster than the delays allow, which grow with each wrong try of an address, and of all addresses
together.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from genretagger.errors import ConfigError

VARIABLE = "GENRETAGGER_PAGE_PASSWORD"
LEAST_LETTERS = 8
SESSION_S = 14 * 86_400.0

_N, _R, _P = 1 << 14, 8, 1
_MEMORY = 64 << 20
_MOST_BYTES = 4096
_FREE_TRIES = 5
_LONGEST_WAIT_S = 300.0
_MOST_SESSIONS = 1000
_MOST_ADDRESSES = 10_000
_MARK = "scrypt"


@dataclass(frozen=True, slots=True)
class Hash:
    """A password that nobody can read back."""

    salt: bytes
    key: bytes
    n: int = _N
    r: int = _R
    p: int = _P

    @classmethod
    def of(cls, password: str) -> Hash:
        """The hash of a password, with its own salt."""
        salt = os.urandom(16)
        return cls(salt, _scrypt(password, salt, _N, _R, _P))

    @classmethod
    def parse(cls, text: str) -> Hash | None:
        """The hash that a line holds; None if it is none of ours.

        Raises:
            ConfigError: it would take too much memory, or is damaged.
        """
        if not text.startswith(f"{_MARK}:"):
            return None
        try:
            _, n, r, p, salt, key = text.split(":")
            found = cls(base64.b64decode(salt), base64.b64decode(key), int(n), int(r), int(p))
        except ValueError as error:
            raise ConfigError("the hash of the password is damaged", hint="Make it again: --hash-password") from error
        if found.n * found.r * 128 * found.p > _MEMORY // 2 or len(found.key) != 32:
            raise ConfigError("the hash of the password asks for too much", hint="Make it again: --hash-password")
        return found

    def __str__(self) -> str:
        salt, key = (base64.b64encode(each).decode("ascii") for each in (self.salt, self.key))
        return f"{_MARK}:{self.n}:{self.r}:{self.p}:{salt}:{key}"

    def fits(self, password: str) -> bool:
        """Whether this is the password; takes a twentieth of a second."""
        return hmac.compare_digest(self.key, _scrypt(password, self.salt, self.n, self.r, self.p))


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    raw = password.encode("utf-8", "surrogatepass")[:_MOST_BYTES]
    return hashlib.scrypt(raw, salt=salt, n=n, r=r, p=p, dklen=32, maxmem=_MEMORY)


def given(file: Path | None) -> Hash | None:
    """The password that the owner gave, by a file or by the environment; None if there is none.

    Args:
        file: holds the password, or what `--hash-password` printed, in its first line.

    Raises:
        ConfigError: the file cannot be read, others may read it, or the password is too short.
    """
    place = VARIABLE
    if file is not None:
        place = str(file)
        try:
            if os.name == "posix" and file.stat().st_mode & 0o077:
                raise ConfigError("other users may read the password", path=file, hint=f"chmod 600 {file}")
            with file.open("rb") as opened:
                text = opened.read(_MOST_BYTES).decode("utf-8").split("\n")[0].rstrip("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"the password cannot be read: {getattr(error, 'strerror', None) or error}", path=file
            ) from error
    else:
        text = os.environ.get(VARIABLE, "")
        if not text:
            return None
    if found := Hash.parse(text):
        return found
    if len(text) < LEAST_LETTERS:
        raise ConfigError(
            f"the password in {place} is shorter than {LEAST_LETTERS} letters", hint="Choose a longer one"
        )
    return Hash.of(text)


@dataclass(slots=True)
class _Tries:
    """Wrong tries of one address."""

    wrong: int = 0
    free_at_s: float = 0.0

    def failed(self, now_s: float, free: int) -> None:
        self.wrong += 1
        if self.wrong >= free:
            self.free_at_s = now_s + min(_LONGEST_WAIT_S, 2.0 ** min(self.wrong - free, 20))


@dataclass(slots=True)
class Door:
    """Lets those in who know the password.

    Attributes:
        password: its hash; None lets everybody in.
        clock: seconds that only grow.
    """

    password: Hash | None
    clock: Callable[[], float] = time.monotonic
    _sessions: OrderedDict[bytes, float] = field(default_factory=OrderedDict)
    _tries: OrderedDict[str, _Tries] = field(default_factory=OrderedDict)
    _all: _Tries = field(default_factory=_Tries)

    def wait_s(self, address: str) -> float:
        """How many seconds an address has to wait before it may try."""
        now_s = self.clock()
        own = self._tries.get(address, _Tries())
        return max(0.0, own.free_at_s - now_s, self._all.free_at_s - now_s)

    def begin_try(self, address: str) -> None:
        """Count a try as wrong before it is looked at: tries at the same time count as well."""
        now_s = self.clock()
        tries = self._tries.setdefault(address, _Tries())
        self._tries.move_to_end(address)
        while len(self._tries) > _MOST_ADDRESSES:
            self._tries.popitem(last=False)
        tries.failed(now_s, _FREE_TRIES)
        self._all.failed(now_s, 10 * _FREE_TRIES)

    def enter(self, address: str) -> str:
        """Forget the wrong tries of an address that knew the password, and give it a token."""
        self._tries.pop(address, None)
        self._all = _Tries()
        token = secrets.token_urlsafe(32)
        self._sessions[_digest(token)] = self.clock() + SESSION_S
        while len(self._sessions) > _MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return token

    def knows(self, token: str) -> bool:
        """Whether a token belongs to somebody who knew the password."""
        until_s = self._sessions.get(_digest(token))
        return until_s is not None and until_s > self.clock()

    def leave(self, token: str) -> None:
        """Forget a token."""
        self._sessions.pop(_digest(token), None)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
