"""The list of networks. A new one is a file of its own and a row here."""

from __future__ import annotations

from typing import Any

from edgelift.core.errors import RequestError
from edgelift.core.registry import Registry
from edgelift.nets.network import Network

__all__ = ["ARCHITECTURES", "build"]

ARCHITECTURES = Registry(
    "network architecture",
    {
        "abpn": "edgelift.nets.abpn:ABPN",
        "espcn": "edgelift.nets.espcn:ESPCN",
        "espcn-rgb": "edgelift.nets.espcn:ESPCNRGB",
        "fsrcnn": "edgelift.nets.fsrcnn:FSRCNN",
    },
)


def build(architecture: str, **config: Any) -> Network:
    """A new network; raises `RequestError` for an unknown architecture or configuration."""
    kind = ARCHITECTURES.load(architecture)
    try:
        network = kind(**config)
    except (ArithmeticError, TypeError, ValueError) as exc:
        raise RequestError(f"{architecture} cannot be built from {config}: {exc}") from exc
    assert isinstance(network, Network)
    return network
