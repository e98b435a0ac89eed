from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.logging import MMLogger
from torch import Tensor, nn
from torchvision.models import vgg16

from addp_mm.checkpoints.weight_files import load_weights, save_weights
from addp_mm.models.vqgan import PerceptualLoss

MODULE = 'torchmetrics.functional.image.lpips'
SLICES = {f'slice{i + 1}.{j}': j for i, j in enumerate((0, 5, 10, 17, 24))}


class StandIn(nn.Module):
    """Torchmetrics' network with one small convolution in each of its slices."""

    def __init__(self, net: str, pnet_rand: bool) -> None:
        super().__init__()
        assert net == 'vgg' and pnet_rand, 'the weights must come from the file'
        self.net = nn.Module()
        for name, index in SLICES.items():
            part = nn.Sequential()
            part.add_module(str(index), nn.Conv2d(3, 3, 1))
            self.net.add_module(name.split('.')[0], part)

    def forward(self, in0: Tensor, in1: Tensor, normalize: bool) -> Tensor:
        assert normalize, 'the images are in [0, 1]'
        layers = [m for m in self.modules() if isinstance(m, nn.Conv2d)]
        differences = sum((layer(in0) - layer(in1)).square() for layer in layers)
        return differences.mean(dim=(1, 2, 3), keepdim=True)


@pytest.fixture
def torchmetrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """A place for the network to be imported from, whether or not torchmetrics is installed."""
    module = type(sys)(MODULE)
    module._LPIPS = StandIn
    monkeypatch.setitem(sys.modules, MODULE, module)
    for name in ('torchmetrics', 'torchmetrics.functional', 'torchmetrics.functional.image'):
        monkeypatch.setitem(sys.modules, name, type(sys)(name))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """What the file of torchvision's VGG16 holds, as far as the stand-in reads it."""
    tensors = {'classifier.0.weight': torch.zeros(2)}
    for index in SLICES.values():
        tensors |= {f'features.{index}.weight': torch.rand(3, 3, 1, 1),
                    f'features.{index}.bias': torch.rand(3)}
    path = tmp_path / 'vgg16.safetensors'
    save_weights(tensors, path)
    return path


def test_missing_weights_stop_with_the_address(torchmetrics: None, tmp_path: Path):
    loss = PerceptualLoss(str(tmp_path / 'none.pth'))
    with pytest.raises(FileNotFoundError, match=r'none\.pth.*Download https://.*vgg16.*missing_ok'):
        loss.load()


def test_missing_package_stops_with_the_command(monkeypatch: pytest.MonkeyPatch, weights: Path):
    monkeypatch.setitem(sys.modules, MODULE, None)
    with pytest.raises(ImportError, match='pip install torchmetrics'):
        PerceptualLoss(str(weights)).load()


def test_training_goes_on_without_it_where_the_config_allows(torchmetrics: None, tmp_path: Path):
    log = tmp_path / 'log.txt'
    MMLogger.get_instance('perceptual', log_file=str(log))
    loss = PerceptualLoss(None, missing_ok=True)
    loss.load()
    assert loss(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8)) == {}
    assert log.read_text().count('without the perceptual loss') == 1


def test_a_file_of_another_network_is_named(torchmetrics: None, tmp_path: Path):
    path = tmp_path / 'other.safetensors'
    save_weights({'conv.weight': torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"other\.safetensors is not torchvision's VGG16"):
        PerceptualLoss(str(path), missing_ok=True).load()


def test_the_weights_of_the_file_are_used_weighed_and_frozen(torchmetrics: None, weights: Path):
    loss = PerceptualLoss(str(weights), weight=2.)
    images = torch.rand(2, 3, 8, 8)
    reconstructions = torch.rand(2, 3, 8, 8, requires_grad=True)
    value = loss(reconstructions, images)['loss_perceptual']
    stored = load_weights(weights)
    wanted = sum(
        torch.nn.functional.conv2d(reconstructions - images, stored[f'features.{i}.weight'])
        .square().mean() for i in SLICES.values())
    torch.testing.assert_close(value, 2 * wanted)
    value.backward()
    assert reconstructions.grad.abs().sum() > 0
    assert all(p.grad is None for p in loss._hidden[0].parameters())


def test_the_network_is_in_no_state_dict_and_shared_by_copies(torchmetrics: None, weights: Path):
    loss = PerceptualLoss(str(weights))
    loss.load()
    assert not loss.state_dict() and not list(loss.parameters())
    assert copy.deepcopy(loss)._hidden[0] is loss._hidden[0]


def test_torchmetrics_network_equals_lpips_written_out(tmp_path: Path):
    pytest.importorskip(MODULE)
    features = vgg16(weights=None).features[:30]
    path = tmp_path / 'vgg16.safetensors'
    save_weights({f'features.{k}': v for k, v in features.state_dict().items()}, path)
    loss = PerceptualLoss(str(path))
    images, others = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    found = loss(others, images)['loss_perceptual']
    mean = torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1)
    std = torch.tensor([0.458, 0.448, 0.450]).view(3, 1, 1)
    x, y = ((2 * z - 1 - mean) / std for z in (images, others))
    wanted, heads = 0., iter(loss._hidden[0].lins)
    for i, layer in enumerate(features):
        x, y = layer(x.clone()), layer(y.clone())
        if i in (3, 8, 15, 22, 29):
            unit_x, unit_y = (z / (z.norm(dim=1, keepdim=True) + 1e-10) for z in (x, y))
            head = next(heads).model[-1].weight
            wanted = wanted + (head * (unit_x - unit_y)**2).sum(dim=1).mean()
    torch.testing.assert_close(found, wanted)
