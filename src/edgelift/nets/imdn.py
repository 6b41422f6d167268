"""Information multi-distillation network, IMDN (Hui et al., ACM Multimedia 2019).

In each block three convolutions in a row set a quarter of their channels aside; a last one, and what was set aside, are
weighted by contrast-aware channel attention, which looks at the whole picture.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgelift.nets.attention import ContrastGate
from edgelift.nets.network import Network, conv

__all__ = ["IMDN"]

SLOPE = 0.05
SQUEEZE = 16


class Distillation(nn.Module):
    """conv3 three times, of whose results a quarter is set aside each time · conv3 · gate · conv1 · + x."""

    def __init__(self, channels: int, padding: str) -> None:
        super().__init__()
        self.aside = channels // 4
        self.sizes = [self.aside, channels - self.aside]
        rest = self.sizes[1]
        shapes = [(channels, channels), (rest, channels), (rest, channels), (rest, self.aside)]
        self.layers = nn.ModuleList(conv(into, out, 3, padding) for into, out in shapes)
        self.gate = ContrastGate(4 * self.aside, max(1, 4 * self.aside // SQUEEZE))
        self.fuse = conv(4 * self.aside, channels, 1, padding, relu=False)
        with torch.no_grad():
            self.fuse.weight.mul_(0.1)  # a deep stack of unscaled residuals grows too fast to start from

    def forward(self, x: Tensor) -> Tensor:
        kept, h = [], x
        for layer in self.layers[:-1]:
            aside, h = torch.split(functional.leaky_relu(layer(h), SLOPE), self.sizes, dim=1)
            kept.append(aside)
        kept.append(self.layers[-1](h))
        out: Tensor = x + self.fuse(self.gate(torch.cat(kept, dim=1)))
        return out


class IMDN(Network):
    """conv3(3→c) · `blocks` blocks in a row · conv1 of all their results · conv3(c→c) · + head · conv3(c→3s²)."""

    architecture = "imdn"

    def __init__(self, scale: int = 4, channels: int = 64, blocks: int = 6, padding: str = "zeros") -> None:
        super().__init__()
        if channels % 4:
            raise ValueError(f"channels must be a multiple of 4, got {channels}")
        self.config = {"scale": scale, "channels": channels, "blocks": blocks, "padding": padding}
        self.scale = self.shuffle = scale
        self.padding, self.halo = padding, None
        self.head = conv(3, channels, 3, padding, relu=False)
        self.trunk = nn.ModuleList(Distillation(channels, padding) for _ in range(blocks))
        self.gather = conv(blocks * channels, channels, 1, padding)
        self.body = conv(channels, channels, 3, padding, relu=False)
        self.tail = conv(channels, 3 * scale**2, 3, padding, relu=False)

    def core(self, x: Tensor) -> Tensor:
        """Blocks of the larger picture."""
        head = self.head(x)
        results = []
        h = head
        for block in self.trunk:
            h = block(h)
            results.append(h)
        h = functional.leaky_relu(self.gather(torch.cat(results, dim=1)), SLOPE)
        out: Tensor = self.tail(head + self.body(h))
        return out
