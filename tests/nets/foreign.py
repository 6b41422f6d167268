"""Small checkpoints of others, made by hand: drawn weights under their names, and what those networks do with them.

Each function gives a state dict and a forward pass that is written down from the publication, layer by layer, and
shares nothing with the networks of the zoo. `range` is what white is for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as f

__all__ = ["CASES", "Case", "case"]

MEAN = torch.tensor((0.4488, 0.4371, 0.4040)).reshape(1, 3, 1, 1)


@dataclass
class Case:
    """A checkpoint, and what should be found in it."""

    form: str
    architecture: str
    scale: int
    state: dict[str, Tensor] = field(default_factory=dict)
    forward: Callable[[Tensor], Tensor] = lambda x: x
    asked: int | None = None
    colour: str = "rgb"

    def draw(self, name: str, *shape: int, spread: float = 1.0) -> None:
        """A tensor whose sums keep their size."""
        fan = shape[1] * shape[2] * shape[3] if len(shape) == 4 else 25
        self.state[name] = torch.randn(shape) * spread / fan**0.5

    def layer(self, name: str, out: int, into: int, size: int = 3, *, groups: int = 1, bias: bool = True) -> None:
        """Weight and bias of a convolution."""
        self.draw(f"{name}.weight", out, into // groups, size, size)
        if bias:
            self.draw(f"{name}.bias", out)

    def conv(self, x: Tensor, name: str, groups: int = 1) -> Tensor:
        """That convolution, padded with zeros."""
        weight = self.state[f"{name}.weight"]
        return f.conv2d(x, weight, self.state.get(f"{name}.bias"), padding=weight.shape[2] // 2, groups=groups)


def _srvgg() -> Case:
    case = Case("SRVGGNetCompact", "srvgg", 3)
    for k in range(3):
        case.layer(f"body.{2 * k}", 6, 6 if k else 3)
        case.state[f"body.{2 * k + 1}.weight"] = torch.rand(6)
    case.layer("body.6", 27, 6)

    def forward(x: Tensor) -> Tensor:
        h = x
        for k in range(3):
            h = f.prelu(case.conv(h, f"body.{2 * k}"), case.state[f"body.{2 * k + 1}.weight"])
        return f.pixel_shuffle(case.conv(h, "body.6"), 3) + f.interpolate(x, scale_factor=3, mode="nearest")

    case.forward = forward
    return case


def _rrdb(form: str, scale: int, unshuffle: int, steps: int, names: dict[str, str], blocks: int = 2) -> Case:
    case = Case(form, "rrdb", scale)
    wide, growth = 5, 3
    case.layer(names["head"], wide, 3 * unshuffle**2)
    for block in range(blocks):
        for part in (1, 2, 3):
            for k in range(5):
                case.layer(names["dense"].format(block, part, k + 1), growth if k < 4 else wide, wide + k * growth)
    for name in ("body", "large", *(f"up{k}" for k in range(steps))):
        case.layer(names[name], wide, wide)
    case.layer(names["tail"], 3, wide)

    def dense(x: Tensor, block: int, part: int) -> Tensor:
        seen = [x]
        for k in range(5):
            h = case.conv(torch.cat(seen, 1), names["dense"].format(block, part, k + 1))
            seen.append(f.leaky_relu(h, 0.2))
        return x + 0.2 * h

    def forward(x: Tensor) -> Tensor:
        head = case.conv(f.pixel_unshuffle(x, unshuffle), names["head"])
        h = head
        for block in range(blocks):
            inner = h
            for part in (1, 2, 3):
                inner = dense(inner, block, part)
            h = h + 0.2 * inner
        h = head + case.conv(h, names["body"])
        for k in range(steps):
            h = f.leaky_relu(case.conv(f.interpolate(h, scale_factor=2, mode="nearest"), names[f"up{k}"]), 0.2)
        return case.conv(f.leaky_relu(case.conv(h, names["large"]), 0.2), names["tail"])

    case.forward = forward
    return case


_NEW = {
    "head": "conv_first", "dense": "body.{}.rdb{}.conv{}", "body": "conv_body", "up0": "conv_up1", "up1": "conv_up2",
    "large": "conv_hr", "tail": "conv_last",
}  # fmt: skip
_MIDDLE = {
    "head": "conv_first", "dense": "RRDB_trunk.{}.RDB{}.conv{}", "body": "trunk_conv", "up0": "upconv1",
    "up1": "upconv2", "large": "HRconv", "tail": "conv_last",
}  # fmt: skip
_OLD = {"head": "model.0", "dense": "model.1.sub.{}.RDB{}.conv{}.0", "body": "model.1.sub.2", "up0": "model.3"}


def _edsr_of(case: Case, names: dict[str, str], shift: Callable[[Tensor, int], Tensor]) -> Case:
    wide = 6
    case.layer(names["head"], wide, 3)
    for k in range(2):
        case.layer(names["first"].format(k), wide, wide)
        case.layer(names["second"].format(k), wide, wide)
    case.layer(names["body"], wide, wide)
    steps = [3] if case.scale == 3 else [2] * (case.scale // 2)
    for k, step in enumerate(steps):
        case.layer(names["enlarge"].format(2 * k), wide * step**2, wide)
    case.layer(names["tail"], 3, wide)

    def forward(x: Tensor) -> Tensor:
        head = case.conv(shift(x, -1), names["head"])
        h = head
        for k in range(2):
            h = h + case.conv(f.relu(case.conv(h, names["first"].format(k))), names["second"].format(k))
        h = head + case.conv(h, names["body"])
        for k, step in enumerate(steps):
            h = f.pixel_shuffle(case.conv(h, names["enlarge"].format(2 * k)), step)
        return shift(case.conv(h, names["tail"]), 1)

    case.forward = forward
    return case


def _edsr(scale: int, white: int) -> Case:
    case = Case("EDSR of EDSR-PyTorch", "edsr", scale)
    for name, sign in (("sub_mean", -1), ("add_mean", 1)):
        case.state[f"{name}.weight"] = torch.eye(3).reshape(3, 3, 1, 1)
        case.state[f"{name}.bias"] = sign * white * MEAN.reshape(3)
    names = {
        "head": "head.0", "first": "body.{}.body.0", "second": "body.{}.body.2", "body": "body.2", "enlarge": "tail.0.{}",
        "tail": "tail.1",
    }  # fmt: skip
    _edsr_of(case, names, lambda x, sign: x + sign * white * MEAN)
    inner = case.forward
    case.forward = lambda x: inner(x * white) / white
    return case


def _edsr_basicsr() -> Case:
    case = Case("EDSR of BasicSR", "edsr", 3)
    names = {
        "head": "conv_first", "first": "body.{}.conv1", "second": "body.{}.conv2", "body": "conv_after_body",
        "enlarge": "upsample.{}", "tail": "conv_last",
    }  # fmt: skip
    return _edsr_of(case, names, lambda x, sign: (x - MEAN) * 255 if sign < 0 else x / 255 + MEAN)


def _carn(groups: int, scale: int, several: bool) -> Case:
    case = Case("CARN or CARN-M", "carn-m" if groups > 1 else "carn", scale, asked=scale if several else None)
    wide = 4
    for name, sign in (("sub_mean.shifter", -1), ("add_mean.shifter", 1)):
        case.state[f"{name}.weight"] = torch.eye(3).reshape(3, 3, 1, 1)
        case.state[f"{name}.bias"] = sign * MEAN.reshape(3)
    case.layer("entry", wide, 3)
    for block in ("", "b1.", "b2.", "b3."):
        for k in (1, 2, 3):
            case.layer(f"{block}c{k}.body.0", wide, (k + 1) * wide, 1)
            if block and (groups == 1 or k == 1):
                case.layer(f"{block}b{k}.body.0", wide, wide, groups=groups)
                case.layer(f"{block}b{k}.body.2", wide, wide, groups=groups)
                if groups > 1:
                    case.layer(f"{block}b{k}.body.4", wide, wide, 1)
    for up in (2, 3, 4) if several else (scale,):
        for k, step in enumerate((2, 2) if up == 4 else (up,)):
            name = f"upsample.up{up}" if several else "upsample.up"
            case.layer(f"{name}.body.{3 * k}", wide * step**2, wide, groups=groups)
    case.layer("exit", 3, wide)

    def residual(x: Tensor, name: str) -> Tensor:
        h = f.relu(case.conv(x, f"{name}.body.0", groups))
        h = case.conv(h, f"{name}.body.2", groups)
        return f.relu(x + (case.conv(f.relu(h), f"{name}.body.4") if groups > 1 else h))

    def cascade(x: Tensor, prefix: str, stage: Callable[[Tensor, int], Tensor]) -> Tensor:
        beside, h = x, x
        for k in (1, 2, 3):
            beside = torch.cat([beside, stage(h, k)], 1)
            h = f.relu(case.conv(beside, f"{prefix}c{k}.body.0"))
        return h

    def block(x: Tensor, number: int) -> Tensor:
        return cascade(x, f"b{number}.", lambda h, k: residual(h, f"b{number}.b{k if groups == 1 else 1}"))

    def forward(x: Tensor) -> Tensor:
        h = cascade(case.conv(x - MEAN, "entry"), "", block)
        for k, step in enumerate((2, 2) if scale == 4 else (scale,)):
            name = f"upsample.up{scale}" if several else "upsample.up"
            h = f.pixel_shuffle(f.relu(case.conv(h, f"{name}.body.{3 * k}", groups)), step)
        return case.conv(h, "exit") + MEAN

    case.forward = forward
    return case


def _imdn() -> Case:
    case = Case("IMDN", "imdn", 2)
    wide, aside = 16, 4
    case.layer("fea_conv", wide, 3)
    for k in (1, 2):
        case.layer(f"IMDB{k}.c1", wide, wide)
        case.layer(f"IMDB{k}.c2", wide, wide - aside)
        case.layer(f"IMDB{k}.c3", wide, wide - aside)
        case.layer(f"IMDB{k}.c4", aside, wide - aside)
        case.layer(f"IMDB{k}.c5", wide, wide, 1)
        case.layer(f"IMDB{k}.cca.conv_du.0", 1, wide, 1)
        case.layer(f"IMDB{k}.cca.conv_du.2", wide, 1, 1)
    case.layer("c.0", wide, 2 * wide, 1)
    case.layer("LR_conv", wide, wide)
    case.layer("upsampler.0", 12, wide)

    def block(x: Tensor, name: str) -> Tensor:
        kept, h = [], x
        for k in (1, 2, 3):
            h = f.leaky_relu(case.conv(h, f"{name}.c{k}"), 0.05)
            kept.append(h[:, :aside])
            h = h[:, aside:]
        out = torch.cat([*kept, case.conv(h, f"{name}.c4")], 1)
        contrast = out.std(dim=(2, 3), keepdim=True, correction=0) + f.adaptive_avg_pool2d(out, 1)
        factors = torch.sigmoid(
            case.conv(f.relu(case.conv(contrast, f"{name}.cca.conv_du.0")), f"{name}.cca.conv_du.2")
        )
        return x + case.conv(out * factors, f"{name}.c5")

    def forward(x: Tensor) -> Tensor:
        head = case.conv(x, "fea_conv")
        one = block(head, "IMDB1")
        both = torch.cat([one, block(one, "IMDB2")], 1)
        h = head + case.conv(f.leaky_relu(case.conv(both, "c.0"), 0.05), "LR_conv")
        return f.pixel_shuffle(case.conv(h, "upsampler.0"), 2)

    case.forward = forward
    return case


def _ninasr() -> Case:
    case = Case("NinaSR", "ninasr", 2)
    wide, layers = 4, 3
    case.state["head.0.bias"], case.state["tail.2.bias"] = -MEAN, MEAN
    case.layer("head.1", wide, 3, bias=False)
    for k in range(layers):
        case.layer(f"body.{k}.body.0", 2 * wide, wide)
        case.layer(f"body.{k}.body.2.body.1", wide // 2, 2 * wide, 1)
        case.layer(f"body.{k}.body.2.body.3", 2 * wide, wide // 2, 1)
        case.layer(f"body.{k}.body.3", wide, 2 * wide, bias=False)
    case.layer("tail.0", 12, wide)

    def forward(x: Tensor) -> Tensor:
        head = case.conv(x - MEAN, "head.1")
        h, variance = head, 1.0
        for k in range(layers):
            inner = f.relu(case.conv(h / variance**0.5, f"body.{k}.body.0"))
            gate = f.avg_pool2d(inner, 31, 16, 15, count_include_pad=False)
            gate = case.conv(f.relu(case.conv(gate, f"body.{k}.body.2.body.1")), f"body.{k}.body.2.body.3")
            gate = torch.sigmoid(gate).repeat_interleave(16, 2).repeat_interleave(16, 3)
            gated = inner * gate[:, :, : x.shape[2], : x.shape[3]]
            h = h + 2 * (4 / layers) * case.conv(gated, f"body.{k}.body.3")
            variance += (4 / layers) ** 2
        return f.pixel_shuffle(case.conv(head + h, "tail.0"), 2) + MEAN

    case.forward = forward
    return case


def _fsrcnn() -> Case:
    case = Case("FSRCNN", "fsrcnn", 3, asked=3, colour="y")
    shapes = [(6, 1, 5), (3, 6, 1), (3, 3, 3), (3, 3, 3), (6, 3, 1)]
    names = [("first_part.0", "first_part.1"), *((f"mid_part.{2 * k}", f"mid_part.{2 * k + 1}") for k in range(4))]
    for (layer, slope), (out, into, size) in zip(names, shapes, strict=True):
        case.layer(layer, out, into, size)
        case.state[f"{slope}.weight"] = torch.rand(out)
    case.draw("last_part.weight", 6, 1, 9, 9)
    case.draw("last_part.bias", 1)

    def forward(y: Tensor) -> Tensor:
        for layer, slope in names:
            y = f.prelu(case.conv(y, layer), case.state[f"{slope}.weight"])
        return f.conv_transpose2d(y, case.state["last_part.weight"], case.state["last_part.bias"], 3, 4, 2)

    case.forward = forward
    return case


def _espcn() -> Case:
    case = Case("ESPCN", "espcn", 2, colour="y")
    for name, out, into, size in (("first_part.0", 64, 1, 5), ("first_part.2", 32, 64, 3), ("last_part.0", 4, 32, 3)):
        case.layer(name, out, into, size)

    def forward(y: Tensor) -> Tensor:
        h = torch.tanh(case.conv(torch.tanh(case.conv(y, "first_part.0")), "first_part.2"))
        return f.pixel_shuffle(case.conv(h, "last_part.0"), 2)

    case.forward = forward
    return case


CASES: dict[str, Callable[[], Case]] = {
    "srvgg": _srvgg,
    "rrdb x4": lambda: _rrdb("RRDBNet of Real-ESRGAN", 4, 1, 2, _NEW),
    "rrdb x2": lambda: _rrdb("RRDBNet of Real-ESRGAN", 2, 2, 2, _NEW, blocks=1),
    "rrdb x1": lambda: _rrdb("RRDBNet of Real-ESRGAN", 1, 4, 2, _NEW, blocks=1),
    "esrgan": lambda: _rrdb("RRDBNet of ESRGAN", 4, 1, 2, _MIDDLE),
    "old esrgan x4": lambda: _rrdb(
        "RRDBNet of ESRGAN, its older names",
        4,
        1,
        2,
        {**_OLD, "up1": "model.6", "large": "model.8", "tail": "model.10"},
    ),
    "old esrgan x2": lambda: _rrdb(
        "RRDBNet of ESRGAN, its older names", 2, 1, 1, {**_OLD, "large": "model.5", "tail": "model.7"}
    ),
    "old esrgan x1": lambda: _rrdb(
        "RRDBNet of ESRGAN, its older names", 1, 1, 0, {**_OLD, "large": "model.2", "tail": "model.4"}
    ),
    "edsr x4": lambda: _edsr(4, 255),
    "edsr x3": lambda: _edsr(3, 255),
    "edsr of 0 to 1": lambda: _edsr(2, 1),
    "edsr of basicsr": _edsr_basicsr,
    "carn x4": lambda: _carn(1, 4, False),
    "carn x3": lambda: _carn(1, 3, False),
    "carn of three scales": lambda: _carn(1, 2, True),
    "carn-m of three scales": lambda: _carn(2, 4, True),
    "imdn": _imdn,
    "ninasr": _ninasr,
    "fsrcnn": _fsrcnn,
    "espcn": _espcn,
}


def case(name: str) -> Case:
    """That of `CASES`, the same each time."""
    torch.manual_seed(sum(map(ord, name)))
    return CASES[name]()
