"""Others' checkpoints are recognised, and give what the networks they come from give."""

from __future__ import annotations

import importlib.util
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from edgelift.core.errors import BundleError, RequestError
from edgelift.nets import zoo
from edgelift.nets.detect import recognise, tensors_of
from edgelift.nets.foreign import FORMS
from edgelift.nets.luma import LUMA


def _foreign() -> Any:
    """`foreign.py` beside this file: test folders are not importable."""
    place = importlib.util.spec_from_file_location("foreign", Path(__file__).with_name("foreign.py"))
    assert place is not None
    assert place.loader is not None
    module = sys.modules["foreign"] = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module


FOREIGN = _foreign()
EVERY = pytest.mark.parametrize("name", FOREIGN.CASES)


def _luma(x: Tensor) -> Tensor:
    """As MATLAB's rgb2ycbcr, in 0 … 1."""
    return (16 + 219 * (x * torch.tensor(LUMA).reshape(1, 3, 1, 1)).sum(dim=1, keepdim=True)) / 255


@EVERY
def test_a_checkpoint_gives_what_its_own_network_gives(name: str) -> None:
    case = FOREIGN.case(name)
    network, form = recognise(case.state, case.asked)
    assert form.startswith(case.form)
    assert (network.architecture, network.scale) == (case.architecture, case.scale)
    assert not network.training
    x = torch.rand(2, 3, 20, 36)
    with torch.no_grad():
        out = network(x)
        if case.colour == "y":
            wanted, out = case.forward(_luma(x)), _luma(out)
        else:
            wanted = case.forward(x)
    assert wanted.std() > 0.03, "the test's own network"
    assert out.shape == wanted.shape
    assert torch.allclose(out, wanted, rtol=0, atol=2e-5 * max(1, float(wanted.abs().max())))


@EVERY
def test_the_network_that_was_found_can_be_built_again(name: str) -> None:
    case = FOREIGN.case(name)
    network, _ = recognise(case.state, case.asked)
    again = zoo.build(network.architecture, **network.config)
    again.load_state_dict(network.state_dict())
    assert again.halo == network.halo


@EVERY
def test_a_tensor_too_few_or_too_many_or_of_another_shape_is_named(name: str) -> None:
    case = FOREIGN.case(name)
    marks = {mark for form in FORMS for mark in form.marks}
    for key in [key for key in list(case.state)[-6:] if key not in marks and "slopes" not in key]:
        state = {k: v for k, v in case.state.items() if k != key}
        with pytest.raises(BundleError, match=r"it looks like|of no known form"):
            recognise(state, case.asked)
    with pytest.raises(BundleError, match=r"has tensors that are unknown there: 'ema\.decay'"):
        recognise({**case.state, "ema.decay": torch.zeros(1)}, case.asked)
    key = next(key for key in reversed(case.state) if key.endswith("weight") and case.state[key].dim() == 4)
    with pytest.raises(BundleError, match=r"it looks like .*, but "):
        recognise({**case.state, key: torch.zeros(7, 5, 3, 3)}, case.asked)


@EVERY
def test_any_tensor_of_any_other_shape_is_refused(name: str) -> None:
    """And no other error escapes, whatever is reshaped."""
    case = FOREIGN.case(name)
    shapes = [(), (0,), (3,), (2, 3), (64, 64, 3, 3), (4, 4, 1, 1), (1, 1, 1, 1, 1)]
    used = [key for key in case.state if "upsample.up" not in key]  # of three scales two are not looked into
    for k, key in enumerate([*used[:4], *used[-4:]]):
        shape = shapes[k % len(shapes)]
        if torch.ones(()).expand(shape).numel() == case.state[key].numel():
            continue
        with pytest.raises((BundleError, RequestError)):
            recognise({**case.state, key: torch.ones(()).expand(shape)}, case.asked)


def test_no_network_is_made_of_sizes_that_do_not_fit() -> None:
    """One tensor of 100,000 channels promises convolutions of 10¹¹ weights."""
    wide = {"body.0.weight": torch.ones(()).expand(100_000, 3, 3, 3), "body.0.bias": torch.ones(100_000)}
    wide |= {f"body.{k}.weight": torch.ones(100_000) for k in (1, 3, 5)}
    state = {**FOREIGN.case("srvgg").state, **wide}
    with pytest.raises(BundleError, match=r"'layers.1.weight' of srvgg should have the shape \(100000, 100000, 3, 3\)"):
        recognise(state)


def test_every_form_is_tried() -> None:
    tried = {form.name for form in FORMS if any(form.name.startswith(FOREIGN.case(n).form) for n in FOREIGN.CASES)}
    assert tried == {form.name for form in FORMS}


def test_the_large_edsr_has_its_factor() -> None:
    """Which no tensor tells: the one of 256 channels and 32 blocks was published with 0.1."""
    case = FOREIGN.case("edsr of 0 to 1")
    state = {key: value for key, value in case.state.items() if "mean" in key}
    shapes = {"head.0": (256, 3), "tail.1": (3, 256), "tail.0.0": (1024, 256), "body.32": (256, 256)}
    shapes |= {f"body.{k}.body.{layer}": (256, 256) for k in range(32) for layer in (0, 2)}
    for key, (out, into) in shapes.items():
        state[f"{key}.weight"] = torch.ones(1).expand(out, into, 3, 3)
        state[f"{key}.bias"] = torch.ones(1).expand(out)
    network, _ = recognise(state)
    assert float(network.get_parameter("trunk.31.second.weight").detach().mean()) == pytest.approx(0.1)
    assert float(network.get_parameter("trunk.31.first.weight").detach().mean()) == 1


