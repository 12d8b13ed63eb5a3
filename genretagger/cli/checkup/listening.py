"""Checks of the model, of ONNX Runtime's providers, and of whether the model runs on them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from genretagger.cli.checkup.finding import Finding, bad, ok, warn
from genretagger.config import Settings
from genretagger.errors import ModelError

_WINDOWS_TIMED = 4
_GPU_PACKAGE = "pip install --force-reinstall --no-deps onnxruntime-gpu"


def model(settings: Settings, _paths: Sequence[Path]) -> Iterator[Finding]:
    """Is the model installed, and unchanged since?"""
    from genretagger.model.store import DEFAULT, ModelStore

    store = ModelStore(settings.models_dir)
    if settings.model == DEFAULT and not (settings.models_dir / settings.model).exists():
        fix = "`genretagger models pull` fetches it (36 MB); so does the first `genretagger tag`"
        yield warn("model", f"{settings.model} is not installed yet", fix)
        return
    try:
        found = store.verify(settings.model)
    except ModelError as error:
        yield bad("model", error.cause, error.hint)
        return
    yield ok("model", f"{found.name}: {len(found.card.classes)} labels, unchanged since it was installed")


def front_end(settings: Settings, _paths: Sequence[Path]) -> Iterator[Finding]:
    """Can sound be made into what the model listens to?"""
    import numpy as np

    from genretagger.audio.mel import heard
    from genretagger.model.filter_bank import ears_of
    from genretagger.model.manifest import BANK, sums
    from genretagger.model.store import ModelStore

    try:
        installed = ModelStore(settings.models_dir).get(settings.model)
    except ModelError:
        return  # `model` has said so
    started = time.perf_counter()
    ears = ears_of(installed, keep=False)
    where = f"computed in {time.perf_counter() - started:.1f} s"
    main, names = ears[0].front_end, " and ".join(ear.front_end.name for ear in ears)
    noise = np.random.default_rng(0).standard_normal((1, main.window_samples)).astype(np.float32)
    noise *= np.linspace(0, 1, main.window_samples, dtype=np.float32)  # a model stops early at steady noise
    started = time.perf_counter()
    heard(noise, main.margin_samples, ears)
    seconds = time.perf_counter() - started
    if BANK in sums(installed.folder):
        yield ok("front end", f"{names}: kept with the model; {1000 * seconds:.1f} ms a window")
    elif os.access(installed.folder, os.W_OK):
        yield ok("front end", f"{names}: {where}; the first `genretagger tag` keeps it")
    else:
        fix = "Run `genretagger tag --dry-run` on a file once as the owner of the models folder, which keeps it"
        yield warn("front end", f"{names}: {where}, as each start has to", fix)


def device(settings: Settings, _paths: Sequence[Path]) -> Iterator[Finding]:
    """Which providers are there, and is the device that was asked for among them?"""
    from genretagger.model.providers import PROVIDERS, available_providers, choose_provider

    try:
        offered = available_providers()
    except ImportError as error:
        yield bad("device", f"ONNX Runtime cannot be loaded: {error}", "pip install --force-reinstall onnxruntime")
        return
    provider, warning = choose_provider(settings.device, offered)
    names = ", ".join(each.device for each in PROVIDERS if each.name in offered)
    found = f"ONNX Runtime offers {names}; device = {settings.device} takes {provider.device}"
    if warning:
        wanted = next(each for each in PROVIDERS if each.device == settings.device)
        fix = f"Install {wanted.package}, or set device = auto; until then it runs on the CPU"
        yield bad("device", f"{settings.device} was asked for, and ONNX Runtime offers only {names}", fix)
    elif "cuda" not in names and _installed("onnxruntime-gpu"):
        found = "onnxruntime-gpu is installed, but another onnxruntime, which cannot use a GPU, was installed over it"
        yield warn("device", found, _GPU_PACKAGE)
    elif provider.device == "cpu" and Path("/dev/nvidia0").exists():
        fix = f"To use it: {_GPU_PACKAGE}; to stay with the CPU: device = cpu"
        if settings.device == "cpu":
            yield ok("device", found)
        else:
            yield warn("device", f"{found}, and there is an NVIDIA GPU that it cannot use", fix)
    else:
        yield ok("device", found)


def _installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def speed(settings: Settings, _paths: Sequence[Path]) -> Iterator[Finding]:
    """Does the model run, and how fast?"""
    import numpy as np

    from genretagger.model.session import Session
    from genretagger.model.store import ModelStore

    try:
        installed = ModelStore(settings.models_dir).get(settings.model)
    except ModelError:
        return  # `model` has said so
    try:
        session = Session.open(installed, settings.device, settings.threads, tf32=settings.tf32)
        count = max(_WINDOWS_TIMED, 2 * session.at_once)  # full batches, as many at once as in a run
        silence = [np.zeros((count, *shape), np.float32) for shape in session.windows]
        started = time.perf_counter()
        session.run(*silence)
        seconds = (time.perf_counter() - started) / count
        session.close()
    except ModelError as error:
        yield bad("listening", error.cause, error.hint or "Install the model again: `genretagger models pull --force`")
        return
    found = f"{installed.name} runs on {session.provider}: {seconds:.4f} s a window, {session.at_once} at once"
    if isinstance(settings.windows, int):
        found += f", {seconds * settings.windows:.2f} s a track"
    if session.warning:
        fix = "Install what it lacks (for CUDA: `pip install 'genretagger[gpu]'`), or set device = cpu"
        yield (warn if settings.device == "auto" else bad)("listening", f"{session.warning}; {found}", fix)
    else:
        yield ok("listening", found)
