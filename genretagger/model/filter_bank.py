"""The filter banks of a model's front ends, kept with it; librosa computes them once, in a child.

numba, which librosa imports, compiles at import and wants a folder for it: as another user than the
one who installed it, or on a read-only system, there is none. So the child does without its
compiler.

Contents: `ears_of` (for an installed model), `computed_bank`, `computed`, `packed`, `unpacked`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from zipfile import BadZipFile

from genretagger import launch
from genretagger.audio.mel import Ear, FilterBank, FrontEnd
from genretagger.errors import ModelError
from genretagger.model import install
from genretagger.model.front_ends import front_ends
from genretagger.model.installed import InstalledModel
from genretagger.model.manifest import BANK, LIMITS_BYTES, MANIFEST, damaged, dumped, fingerprint, read, sum_of, sums

TIME_S = 300.0
"""librosa's import takes 2 s, and a minute on a slow disk."""

_FORMAT = 1


def ears_of(model: InstalledModel, *, keep: bool = True) -> tuple[Ear, ...]:
    """The front ends of an installed model, with their numbers; one for each input.

    A model that an earlier version installed lacks them: they are computed now, and kept with it if
    its folder may be written.

    Args:
        model: the model.
        keep: whether to keep what was computed.

    Raises:
        ModelError: the file is damaged, they cannot be computed, or there is no such front end.
    """
    kinds = front_ends(model.card)
    entry = sums(model.folder).get(BANK)
    banks = None
    if entry is not None:
        content = read(model.folder / BANK, LIMITS_BYTES[BANK])
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise damaged(model.name, model.folder, f"{BANK} was changed")
        banks = unpacked(content, kinds)
    if banks is None:
        banks = tuple(computed_bank(kind) for kind in kinds)
        if keep:
            with contextlib.suppress(ModelError):  # a read-only folder, or somebody is installing: the next one does
                _keep(model, packed(dict(zip(kinds, banks, strict=True))))
    return tuple(map(Ear, kinds, banks))


def _keep(model: InstalledModel, content: bytes) -> None:
    """Add the bank to an installed model.

    Raises:
        ModelError: the folder cannot be written, another process installs something, or the model
            was replaced.
    """

    def give_up() -> None:
        raise ModelError("Another process is installing a model", path=model.folder)

    with install.exclusive(model.folder.parent, give_up):
        files = dict(sums(model.folder))
        if fingerprint(files) != model.sha256:
            raise ModelError("The model was replaced meanwhile", path=model.folder)
        files.pop(BANK, None)
        # the list without it first: a kill in between must not leave a list that the file
        # contradicts
        install.rewrite(model.folder / MANIFEST, dumped(files))
        install.rewrite(model.folder / BANK, content)
        files[BANK] = sum_of(content)
        install.rewrite(model.folder / MANIFEST, dumped(files))


def packed(banks: Mapping[FrontEnd, FilterBank]) -> bytes:
    """Banks as the bytes of their file; equal banks give equal bytes."""
    import numpy as np

    file, arrays = io.BytesIO(), {}
    for number, (front_end, bank) in enumerate(banks.items()):
        made_for = np.frombuffer(_made_for(front_end), np.uint8)
        for name, values in (("made_for", made_for), ("window", bank.window), ("filters", bank.filters)):
            arrays[_name(name, number)] = values
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def unpacked(content: bytes, kinds: Sequence[FrontEnd]) -> tuple[FilterBank, ...] | None:
    """The banks of a file; None if it is damaged, or was made for other front ends than these."""
    import numpy as np

    banks = []
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            for number, kind in enumerate(kinds):
                made_for, window, filters = (file[_name(each, number)] for each in ("made_for", "window", "filters"))
                sound = (
                    made_for.tobytes() == _made_for(kind)
                    and (window.dtype, window.shape) == (np.float64, (kind.win_length,))
                    and (filters.dtype, filters.shape) == (np.float32, (kind.mels, kind.n_fft // 2 + 1))
                )
                if not sound:
                    return None
                banks.append(FilterBank(window, filters))
    except (BadZipFile, OSError, ValueError, KeyError, EOFError):
        return None
    return tuple(banks)


def _name(part: str, number: int) -> str:
    """The name in the file of a part of the n-th bank; the first has the name of older versions."""
    return f"{part}_{number}" if number else part


def _made_for(front_end: FrontEnd) -> bytes:
    """What the numbers depend on: a later version may correct a front end of the same name."""
    kind = front_end
    bands = [kind.mels, kind.fmin_hz, kind.fmax_hz, kind.htk, kind.slaney_norm]
    return json.dumps([_FORMAT, kind.name, kind.rate_hz, kind.n_fft, kind.win_length, kind.symmetric, *bands]).encode()


def computed_bank(front_end: FrontEnd) -> FilterBank:
    """The bank, computed now.

    Raises:
        ModelError: librosa cannot be loaded, or the child process cannot be started.
    """
    banks = unpacked(computed(front_end.name), [front_end])
    if banks is None:
        raise ModelError(f"The filter bank of {front_end.name} came out damaged", hint=_HINT)
    return banks[0]


_HINT = "`genretagger doctor` looks for the cause."


@functools.lru_cache(maxsize=8)
def computed(*algorithms: str) -> bytes:
    """The banks of front ends as the bytes of their file, from librosa.

    Args:
        algorithms: names of `front_ends.FRONT_ENDS`.

    Raises:
        ModelError: librosa cannot be loaded, or the child process cannot be started.
    """
    # librosa looks for the home folder when it is imported, and keeps nothing there
    environment = launch.environment(HOME=os.environ.get("HOME", os.sep), NUMBA_DISABLE_JIT="1")
    command = launch.command("model.reference", *algorithms, warnings=False)
    try:
        ended = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIME_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"The filter bank took longer than {TIME_S:g} s to compute", hint=_HINT) from error
    except OSError as error:
        cause = f"No child process can be started to compute the filter bank ({error.strerror or error})"
        raise ModelError(cause, hint=_HINT) from error
    if ended.returncode != 0:
        lines = ended.stderr.decode("utf-8", "replace").strip().splitlines() or [f"status {ended.returncode}"]
        raise ModelError(f"The filter bank cannot be computed: {lines[-1][:300].rstrip('. ')}", hint=_HINT)
    return ended.stdout
