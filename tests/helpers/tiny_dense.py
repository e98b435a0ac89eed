"""The detectors and segmentors of configs/mmdet and configs/mmseg at a small size, and batches."""
from __future__ import annotations

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData, PixelData

from addp_mm.models.vqgan import VQGAN

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
    """The small config of a file and its model, in training."""
    cfg = shrink(Config.fromfile(path), folder)
    DefaultScope.get_instance(path.stem, scope_name=cfg.default_scope)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return cfg, model.train()


def detection_batch() -> dict:
    """One image with one object, as mmdet's loader gives it."""
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
    """Images of noise with labels of noise, as mmseg's loader gives them."""
    from mmseg.structures import SegDataSample
    batch = dict(inputs=[], data_samples=[])
    for _ in range(num_images):
        sample = SegDataSample(metainfo=dict(img_shape=(SIZE, SIZE), ori_shape=(SIZE, SIZE)))
        sample.gt_sem_seg = PixelData(data=torch.randint(150, (1, SIZE, SIZE)))
        batch['inputs'].append(torch.randint(256, (3, SIZE, SIZE), dtype=torch.uint8))
        batch['data_samples'].append(sample)
    return batch
