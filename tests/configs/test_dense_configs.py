"""The configs of configs/mmdet and configs/mmseg: they build, learn, and hold the paper's numbers.

The models are built at a small size: fewer and narrower layers, small images, as few classes.
"""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData, PixelData

from addp_mm.models.addp import ADDPViT
from addp_mm.models.vqgan import VQGAN
from tests.helpers.dense_runs import needs_dense

pytestmark = needs_dense
CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
DETECTION = sorted((CONFIGS / 'mmdet').glob('*.py'))
SEGMENTATION = sorted((CONFIGS / 'mmseg').glob('*.py'))
SIZE, NUM_LAYERS = 64, 4


def shrink(cfg: Config, folder: Path) -> Config:
    """The same config with a small encoder and no weights from files."""
    backbone = cfg.model.backbone
    backbone.init_cfg = None
    if 'roi_head' in cfg.model:
        _narrow_heads(cfg.model)
    if backbone.type == 'ResNet':
        backbone.base_channels = 8
        cfg.model.neck.in_channels = [32, 64, 128, 256]
        return cfg
    backbone.arch = dict(
        embed_dims=32, num_layers=NUM_LAYERS, num_heads=2, feedforward_channels=64)
    backbone.update({key: value for key, value in dict(
        img_size=SIZE, pretrain_img_size=32, window_size=3, out_indices=(0, 1, 2, 3),
        frozen_stages=NUM_LAYERS).items() if key in backbone or key == 'window_size'
        and backbone.type == 'ADDPViTDet'})
    if 'tokenizer' in backbone:
        sizes = dict(image_size=32, num_codes=8, code_dims=4, channels=32,
                     channel_mult=(1, 1, 1, 1, 1), num_res_blocks=1)
        torch.save(VQGAN(**sizes).state_dict(), folder / 'vqgan.pth')
        backbone.tokenizer = dict(model=dict(type='mmpretrain.VQGAN', **sizes),
                                  checkpoint=str(folder / 'vqgan.pth'))
    for part, sizes in dict(
            neck=dict(in_channels=32, embed_dim=32),
            decode_head=dict(in_channels=[32] * 4, channels=16),
            auxiliary_head=dict(in_channels=32, channels=16)).items():
        if cfg.model.get(part):
            cfg.model[part].update({k: v for k, v in sizes.items() if k in cfg.model[part]})
    if cfg.model.get('decode_head', {}).get('num_convs') == 0:      # a linear layer alone
        cfg.model.decode_head.update(in_channels=32, channels=32)
    if cfg.model.type == 'FCOS':
        cfg.model.neck.out_channels = 64        # two for each of 32 groups: a map has one place
        cfg.model.bbox_head.update(in_channels=64, feat_channels=64)
    if 'data_preprocessor' in cfg.model and 'size' in cfg.model.data_preprocessor:
        cfg.model.data_preprocessor.size = (SIZE, SIZE)
    return cfg


def _narrow_heads(model: dict) -> None:
    model.neck.out_channels = model.rpn_head.in_channels = model.rpn_head.feat_channels = 16
    for name in ('bbox', 'mask'):
        model.roi_head[f'{name}_roi_extractor'].out_channels = 16
        model.roi_head[f'{name}_head'].update(in_channels=16, conv_out_channels=16)
    model.roi_head.bbox_head.fc_out_channels = 32


def build(path: Path, folder: Path) -> tuple[Config, torch.nn.Module]:
    cfg = shrink(Config.fromfile(path), folder)
    DefaultScope.get_instance(path.stem, scope_name=cfg.default_scope)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return cfg, model.train()


def detection_batch() -> dict:
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    masks = torch.zeros(1, SIZE, SIZE, dtype=torch.uint8)
    masks[:, 8:40, 8:40] = 1
    sample = DetDataSample(metainfo=dict(img_shape=(SIZE, SIZE), ori_shape=(SIZE, SIZE)))
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[8., 8., 40., 40.]]), labels=torch.tensor([3]),
        masks=BitmapMasks(masks.numpy(), SIZE, SIZE))
    return dict(inputs=[torch.randint(256, (3, SIZE, SIZE), dtype=torch.uint8)],
                data_samples=[sample])


def segmentation_batch(num_images: int = 2) -> dict:
    from mmseg.structures import SegDataSample
    batch = dict(inputs=[], data_samples=[])
    for _ in range(num_images):
        sample = SegDataSample(metainfo=dict(img_shape=(SIZE, SIZE), ori_shape=(SIZE, SIZE)))
        sample.gt_sem_seg = PixelData(data=torch.randint(150, (1, SIZE, SIZE)))
        batch['inputs'].append(torch.randint(256, (3, SIZE, SIZE), dtype=torch.uint8))
        batch['data_samples'].append(sample)
    return batch


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
    'name', ['mmseg/linear_vit-b_frozen_40k', 'mmdet/fcos_vitdet-b_frozen_12e'])
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
