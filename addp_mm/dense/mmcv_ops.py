"""Stands in for ``mmcv._ext``, mmcv's compiled operations, where mmcv was installed without them.

Of these operations Mask R-CNN needs non-maximum suppression and RoIAlign, which torchvision ships
for every torch, on a CPU and on a GPU. So detection runs without compiling mmcv.
"""
from __future__ import annotations

import functools
import importlib
import logging
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import NoReturn

import mmcv
import torch
import torchvision
from mmengine.logging import print_log
from torch import Tensor

NAME = 'mmcv._ext'
ATTENTION = 'MultiScaleDeformableAttention'
AVERAGE = 1     # mmcv's number for the pool mode 'avg'


def stand_in() -> None:
    """Put torchvision's operators in the place of ``mmcv._ext``, unless mmcv has one.

    The module has a spec without a loader, so that ``pkgutil.find_loader('mmcv._ext')``, by which
    mmengine asks for compiled operations, still finds none.
    """
    if NAME in sys.modules or PathFinder.find_spec(NAME, mmcv.__path__) is not None:
        return
    module = _Operations(NAME, __doc__)
    module.__spec__ = ModuleSpec(NAME, loader=None, origin=__file__)
    module.__file__ = __file__
    sys.modules[NAME] = mmcv._ext = module
    _complete_transformer()


def _complete_transformer() -> None:
    """Give ``mmcv.cnn`` what it left out, if it was imported before; mmdet 3.3 asks it for that."""
    transformer = sys.modules.get('mmcv.cnn.bricks.transformer')
    if transformer is not None and not hasattr(transformer, ATTENTION):
        attention = importlib.import_module('mmcv.ops.multi_scale_deform_attn')
        setattr(transformer, ATTENTION, getattr(attention, ATTENTION))


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Non-maximum suppression.

    Args:
        boxes: (N, 4), x1, y1, x2, y2.
        scores: (N, ).
        iou_threshold: Boxes that overlap a better one by more than this are dropped.
        offset: 0; a width is ``x2 - x1 + offset``.

    Returns:
        Indices of the boxes that are kept, the best one first.

    Raises:
        NotImplementedError: For another offset.
    """
    _say_once()
    if offset != 0:
        _refuse(f'nms with offset={offset}')
    # Boxes of equal scores keep the order of this sort, which is mmcv's: torchvision's is stable.
    ordered, order = _full(scores).sort(0, descending=True)
    return order[torchvision.ops.nms(_full(boxes)[order], ordered, iou_threshold)]


def roi_align_forward(features: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor,
                      argmax_x: Tensor, *, aligned_height: int, aligned_width: int,
                      spatial_scale: float, sampling_ratio: int, pool_mode: int,
                      aligned: bool) -> None:
    """RoIAlign, averaging; half precision is computed in float32 and rounded once.

    Args:
        features: (N, C, H, W).
        rois: (K, 5), index of the image, x1, y1, x2, y2.
        output: (K, C, aligned_height, aligned_width), written.
        argmax_y: Unused, as ``argmax_x``: places of the largest values.
        argmax_x: See ``argmax_y``.
        aligned_height: Rows of the output.
        aligned_width: Columns of the output.
        spatial_scale: From the rois' pixels to those of the features.
        sampling_ratio: Samples for each bin along an axis; 0 takes as many as it has pixels.
        pool_mode: 1, the average.
        aligned: Whether the centre of a pixel lies half a pixel from its corner.

    Raises:
        NotImplementedError: For another pool mode.
    """
    _say_once()
    _check_pool_mode(pool_mode)
    output.copy_(torch.ops.torchvision.roi_align(
        _full(features), _full(rois), spatial_scale, aligned_height, aligned_width,
        sampling_ratio, aligned))


def roi_align_backward(grad_output: Tensor, rois: Tensor, argmax_y: Tensor, argmax_x: Tensor,
                       grad_input: Tensor, *, aligned_height: int, aligned_width: int,
                       spatial_scale: float, sampling_ratio: int, pool_mode: int,
                       aligned: bool) -> None:
    """The gradient of :func:`roi_align_forward` by its features.

    Args:
        grad_output: (K, C, aligned_height, aligned_width).
        rois: (K, 5).
        argmax_y: Unused, as ``argmax_x``.
        argmax_x: See ``argmax_y``.
        grad_input: (N, C, H, W), added to.
        aligned_height: As in the forward pass, like the rest.
        aligned_width: See ``aligned_height``.
        spatial_scale: See ``aligned_height``.
        sampling_ratio: See ``aligned_height``.
        pool_mode: See ``aligned_height``.
        aligned: See ``aligned_height``.

    Raises:
        NotImplementedError: For another pool mode.
    """
    _check_pool_mode(pool_mode)
    grad_input.add_(torch.ops.torchvision._roi_align_backward(
        _full(grad_output), _full(rois), spatial_scale, aligned_height, aligned_width,
        *grad_input.shape, sampling_ratio, aligned))


class _Operations(ModuleType):
    """Has every name: mmcv looks all of them up while it is imported, and calls few."""

    nms = staticmethod(nms)
    roi_align_forward = staticmethod(roi_align_forward)
    roi_align_backward = staticmethod(roi_align_backward)

    @staticmethod
    def get_compiler_version() -> str:
        """What mmcv reports where it has no compiled operations."""
        return 'n/a'

    get_compiling_cuda_version = get_compiler_version

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        if name.startswith('_'):
            raise AttributeError(f'module {self.__name__!r} has no attribute {name!r}')
        return lambda *args, **kwargs: _refuse(name)


def _full(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _check_pool_mode(pool_mode: int) -> None:
    if pool_mode != AVERAGE:
        _refuse('RoIAlign with pool_mode="max"')


def _refuse(name: str) -> NoReturn:
    raise NotImplementedError(
        f'{name} needs mmcv with its compiled operations: without them addp_mm has only nms '
        '(offset 0) and RoIAlign (pool_mode="avg"), by torchvision. Compile mmcv as '
        'https://mmcv.readthedocs.io/en/latest/get_started/build.html says.')


@functools.cache
def _say_once() -> None:
    print_log('mmcv has no compiled operations: NMS and RoIAlign are computed by '
              f'torchvision {torchvision.__version__}.', 'current', logging.INFO)
