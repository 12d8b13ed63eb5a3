"""What the owner may call a device, and which execution providers of ONNX Runtime that means.

A table and nothing else: a new kind of hardware is a new row. ONNX Runtime offers only the
providers that its installed package was built with; the rest of the table then waits for another
package.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field

from genretagger.errors import ConfigError
from genretagger.model.runtime import onnxruntime

CPU = "CPUExecutionProvider"


@dataclass(frozen=True, slots=True)
class Provider:
    """One way to run a model.

    Attributes:
        device: what the owner writes in the configuration.
        name: ONNX Runtime's name.
        batch: windows in one run. On the CPU 1: the bits of a result depend on its place in a
            batch, more than one gains no speed, and each costs 50 MB. Accelerators starve on single
            windows; always the same number, because several of them compile a model again for each
            shape.
        sizes: other numbers of windows, of which the fastest is measured once for each device
            (`tuning`); the smallest first. Empty for providers that compile each shape for seconds
            or minutes.
        tf32: the options that let it round to TF32; None if it cannot.
        options: ONNX Runtime's options; here those that keep full float32 and the same result every
            time.
        package: what offers it, for the hint when it is missing.
    """

    device: str
    name: str
    batch: int = 16
    sizes: tuple[int, ...] = ()
    tf32: Mapping[str, str] | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    package: str = "an ONNX Runtime built for it"


PROVIDERS = (
    Provider(
        "cuda",
        "CUDAExecutionProvider",
        sizes=(16, 32, 64),
        options={
            "cudnn_conv_algo_search": "HEURISTIC",
            "use_tf32": "0",
            "prefer_nhwc": "1",
            # By itself the arena doubles whenever it grows, up to the whole card.
            "arena_extend_strategy": "kSameAsRequested",
            "gpu_mem_limit": str(16 << 30),
        },
        tf32={"use_tf32": "1"},
        package="onnxruntime-gpu",
    ),
    Provider("migraphx", "MIGraphXExecutionProvider", package="onnxruntime-migraphx"),
    Provider("rocm", "ROCMExecutionProvider", package="onnxruntime-rocm"),
    Provider("tensorrt", "TensorrtExecutionProvider", package="onnxruntime-gpu and TensorRT"),
    Provider("directml", "DmlExecutionProvider", package="onnxruntime-directml"),
    Provider(
        "openvino",
        "OpenVINOExecutionProvider",
        batch=1,
        options={"device_type": "CPU", "precision": "ACCURACY"},
        package="onnxruntime-openvino",
    ),
    Provider("coreml", "CoreMLExecutionProvider", package="onnxruntime on macOS"),
    Provider("cpu", CPU, batch=1, package="onnxruntime"),
)
"""Best first, as `auto` takes them: TensorRT is behind CUDA as it compiles minutes each start."""

DEVICES = ("auto", *sorted(provider.device for provider in PROVIDERS))
"""Everything that the option `device` may be."""


def available_providers() -> tuple[str, ...]:
    """Names of the execution providers that the installed ONNX Runtime offers, best first.

    Offering is not a promise: a driver may be missing, which shows when a session starts.
    """
    offered = set(onnxruntime().get_available_providers())
    return tuple(provider.name for provider in PROVIDERS if provider.name in offered)


def choose_provider(device: str, offered: tuple[str, ...]) -> tuple[Provider, str | None]:
    """Choose the provider for a device.

    Args:
        device: one of `DEVICES`.
        offered: what `available_providers` says.

    Returns:
        The provider, and a warning if it is not the one that was asked for.

    Raises:
        ConfigError: there is no such device.
    """
    if device not in DEVICES:
        raise ConfigError(f"There is no device {device!r}", hint=f"Choose one of: {', '.join(DEVICES)}.")
    if device == "auto":
        return next((provider for provider in PROVIDERS if provider.name in offered), PROVIDERS[-1]), None
    wanted = next(provider for provider in PROVIDERS if provider.device == device)
    if wanted.name in offered:
        return wanted, None
    return PROVIDERS[-1], (
        f"Device {device} was asked for, but the installed ONNX Runtime does not offer it "
        f"(it comes with {wanted.package}): using the CPU"
    )


def load_libraries(provider: Provider) -> None:
    """Load the libraries that a provider needs and that pip may have installed beside it."""
    preload = getattr(onnxruntime(), "preload_dlls", None)
    if preload is not None and provider.device in ("cuda", "tensorrt"):
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
            preload()
