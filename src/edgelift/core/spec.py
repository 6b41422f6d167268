"""The facts of a model: what a bundle states about itself, and all that planner, engines and reports need to know of it.

`docs/bundle-format.md` explains every field; `VERSION` changes when a reader of the old form would go wrong.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from edgelift.core.errors import BundleError

__all__ = [
    "COLOURS",
    "CONTENTS",
    "KEY_FACTS",
    "KEY_VERSION",
    "MAX_FACTS",
    "MAX_HALO",
    "PADDINGS",
    "TASKS",
    "VERSION",
    "ModelSpec",
    "Padding",
]

VERSION = 1
KEY_VERSION, KEY_FACTS = "edgelift.version", "edgelift.facts"
"""Names under which files of any format hold the version and the facts."""
MAX_FACTS = 1 << 20
"""Bytes of facts that a reader accepts."""
MAX_SCALE = 8
MAX_HALO = 512
MAX_MULTIPLE = 256
MAX_COUNT = 1 << 62
"""Of parameters and of multiply-adds."""

TASKS = ("super-resolution", "restoration")
COLOURS = ("rgb", "y")
CONTENTS = ("photo", "drawn", "clean")
"""What `training["content"]` may state that a network is for."""
Padding = Literal["zeros", "replicate"]
PADDINGS: tuple[Padding, ...] = ("zeros", "replicate")

_TYPES: dict[str, type | tuple[type, ...]] = {
    "str": str, "int": int, "int | None": (int, type(None)), "tuple[str, ...]": (list, tuple), "dict[str, Any]": dict,
}  # fmt: skip


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT


@dataclass(frozen=True)
class ModelSpec:
    """Facts of one model. Raises `BundleError` when they contradict themselves."""

    name: str
    """What the user calls it: `abpn-x3`."""
    architecture: str
    """The network's name in `edgelift.nets.zoo`, or `foreign`."""
    config: dict[str, Any]
    """The arguments that build the network again."""
    scale: int
    """How much larger each side of the result is."""
    shuffle: int
    """Side of the blocks at `core_out`: its grid is scale / shuffle times the input's."""
    halo: int | None
    """Input pixels around a pixel that its result depends on (exact), or None for the whole picture."""
    multiple_of: int
    """Window sides must be a multiple of this."""
    padding: str
    """What convolutions see beyond the picture."""
    colour: str
    """`rgb`, or `y` where the network proper sees luma only; the graph takes and gives RGB in both cases."""
    parameters: int
    """Trained values."""
    macs: int
    """Multiply-adds for one input pixel."""
    licence: str
    """Of the weights, as an SPDX expression."""
    task: str = "super-resolution"
    variants: tuple[str, ...] = ("full",)
    """Names of the networks inside, narrowest first; variant number 0 is interpolation and not listed."""
    routing: dict[str, Any] = field(default_factory=dict)
    """Of a supernet: `macs` of each variant, and the table by which regions choose one (see `runtime.anytime`)."""
    training: dict[str, Any] = field(default_factory=dict)
    """The recipe, the data's names, steps, minutes, device, and validation PSNR-Y in dB."""
    quality: dict[str, Any] = field(default_factory=dict)
    """Measured results: name of a set -> {"psnr_y": dB, "ssim_y": …}."""

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if not isinstance(value, _TYPES[str(f.type)]) or isinstance(value, bool):
                raise BundleError(f"fact {f.name!r}: expected {f.type}, got {value!r}")
        object.__setattr__(self, "variants", tuple(self.variants))
        listed = self.routing.get("macs", [])
        problems = [
            (not 1 <= self.scale <= MAX_SCALE, "scale", f"1 to {MAX_SCALE}"),
            (self.shuffle < 1 or self.scale % max(self.shuffle, 1) != 0, "shuffle", "a divisor of scale"),
            (self.halo is not None and not 0 <= self.halo <= MAX_HALO, "halo", f"0 to {MAX_HALO}, or null"),
            (not 1 <= self.multiple_of <= MAX_MULTIPLE, "multiple_of", f"1 to {MAX_MULTIPLE}"),
            (self.padding not in PADDINGS, "padding", " or ".join(PADDINGS)),
            (self.colour not in COLOURS, "colour", " or ".join(COLOURS)),
            (self.task not in TASKS, "task", " or ".join(TASKS)),
            (
                not all(map(_is_count, (self.parameters, self.macs))),
                "parameters",
                f"parameters and macs of 0 to {MAX_COUNT}",
            ),
            (
                not isinstance(listed, list | tuple) or not all(map(_is_count, listed)),
                "routing",
                f"macs as a list of 0 to {MAX_COUNT}",
            ),
            (not self.variants or not all(isinstance(v, str) for v in self.variants), "variants", "at least one name"),
            (
                not self.name or not self.name.isprintable() or len(self.name) > 100,
                "name",
                "1 to 100 printable characters",
            ),
        ]
        for wrong, name, expected in problems:
            if wrong:
                raise BundleError(f"fact {name!r}: expected {expected}, got {getattr(self, name)!r}")

    @property
    def grid(self) -> int:
        """How many block positions `core_out` has along one input pixel."""
        return self.scale // self.shuffle

    @property
    def widest(self) -> int:
        """The number of the widest variant, which runs where nothing else is asked for."""
        return len(self.variants)

    def macs_of(self, variant: int) -> int:
        """Multiply-adds of that variant for one input pixel, as far as the facts tell; 0 for interpolation."""
        if not variant:
            return 0
        listed = self.routing.get("macs", ())
        return int(listed[variant - 1]) if len(listed) == self.widest else self.macs

    @property
    def interpolates(self) -> bool:
        """Whether engines can run variant 0, plain interpolation: wherever blocks are those of input pixels."""
        return self.grid == 1

    @property
    def bits(self) -> str:
        """`float`, or what the network was quantised to: `fp16` (weights alone), `int8`, `int16x8`."""
        made = self.training.get("quantised")
        return str(made.get("bits", "float")) if isinstance(made, dict) else "float"

    def to_json(self) -> str:
        """The facts as they stand in a bundle."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False, sort_keys=True)

    def metadata(self) -> dict[str, str]:
        """What a file of any format states: the version and the facts."""
        return {KEY_VERSION: str(VERSION), KEY_FACTS: self.to_json()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> ModelSpec:
        """The facts in a file's metadata. Raises `BundleError` where there are none, or of another version."""
        if KEY_VERSION not in metadata:
            raise BundleError("no edgelift facts in it; it is not a bundle")
        if (found := metadata[KEY_VERSION]) != str(VERSION):
            raise BundleError(
                f"bundle format {found[:20]!r}, this edgelift reads {VERSION}; a newer edgelift may read it"
            )
        return cls.from_json(metadata.get(KEY_FACTS, ""))

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """Read facts; raises `BundleError` for a missing, unknown or wrong field."""
        if not isinstance(text, str):  # protobuf hands out bytes where the text is not UTF-8
            raise BundleError("the facts are not JSON: they are not UTF-8 text")
        if (size := len(text.encode(errors="surrogatepass"))) > MAX_FACTS:
            raise BundleError(f"the facts take {size} bytes; at most {MAX_FACTS} are read")
        try:
            plain = json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise BundleError(f"the facts are not JSON: {exc}") from exc
        if not isinstance(plain, dict):
            raise BundleError(f"the facts must be a JSON object, got {type(plain).__name__}")
        fields = {f.name: f for f in dataclasses.fields(cls)}
        optional = {"task", "variants", "routing", "training", "quality"}
        if missing := sorted(set(fields) - optional - set(plain)):
            raise BundleError(f"the fact {missing[0]!r} is missing")
        if unknown := sorted(set(plain) - set(fields)):
            raise BundleError(f"unknown fact {unknown[0]!r}: the file may come from a newer edgelift")
        return cls(**plain)
