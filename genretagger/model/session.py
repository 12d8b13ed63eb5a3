"""Runs a model in ONNX Runtime: mel windows in, activations and embeddings out.

Inputs and outputs are found by shape and purpose, never by a name written here: the names on a card
are those of the publisher's framework and differ in its ONNX export.

On the CPU the result of a window depends on nothing but that window: not on its neighbours or their
number, nor on the number of threads. A window is computed by one thread, and the others listen to
further windows meanwhile: a second thread for the same window gains nothing with the default model,
and a third would sum in another order (which moves activations by up to 4e-7).
"""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from genretagger.config import cores
from genretagger.errors import ModelError
from genretagger.model.batching import Batches, then
from genretagger.model.card import EMBEDDINGS, PREDICTIONS, Card, Tensor, told_apart
from genretagger.model.installed import InstalledModel
from genretagger.model.provider_faults import missing, readable
from genretagger.model.providers import PROVIDERS, Provider, available_providers, choose_provider, load_libraries
from genretagger.model.runtime import onnxruntime
from genretagger.model.tuning import batch_for, device_name
from genretagger.types import FloatArray

_FATAL = (
    4  # ONNX Runtime's own messages go to standard error and are for its authors; what matters comes as an exception
)
_MAX_BATCH = 256
_MAX_RUNS = 16
"""Windows that are listened to at once on the CPU: each costs up to 50 MB."""

_OTHER_MODEL = "Choose another model, or tell its publisher that card and ONNX file do not match."


class _NotLoadedError(ModelError):
    """ONNX Runtime does not take the model; `said` is its reason."""

    def __init__(self, said: str, path: Path) -> None:
        super().__init__(f"The model cannot be loaded: {said}", path=path)
        self.said = said


@dataclass(frozen=True, slots=True)
class _Input:
    """An input for log-mel frames.

    Attributes:
        name: as the ONNX file spells it.
        shape: of a window: frames and bands, or patches, frames and bands.
        channel: whether the input has a dimension of one between windows and frames.
    """

    name: str
    shape: tuple[int, ...]
    channel: bool


@dataclass(frozen=True, slots=True)
class _Ports:
    """Which tensors of the ONNX file are which.

    Attributes:
        inputs: in the order of the card.
        batch: windows in every run.
        activations: the output's name, None if there is none.
        embeddings: the output's name, None if there is none.
    """

    inputs: tuple[_Input, ...]
    batch: int
    activations: str | None
    embeddings: str | None


