"""The configs of configs/mmdet and configs/mmseg: they build, learn, and hold the paper's numbers.

The models are built at a small size: fewer and narrower layers, small images, as few classes.
"""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope

from addp_mm.models.addp import ADDPViT
from tests.helpers.dense_runs import needs_dense
from tests.helpers.tiny_dense import NUM_LAYERS, build, detection_batch, segmentation_batch

pytestmark = needs_dense
CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
DETECTION = sorted((CONFIGS / 'mmdet').glob('*.py'))
SEGMENTATION = sorted((CONFIGS / 'mmseg').glob('*.py'))


@pytest.mark.parametrize('path', DETECTION + SEGMENTATION, ids=lambda path: path.stem)
def test_config_builds_and_learns(path: Path, tmp_path: Path):
    cfg, model = build(path, tmp_path)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    batch = detection_batch() if path in DETECTION else segmentation_batch()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    losses = model.train_step(batch, wrapper)
    assert all(loss.isfinite().all() for loss in losses.values())
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    encoder = {name for name in changed if name.startswith('backbone.')}
    assert any(name.startswith('neck.') for name in changed) or cfg.model.get('neck') is None
    assert any('head.' in name for name in changed)
    if 'frozen' in path.stem:
        assert not encoder
        assert not any(p.requires_grad for p in model.backbone.parameters())
    elif 'r50' not in path.stem:
        assert {f'backbone.layers.{i}.attn.qkv.weight' for i in range(NUM_LAYERS)} <= encoder
        assert any('rel' in name for name in encoder)


@pytest.mark.parametrize(
    'name', ['mmseg/linear_vit-b_frozen_40k', 'mmdet/fcos_vitdet-b_frozen_12e',
             'mmdet/mask-rcnn_vitdet-b_frozen_100e'])
def test_frozen_features_are_those_of_the_pretraining(name: str, tmp_path: Path):
    _, model = build(CONFIGS / f'{name}.py', tmp_path)
    ours = model.backbone
    encoder = ADDPViT(arch=ours.arch_settings, img_size=ours.img_size, patch_size=16,
                      with_cls_token=ours.cls_token is not None)
    weights = {key: value for key, value in ours.state_dict().items() if '.rel' not in key}
    encoder.load_state_dict(weights)
    encoder.eval()
    ours.eval()
    images = torch.randn(1, 3, *ours.img_size)
    torch.testing.assert_close(ours(images)[-1], encoder(images)[-1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name, decay, drop_path, max_iters', [
    ('mmdet/mask-rcnn_vitdet-b_100e', 0.8, 0.1, 92_188),
    ('mmdet/mask-rcnn_vitdet-l_100e', 0.9, 0.4, 92_188),
    ('mmdet/mask-rcnn_vitdet-b_d2-100e', 0.7, 0.1, 184_375),
    ('mmdet/mask-rcnn_vitdet-l_d2-100e', 0.8, 0.4, 184_375),
    ('mmseg/upernet_vit-b_80k', 0.85, 0.1, 80_000),
    ('mmseg/upernet_vit-l_40k', 0.85, 0.1, 40_000)])
def test_numbers_of_the_paper(name: str, decay: float, drop_path: float, max_iters: int):
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    assert cfg.train_cfg.max_iters == max_iters
    assert cfg.optim_wrapper.paramwise_cfg.layer_decay_rate == decay
    assert cfg.model.backbone.drop_path_rate == drop_path
    assert cfg.train_dataloader.batch_size * 8 == cfg.auto_scale_lr.base_batch_size
    last = cfg.param_scheduler[-1]
    if 'd2' in name:
        assert last.milestones == [163_889, 177_546]
    else:
        assert last.type == 'CosineAnnealingLR' and last.end == max_iters
        assert last.begin == cfg.param_scheduler[0].end == (250 if 'mmdet' in name else 1500)


def test_rates_decay_from_head_to_stem(tmp_path: Path):
    cfg, model = build(CONFIGS / 'mmdet' / 'mask-rcnn_vitdet-b_100e.py', tmp_path)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    groups = {group['param_name']: group for group in wrapper.optimizer.param_groups}
    assert set(groups) == {name for name, _ in model.named_parameters()}
    rate = {name: group['lr'] / 2e-4 for name, group in groups.items()}
    assert rate['roi_head.bbox_head.fc_cls.weight'] == rate['neck.convs.0.0.conv.weight'] == 1
    for i in range(NUM_LAYERS):
        assert rate[f'backbone.layers.{i}.attn.rel_pos_h'] == pytest.approx(0.8**(NUM_LAYERS - i))
    stem = pytest.approx(0.8**(NUM_LAYERS + 1))
    assert rate['backbone.pos_embed'] == rate['backbone.patch_embed.projection.weight'] == stem
    assert groups['backbone.pos_embed']['weight_decay'] == 0
    assert groups['backbone.layers.0.ln1.weight']['weight_decay'] == 0
    assert groups['backbone.layers.0.attn.qkv.weight']['weight_decay'] == pytest.approx(0.1)


def test_annotation_value_zero_of_ade20k_is_left_out():
    from mmseg.registry import DATASETS
    cfg = Config.fromfile(CONFIGS / 'mmseg' / 'upernet_vit-b_80k.py')
    DefaultScope.get_instance('ade', scope_name='mmseg')
    dataset = DATASETS.build({**cfg.train_dataloader.dataset, 'lazy_init': True})
    assert dataset.reduce_zero_label and len(dataset.metainfo['classes']) == 150
