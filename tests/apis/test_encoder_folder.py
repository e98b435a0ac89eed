"""An encoder as a folder, read by timm, by mmpretrain, by a detector's backbone and by us."""
from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from mmengine.config import Config
from mmpretrain.models.backbones import VisionTransformer
from torch import Tensor

from addp_mm.apis import ADDPEncoder
from addp_mm.dense import ADDPViTDet
from tests.helpers.tiny import build_model, tiny_addp_cfg, tiny_mage_training_cfg

IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope='module')
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ADDPEncoder]:
    root = tmp_path_factory.mktemp('encoder')
    cfg = Config(dict(model=tiny_addp_cfg(root)))
    encoder = ADDPEncoder.from_training(cfg, build_model(cfg.model.to_dict()))
    encoder.save_pretrained(root / 'out', model_card_kwargs=dict(license='mit'))
    return root / 'out', encoder


@torch.no_grad()
def pooled(encoder: ADDPEncoder) -> Tensor:
    return encoder(IMAGES)[0].mean((2, 3))


@torch.no_grad()
def test_there_and_back(saved: tuple[Path, ADDPEncoder]) -> None:
    found = ADDPEncoder.from_pretrained(saved[0])
    assert torch.equal(found(IMAGES)[0], saved[1](IMAGES)[0])


@torch.no_grad()
@pytest.mark.parametrize('images', [IMAGES * 255, (IMAGES - 0.5) / 0.2, (IMAGES * 255).byte()])
def test_images_on_another_scale_are_refused(saved: tuple[Path, ADDPEncoder],
                                             images: Tensor) -> None:
    with pytest.raises(ValueError, match=r'RGB in \[0, 1\], got .* divide pixels of 0 to 255'):
        saved[1](images)
    assert saved[1](IMAGES / 300)[0].isfinite().all()       # a dark one


@torch.no_grad()
def test_timm_reads_it(saved: tuple[Path, ADDPEncoder]) -> None:
    model = timm.create_model(f'local-dir:{saved[0]}', pretrained=True).eval()
    data = timm.data.resolve_model_data_config(model)
    mean, std = (torch.tensor(data[name]).view(3, 1, 1) for name in ('mean', 'std'))
    assert data['input_size'] == (3, 32, 32)
    torch.testing.assert_close(model((IMAGES - mean) / std), pooled(saved[1]), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_mmpretrain_reads_it_as_the_card_says(saved: tuple[Path, ADDPEncoder]) -> None:
    lines = (saved[0] / 'README.md').read_text().split('backbone = ')[1].split('```')[0]
    cfg = eval(lines)
    assert cfg.pop('type') == 'VisionTransformer'
    model = VisionTransformer(**cfg)
    model.init_weights()
    model.eval()
    normalized = (IMAGES * 255 - saved[1].mean) / saved[1].std
    # Its ln2, which is new, has the start values of an identity but normalises once more.
    wanted = torch.nn.functional.layer_norm(pooled(saved[1]), (32, ), eps=1e-6)
    torch.testing.assert_close(model(normalized)[0], wanted, rtol=1e-3, atol=1e-4)


def test_a_detectors_backbone_reads_it(saved: tuple[Path, ADDPEncoder]) -> None:
    arch = saved[1].config['arch']
    backbone = ADDPViTDet(arch=arch, img_size=64, pretrain_img_size=32, patch_size=8,
                          window_size=3, init_cfg=dict(
                              type='Pretrained', checkpoint=str(saved[0] / 'backbone.pth')))
    backbone.init_weights()
    assert torch.equal(backbone.layers[1].attn.qkv.weight,
                       saved[1].encoder.layers[1].attn.qkv.weight)


def test_a_model_is_no_encoder(saved: tuple[Path, ADDPEncoder], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='no folder of addp_mm with an encoder'):
        ADDPEncoder.from_pretrained(tmp_path)
    cfg = Config(dict(model=tiny_mage_training_cfg(tmp_path)))
    with pytest.raises(ValueError, match='A MAGETraining has no encoder'):
        ADDPEncoder.from_training(cfg, build_model(cfg.model.to_dict()))
