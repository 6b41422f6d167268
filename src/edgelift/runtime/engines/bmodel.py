"""What engines of `.bmodel` files share: one network for each size of window, bytes in and bytes out, one call at a time.

The chip runs no batch at once, so windows of a batch follow each other. What a window takes stands in the file, by the
compiler's cycle model.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import BundleError, EngineError, RequestError
from edgelift.core.spec import ModelSpec
from edgelift.io.bundle import Bundle
from edgelift.runtime.engine import Limits, Options, check_run
from edgelift.tiling.cost import CostModel, Measured

__all__ = ["PRECISIONS", "BModelEngine", "Network", "stated_prices"]

PRECISIONS = {"float": "f32", "fp16": "f16", "bf16": "bf16", "int8": "int8"}
"""The bits of a model -> the precision in which the chip runs it."""
MAX_WINDOWS = 1000


class Network:
    """One network of the file: `call` takes 1 × h × w × 3 bytes and gives 1 × H × W × 3b²."""

    def __init__(self, name: str, entering: tuple[int, ...], leaving: tuple[int, ...]) -> None:
        self.name, self.entering, self.leaving = name, entering, leaving


class BModelEngine:
    """See the module's text. A subclass opens the file and makes `networks`; `call` runs one."""

    device: str
    spec: ModelSpec

    def __init__(self, bundle: Bundle, options: Options) -> None:
        self.spec = bundle.spec
        self.precision = PRECISIONS.get(bundle.spec.bits, bundle.spec.bits)
        if options.precision not in ("auto", self.precision):
            raise RequestError(
                f"{bundle.spec.name} was compiled in {self.precision} and runs in nothing else, not in {options.precision}; "
                "compile it again: edgelift compile --target bm1684x --precision …"
            )
        if options.samples != "uint8":
            raise RequestError(
                f"{bundle.spec.name} as a .bmodel takes and gives pictures of 8 bits; run those of 16 bits with its ONNX bundle"
            )
        self.stated = stated_prices(bundle.spec)
        """Prices by the compiler's cycle model; None where the file states none."""
        self._lock, self._closed = threading.Lock(), False

    def _accept(self, networks: list[Network]) -> None:
        """Take what the file holds. Raises `EngineError` where it is not what its facts say."""
        b, grid = self.spec.shuffle, self.spec.grid
        self._networks: dict[tuple[int, int], Network] = {}
        for network in networks:
            n, height, width, channels = network.entering if len(network.entering) == 4 else (0, 0, 0, 0)
            expected = (1, height * grid, width * grid, 3 * b * b)
            if (n, channels) != (1, 3) or network.leaving != expected:
                raise EngineError(
                    f"{self.spec.name}: expected networks from 1 × h × w × 3 to {expected}, "
                    f"{network.name!r} goes from {network.entering} to {network.leaving}"
                )
            self._networks[height, width] = network
        if not self._networks:
            raise EngineError(f"{self.spec.name}: there is no network in the file")
        self.limits = Limits(tuple(sorted(self._networks)))

    def call(self, network: Network, window: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What `network` makes of one window. Raises `EngineError`. Called by one thread at a time."""
        raise NotImplementedError

    def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        """See `Engine.run`."""
        check_run(self, batch, variant, out, "uint8")
        if not variant:
            raise EngineError(f"{self.spec.name}: a compiled file has no variant 0, which is interpolation")
        network = self._networks[batch.shape[1], batch.shape[2]]
        for k in range(len(batch)):
            with self._lock:
                if self._closed:
                    raise EngineError("this engine has been closed")
                out[k] = self.call(network, np.ascontiguousarray(batch[k : k + 1])).reshape(out.shape[1:])

    def close(self) -> None:
        """Run no more."""
        with self._lock:
            self._closed = True


def stated_prices(spec: ModelSpec) -> CostModel | None:
    """What a compiled file states of its windows; None where it states nothing. Raises `BundleError` for nonsense."""
    made = spec.training.get("compiled")
    windows = made.get("windows") if isinstance(made, dict) else None
    if windows is None:
        return None
    try:
        if len(windows) > MAX_WINDOWS:
            raise ValueError("too many")
        return CostModel(tuple(Measured(1, height, width, seconds) for height, width, seconds in windows))
    except (TypeError, ValueError) as exc:  # RequestError is a ValueError
        raise BundleError(
            f"{spec.name}: expected [height, width, seconds] in the fact 'compiled.windows': {exc}"
        ) from exc