# -- the scale
def test_a_checkpoint_of_three_scales_asks_for_one_and_gives_each() -> None:
    case = FOREIGN.case("carn of three scales")
    with pytest.raises(BundleError, match="it enlarges ×2, ×3, ×4; say which by --scale"):
        recognise(case.state)
    for scale in (2, 3, 4):
        assert recognise(case.state, scale)[0].scale == scale


def test_an_old_esrgan_of_one_step_enlarges_by_two_unless_three_is_said() -> None:
    state = FOREIGN.case("old esrgan x2").state
    assert [recognise(state, scale)[0].scale for scale in (None, 2, 3)] == [2, 2, 3]
    with pytest.raises(RequestError, match="it enlarges ×4, not ×3: it is RRDBNet of ESRGAN, its older names"):
        recognise(FOREIGN.case("old esrgan x4").state, 3)


def test_another_scale_is_refused() -> None:
    with pytest.raises(RequestError, match="it enlarges ×3, not ×2: it is SRVGGNetCompact"):
        recognise(FOREIGN.case("srvgg").state, 2)
    with pytest.raises(BundleError, match="it enlarges ×2, ×3, ×4; say which"):
        recognise(FOREIGN.case("carn of three scales").state, 8)
    with pytest.raises(BundleError, match="do not tell by how much it enlarges; say it by --scale"):
        recognise(FOREIGN.case("fsrcnn").state)


@pytest.mark.parametrize(
    ("name", "spoil", "reason"),
    [
        ("srvgg", lambda s: s.pop("body.3.weight"), "'body.3.weight' is missing"),
        ("srvgg", lambda s: s.update({"body.1.weight": torch.zeros(6, 6, 3, 3)}), "there is no PReLU after the first"),
        (
            "srvgg",
            lambda s: s.update({"body.6.weight": torch.zeros(15, 6, 3, 3)}),
            "15 channels are not those of square",
        ),
        ("edsr x4", lambda s: s["sub_mean.weight"].mul_(0.5), "'sub_mean' changes more than the mean colour"),
        ("carn x3", lambda s: s.pop("upsample.up.body.0.weight"), "'upsample.up.body.0.weight' is missing"),
        (
            "carn x3",
            lambda s: s.update({"upsample.up.body.0.weight": torch.zeros(4, 4, 3, 3)}),
            "it repeats pixels before its last convolutions",
        ),
        (
            "imdn",
            lambda s: s.update({"fea_conv.weight": torch.zeros(16)}),
            "has 1 dimensions, a convolution's weight has 4",
        ),
        ("espcn", lambda s: s.update({"last_part.0.weight": torch.zeros(5, 32, 3, 3)}), "5 channels are not those"),
    ],
)
def test_what_does_not_fit_is_said(name: str, spoil: Callable[[dict[str, Tensor]], Any], reason: str) -> None:
    state = dict(FOREIGN.case(name).state)
    spoil(state)
    with pytest.raises(BundleError, match=reason):
        recognise(state)


def test_an_unknown_network_lists_what_is_known() -> None:
    with pytest.raises(
        BundleError, match=r"of no known form: 4 tensors such as 'a', 'b', 'c' …; known are RRDBNet of Real"
    ):
        recognise({name: torch.zeros(1) for name in "abcd"})


# -- out of its wrappers
def test_averaged_weights_come_before_others_and_prefixes_go() -> None:
    state, other = {"a.weight": torch.ones(2)}, {"a.weight": torch.zeros(2)}
    for content in (
        state,
        OrderedDict(state),
        {"params": other, "params_ema": state},
        {"state_dict": state, "epoch": 3},
        {"model": {"state_dict": {f"module.{key}": value for key, value in state.items()}}},
        {f"module._orig_mod.{key}": value for key, value in state.items()},
    ):
        found = tensors_of(content)
        assert list(found) == ["a.weight"]
        assert torch.equal(found["a.weight"], torch.ones(2))
    assert tensors_of({"a": torch.ones(2, dtype=torch.float16)})["a"].dtype == torch.float32


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([torch.zeros(1)], "a mapping of names to tensors is expected, there is a list"),
        ({}, "a mapping of names to tensors is expected"),
        ({"epoch": 3, "lr": 0.1}, "there is keys such as 'epoch', 'lr'|such as 'epoch', 'lr'"),
        ({"params": {"a": 1}}, "such as 'a'"),
        ({"a": torch.ones(()).expand(10**6, 10**6)}, "1000000000000 weights; at most 268435456 are read"),
        ({"a": torch.tensor([1.0, float("nan")])}, "the weights 'a' are not all finite numbers"),
        ({"a": torch.ones(2, device="meta")}, r"the weights 'a' are kept in another way .*strided, meta"),
        ({"a": torch.ones(2, 2).to_sparse()}, "in another way .*sparse_coo"),
        ({"a": torch.ones(2).to(torch.float8_e4m3fn)}, "in another way .*float8_e4m3fn"),
        ({"a": torch.ones(2, dtype=torch.complex64)}, "in another way .*complex64"),
    ],
)
def test_what_holds_no_weights_is_refused(content: Any, reason: str) -> None:
    with pytest.raises(BundleError, match=reason):
        tensors_of(content)


def test_a_wrapper_in_itself_ends() -> None:
    content: dict[str, Any] = {}
    content["params"] = content
    with pytest.raises(BundleError, match="no weights in it"):
        tensors_of(content)
