"""Networks that are unknown here, through the spandrel package, which knows dozens of architectures.

The file was read by our own restricted reader: spandrel gets tensors. What it builds is exported to ONNX and wrapped like any
foreign graph (`forge.wrapping`), after a check that the graph gives the picture that PyTorch gives.
"""

from __future__ import annotations

import importlib.util
import io
import logging
import re
import sys
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.reference
import torch
from torch import Tensor

from edgelift.core.errors import BundleError, EngineMissingError, RequestError
from edgelift.forge.bundles import same_pictures
from edgelift.forge.wrapping import import_graph
from edgelift.io.bundle import Bundle

__all__ = ["ADVICE", "available", "import_state"]

ADVICE = "pip install 'edgelift[spandrel]' knows more"
OPSET = 18
SIDES = (24, 32)
"""Height and width of the picture for the export, which leaves both free, and for the check; times what they are multiples of."""
_MISSING = re.compile(r"operator torchvision::(\w+) does not exist")
_MOST = 20
_FAILED = (ArithmeticError, AssertionError, AttributeError, LookupError, NotImplementedError, OSError, RuntimeError, TypeError,
           ValueError)  # what foreign networks and the exporter raise  # fmt: skip


def available() -> bool:
    """Whether spandrel is installed."""
    return importlib.util.find_spec("spandrel") is not None


def _package() -> Any:
    """The package. Raises `EngineMissingError` where it cannot be loaded."""
    _load_torchvision()
    try:
        import spandrel
    except ImportError as exc:
        raise EngineMissingError(f"spandrel cannot be loaded ({exc}); pip install 'edgelift[spandrel]'") from exc
    return spandrel


def _load_torchvision() -> None:
    """Import torchvision, which spandrel needs, also beside a build of PyTorch that its own operators were not made for.

    It registers forms of operators that are then not there; none of them is used here, and an empty definition of each will do.
    """
    if "torchvision" in sys.modules:
        return
    stand_ins = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]  # torch's own lacks
    for _ in range(_MOST):
        try:
            import torchvision  # noqa: F401  # for what it registers
        except ImportError:
            return  # spandrel says so
        except RuntimeError as exc:
            found = _MISSING.search(str(exc))
            if found is None:
                raise EngineMissingError(
                    f"torchvision cannot be loaded ({exc}); install the build for this PyTorch"
                ) from exc
            stand_ins.define(f"{found[1]}() -> ()")  # type: ignore[no-untyped-call]  # likewise
            for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
                del sys.modules[name]
        else:
            _KEPT.append(stand_ins)
            return


_KEPT: list[torch.library.Library] = []
"""Definitions last as long as what made them."""


def import_state(
    state: Mapping[str, Tensor],
    origin: Mapping[str, str],
    output: Path,
    *,
    scale: int | None = None,
    licence: str,
    overwrite: bool = False,
) -> Bundle:
    """Make a bundle of the network that spandrel finds in `state`; `origin` is what the card says of its file.

    Raises `BundleError` for one that it does not know either, that does not enlarge colour pictures, or cannot be exported;
    `RequestError` where it does not enlarge by `scale`; `EngineMissingError` where spandrel cannot be loaded.
    """
    spandrel = _package()
    try:
        found = spandrel.ModelLoader(device="cpu").load_from_state_dict(dict(state))
    except spandrel.UnsupportedModelError as exc:
        raise BundleError("of no form that is known here or to spandrel") from exc
    except _FAILED as exc:
        raise BundleError(f"spandrel recognises something in it, but cannot build it ({_first(exc)})") from exc
    name = found.architecture.name
    if not isinstance(found, spandrel.ImageModelDescriptor) or (found.input_channels, found.output_channels) != (3, 3):
        raise BundleError(f"it is {name} by spandrel: not a network from one colour picture to another")
    if scale not in (None, found.scale):
        raise RequestError(f"it enlarges ×{found.scale}, not ×{scale}: it is {name} by spandrel")
    multiple = max(1, int(found.size_requirements.multiple_of or 1))
    data = _exported(found.model.eval().float(), multiple, name)
    form = {"form": f"{name}, by spandrel"}
    return import_graph(data, {**origin, **form}, output, licence=licence, multiple_of=multiple, overwrite=overwrite)


def _exported(model: torch.nn.Module, multiple: int, name: str) -> bytes:
    """The ONNX graph of a network from N × 3 × h × w in 0 … 1 to the same, larger; it gives what the network gives."""
    picture = torch.rand(2, 3, SIDES[0] * multiple, SIDES[1] * multiple, generator=torch.Generator().manual_seed(0))
    free: Any = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it reports every absent optional package
    try:
        with torch.no_grad(), warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model, (picture,), input_names=["image_in"], output_names=["image_out"], opset_version=OPSET,
                dynamo=True, dynamic_shapes=(free,), optimize=True, verbose=False,
            )  # fmt: skip
            assert program is not None
            proto = program.model_proto
            wanted = model(picture)
        made: Any = onnx.reference.ReferenceEvaluator(proto).run(None, {"image_in": picture.numpy()})
    except Exception as exc:  # the exporter has errors of its own kind for each of its steps
        raise BundleError(f"it is {name} by spandrel, which cannot be exported to ONNX ({_first(exc)})") from exc
    there, here = (np.rint(np.clip(np.asarray(x) * 255, 0, 255)).astype(np.uint8) for x in (made[0], wanted))
    same_pictures(there, here, name)
    return bytes(proto.SerializeToString())


def _first(exc: BaseException) -> str:
    """The first line of an error."""
    return (str(exc).strip().splitlines() or [type(exc).__name__])[0][:200]
