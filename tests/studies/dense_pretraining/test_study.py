"""The study on a few made-up pictures, with its own configs at a tiny size."""
from __future__ import annotations

import json
import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, METRICS, DefaultScope
from mmengine.structures import InstanceData
from torch import nn

from addp_mm.models.addp import MaskedPixelHead
from addp_mm.own_images.annotations import write_annotations
from addp_mm.own_images.labels import read_labels
from addp_mm.registry import MODELS
from addp_mm.studies.dense_pretraining import ROWS, DenseStudy, draw_labels, write_tables
from addp_mm.studies.frozen_tokens import find_pictures
from addp_mm.studies.linear_patches import LinearFit, draw_pictures

CONFIGS = Path(__file__).resolve().parents[3] / 'configs' / 'dense_study'
PRETRAININGS = {name: row for name, row in ROWS.items()
                if row.config and not row.pretrained_as}


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures to train with and four to validate with, labelled by prepare_annotations."""
    root = tmp_path_factory.mktemp('data')
    rng = np.random.default_rng(0)
    for kind in ('images', 'instances'):
        (root / kind).mkdir()
    for i in range(10):
        labels = np.kron(np.diag(1 + rng.permutation(8)), np.ones((8, 8))).astype(np.uint8)
        image = np.repeat(np.where(labels, 200, 50)[..., None], 3, axis=2).astype(np.uint8)
        cv2.imwrite(str(root / 'images' / f'{i}.png'), image)
        cv2.imwrite(str(root / 'instances' / f'{i}.png'), labels)
    held_out = root / 'held_out.txt'
    held_out.write_text(''.join(f'{root}/images/{i}.png\n' for i in (0, 3, 4, 8)))
    found = read_labels(root / 'images', root / 'instances', 'nucleus')
    write_annotations(found, root / 'annotations', held_out, {}, print)
    return root


@pytest.fixture
def study(data: Path, tmp_path: Path) -> DenseStudy:
    return DenseStudy(CONFIGS, data, tmp_path / 'runs', tmp_path / 'records', ROWS,
                      fit=LinearFit(iterations=5, batch_size=16))


def test_a_cell_is_measured_once_and_refuses_other_settings(study: DenseStudy):
    record = study.linear('scratch', 2, seeds=[0])
    path = study.records / 'linear' / 'scratch_2.json'
    assert json.loads(path.read_text()) == record
    path.write_text(json.dumps(record | dict(mean=-1.)))
    assert study.linear('scratch', 2, seeds=[0])['mean'] == -1.     # from the record
    with pytest.raises(ValueError, match='made with other settings'):
        study.linear('scratch', 2, seeds=[0, 1])


def test_records_of_other_configs_are_refused(study: DenseStudy, tmp_path: Path):
    study.linear('scratch', 2, seeds=[0])
    shutil.copytree(CONFIGS.parent, tmp_path / 'configs')
    configs = tmp_path / 'configs' / CONFIGS.name
    other = replace(study, configs=configs)
    assert other.linear('scratch', 2, seeds=[0]) is not None                    # only moved
    with (configs / 'addp_dense-study.py').open('a') as file:
        file.write('randomness = dict(seed=1)\n')
    with pytest.raises(ValueError, match='scratch_2.json was made with other .*digest_of_configs'):
        replace(other).linear('scratch', 2, seeds=[0])
    record = study.records / 'linear' / 'scratch_2.json'
    kept = json.loads(record.read_text())
    del kept['digest_of_configs']                                               # an earlier one
    record.write_text(json.dumps(kept))
    assert replace(other).linear('scratch', 2, seeds=[0]) == kept


@pytest.mark.parametrize('name, config', [
    ('own', 'mae'), ('own', 'vqgan'), ('own', 'own'), ('addp', 'mage'), ('scratch', 'mask-rcnn'),
    ('own_200', 'mae'), ('mage', 'vqgan')])
def test_what_a_record_depends_on(name: str, config: str, study: DenseStudy, tmp_path: Path):
    shutil.copytree(CONFIGS.parent, tmp_path / 'configs')
    other = replace(study, configs=tmp_path / 'configs' / CONFIGS.name)
    path = other.configs / f'{config}_dense-study.py'
    path.write_text(path.read_text() + "work_dir = 'elsewhere'\n")
    assert other._recipe(name, 'mask-rcnn') == study._recipe(name, 'mask-rcnn')
    path.write_text(path.read_text() + 'randomness = dict(seed=1)\n')
    assert replace(other)._recipe(name, 'mask-rcnn') != study._recipe(name, 'mask-rcnn')


def test_records_of_other_pictures_are_refused(study: DenseStudy, tmp_path: Path):
    study.linear('scratch', 2, seeds=[0])
    other = tmp_path / 'other'
    shutil.copytree(study.data, other)
    assert replace(study, data=other).linear('scratch', 2, seeds=[0]) is not None  # only moved
    picture = find_pictures(other, 'training')[0]
    cv2.imwrite(str(picture.image), 255 - cv2.imread(str(picture.image)))
    with pytest.raises(ValueError, match='are of other pictures or label maps'):
        replace(study, data=other).linear('scratch', 2, seeds=[0])


def test_few_pictures_are_read_more_often_by_pretrainings_alone(study: DenseStudy):
    often = replace(study, times=6)
    for name in ('vqgan', 'mage', 'mae', 'addp', 'own'):
        once = study._pretraining(name).train_dataloader
        once.dataset.times *= 6
        assert often._pretraining(name).train_dataloader == once
    detector = ('detector', 'scratch', 2, 0, 1e-3, None)
    assert often.task_config(*detector).dump() == study.task_config(*detector).dump()
    with pytest.raises(ValueError, match='times must be at least 1, got 0'):
        replace(study, times=0)


@pytest.mark.parametrize('first, then', [(1, 6), (6, 1)])
def test_records_of_pictures_read_more_often_are_refused(first: int, then: int, study: DenseStudy):
    replace(study, times=first).linear('scratch', 2, seeds=[0])
    with pytest.raises(ValueError, match=f'another number of times than {then}'):
        replace(study, times=then).linear('scratch', 2, seeds=[0])


def test_every_part_draws_the_same_pictures(study: DenseStudy, data: Path):
    pictures = find_pictures(data, 'training')
    drawn = [pictures[i] for i in study._indices(3, seed=1)]
    assert drawn == draw_pictures(pictures, 3, seed=1)
    with pytest.raises(ValueError, match='7 labelled pictures are needed'):
        study._indices(7, seed=1)


@pytest.mark.parametrize(('kind', 'library'), [('detector', 'mmdet'), ('detector-600', 'mmdet'),
                                              ('segmentor', 'mmseg')])
def test_a_training_has_the_drawn_pictures(kind: str, library: str, study: DenseStudy, data: Path):
    pytest.importorskip(library)
    for tuning in (False, True):
        cfg = study.task_config(kind, 'addp', 3, 1, 1e-3, Path('encoder.pth'), tuning)
        assert cfg.model.backbone.init_cfg.checkpoint == 'encoder.pth'
        last = study._stage(f'{kind}_{tuning}', cfg).checkpoint.name
        assert last == f'iter_{cfg.train_cfg.max_iters}.pth'
        with DefaultScope.overwrite_default_scope(library):
            register_all_modules = import_module(f'{library}.utils').register_all_modules
            register_all_modules(init_default_scope=False)
            train, val = (DATASETS.build(cfg[f'{part}_dataloader'].dataset)
                          for part in ('train', 'val'))
        drawn = draw_pictures(find_pictures(data, 'training'), 6, seed=1)
        wanted = drawn[3:] if tuning else find_pictures(data, 'validation')
        assert paths_of(train) == [picture.image for picture in drawn[:3]]
        assert paths_of(val) == [picture.image for picture in wanted]
    scratch = study.task_config(kind, 'scratch', 3, 1, 1e-3, None)
    assert scratch.model.backbone.init_cfg is None


def test_a_training_has_its_rate_where_another_one_was_begun(study: DenseStudy):
    for rate in (1e-3, 5e-4):
        cfg = study.task_config('detector', 'scratch', 3, 1, rate, None)
        stage = study._stage('detector', cfg)
        assert stage.cfg.optim_wrapper.optimizer.lr == rate


@pytest.mark.parametrize('kind', ['detector', 'detector-600'])
def test_a_rate_is_chosen_by_the_objects_of_the_drawn_pictures_alone(kind: str, study: DenseStudy):
    pytest.importorskip('mmdet')
    cfg = study.task_config(kind, 'scratch', 3, 1, 1e-3, None, tuning=True)
    with DefaultScope.overwrite_default_scope('mmdet'):
        import_module('mmdet.utils').register_all_modules(init_default_scope=False)
        dataset = DATASETS.build(cfg.val_dataloader.dataset)
        metric = METRICS.build({**cfg.val_evaluator, 'metric': 'bbox'})
    metric.dataset_meta = dataset.metainfo
    for i in range(len(dataset)):
        sample = dataset[i]['data_samples']
        truth = sample.gt_instances
        found = InstanceData(bboxes=truth.bboxes.tensor, labels=truth.labels,
                             scores=torch.ones(len(truth)))
        metric.process({}, [sample.to_dict() | dict(pred_instances=found)])
    assert metric.evaluate(len(dataset))['coco/bbox_mAP'] == 1.


def paths_of(dataset: object) -> list[Path]:
    return [Path(dataset.get_data_info(i)['img_path']) for i in range(len(dataset))]


@pytest.mark.parametrize('name', PRETRAININGS)
def test_each_row_is_a_training_in_the_folders_of_the_study(name: str, study: DenseStudy):
    cfg = study._config(ROWS[name].config, ROWS[name].options)
    text = cfg.dump()
    assert 'work_dirs/' not in text and 'data/nuclei' not in text and str(study.data) in text
    if ROWS[name].config != 'mae':
        for part in cfg.model.data_preprocessor.values():
            if 'checkpoint' in part:
                part.checkpoint = None
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model)
    if name == 'joint':
        assert isinstance(model.pixel_head, MaskedPixelHead) and model.neck.token_input
        assert not isinstance(model.backbone.pre_norm, nn.LayerNorm)
        assert model.data_preprocessor.diffusion.per_image
        assert model.data_preprocessor.diffusion.mask_ratio.ratios.min() < 0.12


def test_rows_change_what_they_name():
    base = Config.fromfile(CONFIGS / 'addp_dense-study.py')
    changed = [json.dumps([row.config, row.starts_from, dict(row.options)], sort_keys=True)
               for row in PRETRAININGS.values()]
    assert len(set(changed)) == len(changed)
    for row in ROWS.values():
        for key in row.options if row.config == 'addp' else ():
            if 'pixel_head' not in key:     # the paper has none
                holder = base
                for part in key.split('.')[:-1]:
                    holder = holder[part]


def test_a_row_can_take_the_pretraining_of_another_one(study: DenseStudy):
    checkpoint = study.work_dir / 'addp' / 'epoch_10.pth'
    for stage in ('vqgan/epoch_24.pth', 'mage/epoch_40.pth', 'addp/epoch_10.pth'):
        path = study.work_dir / stage
        path.parent.mkdir(parents=True)
        torch.save(dict(state_dict={}, meta={}), path)
    assert study.pretrain('addp_norm') == study.pretrain('addp') == checkpoint
    assert study.pretrain('scratch') is None


def test_a_row_can_start_from_another_one(study: DenseStudy):
    path = study.work_dir / 'mae' / 'epoch_40.pth'
    path.parent.mkdir(parents=True)
    torch.save(dict(state_dict={}, meta={}), path)
    for name, rate in (('own', 0.1), ('full_rate', 1.), ('fixed', 0.)):
        cfg = study._config('own', {**ROWS[name].options, **study._start(ROWS[name])})
        assert cfg.model.backbone.init_cfg == dict(type='Pretrained', checkpoint=str(path))
        keys = cfg.optim_wrapper.paramwise_cfg.custom_keys
        assert {keys[key].lr_mult for key in ('backbone', 'backbone.pos_embed')} == {rate}
        assert keys['backbone.pos_embed'].decay_mult == 0
    assert study._start(ROWS['joint']) == {}


def test_the_table_has_what_was_measured_and_dashes_for_the_rest(tmp_path: Path):
    for kind, seed, score in (('detector', 0, 20.), ('detector', 1, 30.),
                              ('detector-600', 0, 40.)):
        path = tmp_path / kind / f'addp_32_{seed}.json'
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(dict(scores={'box AP': score, 'mask AP': score - 1})))
    text = write_tables(tmp_path, ROWS, [8, 32], [0, 1, 2])
    assert (tmp_path / 'table.md').read_text() == text
    line = next(line for line in text.splitlines() if 'ADDP as in the paper' in line)
    assert line == ('| 32 | ADDP as in the paper | - | - | 25.0 ± 7.1 | 24.0 ± 7.1 | 40.0 | 39.0 '
                    '| - |')
    assert 'mask AP | box AP, 600 iterations | mask AP, 600 iterations | mIoU' in text
    assert 'random start values' not in text


def test_the_plot_has_a_line_for_each_row_with_several_numbers_of_pictures(tmp_path: Path):
    (tmp_path / 'detector').mkdir()
    for name, labelled, seed, score in (('own', 8, 0, 10.), ('own', 8, 1, 20.), ('own', 32, 0, 30.),
                                        ('mae', 32, 0, 31.)):
        (tmp_path / 'detector' / f'{name}_{labelled}_{seed}.json').write_text(
            json.dumps(dict(scores={'box AP': 0., 'mask AP': score})))
    axes, = draw_labels(tmp_path, ROWS, [8, 32, 128], [0, 1, 2]).axes
    line, points = axes.get_lines()
    assert line.get_label() == ROWS['own'].title
    assert list(line.get_ydata()) == [15., 30.]
    assert list(points.get_ydata()) == [10., 20., 30.]
