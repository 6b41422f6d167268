"""An engine that computes nothing but nearest-neighbour enlargement: for tests, ours and those of programs that use edgelift.

It records its calls, can be told to accept only some shapes, to fail at a given call, and to have memory for a limited
number of pixels in one call.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import EngineError, EngineMemoryError
from edgelift.core.spec import ModelSpec
from edgelift.runtime.engine import Availability, Device, Limits, check_run

__all__ = ["FakeEngine"]


class FakeEngine:
    """Each input pixel becomes `scale` × `scale` equal ones."""

    name: ClassVar[str] = "fake"
    forms: ClassVar[tuple[str, ...]] = ("onnx", "openvino", "litert", "sophon")

    def __init__(
        self,
        spec: ModelSpec,
        *,
        shapes: tuple[tuple[int, int], ...] = (),
        samples: str = "uint8",
        fail_at: int = -1,
        memory_pixels: int | None = None,
    ) -> None:
        self.spec, self.limits, self.device, self.precision = spec, Limits(shapes), "CPU", "f32"
        self.calls: list[tuple[int, ...]] = []
        """Shapes of the batches so far."""
        self._samples, self._fail_at, self._memory, self.closed = samples, fail_at, memory_pixels, False

    @classmethod
    def available(cls) -> Availability:
        """Always."""
        return Availability(cls.name, "1", (Device("CPU", "nearest neighbour", ("f32",), "f32"),))

    def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        """See `Engine.run`."""
        check_run(self, batch, variant, out, self._samples)
        if self.closed:
            raise EngineError("this engine has been closed")
        if len(self.calls) == self._fail_at:
            raise EngineError("failed as it was told to")
        self.calls.append(batch.shape)
        if self._memory is not None and batch[..., 0].size > self._memory:
            raise EngineMemoryError(f"no memory for windows of {batch.shape}, as it was told")
        grid = self.spec.grid
        out[...] = np.repeat(np.repeat(batch, grid, axis=1), grid, axis=2)[:, :, :, None, None]

    def close(self) -> None:
        """Run no more."""
        self.closed = True
