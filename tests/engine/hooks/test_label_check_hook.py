"""LabelCheckHook, on the data sets and heads of mmdet and mmseg."""
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import DATASETS, DefaultScope
from mmengine.structures import PixelData
from torch import nn

from addp_mm.datasets import DIGIT_CLASSES, SCENE_CLASSES, write_digit_scenes
from addp_mm.dense import ADDPViTDet, SimpleFPN
from addp_mm.engine.hooks import LabelCheckHook
from tests.helpers.dense_runs import needs_dense

pytestmark = needs_dense


class Head(nn.Module):
    """What the heads of both libraries have."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes


def runner_of(dataset: object, **heads: nn.Module) -> SimpleNamespace:
    """What the hook reads of a runner."""
    model = nn.Module()
    for name, head in heads.items():
        model.add_module(name, head)
    loader = SimpleNamespace(dataset=dataset)
    return SimpleNamespace(model=model, train_dataloader=loader, test_dataloader=loader,
                           val_dataloader=loader, val_loop=object())


@pytest.fixture(scope='module')
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digit_scenes(tmp_path_factory.mktemp('hook') / 'scenes', 64, 4, 2)


def coco(scenes: Path, classes: tuple[str, ...]) -> object:
    DefaultScope.get_instance('coco', scope_name='mmdet')
    return DATASETS.build(dict(
        type='CocoDataset', data_root=str(scenes), ann_file='coco/instances_training.json',
        data_prefix=dict(img='images/training/'), metainfo=dict(classes=classes), pipeline=[]))


def test_heads_that_fit_pass(scenes):
    runner = runner_of(coco(scenes, DIGIT_CLASSES), bbox_head=Head(10), mask_head=Head(10),
                       rpn_head=Head(1))
    LabelCheckHook().before_train(runner)
    LabelCheckHook().before_test(runner)


def test_strides_of_other_patches_are_refused(scenes):
    arch = dict(embed_dims=8, num_layers=1, num_heads=2, feedforward_channels=8)
    backbone = ADDPViTDet(arch=arch, img_size=16, pretrain_img_size=16, patch_size=8)
    extractor = nn.Module()
    extractor.featmap_strides = [4, 8, 16, 32]
    runner = runner_of(coco(scenes, DIGIT_CLASSES), backbone=backbone, neck=SimpleFPN(8, 8),
                       extractor=extractor)
    for check in (LabelCheckHook().before_train, LabelCheckHook().before_test):
        with pytest.raises(ValueError, match='model.extractor has the strides 4, 8, 16, 32, the'):
            check(runner)


@pytest.mark.parametrize('place', ['bbox_head', 'decode_head'])
def test_another_number_of_classes_is_refused(scenes, place):
    runner = runner_of(coco(scenes, DIGIT_CLASSES), **{place: Head(80)})
    for check in (LabelCheckHook().before_train, LabelCheckHook().before_test):
        with pytest.raises(ValueError, match=f'model.{place} has 80 classes.*num_classes=10'):
            check(runner)


def test_heads_of_a_cascade_are_checked(scenes):
    runner = runner_of(coco(scenes, DIGIT_CLASSES),
                       bbox_head=nn.ModuleList([Head(10), Head(3)]))
    with pytest.raises(ValueError, match=r'model.bbox_head.1 has 3 classes'):
        LabelCheckHook().before_train(runner)


def test_classes_that_the_file_does_not_know_are_refused(scenes):
    runner = runner_of(coco(scenes, (*DIGIT_CLASSES[:9], 'nine')), bbox_head=Head(10))
    with pytest.raises(ValueError, match='instances_training.json knows 9 of the 10 classes 0, 1'):
        LabelCheckHook().before_train(runner)


@pytest.mark.parametrize('label, fits', [(10, True), (255, True), (11, False)])
def test_labels_of_pixels(label, fits):
    from mmseg.structures import SegDataSample
    sample = SegDataSample(metainfo=dict(seg_map_path='a.png'))
    sample.gt_sem_seg = PixelData(data=torch.full((1, 4, 4), label))
    runner = runner_of(SimpleNamespace(metainfo=dict(classes=SCENE_CLASSES)))
    batch = dict(data_samples=[sample])
    if fits:
        LabelCheckHook().before_train_iter(runner, 0, batch)
        return
    with pytest.raises(ValueError, match='a.png has label 11, expected 0 to 10'):
        LabelCheckHook().before_train_iter(runner, 0, batch)
