"""TensorFlow Lite files, built part by part. Only the schema of LiteRT's own package is needed, no converter.

A file holds one subgraph, one signature (`serving_default`, `image` to `larger`) and the metadata that is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Builder", "Steps", "with_metadata"]

SCHEMA_VERSION = 3
IDENTIFIER = b"TFL3"
TYPES = {
    "float32": "FLOAT32",
    "float16": "FLOAT16",
    "uint8": "UINT8",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
}
OPTIONS = {
    "CONV_2D": "Conv2DOptions", "ADD": "AddOptions", "CONCATENATION": "ConcatenationOptions", "PAD": "PadOptions",
    "MIRROR_PAD": "MirrorPadOptions", "DEPTH_TO_SPACE": "DepthToSpaceOptions", "DEQUANTIZE": "DequantizeOptions",
    "MINIMUM": "MaximumMinimumOptions", "QUANTIZE": "QuantizeOptions", "LEAKY_RELU": "LeakyReluOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
}  # fmt: skip
"""Tables of options; operators that are not listed have none."""
VERSIONS = {
    ("CONV_2D", "int8"): 3, ("CONV_2D", "int16"): 4, ("ADD", "int8"): 2, ("ADD", "int16"): 3, ("CONCATENATION", "int8"): 2,
    ("CONCATENATION", "int16"): 3, ("DEPTH_TO_SPACE", "int8"): 2, ("DEQUANTIZE", "float16"): 3, ("QUANTIZE", "int16"): 2,
    ("PAD", "int8"): 2, ("MIRROR_PAD", "int8"): 2, ("MIRROR_PAD", "int16"): 3, ("LEAKY_RELU", "int16"): 2,
    ("RELU", "int8"): 2, ("RELU", "int16"): 3, ("TRANSPOSE_CONV", "int8"): 2,
}  # fmt: skip
"""Of operators by the type of what goes in, where it is not 1."""


@dataclass(frozen=True)
class Steps:
    """The grid of a tensor of whole numbers: one scale, or one for each place along `axis`."""

    scale: NDArray[np.float32]
    zero: int = 0
    axis: int = 0


class Builder:
    """Tensors and operators are added in the order in which they run; then `finish`."""

    def __init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._s: Any = schema
        self._graph = schema.SubGraphT()
        self._graph.tensors, self._graph.operators, self._graph.name = [], [], "main"
        self._model = schema.ModelT()
        self._model.version, self._model.operatorCodes = SCHEMA_VERSION, []
        self._model.buffers = [schema.BufferT()]  # number 0 is the empty one
        self.kinds: list[str] = []
        """Of the operators, in their order."""
        self._codes: dict[tuple[str, int], int] = {}

    def tensor(self, name: str, shape: Sequence[int], dtype: str, steps: Steps | None = None) -> int:
        """A tensor that an operator fills; its number."""
        return self._tensor(name, shape, dtype, steps, 0)

    def constant(self, name: str, values: NDArray[Any], steps: Steps | None = None) -> int:
        """A tensor that the file holds; its number."""
        buffer = self._s.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        return self._tensor(name, values.shape, values.dtype.name, steps, len(self._model.buffers) - 1)

    def operator(self, kind: str, inputs: Sequence[int], output: int, dtype: str, **options: Any) -> None:
        """An operator; `dtype` is the type of what goes in, `options` the fields of its table in the schema."""
        self.kinds.append(kind)
        made = self._s.OperatorT()
        made.opcodeIndex = self._code(kind, VERSIONS.get((kind, dtype), 1))
        made.inputs, made.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
        if kind in OPTIONS:
            made.builtinOptionsType = getattr(self._s.BuiltinOptions, OPTIONS[kind])
            made.builtinOptions = getattr(self._s, OPTIONS[kind] + "T")()
            for name, value in options.items():
                setattr(made.builtinOptions, name, value)
        self._graph.operators.append(made)

    def finish(self, image: int, larger: int, metadata: Mapping[str, str]) -> bytes:
        """The file, which takes `image` and gives `larger`."""
        self._graph.inputs, self._graph.outputs = np.array([image], np.int32), np.array([larger], np.int32)
        self._model.subgraphs = [self._graph]
        self._model.description = b"edgelift"
        _add_metadata(self._model, metadata)
        signature = self._s.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = "serving_default", 0
        signature.inputs, signature.outputs = [self._end("image", image)], [self._end("larger", larger)]
        self._model.signatureDefs = [signature]
        return _packed(self._model)

    def _tensor(self, name: str, shape: Sequence[int], dtype: str, steps: Steps | None, buffer: int) -> int:
        made = self._s.TensorT()
        made.name, made.shape, made.buffer = name, np.array(shape, np.int32), buffer
        made.type, made.hasRank = getattr(self._s.TensorType, TYPES[dtype]), True
        if steps is not None:
            made.quantization = self._s.QuantizationParametersT()
            made.quantization.scale = steps.scale.astype(np.float32)
            made.quantization.zeroPoint = np.full(len(steps.scale), steps.zero, np.int64)
            made.quantization.quantizedDimension = steps.axis
        self._graph.tensors.append(made)
        return len(self._graph.tensors) - 1

    def _code(self, kind: str, version: int) -> int:
        if (kind, version) not in self._codes:
            made = self._s.OperatorCodeT()
            made.builtinCode, made.version = getattr(self._s.BuiltinOperator, kind), version
            made.deprecatedBuiltinCode = min(made.builtinCode, 127)
            self._codes[kind, version] = len(self._model.operatorCodes)
            self._model.operatorCodes.append(made)
        return self._codes[kind, version]

    def _end(self, name: str, tensor: int) -> Any:
        made = self._s.TensorMapT()
        made.name, made.tensorIndex = name, tensor
        return made


def with_metadata(data: bytes, metadata: Mapping[str, str]) -> bytes:
    """The file `data`, which any tool may have made, with that metadata beside its own; its graph stays as it is."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data, 0)
    _add_metadata(model, metadata)
    return _packed(model)


def _add_metadata(model: Any, metadata: Mapping[str, str]) -> None:
    from ai_edge_litert import schema_py_generated as schema

    model.metadata = [*(model.metadata or [])]
    for name, text in metadata.items():
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = np.frombuffer(text.encode(), np.uint8)
        entry.name, entry.buffer = name, len(model.buffers)
        model.buffers.append(buffer)
        model.metadata.append(entry)


def _packed(model: Any) -> bytes:
    import flatbuffers

    writer = flatbuffers.Builder(1 << 16)
    writer.Finish(model.Pack(writer), file_identifier=IDENTIFIER)
    return bytes(writer.Output())
