"""Recognise a network of the zoo in a state dict of others, by the names and shapes of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from edgelift.core.errors import BundleError, RequestError
from edgelift.nets import zoo
from edgelift.nets.foreign import FORMS, Form, Reader, Recognised, Unfit
from edgelift.nets.network import Network

__all__ = ["UnknownFormError", "recognise", "tensors_of"]

WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict", "model", "net", "generator")
"""Names under which training programs keep the state dict, those of averaged weights first."""
PREFIXES = ("module.", "_orig_mod.")
"""What parallel training and compilation put before every name."""
MAX_VALUES = 1 << 28
"""Values of all tensors together: 1 GiB. A small file can promise more, by tensors that repeat one value."""
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
WHOLE = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
"""Of what checkpoints count beside their weights."""
SHOWN = 3
"""Names that a message lists."""


class UnknownFormError(BundleError):
    """A state dict has the names of no form that is known here."""


def tensors_of(content: Any) -> dict[str, Tensor]:
    """The state dict in what a checkpoint held: out of its wrappers, names without prefixes, as float32.

    Raises `BundleError` where there is none, or too much, or a tensor is not plain or not made of finite numbers.
    """
    inner = content
    for _ in WRAPPERS:  # a hostile file may wrap a mapping in itself
        if isinstance(inner, Mapping):
            inner = next((inner[w] for w in WRAPPERS if isinstance(inner.get(w), Mapping)), inner)
    if not isinstance(inner, Mapping) or not inner or not all(isinstance(v, Tensor) for v in inner.values()):
        what = f"a {type(content).__name__}" if not isinstance(inner, Mapping) else f"keys such as {_some(inner)}"
        raise BundleError(f"no weights in it: a mapping of names to tensors is expected, there is {what}")
    state = {str(name): value for name, value in inner.items()}
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    if odd := next((name for name, value in state.items() if not _is_plain(value)), None):
        raise BundleError(f"the weights {odd!r} are kept in another way than as plain numbers ({_way(state[odd])})")
    if (count := sum(value.numel() for value in state.values())) > MAX_VALUES:
        raise BundleError(f"{count} weights; at most {MAX_VALUES} are read")
    for name, value in state.items():
        if not torch.isfinite(value).all():
            raise BundleError(f"the weights {name!r} are not all finite numbers")
    return {name: value.detach().float() for name, value in state.items()}


def _is_plain(value: Tensor) -> bool:
    dense = value.layout == torch.strided and not value.is_nested and value.device.type == "cpu"
    return dense and value.dtype in (*FLOATS, *WHOLE)


def _way(value: Tensor) -> str:
    layout = "nested" if value.is_nested else str(value.layout).removeprefix("torch.")
    return f"{str(value.dtype).removeprefix('torch.')}, {layout}, {value.device.type}"


def recognise(state: Mapping[str, Tensor], scale: int | None = None) -> tuple[Network, str]:
    """The network whose weights `state` holds, for pictures in 0 … 1, and the name of the form that they were found in.

    `scale` chooses where a state dict serves several, or does not tell. Raises `BundleError` for one of no known form, or
    not quite of the one that its names promise, and `RequestError` where it does not enlarge by `scale`.
    """
    form = next((form for form in FORMS if all(mark in state for mark in form.marks)), None)
    if form is None:
        known = ", ".join(form.name for form in FORMS)
        raise UnknownFormError(f"of no known form: {len(state)} tensors such as {_some(state)}; known are {known}")
    reader = Reader(state)
    try:
        found = form.read(reader, scale)
        network = _built(found)
    except (Unfit, RequestError) as exc:
        raise BundleError(f"it looks like {form.name}, but {exc}") from exc
    except (ArithmeticError, IndexError, RuntimeError, TypeError, ValueError) as exc:  # reshaping what cannot be
        why = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
        raise BundleError(f"it looks like {form.name}, but a tensor of it has another shape ({why})") from exc
    _check(form, found, reader, scale)
    return network, form.name


def _built(found: Recognised) -> Network:
    """The network with its weights; raises `Unfit` where they are not of its shapes, `RequestError` where none is such."""
    with torch.device("meta"):  # whatever sizes a file promises, nothing is made before all of them fit
        wanted = zoo.build(found.architecture, **found.config).state_dict()
    for name, value in wanted.items():
        if name not in found.weights or found.weights[name].shape != value.shape:
            came = tuple(found.weights[name].shape) if name in found.weights else "none"
            raise Unfit(f"{name!r} of {found.architecture} should have the shape {tuple(value.shape)}, there is {came}")
    network = zoo.build(found.architecture, **found.config)
    network.load_state_dict(found.weights)
    network.scale_range(1 / found.span)
    return network.eval()


def _check(form: Form, found: Recognised, reader: Reader, scale: int | None) -> None:
    if left := reader.left():
        raise BundleError(f"it looks like {form.name}, but has tensors that are unknown there: {_some(left)}")
    if scale not in (None, found.config["scale"]):
        raise RequestError(f"it enlarges ×{found.config['scale']}, not ×{scale}: it is {form.name}")


def _some(names: Any) -> str:
    """The first names of many."""
    shown = [repr(str(name)) for name in names]
    return ", ".join(shown[:SHOWN]) + (" …" if len(shown) > SHOWN else "")
