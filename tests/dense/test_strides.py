"""Heads of a detector and the strides of the maps that they read."""
from __future__ import annotations

from types import SimpleNamespace

import pytest
from torch import nn

from addp_mm.dense import ADDPViTDet, SimpleFPN
from addp_mm.dense.strides import check_strides

ARCH = dict(embed_dims=8, num_layers=1, num_heads=2, feedforward_channels=8)


class Part(nn.Module):
    """A head or an extractor, as mmdet's name their strides."""

    def __init__(self, **attributes: object) -> None:
        super().__init__()
        vars(self).update(attributes)


class Detector(nn.Module):
    """The parts of a detector."""

    def __init__(self, patch_size: int | tuple[int, int] = 8, neck: nn.Module | None = None,
                 **parts: nn.Module) -> None:
        super().__init__()
        self.backbone = ADDPViTDet(arch=ARCH, img_size=16, pretrain_img_size=16,
                                   patch_size=patch_size)
        self.neck = neck or SimpleFPN(8, 8)
        for name, part in parts.items():
            self.add_module(name, part)


def anchors(*strides: int | tuple[int, int]) -> nn.Module:
    pairs = [x if isinstance(x, tuple) else (x, x) for x in strides]
    return Part(prior_generator=SimpleNamespace(strides=pairs))


@pytest.mark.parametrize('patch_size, parts', [
    (8, dict(rpn_head=anchors(2, 4, 8, 16, 32), roi=Part(featmap_strides=[2, 4, 8, 16]))),
    (16, dict(rpn_head=anchors(4, 8, 16, 32, 64))), (2, dict(head=anchors(0.5, 1, 2, 4, 8))),
    ((8, 16), dict(head=anchors((4, 2), (8, 4), (16, 8), (32, 16), (64, 32))))], ids=repr)
def test_strides_of_the_pyramid_are_taken(patch_size: int | tuple[int, int], parts: dict) -> None:
    check_strides(Detector(patch_size, **parts))


@pytest.mark.parametrize('part, given, own', [
    (anchors(4, 8, 16, 32, 64), '4, 8, 16, 32, 64', '2, 4, 8, 16, 32'),
    (Part(featmap_strides=[4, 8, 16, 32]), '4, 8, 16, 32', '2, 4, 8, 16'),
    (anchors((2, 4)), '2 x 4', '2')])
def test_others_are_refused(part: nn.Module, given: str, own: str) -> None:
    with pytest.raises(ValueError, match=f'model.part has the strides {given}, the maps of the '
                                         f'SimpleFPN behind patches of 8 x 8 pixels {own}: it'):
        check_strides(Detector(part=part))


def test_other_detectors_are_not_looked_at() -> None:
    check_strides(Detector(neck=nn.Identity(), part=anchors(1)))
    check_strides(nn.Linear(1, 1))
