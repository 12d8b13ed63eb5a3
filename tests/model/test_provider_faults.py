"""What ONNX Runtime says when a provider does not start becomes a sentence."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from genretagger.model.provider_faults import library_missing_for, missing, readable
from genretagger.model.providers import PROVIDERS

CALL = (
    "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:{line} std::conditional_t<THRW, void, "
    "onnxruntime::common::Status> onnxruntime::CudaCall(ERRTYPE, const char*, const char*, ERRTYPE, const char*, "
    "const char*, int) [with ERRTYPE = cudaError; bool THRW = true; std::conditional_t<THRW, void, "
    "onnxruntime::common::Status> = void] "
)
NO_GPU = (
    CALL.format(line=129)
    + CALL.format(line=121)
    + "CUDA failure 100: no CUDA-capable device is detected ; GPU=32635 ; hostname=box ; "
    "file=/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_execution_provider.cc ; line=282 ; "
    "expr=cudaSetDevice(info_.device_id);\n"
)
NO_TENSORRT = (
    "/onnxruntime_src/onnxruntime/python/onnxruntime_pybind_state.cc:729 void "
    "onnxruntime::python::RegisterTensorRTPluginsAsCustomOps(PySessionOptions&, const onnxruntime::ProviderOptions&) "
    "Please install TensorRT libraries as mentioned in the GPU requirements page, make sure they're in the PATH or "
    "LD_LIBRARY_PATH, and that your GPU is supported.\n"
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param(NO_GPU, "CUDA says: no CUDA-capable device is detected", id="no GPU"),
        pytest.param(
            f"[ONNXRuntimeError] : 1 : FAIL : {NO_GPU}", "CUDA says: no CUDA-capable device is detected", id="as status"
        ),
        pytest.param(
            NO_TENSORRT,
            "Please install TensorRT libraries as mentioned in the GPU requirements page, make sure they're in the "
            "PATH or LD_LIBRARY_PATH, and that your GPU is supported",
            id="no TensorRT",
        ),
        pytest.param(
            "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from m.onnx failed:Protobuf parsing failed.",
            "Load model from m.onnx failed:Protobuf parsing failed",
            id="plain",
        ),
        pytest.param("Status Message: std::bad_alloc", "there is not enough memory", id="memory"),
        pytest.param("", "RuntimeError", id="nothing"),
    ],
)
def test_a_message_becomes_a_sentence(text: str, sentence: str) -> None:
    assert readable(RuntimeError(text)) == sentence


def test_a_provider_that_was_not_loaded_says_what_may_be_missing() -> None:
    for provider in PROVIDERS[:-1]:
        said = missing(provider)
        assert said
        assert "Provider" not in said


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("cc") is None, reason="needs Linux and a C compiler")
def test_the_library_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.c").write_text("int nothing(void);\nint nothing(void) { return 0; }\n")
    (tmp_path / "user.c").write_text("int nothing(void);\nint user(void);\nint user(void) { return nothing(); }\n")
    needed, plugin = tmp_path / "libneeded.so.13", tmp_path / "libplugin.so"
    for source, library, *more in (("empty.c", needed, "-Wl,-soname,libneeded.so.13"), ("user.c", plugin, str(needed))):
        command = ["cc", "-shared", "-fPIC", "-o", str(library), str(tmp_path / source), *more]
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            pytest.skip("no shared library can be built here")
    needed.unlink()
    assert library_missing_for(plugin) == "libneeded.so.13"
    plugin.write_bytes(b"no library")
    assert library_missing_for(plugin) == ""
