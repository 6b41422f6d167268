"""`.tflite` files as other tools write them: small networks with an anchor, without edgelift's facts."""

from __future__ import annotations

from typing import Any

import numpy as np


def theirs(
    ends: str = "float32",
    white: float = 1.0,
    scale: int = 2,
    size: tuple[int, int] = (20, 24),
    *,
    planes: bool = False,
    fixed: bool = False,
    spelt: bool = False,
    inside: str = "",
    seed: int = 0,
) -> bytes:
    """Two 3 × 3 convolutions beside an anchor, then a pixel shuffle: halo 2.

    `ends`: type of picture. `white`: what it is. `planes`: colours first, as converters from PyTorch leave them. `fixed`: an
    operator names the size. `spelt`: the shuffle as reshapes and transposes. `inside`: int8 between QUANTIZE and its reverse.
    """
    from edgelift.targets.tflite import Builder, Steps

    rng, builder = np.random.default_rng(seed), Builder()
    (height, width), whole = size, "int8" if ends != "float32" else inside or "float32"
    step, zero = white / 255, -128

    def grid(type_: str) -> Any:
        if type_ == "float32":
            return None
        return Steps(np.array([step], np.float32), 0 if type_ == "uint8" else zero)

    def tensor(name: str, shape: tuple[int, ...], type_: str = whole) -> int:
        return builder.tensor(name, shape, type_, grid(type_))

    def turned(number: int, shape: tuple[int, ...], order: list[int], name: str) -> int:
        made = tensor(name, tuple(shape[k] for k in order))
        builder.operator(
            "TRANSPOSE", [number, builder.constant(f"{name}/order", np.array(order, np.int32))], made, whole
        )
        return made

    def conv(number: int, given: int, made: int, name: str, relu: bool, gain: float) -> int:
        weight = rng.normal(0, gain, (made, 3, 3, given)).astype(np.float32)
        bias = rng.uniform(0.02, 0.05, made).astype(np.float32) * white * (1 if relu else 0.2)
        if whole == "float32":
            filters, added = builder.constant(f"{name}/w", weight), builder.constant(f"{name}/b", bias)
        else:
            scales = np.abs(weight).max((1, 2, 3)) / 127
            codes = np.rint(weight / scales[:, None, None, None]).astype(np.int8)
            filters = builder.constant(f"{name}/w", codes, Steps(scales.astype(np.float32)))
            steps = (scales * step).astype(np.float32)
            added = builder.constant(f"{name}/b", np.rint(bias / steps).astype(np.int32), Steps(steps))
        out = tensor(name, (1, height, width, made))
        builder.operator(
            "CONV_2D",
            [number, filters, added],
            out,
            whole,
            padding=0,
            strideH=1,
            strideW=1,
            fusedActivationFunction=int(relu),
        )
        return out

    shape = (1, 3, height, width) if planes else (1, height, width, 3)
    image = builder.tensor("input", shape, ends, grid(ends))
    start = image
    if ends != whole:
        start = tensor("whole", shape)
        builder.operator("QUANTIZE", [image], start, ends)
    if planes:
        start = turned(start, shape, [0, 2, 3, 1], "pixels")
    wide = conv(start, 3, 4, "wide", True, 0.15)
    details = conv(wide, 4, 3 * scale**2, "details", False, 0.02)
    anchor = tensor("anchor", (1, height, width, 3 * scale**2))
    builder.operator("CONCATENATION", [start] * scale**2, anchor, whole, axis=3, fusedActivationFunction=0)
    added = tensor("sum", (1, height, width, 3 * scale**2))
    builder.operator("ADD", [details, anchor], added, whole, potScaleInt16=False, fusedActivationFunction=0)
    if whole == "float32":
        limited = tensor("limited", (1, height, width, 3 * scale**2))
        builder.operator("MINIMUM", [added, builder.constant("white", np.array(white, np.float32))], limited, whole)
        added = limited
    tall, broad = scale * height, scale * width
    if spelt or fixed:
        parts = (1, height, width, scale, scale, 3)
        split = tensor("split", parts)
        builder.operator("RESHAPE", [added, builder.constant("parts", np.array(parts, np.int32))], split, whole)
        mixed = turned(split, parts, [0, 1, 3, 2, 4, 5], "mixed")
        larger = tensor("larger", (1, tall, broad, 3))
        sides = builder.constant("sides", np.array([1, tall, broad, 3], np.int32))
        builder.operator("RESHAPE", [mixed, sides], larger, whole)
    else:
        larger = tensor("larger", (1, tall, broad, 3))
        builder.operator("DEPTH_TO_SPACE", [added], larger, whole, blockSize=scale)
    if planes:
        larger = turned(larger, (1, tall, broad, 3), [0, 3, 1, 2], "planes")
    if ends != whole:
        made = (1, 3, tall, broad) if planes else (1, tall, broad, 3)
        out = builder.tensor("output", made, ends, grid(ends))
        builder.operator("DEQUANTIZE" if ends == "float32" else "QUANTIZE", [larger], out, whole)
        larger = out
    return builder.finish(image, larger, {})
