"""Grids of whole numbers that stand for ranges of values: of activations, one a tensor; of weights, one a channel.

A grid is a scale and a zero point: the whole number q stands for (q - zero point) · scale. Activations of 8 bits are
uint8, the only form that CPU engines run fast; those of 16 bits are int16 about zero. Weights are int8 about zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BITS", "LEAST", "PIXELS", "WEIGHT_PEAK", "Grid", "activation_grid", "weight_grid"]

BITS = ("int8", "int16x8")
"""Forms whose activations are whole numbers."""
WEIGHT_PEAK = 127
"""The greatest weight; the least is its opposite."""
PAIR_PEAK = 127
"""Most that two weights of one sign in a channel may add up to. See `weight_grid`."""
LEAST = 1e-8
"""Of a scale: a channel of zeros needs one above 0."""


@dataclass(frozen=True)
class Grid:
    """Of one tensor."""

    scale: float
    zero: int
    bits: str = "int8"

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8, or int16."""
        return np.dtype(np.uint8 if self.bits == "int8" else np.int16)

    @property
    def low(self) -> float:
        """The least value that it holds."""
        return (int(np.iinfo(self.dtype).min) - self.zero) * self.scale

    @property
    def high(self) -> float:
        """The greatest value that it holds."""
        return (int(np.iinfo(self.dtype).max) - self.zero) * self.scale


PIXELS = {"int8": Grid(1.0, 0), "int16x8": Grid(1 / 128, 0, "int16x8")}
"""Of what goes in and comes out, 0 … 255: every 8-bit sample is on it exactly, and clipping costs nothing."""


def activation_grid(low: float, high: float, bits: str, *, symmetric: bool = False) -> Grid:
    """The grid for values from `low` to `high`, with 0 on it exactly.

    `symmetric`: the zero point is 0 for values that are never negative and the middle, 128, for others. Of 16 bits every
    grid is symmetric.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if bits != "int8":
        return Grid(float(np.float32(max(-low, high, LEAST) / 32767)), 0, bits)
    if symmetric and low < 0:
        return Grid(float(np.float32(max(-low / 128, high / 127, LEAST))), 128)
    scale = float(np.float32(max(high - low, LEAST) / 255))
    return Grid(scale, int(np.clip(np.rint(-low / scale), 0, 255)))


def weight_grid(weight: NDArray[np.float32], bits: str) -> NDArray[np.float32]:
    """The scale of each output channel of `weight` (channels first), so that whole numbers are at most 127.

    For 8-bit activations also any two weights of one sign in a channel add up to at most 127. CPUs without VNNI or AMX
    multiply bytes in pairs and add each pair in 16 bits, where 255 · (a + b) must not pass 32767: without that bound they
    saturate without a word, at a cost of up to several dB. `benchmarks.saturation` measures that, and the bound's price.
    """
    flat = weight.reshape(len(weight), -1).astype(np.float64)
    needed = np.abs(flat).max(axis=1) / WEIGHT_PEAK
    if bits == "int8" and flat.shape[1] > 1:
        ordered = np.sort(flat, axis=1)
        highest = np.clip(ordered[:, -2:], 0, None).sum(axis=1)
        lowest = np.clip(-ordered[:, :2], 0, None).sum(axis=1)
        needed = np.maximum(needed, np.maximum(highest, lowest) / PAIR_PEAK)
    return np.asarray(np.maximum(needed, LEAST), np.float32)
