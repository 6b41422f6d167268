"""Networks with drawn weights and their exported graphs, each made once a run, by whichever process needs it first: an export
takes a second or two.

Loaded by the `conftest.py` of the rooms that need it, since test folders are not importable.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import onnx
import torch
from torch.onnx._internal.exporter import _registration

from edgelift.core.spec import ModelSpec
from edgelift.forge.bundles import spec_of
from edgelift.nets import zoo
from edgelift.nets.network import Network
from edgelift.targets.onnx import export

__all__ = ["CONFIGS", "SMALL", "Export", "drawn", "exported", "name_of", "quick"]

SMALL: dict[str, dict[str, Any]] = {
    "abpn": {"channels": 6, "layers": 1},
    "branched-plain": {"widths": (2, 4, 6), "layers": (2, 1, 1)},
    "carn": {"channels": 4, "blocks": 1, "layers": 2},
    "carn-m": {"channels": 4, "blocks": 1, "layers": 2, "groups": 2},
    "edsr": {"channels": 6, "layers": 1},
    "fsrcnn": {"channels": 8, "shrunk": 4, "layers": 1},
    "imdn": {"channels": 8, "blocks": 1},
    "ninasr": {"channels": 4, "layers": 1},
    "plain": {"channels": 6, "layers": 1},
    "rrdb": {"channels": 4, "blocks": 1, "growth": 2},
    "slim-carn": {"widths": (2, 4), "blocks": 1, "layers": 1},
    "slim-edsr": {"widths": (2, 4), "layers": 1},
    "slim-fsrcnn": {"widths": (3, 5, 8), "shrunk": 4, "layers": 1},
    "slim-plain": {"widths": (2, 4, 6), "layers": 1},
    "srresnet": {"channels": 4, "layers": 1},
    "srvgg": {"channels": 6, "layers": 1},
}
"""What makes a network of an architecture small; those that are not named have one size."""

_FORMS = [(scale, padding) for scale in (2, 3, 4) for padding in ("zeros", "replicate")]
_HALF = [(2, "zeros"), (3, "replicate"), (4, "zeros")]
_FEW = {
    **dict.fromkeys(("espcn", "espcn-rgb"), _HALF),
    "carn": [(4, "zeros")], "carn-m": [(3, "replicate")], "slim-carn": [(2, "zeros")],
    "imdn": [(2, "replicate")], "ninasr": [(3, "zeros")], "rrdb": [(4, "zeros")], "srresnet": [(3, "zeros")],
    "srvgg": [(2, "replicate")],
}  # an export takes seconds  # fmt: skip

CONFIGS: list[tuple[str, dict[str, Any]]] = [
    *[
        (name, {"scale": scale, "padding": padding, **SMALL.get(name, {})})
        for name in zoo.ARCHITECTURES
        for scale, padding in _FEW.get(name, _FORMS)
    ],
    *[("abpn", {"scale": s, "residual": r, **SMALL["abpn"]}) for r, s in (("image", 3), ("feature", 2), ("none", 4))],
    ("plain", {"scale": 2, "block": "reparam", **SMALL["plain"]}),
]
"""Every architecture, the small ones at every scale and with both paddings; every residual form."""


@dataclass(frozen=True)
class Export:
    """A network (for pictures in 0 … 1), its facts, and its graph."""

    network: Network
    spec: ModelSpec
    data: bytes

    def model(self) -> onnx.ModelProto:
        """The graph, parsed anew."""
        return onnx.load_model_from_string(self.data)


def name_of(architecture: str, config: dict[str, Any]) -> str:
    """A name for messages and files."""
    return "-".join([architecture, *(str(value) for value in config.values())])


def drawn(architecture: str, seed: int = 0, **config: Any) -> Network:
    """A network of which every weight, bias and slope is drawn: new ones have zero biases, which hide mistakes."""
    torch.manual_seed(seed)
    network = zoo.build(architecture, **config)
    with torch.no_grad():
        for key, value in [*network.named_parameters(), *network.named_buffers()]:
            if key.endswith(("bias", "running_mean")):
                value.uniform_(-0.1, 0.1)
            elif "slopes" in key:
                value.uniform_(0.1, 0.9)
            elif key.endswith("running_var"):
                value.uniform_(0.5, 2)
        network.eval()
        _into_range(network)
    return network


def _into_range(network: Network) -> None:
    """Scale the last layer so that results lie about 0 … 1: what is clipped is not compared."""
    last = [p for key, p in network.named_parameters() if key.endswith(("weight", "bias")) and "slopes" not in key][-2:]
    with torch.no_grad():
        spread = network.core(torch.rand(1, 3, 24, 24)).std()
        for value in last:
            value.mul_(0.15 / max(float(spread), 0.15))
        last[1].add_(0.3)


_operators = staticmethod(cache(_registration.ONNXRegistry.from_torchlib))


def quick() -> Any:
    """A context in which PyTorch reads its table of operators once: for each export anew it is half of the time."""
    return mock.patch.object(_registration.ONNXRegistry, "from_torchlib", _operators)


@cache
def _exported(architecture: str, config: tuple[tuple[str, Any], ...]) -> Export:
    network = drawn(architecture, **dict(config))
    spec = spec_of(network, name_of(architecture, dict(config)), "CC0-1.0", {"step": 7})
    kept = Path(os.environ["EDGELIFT_TEST_EXPORTS"]) / hashlib.sha256(repr((architecture, config)).encode()).hexdigest()
    if not kept.exists():
        with quick():
            data = export(network, spec).SerializeToString()
        scratch = kept.with_suffix(f".{os.getpid()}")
        scratch.write_bytes(data)
        scratch.replace(kept)  # whole or not at all: another process may look
    return Export(network, spec, kept.read_bytes())


def exported(architecture: str, **config: Any) -> Export:
    """The export of `drawn(architecture, **config)`."""
    return _exported(architecture, tuple(config.items()))
