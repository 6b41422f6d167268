"""Looking inside an engine: any ONNX graph on its device, with its settings, and the time of every operator.

An engine that can be looked into has a method `probe`; nothing else changes in it, and what is not probed pays nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

__all__ = ["NodeTime", "Probe", "Probing"]


@dataclass(frozen=True)
class NodeTime:
    """What one operator took in one run."""

    name: str
    """As the engine calls it."""
    kind: str
    """The engine's word for the operator: Convolution, Conv, Reorder …"""
    seconds: float
    origin: tuple[str, ...] = ()
    """Names of the graph's nodes, or of their outputs, that it carries out; empty where the engine added it."""
    macs: int = 0
    """Multiply-adds, where the engine counts them itself; 0 where not."""


class Probe(Protocol):
    """A graph, compiled for the inputs it was given."""

    def run(self) -> None:
        """Once, with those inputs. Raises `EngineError`."""

    def counted(self) -> list[list[NodeTime]]:
        """The operators of each run so far, in their order; empty where counting was not asked for. Ends counting."""

    def close(self) -> None:
        """Release what is held; calling it twice is allowed."""


@runtime_checkable
class Probing(Protocol):
    """An engine that can be looked into."""

    def probe(self, graph: bytes, inputs: Mapping[str, NDArray[Any]], *, count: bool = False) -> Probe:
        """`graph`, a serialised ONNX model, for these `inputs`; `count` switches the engine's counters on.

        Raises `EngineError` where the engine cannot run it.
        """
