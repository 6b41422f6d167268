"""What is stated of every network in the zoo, checked on every network in the zoo."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from edgelift.core.errors import RequestError
from edgelift.nets import zoo
from edgelift.nets.abpn import RESIDUALS
from edgelift.nets.network import Network, parameters, shuffle_blocks

SCALES = (2, 3, 4)
PADDINGS = ("zeros", "replicate")
SHORT: dict[str, dict[str, Any]] = {
    "branched-plain": {"widths": [4, 6], "layers": [1, 2]},
    "carn": {"channels": 4, "blocks": 2, "layers": 1},
    "carn-m": {"channels": 4, "blocks": 1, "layers": 2, "groups": 2},
    "edsr": {"channels": 6, "layers": 3},
    "imdn": {"channels": 8, "blocks": 2},
    "ninasr": {"channels": 4, "layers": 2},
    "rrdb": {"channels": 3, "blocks": 1, "growth": 2},
    "slim-carn": {"widths": [4, 6], "blocks": 2, "layers": 1},
    "slim-edsr": {"widths": [4, 6], "layers": 3},
    "srresnet": {"channels": 4, "layers": 2},
    "srvgg": {"channels": 6, "layers": 3},
}
"""Of networks whose default is too deep for many runs, or for pictures of many halos."""
CONFIGS: list[tuple[str, dict[str, Any]]] = [
    *[
        (name, {"scale": s, "padding": p, **SHORT.get(name, {})})
        for name in zoo.ARCHITECTURES
        for s in SCALES
        for p in (PADDINGS[s % 2 : s % 2 + 1] if name in SHORT else PADDINGS)
    ],
    *[("abpn", {"scale": s, "channels": 8, "layers": 2, "residual": r}) for r in RESIDUALS for s in SCALES],
    ("abpn", {"scale": 2, "channels": 6, "layers": 2, "block": "reparam"}),
    ("abpn", {"scale": 2, "channels": 6, "layers": 2, "block": "norm"}),
    ("plain", {"scale": 3, "channels": 6, "layers": 2, "block": "reparam", "padding": "replicate"}),
    ("plain", {"scale": 2, "channels": 6, "layers": 2, "skip": True, "linear": 5}),
    ("plain", {"scale": 4, "channels": 6, "layers": 0, "linear": 7, "padding": "replicate"}),
    ("branched-plain", {"widths": [4, 6], "layers": [1, 2], "skips": [False, True], "linears": [0, 3]}),
    ("fsrcnn", {"scale": 2, "channels": 8, "shrunk": 4, "layers": 1}),
    ("fsrcnn", {"scale": 3, "channels": 6, "shrunk": 3, "layers": 1, "align": "corner", "luma": "limited"}),
    ("espcn", {"scale": 2, "activation": "tanh", "luma": "limited"}),
    ("espcn", {"scale": 3, "activation": "tanh"}),
    ("edsr", {"scale": 4, "channels": 6, "layers": 2, "tail": "steps"}),
    ("carn", {"scale": 3, "channels": 6, "blocks": 2, "layers": 1, "tail": "direct"}),
    ("carn-m", {"scale": 2, "channels": 6, "blocks": 1, "layers": 2, "groups": 3, "tail": "direct"}),
]
EVERY = pytest.mark.parametrize(
    ("name", "config"), CONFIGS, ids=[f"{n}-{'-'.join(str(v) for v in c.values())}" for n, c in CONFIGS]
)


def _random(name: str, config: dict[str, Any], seed: int = 0) -> Network:
    """A network whose weights, slopes and biases are all drawn: new ones have zero biases, which hide mistakes."""
    torch.manual_seed(seed)
    network = zoo.build(name, **config)
    with torch.no_grad():
        for key, value in [*network.named_parameters(), *network.named_buffers()]:
            if key.endswith(("bias", "running_mean")):
                value.uniform_(-0.2, 0.2)
            elif "slopes" in key:
                value.uniform_(0.1, 0.9)
            elif key.endswith("running_var"):
                value.uniform_(0.5, 2)
    return network.eval()


def _shape_of(name: str, **config: Any) -> Network:
    """A network to count in; without weights where it has no fixed ones, which are made of arrays."""
    with torch.device("cpu" if name.startswith(("espcn", "fsrcnn", "slim-fsrcnn")) else "meta"):
        return zoo.build(name, **config)


# -- size and cost
@EVERY
def test_the_result_is_scale_times_larger(name: str, config: dict[str, Any]) -> None:
    network = _random(name, config)
    for batch, height, width in ((1, 1, 1), (1, 1, 6), (2, 7, 1), (2, 9, 12)):
        x = torch.rand(batch, 3, height, width)
        out = network(x)
        assert out.shape == (batch, 3, height * network.scale, width * network.scale)
        assert torch.isfinite(out).all()
        grid = network.scale // network.shuffle
        assert network.core(x).shape == (batch, 3 * network.shuffle**2, height * grid, width * grid)


@pytest.mark.parametrize(
    ("name", "config", "count"),
    [
        ("abpn", {"scale": 3}, 42_539),
        ("abpn", {"scale": 2}, 756 + 4 * 7056 + 28 * 12 * 9 + 12 * 12 * 9 + 5 * 28 + 2 * 12),
        ("abpn", {"scale": 4, "channels": 8, "layers": 2}, 216 + 2 * 576 + 8 * 48 * 9 + 48 * 48 * 9 + 3 * 8 + 2 * 48),
        ("carn", {"scale": 4}, 816_451 + 295_424 + 3),  # + the mean colour; the published sum of scales is below
        ("carn-m", {"scale": 4}, 1792 + 3 * 22_720 + 148_224 + 1731 + 74_240 + 3),
        ("carn", {"scale": 4, "tail": "direct"}, 816_451 - 1731 + 64 * 48 * 9 + 48),
        ("edsr", {"scale": 4}, 9 * (3 * 64 + 33 * 64 * 64 + 64 * 48) + 34 * 64 + 48),
        ("edsr", {"scale": 2, "tail": "steps"}, 1_369_859 + 3),  # published as 1,370 K, + the mean colour
        ("edsr", {"scale": 4, "tail": "steps"}, 1_517_571 + 3),
        ("edsr", {"scale": 4, "channels": 256, "layers": 32, "tail": "steps"}, 43_089_923 + 3),  # published as 43 M
        ("espcn", {"scale": 3}, 22_729),
        ("espcn-rgb", {"scale": 3}, 3 * 64 * 25 + 64 + 64 * 32 * 9 + 32 + 32 * 27 * 9 + 27),
        ("fsrcnn", {"scale": 3}, 12_464 + (56 + 12 + 4 * 12 + 56 + 1) + (56 + 12 + 4 * 12 + 56)),  # + biases + PReLU
        ("fsrcnn", {"scale": 4}, 12_464 + 173 + 172),
        ("imdn", {"scale": 2}, 694_404),
        ("imdn", {"scale": 3}, 703_059),
        ("imdn", {"scale": 4}, 715_176),
        ("ninasr", {"scale": 2}, 432 + 10 * 9800 + 1740 + 3),  # B0: published as 0.10 million
        ("ninasr", {"scale": 2, "channels": 32, "layers": 26}, 864 + 26 * 39_056 + 3468 + 3),  # B1: 1.02 million
        ("rrdb", {"scale": 4}, 16_697_987),
        ("rrdb", {"scale": 2, "unshuffle": 2}, 16_697_987 + 9 * 9 * 64),
        ("rrdb", {"scale": 4, "blocks": 6}, 4_467_779),  # Real-ESRGAN's for animation: published as 4.47 million
        ("srresnet", {"scale": 4}, 1_545_219 - 33 * 64 + 33 * 128 + 19 * 64),
        ("srvgg", {"scale": 4}, 1_213_296),
        ("srvgg", {"scale": 4, "layers": 16}, 621_424),
        ("branched-plain", {"scale": 2, "widths": [4, 8], "layers": [0, 1]}, 9 * (15 * 4 + 15 * 8 + 64) + 4 + 16 + 24),
        ("plain", {"scale": 3}, 9 * (3 * 32 + 5 * 32 * 32 + 32 * 27) + 6 * 32 + 27),
        ("slim-plain", {"scale": 4}, 9 * (3 * 48 + 5 * 48 * 48 + 48 * 48) + 6 * 48 + 48),  # narrower ones add none
        ("slim-carn", {"scale": 4}, 816_451 - 1731 + 64 * 48 * 9 + 48),
        ("slim-edsr", {"scale": 4}, 9 * (3 * 64 + 33 * 64 * 64 + 64 * 48) + 34 * 64 + 48),
        ("slim-fsrcnn", {"scale": 4}, 12_464 + 173 + 172),
    ],
)
def test_parameters_are_those_published_or_counted_by_hand(name: str, config: dict[str, Any], count: int) -> None:
    assert parameters(_shape_of(name, **config)) == count


def test_fsrcnn_has_the_published_number_of_weights() -> None:
    weights = [p for key, p in zoo.build("fsrcnn").named_parameters() if key.endswith("weight") and "slopes" not in key]
    assert sum(p.numel() for p in weights) == 12_464


@pytest.mark.parametrize(("name", "biases", "published"), [("carn", True, 1592), ("carn-m", False, 412)])
def test_carn_has_the_published_parameters(name: str, biases: bool, published: int) -> None:
    """In thousands: one trunk and the tails of ×2, ×3 and ×4; the paper counts CARN's biases and not CARN-M's."""
    counted: dict[str, int] = {}
    for scale in SCALES:
        for key, value in _shape_of(name, scale=scale).named_parameters():
            if key != "mean.bias" and (biases or not key.endswith("bias")):
                counted[f"{scale} {key}" if key.startswith("enlarge") else key] = value.numel()
    assert round(sum(counted.values()) / 1000) == published


@pytest.mark.parametrize(("name", "published"), [("carn", (222.8, 118.8, 90.9)), ("carn-m", (91.2, 46.1, 32.5))])
def test_carn_has_the_published_multiply_adds(name: str, published: tuple[float, ...]) -> None:
    """In 10⁹, for a result of 1280 × 720, at ×2, ×3 and ×4."""
    for scale, giga in zip(SCALES, published, strict=True):
        macs = _shape_of(name, scale=scale).macs_per_pixel(side=8) * 1280 * 720 / scale**2
        assert round(macs / 1e9, 1) == giga


@pytest.mark.parametrize(
    ("name", "config", "published"),
    [
        ("edsr", {"scale": 4, "tail": "steps"}, 114.2),
        ("imdn", {"scale": 2}, 158.8),
        ("imdn", {"scale": 4}, 40.9),
        ("srresnet", {"scale": 4}, 127.8),
    ],
)
def test_multiply_adds_are_those_published(name: str, config: dict[str, Any], published: float) -> None:
    """In 10⁹, for a result of 1280 × 720."""
    macs = _shape_of(name, **config).macs_per_pixel(side=8) * 1280 * 720 / config["scale"] ** 2
    assert round(macs / 1e9, 1) == published


def test_srresnet_has_the_published_weights() -> None:
    """1,543 K in the tables of later papers, which count the weights of convolutions alone."""
    weights = [p for p in _shape_of("srresnet").parameters() if p.dim() == 4]
    assert sum(p.numel() for p in weights) == 1_542_528


def _colour_path(s: int) -> int:
    return 3 + 3 * 25 * 3 * s**2 + s**2 * 3 * s**2  # to luma, bicubic of the colours, spreading of luma


RRDB_BLOCKS = 2  # of 23, which take long to count


def _macs(name: str, s: int) -> int:
    if name == "abpn":
        return 9 * (3 * 28 + 4 * 28 * 28 + 28 * 3 * s**2 + (3 * s**2) ** 2)
    if name == "espcn":
        return 25 * 64 + 9 * 64 * 32 + 9 * 32 * s**2 + _colour_path(s)
    if name == "espcn-rgb":
        return 25 * 3 * 64 + 9 * 64 * 32 + 9 * 32 * 3 * s**2
    if name == "fsrcnn":
        taps = 5 if s == 2 else 3  # low-resolution pixels that a 9×9 kernel of stride s meets along one side
        return 25 * 56 + 56 * 12 + 4 * 9 * 12 * 12 + 12 * 56 + 56 * s**2 * taps**2 + _colour_path(s)
    if name in ("plain", "slim-plain", "branched-plain"):
        c = 32 if name == "plain" else 48
        return 9 * (3 * c + 5 * c * c + c * 3 * s**2)
    if name in ("carn", "carn-m"):
        block = 2 * 9 * 64 * 64 if name == "carn" else 2 * 9 * 64 * 16 + 64 * 64
        step = 9 * 64 * (64 if name == "carn" else 16)  # for one pixel of the larger picture
        steps = {2: 4 * step, 3: 9 * step, 4: (4 + 16) * step}[s]
        return 9 * 3 * 64 + 9 * block + 4 * (2 + 3 + 4) * 64 * 64 + steps + 9 * 64 * 3 * s**2
    if name == "slim-carn":
        return 9 * 3 * 64 + 9 * 2 * 9 * 64 * 64 + 4 * (2 + 3 + 4) * 64 * 64 + 9 * 64 * 3 * s**2
    if name == "imdn":
        block = 9 * 64 * (64 + 48 + 48) + 9 * 48 * 16 + 64 * 64
        return 9 * 3 * 64 + 6 * block + 6 * 64 * 64 + 9 * 64 * 64 + 9 * 64 * 3 * s**2
    if name == "ninasr":
        return 9 * 3 * 16 + 10 * 2 * 9 * 16 * 32 + 9 * 16 * 3 * s**2
    if name == "rrdb":
        dense = 9 * ((64 + 96 + 128 + 160) * 32 + 192 * 64)
        steps = 9 * 64 * 64 * {2: 4, 3: 9, 4: 4 + 16}[s]
        return 9 * 3 * 64 + RRDB_BLOCKS * 3 * dense + 9 * 64 * 64 + steps + s**2 * 9 * 64 * (64 + 3)
    if name == "srresnet":
        steps = 9 * 64 * 64 * {2: 4, 3: 9, 4: 4 + 16}[s]
        return 81 * 3 * 64 + 33 * 9 * 64 * 64 + steps + 81 * 64 * 3 * s**2
    if name == "srvgg":
        return 9 * (3 * 64 + 32 * 64 * 64 + 64 * 3 * s**2)
    if name in ("edsr", "slim-edsr"):
        return 9 * (3 * 64 + 33 * 64 * 64 + 64 * 3 * s**2)
    if name == "slim-fsrcnn":
        return _macs("fsrcnn", s)  # of the widest
    raise AssertionError(f"write down the multiply-adds of {name} here")


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", list(zoo.ARCHITECTURES))
def test_multiply_adds_are_those_counted_by_hand(name: str, scale: int) -> None:
    network = _shape_of(name, scale=scale, **({"blocks": RRDB_BLOCKS} if name == "rrdb" else {}))
    assert network.macs_per_pixel() == network.macs_per_pixel(side=8) == _macs(name, scale)
    assert not any(m._forward_hooks for m in network.modules())  # the counters are gone again


@pytest.mark.parametrize("residual", RESIDUALS)
def test_the_residual_form_costs_no_multiply_adds(residual: str) -> None:
    assert zoo.build("abpn", residual=residual).macs_per_pixel(side=8) == _macs("abpn", 3)


# -- the halo
@functools.cache
def _doubled(name: str, scale: int, residual: str | None, padding: str) -> Network:
    config: dict[str, Any] = {"scale": scale, "padding": padding, **({"residual": residual} if residual else {})}
    return _random(name, {**config, **SHORT.get(name, {})}).double()


WHOLE = ("imdn", "ninasr")
"""Networks that see the whole picture."""
HALO_CASES = [(name, s, None) for name in zoo.ARCHITECTURES if name not in WHOLE for s in SCALES]
HALO_CASES += [("abpn", s, r) for s in SCALES for r in RESIDUALS if r != "anchor"]  # anchor is the default


@pytest.mark.parametrize(("name", "scale", "residual"), HALO_CASES)
@settings(max_examples=6)
@given(data=st.data())
def test_a_pixel_changes_the_result_within_the_halo_and_all_of_it(
    name: str, scale: int, residual: str | None, data: st.DataObject
) -> None:
    """Exactly the pixels at most `halo` away change: a stated halo that is too small or too large fails.

    The pixel is no number, and so is all that depends on it, however deep the network is.
    """
    network = _doubled(name, scale, residual, data.draw(st.sampled_from(PADDINGS)))
    halo = network.halo
    assert halo is not None
    side = 2 * halo + 5
    row, column = data.draw(st.integers(0, side - 1)), data.draw(st.integers(0, side - 1))
    x = torch.rand(1, 3, side, side, dtype=torch.float64)
    x[0, :, row, column] = torch.nan
    with torch.no_grad():
        changed = network(x)[0].isnan().any(dim=0)
    changed = changed.reshape(side, scale, side, scale).any(dim=3).any(dim=1)
    at = torch.arange(side)
    distance = torch.maximum((at - row).abs()[:, None], (at - column).abs()[None, :])
    assert torch.equal(changed, distance <= halo)


@pytest.mark.parametrize("name", WHOLE)
def test_a_network_with_attention_over_the_picture_states_no_halo(name: str) -> None:
    """A pixel changes results farther away than all convolutions reach."""
    network = _random(name, {"scale": 2, **SHORT[name]}).double()
    assert network.halo is None
    x = torch.rand(1, 3, 48, 48, dtype=torch.float64)
    other = x.clone()
    other[0, :, 0, 0] += 1.0
    with torch.no_grad():
        changed = (network(x) != network(other))[0].any(dim=0)
    reach = sum(m.kernel_size[0] // 2 for m in network.modules() if isinstance(m, nn.Conv2d))
    assert changed[2 * (reach + 1) :].any()


def test_a_halo_beyond_what_a_bundle_states_is_the_whole_picture() -> None:
    assert _shape_of("rrdb").halo == 1 + 23 * 15 + 1 + 2
    assert _shape_of("rrdb", scale=2, unshuffle=2).halo is None


@pytest.mark.parametrize(("scale", "unshuffle"), [(1, 4), (2, 2), (1, 2)])
def test_an_unshuffled_picture_is_changed_within_the_halo_alone(scale: int, unshuffle: int) -> None:
    network = _random("rrdb", {"scale": scale, "unshuffle": unshuffle, "blocks": 1, "channels": 3, "growth": 2})
    assert network.halo is not None
    assert network.multiple_of == unshuffle
    side = 4 * (2 * network.halo // 4 + 8)
    x = torch.rand(1, 3, side, side)
    changed = torch.zeros(side, dtype=torch.bool)
    middle = side // 2 // unshuffle * unshuffle
    for place in range(middle, middle + unshuffle):  # each place in a block
        other = x.clone()
        other[0, :, place, place] += 1.0
        with torch.no_grad():
            rows = (network(x) != network(other))[0].any(dim=0).any(dim=1).reshape(side, scale).any(dim=1)
        at = torch.arange(side)
        assert not rows[(at - place).abs() > network.halo].any()
        changed |= rows
    assert changed.any()


# -- range
@EVERY
def test_the_range_can_be_moved_into_the_biases(name: str, config: dict[str, Any]) -> None:
    network = _random(name, config)
    assert network.homogeneous
    x = torch.rand(1, 3, 11, 13)
    with torch.no_grad():
        expected = 255 * network(x)
        network.scale_range(255.0)
        scaled = network(255 * x)
    assert (scaled - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_a_network_that_is_not_homogeneous_refuses_to_move_its_range() -> None:
    class Bent(Network):
        architecture = "bent"
        homogeneous = False

    with pytest.raises(ValueError, match="bent is not homogeneous"):
        Bent().scale_range(255.0)


# -- folding
@EVERY
def test_folding_keeps_the_result(name: str, config: dict[str, Any]) -> None:
    network = _random(name, config)
    x = torch.rand(1, 3, 8, 9)
    with torch.no_grad():
        before = network(x)
        network.fold()
        assert torch.allclose(network(x), before, rtol=0, atol=1e-5 * max(1, float(before.abs().max())))


# -- building
@EVERY
def test_architecture_and_config_build_the_network_again(name: str, config: dict[str, Any]) -> None:
    network = _random(name, config)
    assert network.architecture == name
    assert {key: network.config[key] for key in config} == config
    again = zoo.build(network.architecture, **network.config).eval()
    again.load_state_dict(network.state_dict())
    x = torch.rand(1, 3, 5, 6)
    assert torch.equal(again(x), network(x))
    facts = ("scale", "shuffle", "halo", "multiple_of", "colour", "padding", "config")
    assert all(getattr(again, fact) == getattr(network, fact) for fact in facts)


@EVERY
def test_the_state_dict_holds_the_trained_values_and_nothing_else(name: str, config: dict[str, Any]) -> None:
    network = zoo.build(name, **config)
    trained = {key for key, _ in network.named_parameters()}
    measured = {key for key, _ in network.named_buffers() if ".norm." in key}  # by a normalisation, in training
    assert set(network.state_dict()) == trained | measured


def test_the_config_is_plain_so_that_a_bundle_can_keep_it() -> None:
    for name in zoo.ARCHITECTURES:
        config = zoo.build(name).config
        assert json.loads(json.dumps(config)) == config
        flat = [v for value in config.values() for v in (value if isinstance(value, list) else [value])]
        assert all(isinstance(v, str | int) for v in flat)


@pytest.mark.parametrize("name", list(zoo.ARCHITECTURES))
def test_every_row_of_the_zoo_is_a_network_of_that_name(name: str) -> None:
    kind = zoo.ARCHITECTURES.load(name)
    assert issubclass(kind, Network)
    assert kind.architecture == name
    assert kind.task == "super-resolution"


def test_an_unknown_architecture_lists_the_known_ones() -> None:
    with pytest.raises(
        RequestError, match="no network architecture is called 'rcan'; choose from abpn, branched-plain, carn"
    ):
        zoo.build("rcan")


@pytest.mark.parametrize(
    ("name", "config", "reason"),
    [
        ("abpn", {"residual": "learned"}, "residual must be one of anchor, image, feature, none, got 'learned'"),
        ("abpn", {"padding": "reflect"}, "padding must be one of zeros, replicate"),
        ("fsrcnn", {"padding": "reflect"}, "padding must be one of zeros, replicate"),
        ("espcn", {"channels": 3}, "channels"),
        ("abpn", {"width": 3}, "width"),
        ("imdn", {"channels": 6}, "channels must be a multiple of 4, got 6"),
        ("rrdb", {"scale": 2, "unshuffle": 3}, "scale must be 1, 2, 3, 4 or 8"),
        ("espcn", {"activation": "sine"}, "activation must be one of relu, tanh, got 'sine'"),
        ("espcn", {"luma": "wide"}, "luma must be one of full, limited, got 'wide'"),
        ("fsrcnn", {"align": "left"}, "align must be one of centred, corner, got 'left'"),
        ("carn", {"tail": "long"}, "tail must be one of steps, direct, got 'long'"),
        ("carn", {"scale": 5}, "scale must be 1, 2, 3, 4 or 8 where a network enlarges in steps, got 5"),
        ("carn-m", {"groups": 1}, "groups must be at least 2, got 1; with one it is carn"),
        ("carn-m", {"channels": 6}, "divisible by groups"),
        ("abpn", {"channels": "28"}, "channels"),
        ("abpn", {"scale": 2.5}, "scale"),
        ("abpn", {"scale": 0}, "scale"),
        ("abpn", {"channels": 0}, "channels"),
        ("fsrcnn", {"scale": 0}, "scale"),
    ],
)
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_a_configuration_that_cannot_be_built_is_named(name: str, config: dict[str, Any], reason: str) -> None:
    with pytest.raises(RequestError, match=reason) as caught:
        zoo.build(name, **config)
    assert str(caught.value).startswith(f"{name} cannot be built from {config}")


@pytest.mark.parametrize("config", [{"scale": -1}, {"layers": -1}])
def test_negative_numbers_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        zoo.build("abpn", **config)


# -- ABPN's residuals
def _same_weights(residual: str, other: str, scale: int) -> tuple[Network, Network]:
    a = _random("abpn", {"scale": scale, "channels": 6, "layers": 2, "residual": residual})
    b = zoo.build("abpn", **{**a.config, "residual": other})
    b.load_state_dict(a.state_dict())
    return a, b


def _nearest(x: Tensor, scale: int) -> Tensor:
    return x.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)


@pytest.mark.parametrize("scale", SCALES)
def test_the_anchor_is_nearest_neighbour_enlargement(scale: int) -> None:
    x = torch.rand(1, 3, 5, 7)
    anchor, plain = _same_weights("anchor", "none", scale)
    assert torch.allclose(anchor(x), plain(x) + _nearest(x, scale), rtol=0, atol=1e-6)
    nn.init.zeros_(anchor.get_parameter("tail.weight"))
    nn.init.zeros_(anchor.get_parameter("tail.bias"))
    assert torch.equal(anchor(x), _nearest(x, scale))


@pytest.mark.parametrize("scale", SCALES)
def test_the_image_residual_is_the_same_sum_as_the_anchor(scale: int) -> None:
    x = torch.rand(2, 3, 5, 7)
    anchor, image = _same_weights("anchor", "image", scale)
    with torch.no_grad():  # (row, column, colour) -> (colour, row, column)
        for value in image.tail.parameters():
            value.copy_(value.unflatten(0, (scale, scale, 3)).movedim(2, 0).flatten(0, 2).clone())
    assert torch.allclose(anchor(x), image(x), rtol=0, atol=1e-6)


def test_the_feature_residual_adds_the_first_features() -> None:
    feature, plain = _same_weights("feature", "none", 3)
    x = torch.rand(1, 3, 5, 7)
    assert not torch.allclose(feature(x), plain(x))
    for key, value in [*feature.named_parameters(), *plain.named_parameters()]:
        if key.startswith("head"):
            nn.init.zeros_(value)  # no first features: nothing to add
    assert torch.equal(feature(x), plain(x))


def test_a_new_abpn_starts_near_its_anchor() -> None:
    torch.manual_seed(0)
    network = zoo.build("abpn")
    x = torch.rand(1, 3, 16, 16)
    assert (network(x) - _nearest(x, 3)).square().mean().sqrt() < 0.5


def test_forward_is_core_and_then_the_shuffle() -> None:
    for name in zoo.ARCHITECTURES:
        network = _random(name, {"scale": 2})
        x = torch.rand(1, 3, 4, 5)
        assert torch.equal(network(x), shuffle_blocks(network.core(x), network.shuffle))
