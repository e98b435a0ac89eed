"""What the tools do by the library that a config is for."""
from __future__ import annotations

import os

import pytest
from mmengine.config import Config

from addp_mm.apis import library_scopes


def config(scope: str, **more) -> Config:
    return Config(dict(
        default_scope=scope, visualizer=dict(type='Visualizer'), model=dict(type='Model'),
        default_hooks=dict(visualization=dict(type='Hook')), **more))


@pytest.mark.parametrize('scope, stacks', [('mmpretrain', True), ('mmdet', False),
                                           ('mmseg', False)])
def test_images_of_several_sizes_are_not_stacked(scope, stacks):
    assert ('collate_fn' in library_scopes.loader_defaults(config(scope))) == stacks


@pytest.mark.parametrize('scope, drawing', [
    ('mmpretrain', dict(enable=True, out_dir=os.path.abspath('out'))),
    ('mmdet', dict(draw=True, test_out_dir=os.path.abspath('out'))),
    ('mmseg', dict(draw=True))])
def test_pictures_go_where_the_user_says(scope, drawing):
    cfg = config(scope)
    library_scopes.draw_predictions(
        cfg, show=False, show_dir='out', interval=2, wait_time=1.)
    assert cfg.default_hooks.visualization == dict(
        type='Hook', show=False, wait_time=1., interval=2, **drawing)
    assert cfg.visualizer.get('save_dir') == (
        os.path.abspath('out') if scope == 'mmseg' else None)


def test_views_of_the_config_are_used():
    cfg = config('mmseg', tta_model=dict(type='SegTTAModel'), tta_pipeline=['views'],
                 test_dataloader=dict(dataset=dict(pipeline=[])))
    library_scopes.add_test_time_augmentation(cfg)
    assert cfg.model == dict(type='SegTTAModel', module=dict(type='Model'))
    assert cfg.test_dataloader.dataset.pipeline == ['views']


def test_a_detector_without_masks_has_views():
    head = dict(roi_head=dict(mask_head=dict(type='Head')))
    pipeline = [dict(type='Load'), dict(type='PackDetInputs')]
    cfg = config('mmdet', test_dataloader=dict(dataset=dict(pipeline=pipeline)))
    cfg.model.roi_head = dict(mask_head=None)
    library_scopes.add_test_time_augmentation(cfg)
    assert cfg.model.type == 'DetTTAModel'
    cfg.model = dict(type='Model', **head)
    with pytest.raises(ValueError, match='no masks'):
        library_scopes.add_test_time_augmentation(cfg)


def test_library_of_mmpretrain_needs_no_check():
    library_scopes.check_scope(Config(dict(model=dict(type='Model'))))
    assert library_scopes.scope_of(Config(dict())) == 'mmpretrain'
