"""Detectors and segmentors on a GPU: the values of a CPU, heads and boxes in float32."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import Tensor, nn

from tests.helpers.dense_runs import ROOT, needs_dense
from tests.helpers.same_values import assert_same_values, gradients_of
from tests.helpers.tiny_dense import SIZE, build, detection_batch, segmentation_batch

pytestmark = [pytest.mark.gpu, needs_dense]
DETECTOR = ROOT / 'configs/mmdet/mask-rcnn_vitdet-b_100e.py'
SEGMENTOR = ROOT / 'configs/mmseg/upernet_vit-b_80k.py'


def without_chance(cfg: Config, model: nn.Module) -> None:
    """No dropout, no chosen boxes, and scores so far apart that rounding changes no order."""
    for part in model.modules():
        if isinstance(part, (nn.Dropout, nn.Dropout2d)):
            part.p = 0.
        if hasattr(part, 'drop_prob'):
            part.drop_prob = 0.
    if cfg.default_scope == 'mmdet':
        model.rpn_head.sampler.num = model.roi_head.bbox_sampler.num = 10**6
        for layer in (model.rpn_head.rpn_cls, model.roi_head.bbox_head.fc_cls):
            nn.init.normal_(layer.weight, std=1.)


@pytest.mark.parametrize('path', [DETECTOR, SEGMENTOR], ids=lambda path: path.stem)
def test_losses_and_gradients_are_those_of_a_cpu(path: Path, tmp_path: Path, gpu: torch.device):
    cfg, model = build(path, tmp_path)
    without_chance(cfg, model)
    batch = detection_batch() if path == DETECTOR else segmentation_batch()
    start, steps = {k: v.clone() for k, v in model.state_dict().items()}, []
    for device in (torch.device('cpu'), gpu):
        model.load_state_dict(start)
        model.to(device).zero_grad()
        data = model.data_preprocessor(batch, True)
        losses = model(**data, mode='loss')
        total, log = model.parse_losses(losses)
        total.backward()
        steps.append(({k: v for k, v in log.items() if 'loss' in k}, gradients_of(model)))
    for name, value in steps[0][0].items():
        assert_same_values({name: steps[1][0][name]}, {name: value})
    assert_same_values(steps[1][1], steps[0][1], bound=5e-3)     # through batch norms of two values


def test_boxes_are_those_of_a_cpu(tmp_path: Path, gpu: torch.device):
    cfg, model = build(DETECTOR, tmp_path)
    without_chance(cfg, model)
    batch = detection_batch()
    for sample in batch['data_samples']:
        sample.set_metainfo(dict(scale_factor=(1., 1.), batch_input_shape=(SIZE, SIZE)))
    model.test_cfg.rcnn.score_thr = 0.
    found = []
    for device in (torch.device('cpu'), gpu):
        model.to(device).eval()
        found.append(model.test_step(batch)[0].pred_instances.to('cpu'))
    best = slice(0, 20)
    assert len(found[0]) >= 20
    torch.testing.assert_close(found[1].scores[best], found[0].scores[best], rtol=1e-3, atol=1e-5)
    # Boxes of nearly equal scores may change their places.
    nearest = torch.cdist(found[0].bboxes[best], found[1].bboxes).amin(dim=1)
    assert nearest.max() < 0.05


def test_heads_and_boxes_stay_in_float32(tmp_path: Path, gpu: torch.device):
    cfg, model = build(DETECTOR, tmp_path)
    seen: dict[str, set[torch.dtype]] = {}

    def note(name: str) -> None:
        part = model.get_submodule(name)
        part.register_forward_hook(lambda _, args, out: seen.setdefault(name, set()).update(
            tensor.dtype for tensor in tensors_of([args, out])))

    cfg.optim_wrapper.cpu_dtype = 'bfloat16'
    wrapper = build_optim_wrapper(model.to(gpu), cfg.optim_wrapper)
    with wrapper.optim_context(model):
        pass                            # sets up what leaves autocast
    for name in (*cfg.optim_wrapper.full_precision, 'neck'):
        note(name)
    model.train_step(detection_batch(), wrapper)
    assert torch.bfloat16 in seen.pop('neck')
    assert seen.keys() == set(cfg.optim_wrapper.full_precision)
    assert all(types <= {torch.float32} for types in seen.values())


def tensors_of(values: object) -> list[Tensor]:
    """The tensors in nested lists and tuples."""
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, (list, tuple)):
        return [tensor for value in values for tensor in tensors_of(value)]
    return []
