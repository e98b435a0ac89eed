"""Detection and segmentation, from the tools to the pictures: ours, and those of the libraries."""
from __future__ import annotations

import importlib
import json
import pickle
import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from addp_mm.apis.train import build_runner
from addp_mm.apis.train import test_config as config_of_test
from tests.helpers.dense_runs import CONFIGS, call, needs_dense, options, prepare

pytestmark = needs_dense

SCOPES = ('mmdet', 'mmseg')
SCORES = dict(mmdet='coco/segm_mAP', mmseg='mIoU')


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scenes, a pre-trained encoder, and both trainings by our tool: det and seg."""
    path = tmp_path_factory.mktemp('dense')
    prepare(path)
    return path


@pytest.fixture(scope='module', params=SCOPES)
def trained(request: pytest.FixtureRequest, folder: Path) -> tuple[str, Path]:
    """A library, and the folder of a training with our tool."""
    scope = request.param
    call('train', CONFIGS[scope], '--work-dir', folder / scope, '--cfg-options',
         *options(folder, scope))
    return scope, folder / scope


def test_our_tool_trains(trained):
    scope, work_dir = trained
    (log, ) = work_dir.glob('*/vis_data/scalars.json')
    last = json.loads(log.read_text().splitlines()[-1])
    assert last['step'] == 2 and SCORES[scope] in last
    text = next(work_dir.glob('*/*.log')).read_text()
    assert 'addp.pth: loaded' in text
    weights = torch.load(work_dir / 'iter_2.pth', weights_only=False)['state_dict']
    assert any(name.startswith('backbone.layers.3') for name in weights)


def test_our_tool_tests_and_draws(trained, folder, tmp_path):
    scope, work_dir = trained
    call('test', CONFIGS[scope], work_dir / 'iter_2.pth', '--work-dir', tmp_path / 'work',
         '--show-dir', tmp_path / 'pictures', '--out', tmp_path / 'out.pkl', '--cfg-options',
         *options(folder, scope))
    assert len(list(tmp_path.rglob('*/*.jpg')) + list(tmp_path.rglob('vis_image/*.png'))) == 3
    predictions = pickle.loads((tmp_path / 'out.pkl').read_bytes())
    assert len(predictions) == 3
    if scope == 'mmdet':    # not as arrays of pixels
        assert all('counts' in mask for p in predictions for mask in p['pred_instances']['masks'])


@pytest.mark.parametrize('scope, message', [
    ('mmdet', 'merges the boxes of several views, but no masks'),
    ('mmseg', 'expects tta_model and tta_pipeline')])
def test_views_that_cannot_be_merged_are_refused(folder, scope, message):
    with pytest.raises(ValueError, match=message):
        call('test', CONFIGS[scope], folder / 'addp.pth', '--tta')


def test_boxes_of_several_views_are_merged(folder, tmp_path):
    """Without masks mmdet does it; the options of the command line are about the model inside."""
    cfg = Config.fromfile(CONFIGS['mmdet'])
    del cfg.model.roi_head.mask_head
    cfg = config_of_test(cfg, folder / 'addp.pth', tta=True,
                      cfg_options={'model.backbone.with_cp': True})
    assert cfg.model.type == 'DetTTAModel' and cfg.model.module.backbone.with_cp
    assert cfg.test_dataloader.dataset.pipeline[-1].type == 'TestTimeAug'


def test_tools_of_the_libraries_run_our_configs(trained, folder, tmp_path, monkeypatch):
    scope, work_dir = trained
    tools = Path(importlib.import_module(scope).__file__).parent / '.mim' / 'tools'
    words = ['--work-dir', str(tmp_path), '--cfg-options', *options(folder, scope)]
    for name, checkpoint in (('train', []), ('test', [str(work_dir / 'iter_2.pth')])):
        argv = [f'{name}.py', str(CONFIGS[scope]), *checkpoint, *words]
        monkeypatch.setattr(sys, 'argv', argv)
        runpy.run_path(str(tools / f'{name}.py'), run_name='__main__')
    assert (tmp_path / 'iter_2.pth').is_file()


def test_inferencers_draw(trained, folder, tmp_path):
    scope, work_dir = trained
    weights = str(work_dir / 'iter_2.pth')
    image = str(folder / 'scenes' / 'images' / 'validation' / '00000.jpg')
    if scope == 'mmdet':
        from mmdet.apis import DetInferencer
        result = DetInferencer(str(CONFIGS[scope]), weights, device='cpu', show_progress=False)(
            image, out_dir=str(tmp_path), pred_score_thr=0.)
        assert {'labels', 'scores', 'bboxes', 'masks'} <= result['predictions'][0].keys()
    else:
        from mmseg.apis import MMSegInferencer
        result = MMSegInferencer(str(CONFIGS[scope]), weights, device='cpu')(
            image, out_dir=str(tmp_path))
        assert result['predictions'].shape == (96, 96)
    assert len(list((tmp_path / 'vis').iterdir())) == 1


@pytest.mark.parametrize('scope, option, message', [
    ('mmdet', 'model.roi_head.bbox_head.num_classes=80',
     r'bbox_head has 80 classes, .*instances_training.json has 10 .*num_classes=10'),
    ('mmseg', 'model.decode_head.num_classes=150',
     r'decode_head has 150 classes, .*annotations/training has 11'),
    ('mmdet', 'train_dataloader.dataset.ann_file=coco/empty.json',
     r'empty.json has no image with a label: .* for train_dataloader'),
    ('mmseg', 'train_dataloader.dataset.data_prefix.img_path=coco',
     r'annotations/training has no image with a label.*coco that end in img_suffix='),
    ('mmdet', 'model.backbone.init_cfg.checkpoint=nothing.pth', 'tensors are not in the file'),
    ('mmseg', 'model.backbone.init_cfg.checkpoint=nothing.pth', 'tensors are not in the file')])
def test_what_does_not_fit_stops_before_training(folder, tmp_path, monkeypatch, scope, option,
                                                 message):
    monkeypatch.chdir(tmp_path)
    torch.save(dict(state_dict={'encoder.weight': torch.ones(1)}), 'nothing.pth')
    instances = json.loads((folder / 'scenes' / 'coco' / 'instances_training.json').read_text())
    instances['annotations'] = []
    (folder / 'scenes' / 'coco' / 'empty.json').write_text(json.dumps(instances))
    with pytest.raises(ValueError, match=message):
        call('train', CONFIGS[scope], '--work-dir', 'work', '--cfg-options',
             *options(folder, scope, option))
    assert not list(tmp_path.rglob('iter_*.pth'))


def test_label_beyond_the_classes_is_named(folder, tmp_path):
    from PIL import Image
    path = tmp_path / 'annotations'
    path.mkdir()
    for index in range(6):
        Image.new('L', (96, 96), 12).save(path / f'{index:05d}.png')
    with pytest.raises(ValueError, match=r'png has label 11, expected 0 to 10 for 11 classes'):
        call('train', CONFIGS['mmseg'], '--work-dir', tmp_path / 'work', '--cfg-options',
             *options(folder, 'mmseg',
                      f'train_dataloader.dataset.data_prefix.seg_map_path={path}'))


def test_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mmdet.models', None)
    with pytest.raises(ValueError, match='needs mmdet, .*check_env.py'):
        build_runner(Config.fromfile(CONFIGS['mmdet']))
