"""Records what mmcv's compiled operations compute, for test_mmcv_ops.py.

    python tests/dense/record_mmcv_ops.py tests/data/mmcv_ops.npz

It needs an mmcv that was compiled; the tests do not. Do not import addp_mm here.
"""
from __future__ import annotations

import itertools
import sys

import mmcv._ext
import numpy as np
import torch
from mmcv.ops import batched_nms, nms
from mmcv.ops.roi_align import roi_align

DTYPES = dict(float32=torch.float32, float16=torch.float16, bfloat16=torch.bfloat16)


def boxes(count: int, size: float, generator: torch.Generator) -> torch.Tensor:
    """Boxes of all sizes: some leave the image, one has no area, two are the same."""
    corners = torch.rand(count, 2, generator=generator) * size - size / 8
    sizes = torch.rand(count, 2, generator=generator) ** 2 * size / 1.5
    found = torch.cat([corners, corners + sizes], dim=1)
    found[1, 2:] = found[1, :2]
    found[3] = found[2]
    return found


def record_nms(generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Boxes, scores with ties, and what is kept; the same by classes."""
    found = boxes(80, 40, generator)
    scores = (torch.rand(80, generator=generator) * 20).round() / 20
    classes = torch.randint(3, (80,), generator=generator)
    record = dict(boxes=found, scores=scores, classes=classes)
    for threshold in (0., 0.3, 0.5, 0.7):
        record[f'kept_{threshold}'] = nms(found, scores, threshold)[1]
    record['batched'] = batched_nms(found, scores, classes, dict(type='nms', iou_threshold=.5))[1]
    return record


def record_roi_align(generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Features, rois, a gradient, and what comes out, forward and backward, for each setting.

    The compiled operations have no kernel for bfloat16: there float32 is computed of the rounded
    inputs, and the results are rounded.
    """
    features = torch.randn(2, 3, 9, 11, generator=generator)
    rois = torch.cat([torch.randint(2, (7, 1), generator=generator).float(),
                      boxes(7, 40, generator)], dim=1)
    grad = torch.randn(7, 3, 3, 2, generator=generator)
    record = dict(features=features, rois=rois, grad=grad)
    for (name, dtype), aligned, ratio in itertools.product(DTYPES.items(), (True, False), (0, 2)):
        computed = torch.float32 if dtype is torch.bfloat16 else dtype
        inputs, where, slope = (x.to(dtype).to(computed, copy=True)
                                for x in (features, rois, grad))
        inputs.requires_grad_()
        out = roi_align(inputs, where, (3, 2), .25, ratio, 'avg', aligned)
        out.backward(slope)
        key = f'{name}_{aligned}_{ratio}'
        record[f'out_{key}'] = out.detach().to(dtype).float()
        record[f'grad_{key}'] = inputs.grad.to(dtype).float()
    return record


def main(path: str) -> None:
    """Write the record."""
    generator = torch.Generator().manual_seed(0)
    record = record_nms(generator) | record_roi_align(generator)
    np.savez_compressed(path, mmcv=mmcv.__version__,
                        **{name: tensor.numpy() for name, tensor in record.items()})


if __name__ == '__main__':
    main(sys.argv[1])
