"""The list of networks. A new one is a file of its own and a row here."""

from __future__ import annotations

from typing import Any

from edgelift.core.errors import RequestError
from edgelift.core.registry import Registry
from edgelift.nets.narrow import narrowed
from edgelift.nets.network import Network

__all__ = ["ARCHITECTURES", "build"]

ARCHITECTURES = Registry(
    "network architecture",
    {
        "abpn": "edgelift.nets.abpn:ABPN",
        "branched-plain": "edgelift.nets.branched:BranchedPlain",
        "carn": "edgelift.nets.carn:CARN",
        "carn-m": "edgelift.nets.carn:CARNM",
        "edsr": "edgelift.nets.edsr:EDSR",
        "espcn": "edgelift.nets.espcn:ESPCN",
        "espcn-rgb": "edgelift.nets.espcn:ESPCNRGB",
        "fsrcnn": "edgelift.nets.fsrcnn:FSRCNN",
        "imdn": "edgelift.nets.imdn:IMDN",
        "ninasr": "edgelift.nets.ninasr:NinaSR",
        "plain": "edgelift.nets.plain:Plain",
        "rrdb": "edgelift.nets.rrdb:RRDB",
        "slim-carn": "edgelift.nets.supernet:SlimCARN",
        "slim-edsr": "edgelift.nets.supernet:SlimEDSR",
        "slim-fsrcnn": "edgelift.nets.supernet:SlimFSRCNN",
        "slim-plain": "edgelift.nets.supernet:SlimPlain",
        "srresnet": "edgelift.nets.srresnet:SRResNet",
        "srvgg": "edgelift.nets.srvgg:SRVGG",
    },
)
MAY_BE_0 = ("layers", "linear", "linears")
"""Numbers of a configuration that may be 0; all others are 1 at least."""
SWITCHES = ("skip", "skips")
"""What is true or false in a configuration, or a list of these."""


def build(architecture: str, **config: Any) -> Network:
    """A new network; raises `RequestError` for an unknown architecture or configuration.

    `pruned`, which every architecture takes, names layers and how many channels they make (see `nets.narrow`).
    """
    kind = ARCHITECTURES.load(architecture)
    own = {name: value for name, value in config.items() if name != "pruned"}
    try:
        _check_numbers(own)
        network = kind(**own)
        if "pruned" in config:
            network = narrowed(network, dict(config["pruned"]))
    except (ArithmeticError, TypeError, ValueError) as exc:
        raise RequestError(f"{architecture} cannot be built from {config}: {exc}") from exc
    assert isinstance(network, Network)
    return network


def _check_numbers(config: dict[str, Any]) -> None:
    """Raise `ValueError` for a number or a switch that no network can have; what is text the network checks itself."""
    for name, value in config.items():
        least = 0 if name in MAY_BE_0 else 1
        for one in value if isinstance(value, list | tuple) else [value]:
            if name in SWITCHES:
                if not isinstance(one, bool):
                    raise ValueError(f"{name} must be true or false, got {one!r}")
            elif not isinstance(one, str) and (isinstance(one, bool) or not isinstance(one, int) or one < least):
                raise ValueError(f"{name} must be a whole number of at least {least}, got {one!r}")
