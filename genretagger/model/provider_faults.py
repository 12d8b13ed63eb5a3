"""Why a provider did not start, in a sentence: ONNX Runtime's own texts are for its authors.

Where NVIDIA's libraries are missing it says nothing to its caller and takes the CPU; without a GPU
it quotes a C++ template before the cause.
"""

from __future__ import annotations

import contextlib
import ctypes
import re
import sys
from importlib import metadata
from pathlib import Path

from genretagger.model.providers import Provider
from genretagger.model.runtime import onnxruntime

_SIGNATURE = re.compile(r"\S+\.(?:cc|cpp|h|cu):\d+ .*?\)(?: \[with [^\]]*\])? ?")  # file, line and function
_CALL = re.compile(r"\b(CUDA|CUDNN|CUBLAS|CUFFT|HIP|MIOPEN|ROCBLAS) (?:failure|error) [^:;]*: ?([^;]+)", re.IGNORECASE)
_MISSING = re.compile(r"(\S+?): cannot open shared object file")
_VENDORS = {"cuda": "NVIDIA's", "tensorrt": "NVIDIA's", "rocm": "AMD's", "migraphx": "AMD's"}
_EXTRAS = {
    "cuda": "`pip install 'genretagger[gpu]'` brings them",
    "tensorrt": "`pip install 'genretagger[gpu]' tensorrt` brings them",
}
_RUNTIME = re.compile(r"nvidia-cuda-runtime(?:-cu\d+)?\s*(?:~=|==|>=)\s*(\d+)")
_LONGEST = 200


def readable(error: Exception) -> str:
    """ONNX Runtime's message in one line, without addresses, functions, templates or full stop."""
    text = str(error)
    if "bad_alloc" in text or isinstance(error, MemoryError):
        return "there is not enough memory"
    if call := _CALL.search(text):
        return f"{call[1].upper()} says: {call[2].strip()}"[:_LONGEST]
    line = (text.strip().splitlines() or [type(error).__name__])[0]
    said = _SIGNATURE.sub("", line.rpartition(" : ")[2]).strip() or type(error).__name__
    return said[:_LONGEST].rstrip(". ")


def missing(provider: Provider) -> str:
    """Say what a provider lacks that ONNX Runtime offers and silently did not load."""
    vendor = _VENDORS.get(provider.device, "its")
    extra = _EXTRAS.get(provider.device)
    needed = f"this ONNX Runtime needs CUDA {version}; " if extra and (version := cuda_needed()) else ""
    hint = f" ({needed}{extra})" if extra else ""
    folder = Path(onnxruntime().__file__).parent / "capi"
    plugin = folder / f"libonnxruntime_providers_{provider.device}.so"
    if sys.platform == "linux" and plugin.exists():
        library = library_missing_for(plugin)
        if library:
            return f"{vendor} library {library} is not installed{hint}"
    return f"{vendor} driver or libraries are missing, or there is no such device{hint}"


def cuda_needed() -> str:
    """The CUDA version that the installed ONNX Runtime package needs; empty if it does not say."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        for requirement in metadata.requires("onnxruntime-gpu") or ():
            if found := _RUNTIME.match(requirement):
                return found[1]
    return ""


def library_missing_for(plugin: Path) -> str:
    """The first library that a shared library needs and the system lacks; empty if none."""
    try:
        ctypes.CDLL(str(plugin))
    except OSError as error:
        found = _MISSING.search(str(error))
        return found[1] if found and Path(found[1]) != plugin else ""
    return ""
