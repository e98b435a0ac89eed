"""What the tools do by the library that a config is for."""
from __future__ import annotations

import json
import os
import pickle
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

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


def test_a_mirrored_picture_is_filled_up_on_the_right(tmp_path: Path):
    pytest.importorskip('mmdet.datasets')
    from mmdet.registry import TRANSFORMS
    init_default_scope('mmdet')
    pixels = np.zeros((16, 8, 3), np.uint8)
    pixels[:, 1] = 255
    Image.fromarray(pixels).save(tmp_path / 'a.png')
    pipeline = [dict(type='LoadImageFromFile'), dict(type='Pad', size=(16, 16)),
                dict(type='PackDetInputs')]
    cfg = config('mmdet', test_dataloader=dict(dataset=dict(pipeline=pipeline)))
    library_scopes.add_test_time_augmentation(cfg)
    results = dict(img_path=str(tmp_path / 'a.png'), img_id=0)
    for transform in cfg.test_dataloader.dataset.pipeline:
        results = TRANSFORMS.build(transform)(results)
    lines = [view[0, 0].nonzero().flatten().tolist() for view in results['inputs']]
    assert lines == [[1], [8 - 1 - 1]]
    assert [sample.flip for sample in results['data_samples']] == [False, True]


def test_library_of_mmpretrain_needs_no_check():
    library_scopes.check_scope(Config(dict(model=dict(type='Model'))))
    assert library_scopes.scope_of(Config(dict())) == 'mmpretrain'


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 4 kB, as on a disk that is nearly full."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmdet'])
def test_predictions_that_find_no_room_leave_the_earlier_file(tmp_path, small_files, scope):
    path = tmp_path / 'predictions.pkl'
    dump = library_scopes.prediction_dump(config(scope), str(path))
    dump.compute_metrics(['earlier'])
    with pytest.raises(OSError, match=r'Could not write .*predictions.pkl: File too large'):
        dump.compute_metrics(['a' * 5000])
    assert pickle.loads(path.read_bytes()) == ['earlier'] and list(tmp_path.iterdir()) == [path]


def test_metrics_that_find_no_room_leave_the_earlier_file(tmp_path, small_files):
    path = tmp_path / 'metrics.json'
    library_scopes.dump_whole(dict(count=1), str(path))
    with pytest.raises(OSError, match=r'Could not write .*metrics.json: File too large'):
        library_scopes.dump_whole(dict(count='a' * 5000), str(path))
    assert json.loads(path.read_text()) == dict(count=1)
