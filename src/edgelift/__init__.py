"""edgelift makes pictures larger and sharper, on the hardware at hand.

`upscale` does one picture; `Upscaler` is made once for many. Importing this package is cheap: numpy and engines are
loaded when they are first needed, PyTorch never.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgelift.core.errors import EdgeliftError
    from edgelift.runtime.api import upscale
    from edgelift.runtime.suited import SuitedUpscaler
    from edgelift.runtime.upscaler import Upscaler

__version__ = "0.1.0"
__all__ = ["EdgeliftError", "SuitedUpscaler", "Upscaler", "__version__", "upscale"]

_PLACES = {
    "EdgeliftError": "edgelift.core.errors",
    "SuitedUpscaler": "edgelift.runtime.suited",
    "Upscaler": "edgelift.runtime.upscaler",
    "upscale": "edgelift.runtime.api",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PLACES[name]), name)
