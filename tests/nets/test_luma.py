"""Networks on luma: the colour beside them is bicubic, the luma is theirs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from edgelift.core.resize import resize
from edgelift.nets import zoo
from edgelift.nets.luma import LUMA, LumaNetwork
from edgelift.nets.network import shuffle_blocks

SCALES = (2, 3, 4)
WEIGHTS = torch.tensor(LUMA).view(1, 3, 1, 1)


def _picture(height: int, width: int, seed: int = 0) -> Tensor:
    """RGB in the middle of the range, so that bicubic interpolation does not reach 0 or 1."""
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 0.4 + 0.3


def _bicubic(x: Tensor, scale: int) -> Tensor:
    """N × C × h × w enlarged by `core.resize` as float32."""
    planes = [plane.numpy() * np.float32(255) for image in x for plane in image]
    out = np.stack([resize(plane, plane.shape[0] * scale, plane.shape[1] * scale) for plane in planes]) / 255
    return torch.from_numpy(out).reshape(*x.shape[:2], *out.shape[1:])


class Bicubic(LumaNetwork):
    """Its luma is bicubic too, so that nothing is left to add to the colours."""

    architecture = "bicubic"

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.set_scale(scale)

    def blocks_of(self, y: Tensor) -> Tensor:
        s = self.scale
        larger = _bicubic(y, s)
        n, _, h, w = y.shape
        return larger.reshape(n, h, s, w, s).permute(0, 2, 4, 1, 3).reshape(n, s * s, h, w)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (9, 14)])
@pytest.mark.parametrize("scale", SCALES)
def test_with_bicubic_luma_the_whole_result_is_bicubic(scale: int, size: tuple[int, int]) -> None:
    x = _picture(*size)
    assert torch.allclose(Bicubic(scale)(x), _bicubic(x, scale), rtol=0, atol=1e-5)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", ["espcn", "fsrcnn"])
def test_luma_is_the_networks_and_the_differences_of_colours_are_bicubic(name: str, scale: int) -> None:
    torch.manual_seed(1)
    network = zoo.build(name, scale=scale)
    assert isinstance(network, LumaNetwork)
    assert network.colour == "y"
    x = _picture(8, 11)
    with torch.no_grad():
        out = network(x)
        own = shuffle_blocks(network.blocks_of((x * WEIGHTS).sum(dim=1, keepdim=True)), scale)
    assert torch.allclose((out * WEIGHTS).sum(dim=1, keepdim=True), own, rtol=0, atol=1e-5)
    bicubic = _bicubic(x, scale)
    for a, b in ((0, 1), (1, 2)):
        assert torch.allclose(out[:, a] - out[:, b], bicubic[:, a] - bicubic[:, b], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["espcn", "fsrcnn"])
def test_limited_luma_is_what_the_network_sees_and_gives(name: str) -> None:
    """16 + 219 Y of 255, as MATLAB's; what the network gives in it is stretched again, its last bias aside."""
    torch.manual_seed(1)
    network = zoo.build(name, scale=2, luma="limited")
    assert isinstance(network, LumaNetwork)
    x = _picture(8, 11)
    y = (x * WEIGHTS).sum(dim=1, keepdim=True)
    with torch.no_grad():
        own = shuffle_blocks(network.blocks_of((16 + 219 * y) / 255), 2) * 255 / 219
        assert torch.allclose((network(x) * WEIGHTS).sum(dim=1, keepdim=True), own, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["espcn", "fsrcnn"])
def test_grey_stays_grey(name: str) -> None:
    x = _picture(6, 7)[:, :1].expand(-1, 3, -1, -1)
    out = zoo.build(name, scale=2)(x)
    assert torch.allclose(out[:, 0], out[:, 1], atol=1e-5)
    assert torch.allclose(out[:, 1], out[:, 2], atol=1e-5)


def test_the_colour_path_moves_with_the_network_but_is_not_trained() -> None:
    network = zoo.build("espcn", scale=2).double()
    assert network(_picture(4, 4).double()).dtype == torch.float64
    assert not any(key.startswith(("colours", "spread", "to_luma")) for key in network.state_dict())
