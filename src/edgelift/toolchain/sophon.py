"""SOPHON's compiler tpu-mlir with its bit-accurate simulator of the BM1684X, as one environment.

The wheel carries its own C library and puts it first on the library path. Together with a newer system's loader nothing
starts, so those files are set aside. PyTorch is for its ONNX front end only.
"""

from __future__ import annotations

from edgelift.toolchain.chain import Chain

__all__ = ["SOPHON", "tool"]

THIRD_PARTY = "tpu_mlir/lib/third_party"

SOPHON = Chain(
    name="sophon",
    title="SOPHON's tpu-mlir",
    python="3.10",
    packages={"tpu_mlir": "1.30.2", "onnx": "1.14.1", "onnxruntime": "1.16.3", "onnxsim": "0.4.17", "psutil": ""},
    bare={"torch": "1.12.1", "typing_extensions": ""},
    gigabytes=4.0,
    download_gigabytes=1.3,
    programs=("tpu_mlir/bin", "tpu_mlir/python/tools"),
    libraries=("tpu_mlir/lib", "tpu_mlir/lib/capi", THIRD_PARTY),
    variables={"TPUC_ROOT": "tpu_mlir"},
    aside=tuple(
        f"{THIRD_PARTY}/{name}"
        for name in ("libc.so.6", "libm.so.6", "libpthread.so.0", "libstdc++.so.6", "libgcc_s.so.1")
    ),
    check=("-c", "import sys; sys.path.append(sys.argv[1]); import pyruntime_bm", "tpu_mlir/python"),
    needs="glibc 2.34 or newer",
)


def tool(name: str) -> str:
    """The path of one of its programs, such as "model_deploy.py" or "model_tool"."""
    return str(SOPHON.site / "tpu_mlir" / ("python/tools" if name.endswith(".py") else "bin") / name)
