"""The ONNX file itself: a bundle, in any precision, which every ONNX runtime runs."""

from __future__ import annotations

from typing import ClassVar

import onnx

from edgelift.targets.base import Files, Source

__all__ = ["ONNXTarget"]


class ONNXTarget:
    """See the module's text."""

    name: ClassVar[str] = "onnx"
    suffix: ClassVar[str] = ".onnx"
    static: ClassVar[bool] = False
    precisions: ClassVar[tuple[str, ...]] = ("float", "fp16", "int8", "int16x8")
    about: ClassVar[str] = "a bundle, for ONNX Runtime, OpenVINO and other runtimes"

    @classmethod
    def missing(cls) -> str:
        """Nothing: bundles are written without tools."""
        return ""

    @classmethod
    def problems(cls, source: Source) -> list[str]:
        """Nothing: a bundle is what it starts from."""
        return []

    @classmethod
    def compile(cls, source: Source) -> Files:
        """See `Target.compile`."""
        model = onnx.ModelProto()
        model.CopyFrom(source.whole)
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, source.spec.metadata())
        return {cls.suffix: bytes(model.SerializeToString(deterministic=True))}
