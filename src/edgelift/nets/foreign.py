"""Others' state dicts: how well-known public checkpoints name their tensors, and what those become here.

Each form is a function that takes tensors out of a `Reader` by their foreign names and gives architecture, configuration
and weights of a network of the zoo; `FORMS` is the list. Fixed factors between layers move into weights, the order of
PyTorch's pixel shuffle into that of blocks, mean colours into the layers at both ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from edgelift.nets.luma import FOOT
from edgelift.nets.ninasr import block_factors
from edgelift.nets.rrdb import SHARE
from edgelift.nets.steps import DIV2K_MEAN, steps_of

__all__ = ["FORMS", "Form", "Reader", "Recognised", "Unfit"]


MOST = 1000
"""Layers of one kind that are looked for."""


class Unfit(Exception):
    """Why a state dict is not quite of the form that its names promise."""


class Reader:
    """A state dict of which every tensor is to be taken once."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self._state = state
        self._taken: set[str] = set()

    def __contains__(self, name: object) -> bool:
        return name in self._state

    def take(self, name: str) -> Tensor:
        """The tensor `name`; raises `Unfit` where there is none."""
        if name not in self._state:
            raise Unfit(f"{name!r} is missing")
        self._taken.add(name)
        return self._state[name]

    def count(self, name: str, start: int = 0) -> int:
        """How many there are of `name`, in which {} stands for a number from `start` on, by the highest number there is."""
        return max((n + 1 - start for n in range(start, MOST) if name.format(n) in self._state), default=0)

    def left(self) -> list[str]:
        """Names that were not taken."""
        return [name for name in self._state if name not in self._taken]


@dataclass
class Recognised:
    """A network of the zoo in what was read."""

    architecture: str
    config: dict[str, int | str]
    weights: dict[str, Tensor] = field(default_factory=dict)
    span: float = 1.0
    """What white is in the foreign network's pictures, 1 or 255: biases are for that range."""

    def layer(self, ours: str, reader: Reader, theirs: str, *, factor: float = 1.0, bias: bool = True) -> None:
        """Take a layer's weight and bias, multiplied by `factor`."""
        weight = _kernel(reader, f"{theirs}.weight")
        self.weights[f"{ours}.weight"] = weight * factor
        if bias:
            value = reader.take(f"{theirs}.bias")
            if value.shape != weight.shape[:1]:
                raise Unfit(f"'{theirs}.bias' has the shape {tuple(value.shape)}, the weight {tuple(weight.shape)}")
            self.weights[f"{ours}.bias"] = value * factor

    def blocks(self, ours: str, scale: int) -> None:
        """Bring the results of a layer from the order of PyTorch's pixel shuffle into that of blocks."""
        for name in (f"{ours}.weight", f"{ours}.bias"):
            value = self.weights[name]
            parts = value.reshape(-1, scale**2, *value.shape[1:])
            self.weights[name] = parts.transpose(0, 1).reshape(value.shape)


