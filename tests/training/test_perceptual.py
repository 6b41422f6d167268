"""Feature networks from a user's file: their stages, the loss, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from edgelift.core.errors import TrainingError
from edgelift.training.adversary import Adversary
from edgelift.training.perceptual import Features, load_features
from edgelift.training.recipe import GanPart

VGG19 = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
"""Places of the convolutions in torchvision's vgg19."""


def _weights(places: list[int], prefix: str = "features.", channels: int = 2, size: int = 3) -> dict[str, Tensor]:
    torch.manual_seed(0)
    made: dict[str, Tensor] = {}
    for number, place in enumerate(places):
        made[f"{prefix}{place}.weight"] = 0.5 * torch.randn(channels, 3 if number == 0 else channels, size, size)
        made[f"{prefix}{place}.bias"] = 0.1 * torch.randn(channels)
    return made


def _save(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def test_vgg19_has_its_five_published_stages(tmp_path: Path) -> None:
    weights = _weights(VGG19) | {"classifier.0.weight": torch.zeros(4, 4), "classifier.0.bias": torch.zeros(4)}
    features = load_features(_save(tmp_path / "vgg19.pth", weights))
    assert features.pooled == {1, 3, 7, 11}
    stages = features(torch.rand(1, 3, 32, 32))
    assert [tuple(s.shape[2:]) for s in stages] == [(32, 32), (16, 16), (8, 8), (4, 4), (2, 2)]
    assert not any(p.requires_grad for p in features.parameters())


@pytest.mark.parametrize("prefix", ["features.", ""])
def test_features_by_hand(tmp_path: Path, prefix: str) -> None:
    weights = _weights([0, 2, 5], prefix)
    features = load_features(_save(tmp_path / "f.pth", weights))
    x = torch.rand(2, 3, 8, 8)
    mean, deviation = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

    def conv(h: Tensor, place: int) -> Tensor:
        return functional.conv2d(h, weights[f"{prefix}{place}.weight"], weights[f"{prefix}{place}.bias"], padding=1)

    first = conv(functional.relu(conv((x - mean) / deviation, 0)), 2)  # before its ReLU and the pooling
    second = conv(functional.max_pool2d(functional.relu(first), 2), 5)
    made = features(x)
    assert len(made) == 2
    assert torch.allclose(made[0], first, atol=1e-5)
    assert torch.allclose(made[1], second, atol=1e-5)


def test_the_loss_weights_early_stages_less(tmp_path: Path) -> None:
    features = load_features(_save(tmp_path / "f.pth", _weights([0, 3, 6])))
    result, truth = torch.rand(1, 3, 16, 16, requires_grad=True), torch.rand(1, 3, 16, 16)
    distances = [functional.l1_loss(a, b) for a, b in zip(features(result), features(truth), strict=True)]
    loss = features.loss(result, truth)
    assert loss.item() == pytest.approx((0.1 * distances[0] + 0.1 * distances[1] + distances[2]).item(), rel=1e-5)
    assert features.loss(truth, truth).item() == 0
    loss.backward()
    assert result.grad is not None
    assert result.grad.abs().max() > 0


def test_a_recipe_that_names_a_file_has_the_perceptual_loss(tmp_path: Path) -> None:
    path = _save(tmp_path / "f.pth", _weights([0, 3]))
    result, truth = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8)
    pulls = []
    for part in (GanPart(channels=2), GanPart(channels=2, features=str(path), features_weight=2.0)):
        torch.manual_seed(0)
        adversary = Adversary(part, torch.device("cpu"))
        pulls.append(adversary.pull(result, truth).item())
    features = load_features(path)
    assert isinstance(features, Features)
    assert pulls[1] - pulls[0] == pytest.approx(2 * features.loss(result, truth).item(), rel=1e-4)


@pytest.mark.parametrize(
    "content",
    [
        {}, [1], torch.ones(3), {"features.0.weight": torch.ones(2, 3, 3, 3)}, _weights([0, 4]), _weights([0], size=5),
        _weights([0, 3]) | {"features.1.weight": torch.ones(2), "features.1.bias": torch.ones(2)},  # batch normalisation
        {"layer1.0.conv1.weight": torch.ones(2, 3, 3, 3)},
    ],
)  # fmt: skip
def test_files_of_other_networks_are_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(TrainingError, match=r"f\.pth: no feature network; expected weights of 3×3 convolutions"):
        load_features(_save(tmp_path / "f.pth", content))


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.pth").write_bytes(b"no weights")
    for name in ("text.pth", "absent.pth"):
        with pytest.raises(TrainingError, match=f"{name}: no feature network"):
            load_features(tmp_path / name)
