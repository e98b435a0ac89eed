"""Every training in bfloat16 and float16: close to float32, finite, and it moves the weights."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import DefaultScope
from mmpretrain.structures import DataSample
from torch import nn

from addp_mm.engine.optim_wrappers import JointOptimWrapperConstructor
from addp_mm.registry import MODELS
from tests.helpers.dense_runs import ROOT, needs_dense
from tests.helpers.tiny import (
    build_model,
    tiny_addp_cfg,
    tiny_batch,
    tiny_mage_training_cfg,
    tiny_tokenizer_cfg,
)
from tests.helpers.tiny_dense import build, detection_batch, segmentation_batch
from tests.helpers.tiny_recognition import NUM_CLASSES, tiny_recipe

pytestmark = pytest.mark.gpu
DETECTOR, SEGMENTOR = 'mmdet/mask-rcnn_vitdet-b_100e', 'mmseg/upernet_vit-b_80k'
Training = tuple[nn.Module, OptimWrapper, dict]


def amp(dtype: str) -> dict[str, Any]:
    """Settings of a wrapper; on a CPU bfloat16 is walked through in the place of float16."""
    return dict(type='mmpretrain.PortableAmpOptimWrapper', dtype=dtype, loss_scale=256.,
                cpu_dtype='float32' if dtype == 'float32' else 'bfloat16')


def addp(folder: Path, dtype: str, device: torch.device) -> Training:
    frozen = dict(tokenizer=dict(dtype=dtype, channels_last=True),
                  token_predictor=dict(dtype=dtype))
    no_drops = dict(drop_rate=0.)
    model = build_model(tiny_addp_cfg(folder, data_preprocessor=frozen, backbone=no_drops,
                                      neck=no_drops)).to(device)
    return model, build_optim_wrapper(model, amp(dtype) | dict(optimizer=ADAMW)), tiny_batch(4)


def mage(folder: Path, dtype: str, device: torch.device) -> Training:
    model = build_model(tiny_mage_training_cfg(folder)).to(device)
    return model, build_optim_wrapper(model, amp(dtype) | dict(optimizer=ADAMW)), tiny_batch(4)


def vqgan(folder: Path, dtype: str, device: torch.device) -> Training:
    model = build_model(dict(
        type='VQGANTraining', tokenizer=tiny_tokenizer_cfg(), codebook=dict(revive_after=1),
        vq_loss=dict(type='VQLoss', entropy_weight=0.1),
        discriminator=dict(type='PatchDiscriminator', channels=8, num_layers=2),
        adversarial_loss=dict(type='AdversarialLoss', start=0))).to(device)
    part = amp(dtype) | dict(optimizer=dict(type='Adam', lr=1e-3))
    wrapper = JointOptimWrapperConstructor(dict(tokenizer=part, discriminator=part))(model)
    return model, wrapper, tiny_batch(4)


def classifier(folder: Path, dtype: str, device: torch.device) -> Training:
    cfg = tiny_recipe(ROOT / 'configs/addp/benchmarks/scratch_vit-b_300e.py', folder)
    cfg.model.backbone.drop_path_rate = 0.
    cfg.model.train_cfg = None          # mixing would draw, too
    model = MODELS.build(cfg.model).to(device)
    model.init_weights()
    samples = [DataSample().set_gt_label(i % NUM_CLASSES) for i in range(4)]
    return model, wrapper_of(model, cfg, dtype), tiny_batch(4) | dict(data_samples=samples)


def dense(name: str, batch: Callable[[], dict]) -> tuple[str, Callable[..., Training]]:
    def make(folder: Path, dtype: str, device: torch.device) -> Training:
        cfg, model = build(ROOT / 'configs' / f'{name}.py', folder)
        model.to(device)
        return model, wrapper_of(model, cfg, dtype), batch()
    return name.partition('/')[0], make


def wrapper_of(model: nn.Module, cfg: Config, dtype: str) -> OptimWrapper:
    """The wrapper of a recipe in a precision, without accumulation."""
    settings = {**cfg.optim_wrapper, **amp(dtype)}
    settings.pop('accumulative_counts', None)
    return build_optim_wrapper(model, settings)


ADAMW = dict(type='AdamW', lr=1e-3, fused=True)
# Their scopes, and what makes them.
TRAININGS = dict(
    addp=('mmpretrain', addp), mage=('mmpretrain', mage), vqgan=('mmpretrain', vqgan),
    classifier=('mmpretrain', classifier),
    detector=dense(DETECTOR, detection_batch), segmentor=dense(SEGMENTOR, segmentation_batch),
    frozen_detector=dense('mmdet/fcos_vitdet-b_frozen_12e', detection_batch),
    frozen_segmentor=dense('mmseg/linear_vit-b_frozen_40k', segmentation_batch))


def train(name: str, folder: Path, dtype: str, device: torch.device) -> float:
    """Two steps from the same start; the loss of the first."""
    torch.manual_seed(0)
    scope, make = TRAININGS[name]
    with DefaultScope.overwrite_default_scope(scope):
        model, wrapper, batch = make(folder, dtype, device)
        before = {key: p.detach().clone() for key, p in model.named_parameters()}
        torch.manual_seed(0)
        first, second = (model.train_step(batch, wrapper) for _ in range(2))
    for losses in (first, second):
        assert all(torch.as_tensor(value).isfinite().all() for value in losses.values())
    assert all(p.isfinite().all() for p in model.parameters())
    moved = [key for key, p in model.named_parameters() if not torch.equal(p, before[key])]
    assert moved, 'no weight has moved'
    return float(first['loss'].detach())


@needs_dense
@pytest.mark.parametrize('name', TRAININGS)
@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_half_precision_trains_as_float32_does(name: str, dtype: str, tmp_path: Path,
                                               gpu: torch.device):
    wanted = train(name, tmp_path, 'float32', gpu)
    assert train(name, tmp_path, dtype, gpu) == pytest.approx(wanted, rel=0.1)