def _scale_of(channels: int, colours: int = 3) -> int:
    """The scale of a layer that gives a block's samples."""
    scale = math.isqrt(channels // colours)
    if scale < 1 or colours * scale**2 != channels:
        raise Unfit(f"{channels} channels are not those of square blocks of {colours} colours")
    return scale


def _kernel(reader: Reader, name: str) -> Tensor:
    """A convolution's weight, looked at only for its shape."""
    weight = reader.take(name)
    if weight.dim() != 4:
        raise Unfit(f"{name!r} has {weight.dim()} dimensions, a convolution's weight has 4")
    return weight


def _means(found: Recognised, reader: Reader, before: str, after: str) -> None:
    """Take two layers that subtract and add a mean colour; the second becomes part of the last bias."""
    for name in (before, after):
        if not torch.equal(reader.take(f"{name}.weight").reshape(3, 3), torch.eye(3)):
            raise Unfit(f"{name!r} changes more than the mean colour")
    found.weights["mean.bias"] = reader.take(f"{before}.bias").reshape(3, 1, 1)
    found.weights["tail.bias"] = found.weights["tail.bias"] + reader.take(f"{after}.bias").reshape(3)


def _srvgg(reader: Reader, _: int | None) -> Recognised:
    layers = (reader.count("body.{}.weight") - 3) // 2
    if layers < 0 or reader.take("body.1.weight").dim() != 1:
        raise Unfit("there is no PReLU after the first convolution, and others are not read")
    last = f"body.{2 * layers + 2}"
    scale = _scale_of(len(_kernel(reader, f"{last}.weight")))
    channels = len(_kernel(reader, "body.0.weight"))
    found = Recognised("srvgg", {"scale": scale, "channels": channels, "layers": layers})
    for k in range(layers + 1):
        found.layer(f"layers.{k}", reader, f"body.{2 * k}")
        found.weights[f"slopes.{k}.weight"] = reader.take(f"body.{2 * k + 1}.weight")
    found.layer("tail", reader, last)
    found.blocks("tail", scale)
    return found


@dataclass(frozen=True)
class _Names:
    """What the parts of an RRDB network are called."""

    head: str
    dense: str
    """With {} for the block, the dense block and the convolution; the last two count from 1."""
    body: str
    enlarge: tuple[str, ...]
    large: str
    tail: str


def _rrdb(reader: Reader, names: _Names, whole: int = 4) -> Recognised:
    """`whole`: how much larger than the folded picture the result is."""
    head = _kernel(reader, f"{names.head}.weight")
    unshuffle = _scale_of(head.shape[1])
    if whole % unshuffle:
        raise Unfit(f"a picture folded {unshuffle} times and enlarged {whole} times has no whole scale")
    growth = len(_kernel(reader, names.dense.format(0, 1, 1) + ".weight"))
    blocks = reader.count(names.dense.format("{}", 1, 1) + ".weight")
    found = Recognised("rrdb", {
        "scale": whole // unshuffle, "channels": len(head), "blocks": blocks, "growth": growth, "unshuffle": unshuffle,
    })  # fmt: skip
    found.layer("head", reader, names.head)
    folded = head.reshape(len(head), 3, unshuffle, unshuffle, 3, 3).permute(0, 1, 4, 2, 5, 3)
    found.weights["head.weight"] = folded.reshape(len(head), 3, 3 * unshuffle, 3 * unshuffle)
    for block in range(blocks):
        for part in range(3):
            ours = f"trunk.{block}.parts.{part}"
            for k in range(4):
                found.layer(f"{ours}.layers.{k}", reader, names.dense.format(block, part + 1, k + 1))
            found.layer(f"{ours}.last", reader, names.dense.format(block, part + 1, 5), factor=SHARE)
    found.layer("body", reader, names.body)
    for k, theirs in enumerate(names.enlarge):
        found.layer(f"enlarge.{k}", reader, theirs)
    found.layer("large", reader, names.large)
    found.layer("tail", reader, names.tail)
    return found


def _real_esrgan(reader: Reader, _: int | None) -> Recognised:
    names = _Names("conv_first", "body.{}.rdb{}.conv{}", "conv_body", ("conv_up1", "conv_up2"), "conv_hr", "conv_last")
    return _rrdb(reader, names)


def _esrgan(reader: Reader, _: int | None) -> Recognised:
    names = _Names(
        "conv_first", "RRDB_trunk.{}.RDB{}.conv{}", "trunk_conv", ("upconv1", "upconv2"), "HRconv", "conv_last"
    )
    return _rrdb(reader, names)


def _old_esrgan(reader: Reader, asked: int | None) -> Recognised:
    """Layers numbered through; each enlargement is two layers without weights and one with.

    One alone may be by 2 or by 3, which no tensor tells.
    """
    steps = max((k for k in range(4) if f"model.{4 + 3 * k}.weight" in reader), default=0)
    blocks = reader.count("model.1.sub.{}.RDB1.conv1.0.weight")
    end = 2 + 3 * steps
    names = _Names(
        "model.0", "model.1.sub.{}.RDB{}.conv{}.0", f"model.1.sub.{blocks}",
        tuple(f"model.{3 + 3 * k}" for k in range(steps)), f"model.{end}", f"model.{end + 2}",
    )  # fmt: skip
    return _rrdb(reader, names, 3 if steps == 1 and asked == 3 else 2**steps)


EDSR_LARGE = (256, 32)
"""Channels and blocks of the EDSR whose residuals are multiplied by 0.1, which no tensor says."""


@dataclass(frozen=True)
class _Residual:
    """What the parts of an EDSR are called; {} is the block's number, and the enlargement's step."""

    head: str
    first: str
    second: str
    body: str
    enlarge: str
    tail: str


def _edsr(reader: Reader, names: _Residual) -> Recognised:
    layers = reader.count(names.first + ".weight")
    channels = len(_kernel(reader, f"{names.head}.weight"))
    steps = [k for k in range(0, 6, 2) if f"{names.enlarge.format(k)}.weight" in reader]
    scale = math.prod(_scale_of(len(_kernel(reader, f"{names.enlarge.format(k)}.weight")), channels) for k in steps)
    found = Recognised("edsr", {"scale": scale, "channels": channels, "layers": layers, "tail": "steps"}, span=255.0)
    share = 0.1 if (channels, layers) == EDSR_LARGE else 1.0
    found.layer("head", reader, names.head)
    for k in range(layers):
        found.layer(f"trunk.{k}.first", reader, names.first.format(k))
        found.layer(f"trunk.{k}.second", reader, names.second.format(k), factor=share)
    found.layer("body", reader, names.body.format(layers))
    for k, step in enumerate(steps):
        found.layer(f"enlarge.layers.{k}", reader, names.enlarge.format(step))
    found.layer("tail", reader, names.tail)
    return found


def _edsr_pytorch(reader: Reader, _: int | None) -> Recognised:
    names = _Residual("head.0", "body.{}.body.0", "body.{}.body.2", "body.{}", "tail.0.{}", "tail.1")
    found = _edsr(reader, names)
    _means(found, reader, "sub_mean", "add_mean")
    found.span = 255.0 if found.weights["mean.bias"].abs().max() > 1 else 1.0
    return found


def _edsr_basicsr(reader: Reader, _: int | None) -> Recognised:
    names = _Residual("conv_first", "body.{}.conv1", "body.{}.conv2", "conv_after_body", "upsample.{}", "conv_last")
    found = _edsr(reader, names)
    mean = torch.tensor(DIV2K_MEAN) * found.span  # not in the file
    found.weights["mean.bias"] = -mean.reshape(3, 1, 1)
    found.weights["tail.bias"] = found.weights["tail.bias"] + mean
    return found


def _carn(reader: Reader, asked: int | None) -> Recognised:
    channels = len(_kernel(reader, "entry.weight"))
    tails = {scale: f"upsample.up{scale}.body" for scale in (2, 3, 4) if f"upsample.up{scale}.body.0.weight" in reader}
    if not tails:
        reader.take("upsample.up.body.0.weight")
        steps = [k for k in (0, 3, 6) if f"upsample.up.body.{k}.weight" in reader]
        sides = [_scale_of(len(_kernel(reader, f"upsample.up.body.{k}.weight")), channels) for k in steps]
        tails = {math.prod(sides): "upsample.up.body"}
        if 1 in sides:
            raise Unfit("it repeats pixels before its last convolutions, an older form that is not read")
    if asked not in tails and len(tails) > 1:
        raise Unfit(f"it enlarges ×{', ×'.join(map(str, tails))}; say which by --scale")
    scale = asked if asked in tails else next(iter(tails))
    wide = _kernel(reader, "b1.b1.body.0.weight")
    groups = channels // wide.shape[1]
    config: dict[str, int | str] = {"scale": scale, "channels": channels, "blocks": 3, "layers": 3, "tail": "steps"}
    found = Recognised("carn-m", {**config, "groups": groups}) if groups > 1 else Recognised("carn", config)
    found.layer("head", reader, "entry")
    for block in range(3):
        ours, theirs = f"trunk.stages.{block}", f"b{block + 1}"
        for stage in range(1 if groups > 1 else 3):
            for k in range(3 if groups > 1 else 2):
                found.layer(f"{ours}.stages.{stage}.layers.{k}", reader, f"{theirs}.b{stage + 1}.body.{2 * k}")
        _fusions(found, reader, f"{ours}.fusions", f"{theirs}.c{{}}.body.0", channels)
    _fusions(found, reader, "trunk.fusions", "c{}.body.0", channels)
    for k in range(len(steps_of(scale))):
        found.layer(f"enlarge.layers.{k}", reader, f"{tails[scale]}.{3 * k}")
    found.layer("tail", reader, "exit")
    _means(found, reader, "sub_mean.shifter", "add_mean.shifter")
    for other in tails.keys() - {scale}:  # has to be whole, and is not used
        for k in range(len(steps_of(other))):
            Recognised("", {}).layer("", reader, f"{tails[other]}.{3 * k}")
    return found


def _fusions(found: Recognised, reader: Reader, ours: str, theirs: str, channels: int) -> None:
    """Cut the 1×1 convolution of features side by side into one for each of them."""
    for k in range(3):
        weight = _kernel(reader, theirs.format(k + 1) + ".weight")
        for n, part in enumerate(torch.split(weight, channels, dim=1)):
            found.weights[f"{ours}.{k}.parts.{n}.weight"] = part
        found.weights[f"{ours}.{k}.parts.0.bias"] = reader.take(theirs.format(k + 1) + ".bias")


def _imdn(reader: Reader, _: int | None) -> Recognised:
    scale = _scale_of(len(_kernel(reader, "upsampler.0.weight")))
    blocks = reader.count("IMDB{}.c1.weight", start=1)
    found = Recognised("imdn", {"scale": scale, "channels": len(_kernel(reader, "fea_conv.weight")), "blocks": blocks})
    found.layer("head", reader, "fea_conv")
    for k in range(blocks):
        ours, theirs = f"trunk.{k}", f"IMDB{k + 1}"
        for layer in range(4):
            found.layer(f"{ours}.layers.{layer}", reader, f"{theirs}.c{layer + 1}")
        found.layer(f"{ours}.fuse", reader, f"{theirs}.c5")
        found.layer(f"{ours}.gate.squeeze", reader, f"{theirs}.cca.conv_du.0")
        found.layer(f"{ours}.gate.excite", reader, f"{theirs}.cca.conv_du.2")
    found.layer("gather", reader, "c.0")
    found.layer("body", reader, "LR_conv")
    found.layer("tail", reader, "upsampler.0")
    found.blocks("tail", scale)
    return found


def _ninasr(reader: Reader, _: int | None) -> Recognised:
    scale = _scale_of(len(_kernel(reader, "tail.0.weight")))
    layers = reader.count("body.{}.body.0.weight")
    channels = len(_kernel(reader, "head.1.weight"))
    found = Recognised("ninasr", {"scale": scale, "channels": channels, "layers": layers})
    found.layer("head", reader, "head.1", bias=False)
    for k, (before, after) in enumerate(block_factors(layers)):
        ours, theirs = f"trunk.{k}", f"body.{k}.body"
        found.layer(f"{ours}.first", reader, f"{theirs}.0")
        found.weights[f"{ours}.first.weight"] = found.weights[f"{ours}.first.weight"] * before
        found.layer(f"{ours}.gate.squeeze", reader, f"{theirs}.2.body.1")
        found.layer(f"{ours}.gate.excite", reader, f"{theirs}.2.body.3")
        found.layer(f"{ours}.second", reader, f"{theirs}.3", factor=after, bias=False)
    found.layer("tail", reader, "tail.0")
    found.weights["mean.bias"] = reader.take("head.0.bias").reshape(3, 1, 1)
    after_all = reader.take("tail.2.bias").reshape(3)
    found.weights["tail.bias"] = found.weights["tail.bias"] + after_all.repeat_interleave(scale**2)
    found.blocks("tail", scale)
    return found


def _fsrcnn(reader: Reader, asked: int | None) -> Recognised:
    if asked is None:
        raise Unfit("its tensors do not tell by how much it enlarges; say it by --scale")
    first = _kernel(reader, "first_part.0.weight")
    shrunk = _kernel(reader, "mid_part.0.weight")
    layers = (reader.count("mid_part.{}.weight") - 4) // 2
    found = Recognised("fsrcnn", {
        "scale": asked, "channels": len(first), "shrunk": len(shrunk), "layers": layers, "align": "corner",
        "luma": "limited",
    })  # fmt: skip
    theirs = ["first_part.0", *(f"mid_part.{2 * k}" for k in range(layers + 2))]
    slopes = ["first_part.1", *(f"mid_part.{2 * k + 1}" for k in range(layers + 2))]
    for k, (layer, slope) in enumerate(zip(theirs, slopes, strict=True)):
        found.layer(f"layers.{k}", reader, layer)
        found.weights[f"slopes.{k}.weight"] = reader.take(f"{slope}.weight")
    found.weights["deconv.weight"] = _kernel(reader, "last_part.weight").squeeze(1)
    found.weights["deconv.bias"] = reader.take("last_part.bias") - FOOT
    found.weights["foot.bias"] = torch.full((1, 1, 1), FOOT)
    return found


def _espcn(reader: Reader, _: int | None) -> Recognised:
    scale = _scale_of(len(_kernel(reader, "last_part.0.weight")), 1)
    found = Recognised("espcn", {"scale": scale, "activation": "tanh", "luma": "limited"})
    for ours, theirs in (("first", "first_part.0"), ("second", "first_part.2"), ("last", "last_part.0")):
        found.layer(ours, reader, theirs)
    found.weights["last.bias"] = found.weights["last.bias"] - FOOT
    found.weights["foot.bias"] = torch.full((1, 1, 1), FOOT)
    return found


@dataclass(frozen=True)
class Form:
    """One way of naming a network's tensors."""

    name: str
    """What messages and cards call it."""
    marks: tuple[str, ...]
    """Names by which it is recognised: the first form all of whose marks are there is taken."""
    read: Callable[[Reader, int | None], Recognised]
    """Takes the tensors, for a scale that was asked for; raises `Unfit`."""


FORMS = (
    Form("RRDBNet of Real-ESRGAN (BasicSR)", ("conv_first.weight", "body.0.rdb1.conv1.weight"), _real_esrgan),
    Form("RRDBNet of ESRGAN", ("conv_first.weight", "RRDB_trunk.0.RDB1.conv1.weight"), _esrgan),
    Form("RRDBNet of ESRGAN, its older names", ("model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"), _old_esrgan),
    Form("SRVGGNetCompact of Real-ESRGAN (BasicSR)", ("body.0.weight", "body.1.weight", "body.2.weight"), _srvgg),
    Form("NinaSR of torchSR", ("head.1.weight", "body.0.body.2.body.1.weight"), _ninasr),
    Form("EDSR of EDSR-PyTorch", ("head.0.weight", "body.0.body.0.weight", "tail.0.0.weight"), _edsr_pytorch),
    Form("EDSR of BasicSR", ("conv_first.weight", "body.0.conv1.weight", "conv_after_body.weight"), _edsr_basicsr),
    Form("CARN or CARN-M of its authors", ("entry.weight", "b1.b1.body.0.weight", "exit.weight"), _carn),
    Form("IMDN of its authors", ("fea_conv.weight", "IMDB1.c1.weight"), _imdn),
    Form("FSRCNN of FSRCNN-pytorch", ("first_part.0.weight", "mid_part.0.weight", "last_part.weight"), _fsrcnn),
    Form("ESPCN of ESPCN-pytorch", ("first_part.0.weight", "first_part.2.weight", "last_part.0.weight"), _espcn),
)