class Session:
    """A model that is ready to run; safe to share between threads.

    Attributes:
        provider: ONNX Runtime's name of the provider that computes, such as "CPUExecutionProvider".
        warning: one sentence for the owner if that is not the device that was asked for, else
            None.
        at_once: how many windows are listened to at the same time, in all batches that run.
    """

    def __init__(
        self, runtime: Any, ports: _Ports, labels: int, provider: str, warning: str | None, runs: int = 1
    ) -> None:
        self._runtime = runtime
        self._ports = ports
        self._labels = labels
        self._batches = Batches(self._infer, size=ports.batch, threads=runs)
        self.at_once = ports.batch * runs
        self.provider = provider
        self.warning = warning

    @classmethod
    def open(cls, model: InstalledModel, device: str = "auto", threads: int = 0, *, tf32: bool = False) -> Session:
        """Start a model.

        Args:
            model: an installed model.
            device: one of `providers.DEVICES`.
            threads: threads of the CPU; 0 for one a core.
            tf32: let a device that can round to TF32: faster, and less exact.

        Raises:
            ConfigError: there is no such device.
            ModelError: the file is damaged, or does not match its card.
        """
        return cls.start(model.onnx_path, model.card, device, threads, tf32=tf32)

    @classmethod
    def start(
        cls, onnx_path: Path, card: Card, device: str = "auto", threads: int = 0, *, tf32: bool = False
    ) -> Session:
        """Start a model that need not be installed; otherwise as `open`."""
        provider, warning = choose_provider(device, available_providers())
        if tf32 and provider.tf32 is not None:
            provider = replace(provider, options={**provider.options, **provider.tf32})
        if provider.device != "cpu":
            try:
                return cls._start(onnx_path, card, provider, threads, warning)
            except ModelError as error:
                cause = error.said if isinstance(error, _NotLoadedError) else error.cause
                warning = f"Device {provider.device} does not start: {cause}. Using the CPU, which takes longer"
        return cls._start(onnx_path, card, PROVIDERS[-1], threads, warning)

    @classmethod
    def _start(cls, path: Path, card: Card, provider: Provider, threads: int, warning: str | None) -> Session:
        runs = 1
        if provider.device == "cpu":
            runs = min(threads or cores(), _MAX_RUNS)
            threads = 1
        runtime = _runtime(path, provider, threads)
        started = runtime.get_providers()
        if provider.name not in started:  # ONNX Runtime logs a missing driver and goes on without the provider
            raise ModelError(missing(provider), path=path)
        ports = _ports(runtime, card, provider.batch)
        if provider.sizes and not isinstance(runtime.get_inputs()[0].shape[0], int):
            key = f"{provider.name}, ONNX Runtime {onnxruntime().__version__}, {device_name() or 'one device'}"
            seconds = partial(_seconds, runtime, ports)
            ports = replace(ports, batch=batch_for(path.parent, key, provider.sizes, seconds))
        session = cls(runtime, ports, len(card.classes), provider.name, warning, runs)
        session.try_out()  # some providers compile, and fail, only now; 60 ms on one core
        return session

    @property
    def windows(self) -> tuple[tuple[int, ...], ...]:
        """For each input, the shape of a window: frames and bands, or patches, frames and bands."""
        return tuple(each.shape for each in self._ports.inputs)

    def try_out(self) -> FloatArray:
        """Let the model listen to one silent window; gives the activations (1, labels).

        Raises:
            ModelError: the model does not run, or gives something else than its card says.
        """
        return self.run(*(np.zeros((1, *shape), dtype=np.float32) for shape in self.windows))[0]

    def run(self, *mels: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Run the model and wait for it; see `submit`.

        Raises:
            ModelError: as of `submit`, or the provider failed, or the model gave no numbers.
        """
        return self.submit(*mels).result()

    def submit(self, *mels: FloatArray) -> Future[tuple[FloatArray, FloatArray]]:
        """Have the model infer from the windows of a track, behind those that wait.

        Args:
            mels: the windows for each input, in the order of the card: (n, frames, bands) float32,
                or (n, patches, frames, bands).

        Returns:
            A future of activations (n, labels) float32 and embeddings (n, dimensions) float32; the
            dimensions are 0 if the model gives no embedding.

        Raises:
            ModelError: the shape is not the model's.
        """
        if tuple(mel.shape[1:] for mel in mels) != self.windows or len({len(mel) for mel in mels}) != 1:
            wanted = " and of ".join(" by ".join(map(str, shape)) for shape in self.windows)
            raise ModelError(f"The model takes windows of {wanted}, not {[mel.shape for mel in mels]}")
        count = len(mels[0])
        if not count:
            nothing: Future[tuple[FloatArray, FloatArray]] = Future()
            nothing.set_result((np.zeros((0, self._labels), np.float32), np.zeros((0, 0), np.float32)))
            return nothing
        return then(self._batches.submit(mels), lambda answers: self._checked(answers, count))

    def close(self) -> None:
        """Finish what runs, and forget what waits."""
        self._batches.close()

    def _checked(self, answers: list[FloatArray], count: int) -> tuple[FloatArray, FloatArray]:
        """Activations and embeddings from the outputs, as `run` gives them.

        Raises:
            ModelError: they are not what the card says, or no numbers.
        """
        activations = answers[0] if self._ports.activations else np.zeros((count, self._labels), np.float32)
        embeddings = answers[-1] if self._ports.embeddings else np.zeros((count, 0), np.float32)
        if activations.shape[1] != self._labels:
            raise ModelError(
                f"The model gave {activations.shape[1]} values for {self._labels} labels", hint=_OTHER_MODEL
            )
        if not np.isfinite(activations).all():
            raise ModelError("The model gave values that are not numbers", hint=_OTHER_MODEL)
        return activations, embeddings

    def _infer(self, mels: list[FloatArray]) -> list[FloatArray]:
        """Run the model on one full batch; safe to call from many threads."""
        answer = _run(self._runtime, self._ports, mels)
        if any(values.ndim != 2 or len(values) < len(mels[0]) for values in answer):
            raise ModelError("The model gave an output of an unexpected shape", hint=_OTHER_MODEL)
        return answer


def _seconds(runtime: Any, ports: _Ports, size: int) -> float:
    """How long one run over silent windows takes."""
    mels = [np.zeros((size, *each.shape), np.float32) for each in ports.inputs]
    started = time.perf_counter()
    _run(runtime, ports, mels)
    return time.perf_counter() - started


def _runtime(path: Path, provider: Provider, threads: int) -> Any:
    """Load an ONNX file with one provider, and the CPU behind it for what that one cannot do."""
    runtime = onnxruntime()
    runtime.set_default_logger_severity(_FATAL)
    with contextlib.suppress(AttributeError):  # Windows' older way, which the environment does not reach
        runtime.disable_telemetry_events()
    load_libraries(provider)
    options = runtime.SessionOptions()
    options.log_severity_level = _FATAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    # Waiting threads would spin on the cores that decode the next tracks: 61 against 75 ms a window
    # beside a busy core.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_mem_pattern = False  # no faster with it, and 30 MB more; DirectML does not allow it
    chain: list[Any] = [(provider.name, dict(provider.options))]
    if provider.device != "cpu":
        chain.append(PROVIDERS[-1].name)
    try:
        # without enable_fallback=0 a failure would be printed and the CPU taken in silence
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about providers; `Session.warning` says it better
            return runtime.InferenceSession(str(path), options, providers=chain, enable_fallback=0)
    except Exception as error:  # ONNX Runtime's exceptions have no other common base
        raise _NotLoadedError(readable(error), path) from error


def _run(runtime: Any, ports: _Ports, mels: list[FloatArray]) -> list[FloatArray]:
    feeds = {each.name: mel[:, None] if each.channel else mel for each, mel in zip(ports.inputs, mels, strict=True)}
    names = [name for name in (ports.activations, ports.embeddings) if name]
    try:
        return [np.asarray(values, dtype=np.float32) for values in runtime.run(names, feeds)]
    except Exception as error:  # as above
        raise ModelError(f"The model cannot be run: {readable(error)}") from error


def _ports(runtime: Any, card: Card, batch: int) -> _Ports:
    """Find the inputs and the outputs by shape and purpose.

    Raises:
        ModelError: there is none that fits, or more than one.
    """
    tensors = runtime.get_inputs()
    if len(tensors) != len(card.inputs) or any(tensor.type != "tensor(float)" for tensor in tensors):
        wanted = "one input" if len(card.inputs) == 1 else f"{len(card.inputs)} inputs"
        raise ModelError(f"The model does not take {wanted} of float32", hint=_OTHER_MODEL)
    if len(tensors) > 1:
        tensors = [_named(tensors, described) for described in card.inputs]
    inputs = tuple(_input(tensor, described.shape) for tensor, described in zip(tensors, card.inputs, strict=True))
    batches = {tensor.shape[0] for tensor in tensors if isinstance(tensor.shape[0], int)} or {batch}
    fixed = max(batches)
    if len(batches) > 1 or not 1 <= fixed <= _MAX_BATCH:
        raise ModelError(f"The model takes {' and '.join(map(str, batches))} windows at once", hint=_OTHER_MODEL)
    if not any(tensor.type == "tensor(float)" for tensor in runtime.get_outputs()):
        raise ModelError("The model gives no output of float32", hint=_OTHER_MODEL)
    activations = _output(runtime, card.output(PREDICTIONS), len(card.classes)) if card.classes else None
    if activations is None and card.classes:
        sizes = sorted({str(size) for tensor in runtime.get_outputs() for size in tensor.shape[-1:]})
        raise ModelError(
            f"No output of the model fits the {len(card.classes)} labels of its card (they have {', '.join(sizes)})",
            hint="Give its labels in the order of the output with --labels FILE.",
        )
    embeddings = _output(runtime, card.output(EMBEDDINGS), card.embedding) if card.embedding else None
    if activations is None and embeddings is None:
        raise ModelError("The model gives neither labels nor the embedding of its card", hint=_OTHER_MODEL)
    return _Ports(inputs, fixed, activations, embeddings)


def _named(tensors: Sequence[Any], described: Tensor) -> Any:
    """The input that has the name on the card, or is the only one of that shape.

    Raises:
        ModelError: there is none.
    """
    fitting = [tensor for tensor in tensors if tensor.name == described.name]
    if not fitting:
        size = len(described.shape)
        fitting = [tensor for tensor in tensors if tuple(tensor.shape)[-size:] == described.shape]
    if len(fitting) != 1:
        raise ModelError(f"The model has no input {described.name!r}, which its card names", hint=_OTHER_MODEL)
    return fitting[0]


def _input(tensor: Any, described: tuple[int | None, ...]) -> _Input:
    """An input as it has to be fed.

    Raises:
        ModelError: the card says something else, or it takes no sound.
    """
    shape = list(tensor.shape)
    channel = len(shape) == 4 and shape[1] == 1
    shape = shape[2:] if channel else shape[1:]
    patches = len(shape) == 3 and isinstance(shape[0], int) and described[-3:-2] == (shape[0],)
    if len(shape) != 2 + patches or len(described) < 2:
        raise ModelError(
            "The model listens to the output of another model, not to sound",
            hint="Name the model that it listens to with --backbone.",
        )
    said = described[-len(shape) :]
    sizes = [size if isinstance(size, int) else other for size, other in zip(shape, said, strict=True)]
    if not all(sizes) or any(other not in (None, size) for size, other in zip(sizes, said, strict=True)):
        taken = " by ".join(map(str, sizes))
        raise ModelError(f"The model takes windows of {taken}, its card says {described}", hint=_OTHER_MODEL)
    return _Input(tensor.name, tuple(size or 0 for size in sizes), channel)


def _output(runtime: Any, described: Tensor | None, size: int) -> str | None:
    """The output with this many values; if several fit, the one named in the card (or its purpose).

    Raises:
        ModelError: several fit, and the card does not say which.
    """
    outputs = [tensor for tensor in runtime.get_outputs() if tensor.type == "tensor(float)" and len(tensor.shape) == 2]
    fitting: list[str] = [tensor.name for tensor in outputs if tensor.shape[1] == size]
    if not fitting:  # a size that the file leaves open is checked when the model runs
        fitting = [tensor.name for tensor in outputs if not isinstance(tensor.shape[1], int)]
    fitting = told_apart(fitting, described, "activations")
    if len(fitting) <= 1:
        return fitting[0] if fitting else None
    raise ModelError(
        f"Several outputs of the model fit its card: {', '.join(fitting)[:200]}",
        hint="Name the right one in the card's `schema.outputs`.",
    )
