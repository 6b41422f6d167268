"""What a bundle can be compiled for: the table of targets, and what each of them is given and gives.

A target starts from graphs, never from PyTorch. Precision is a matter of the graph that comes in (see `shrink`): weights
in 16 bits behind a Cast, whole numbers between QuantizeLinear and DequantizeLinear. A target translates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import onnx

from edgelift.core.registry import Registry
from edgelift.core.spec import ModelSpec

__all__ = ["PRECISIONS", "TARGETS", "Files", "Source", "Target", "load_target"]

PRECISIONS = ("float", "fp16", "bf16", "int8", "int16x8")
"""Of weights and activations: 32 bits; weights of 16 bits; the same with the range of 32; 8 bits; activations of 16 and
weights of 8 bits."""
Files = dict[str, bytes]
"""Suffix -> bytes of the files of one model, the one that names the model first."""

TARGETS = Registry(
    "target",
    {
        "onnx": "edgelift.targets.onnx_file:ONNXTarget",
        "openvino": "edgelift.targets.openvino:OpenVINOTarget",
        "litert": "edgelift.targets.litert:LiteRTTarget",
        "bm1684x": "edgelift.targets.sophon:SophonTarget",
    },
)


@dataclass(frozen=True)
class Source:
    """A network in the precision that is asked for."""

    spec: ModelSpec
    """Its facts, which go into the file; `spec.bits` is the precision."""
    whole: onnx.ModelProto
    """From picture to picture, as in a bundle."""
    core: onnx.ModelProto
    """Between the cut points."""
    sizes: tuple[tuple[int, int], ...] = ((192, 256),)
    """Heights and widths of the windows, for targets whose files name some; the first is the one where a file names one."""

    @property
    def size(self) -> tuple[int, int]:
        """The first of `sizes`."""
        return self.sizes[0]


class Target(Protocol):
    """What a bundle is compiled for."""

    name: ClassVar[str]
    suffix: ClassVar[str]
    """Of the file that is named."""
    static: ClassVar[bool]
    """Whether its files run windows of the named sizes only."""
    precisions: ClassVar[tuple[str, ...]]
    about: ClassVar[str]
    """What the files are and where they run, in a line."""

    @classmethod
    def missing(cls) -> str:
        """What has to be installed, and how; empty where nothing has."""

    @classmethod
    def problems(cls, source: Source) -> list[str]:
        """What of `source` it cannot take, in plain words; empty where it takes all."""

    @classmethod
    def compile(cls, source: Source) -> Files:
        """The files. The same source gives the same bytes. Raises `EngineError` where the tools fail."""


def load_target(name: str) -> type[Target]:
    """The target called so. Raises `RequestError` for a name that is not in the table."""
    found: type[Target] = TARGETS.load(name)
    return found
