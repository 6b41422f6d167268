"""The PyTorch reference engine: what every other engine is compared with. In f32, on the CPU."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from numpy.typing import NDArray
from torch.nn import functional

from edgelift.core.spec import ModelSpec
from edgelift.io.blocks import bicubic_weights
from edgelift.nets.family import Family
from edgelift.nets.network import Network
from edgelift.runtime.engine import Availability, Device, Limits, check_run

__all__ = ["ReferenceEngine"]


class ReferenceEngine:
    """Runs `network` (for pictures in 0 … 1) itself, without a bundle."""

    name: ClassVar[str] = "torch"

    def __init__(self, network: Network, spec: ModelSpec, samples: str = "uint8") -> None:
        self._network, self._samples = network.eval(), samples
        count = len(network.variants)
        self._variants = [network.subnet(k) if isinstance(network, Family) else network for k in range(1, count + 1)]
        self.spec, self.limits, self.device, self.precision = spec, Limits(), "CPU", "f32"

    @classmethod
    def available(cls) -> Availability:
        """Wherever this module can be imported."""
        return Availability(cls.name, str(torch.__version__), (Device("CPU", "PyTorch", ("f32",), "f32"),))

    @torch.no_grad()
    def run(self, batch: NDArray[Any], variant: int, out: NDArray[Any]) -> None:
        """See `Engine.run`."""
        check_run(self, batch, variant, out, self._samples)
        x = torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255
        blocks = (self._core(variant, x) * 255).clamp(0, 255).permute(0, 2, 3, 1)
        if self._samples == "uint8":
            blocks = blocks.round()
        out.reshape(blocks.shape)[...] = blocks.numpy().astype(out.dtype)

    def _core(self, variant: int, x: torch.Tensor) -> torch.Tensor:
        if variant:
            return self._variants[variant - 1].core(x)
        weight = torch.from_numpy(bicubic_weights(self.spec.scale))
        return functional.conv2d(functional.pad(x, (2, 2, 2, 2), mode="replicate"), weight)

    def close(self) -> None:
        """Nothing is held."""
