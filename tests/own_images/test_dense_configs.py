from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from addp_mm.own_images.annotations import write_annotations
from addp_mm.own_images.dense_configs import write_dense_configs
from addp_mm.own_images.labels import LabelledImages, describe_mask
from addp_mm.own_images.next_steps import dense_commands, next_commands
from addp_mm.own_images.trainings import Stage


@pytest.fixture
def found(tmp_path: Path) -> LabelledImages:
    images = [dict(id=i, file_name=f'{i}.png', width=8, height=8) for i in range(2)]
    mask = describe_mask(np.eye(8) > 0)
    annotations = [dict(id=i, image_id=i, category_id=1 + i, iscrowd=0, **mask) for i in range(2)]
    return LabelledImages(tmp_path / 'images', images, annotations,
                          [dict(id=1, name='a'), dict(id=2, name='b')])


def write_pretraining(out: Path, arch: str) -> Path:
    (out / 'configs').mkdir(parents=True)
    (out / 'configs/addp.py').write_text(
        f'model = dict(backbone=dict(arch={arch}), data_preprocessor=dict(tokenizer=dict('
        'model=dict(image_size=96))))\ntrain_cfg = dict(max_epochs=3)\n')
    (out / 'addp').mkdir()
    (out / 'addp/epoch_3.pth').touch()
    return out


@pytest.mark.parametrize('arch', ['dict(embed_dims=96)', '"base"'])
def test_configs_of_the_images_at_hand(found: LabelledImages, tmp_path: Path, arch: str):
    pretrained = write_pretraining(tmp_path / 'pretrained', arch)
    out = write_annotations(found, tmp_path / 'out', None, {}, lambda line: None)
    detector, segmentor = map(Config.fromfile, write_dense_configs(found, out, pretrained))
    checkpoint = str(pretrained / 'addp/epoch_3.pth')
    for cfg, name in ((detector, 'mask-rcnn'), (segmentor, 'upernet')):
        assert cfg.model.backbone.init_cfg.checkpoint == checkpoint
        assert cfg.work_dir == str(out / name)
        assert cfg.train_dataloader.dataset.data_root == ''
    assert detector.model.backbone.pretrain_img_size == 96
    assert detector.model.roi_head.mask_head.num_classes == 2
    assert detector.train_dataloader.dataset.ann_file == str(out / 'train.json')
    assert detector.val_evaluator.ann_file == str(out / 'val.json')
    assert detector.test_dataloader.dataset.metainfo.classes == ('a', 'b')
    assert segmentor.model.decode_head.num_classes == 3
    assert segmentor.val_dataloader.dataset.metainfo.classes == ('background', 'a', 'b')
    assert segmentor.test_dataloader.dataset.ann_file == str(out / 'val.txt')
    assert segmentor.val_dataloader.dataset.data_prefix == dict(
        img_path=str(found.root), seg_map_path=str(out / 'maps'))

    (out / 'upernet.py').write_text('changed = True')
    lines = dense_commands(Path('tools'), write_dense_configs(found, out, pretrained)[:1])
    assert (out / 'upernet.py').read_text() == 'changed = True'
    assert lines[1] == f'  python tools/train.py {out}/mask-rcnn.py'
    iterations = 600 if arch.startswith('dict') else 5000
    assert f'{out}/mask-rcnn/iter_{iterations}.pth --show-dir' in lines[2]


def test_configs_of_another_checkpoint_are_refused(found: LabelledImages, tmp_path: Path):
    first, second = (write_pretraining(tmp_path / name, 'dict()') for name in 'ab')
    out = write_annotations(found, tmp_path / 'out', None, {}, lambda line: None)
    paths = write_dense_configs(found, out, first)
    for path in paths:
        with pytest.raises(ValueError, match=rf'{path.name} starts from .*a/addp.*not from .*/b/'):
            write_dense_configs(found, out, second)
        path.write_text('model = dict(backbone=dict(init_cfg=None))\n')
    assert write_dense_configs(found, out, second) == paths


@pytest.mark.parametrize(('before', 'asked'), [(True, False), (False, True), (False, False)])
def test_grey_images_are_stretched_as_in_the_pre_training_or_as_asked(
        found: LabelledImages, tmp_path: Path, before: bool, asked: bool):
    pretrained = write_pretraining(tmp_path / 'pretrained', 'dict()')
    (pretrained / 'images.json').write_text(json.dumps(dict(stretch=before)))
    out = write_annotations(found, tmp_path / 'out', None, {}, lambda line: None)
    for cfg in map(Config.fromfile, write_dense_configs(found, out, pretrained, asked)):
        loaders = cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader
        pipelines = [loader.dataset.pipeline for loader in loaders]
        for pipeline in (*pipelines, cfg.train_pipeline, cfg.test_pipeline):
            assert pipeline[0].backend_args.get('stretch', False) == (before or asked)


def test_configs_that_do_not_stretch_are_not_taken_for_such(found: LabelledImages, tmp_path: Path):
    pretrained = write_pretraining(tmp_path / 'pretrained', 'dict()')
    out = write_annotations(found, tmp_path / 'out', None, {}, lambda line: None)
    paths = write_dense_configs(found, out, pretrained)
    with pytest.raises(ValueError, match='mask-rcnn.py does not stretch grey images'):
        write_dense_configs(found, out, pretrained, stretch=True)
    for path in paths:
        path.unlink()
    write_dense_configs(found, out, pretrained, stretch=True)
    assert write_dense_configs(found, out, pretrained, stretch=True) == paths


def test_a_pretraining_that_is_not_there_or_not_done_is_named(found: LabelledImages,
                                                              tmp_path: Path):
    with pytest.raises(FileNotFoundError, match='config of a pre-training at .*nowhere'):
        write_dense_configs(found, tmp_path, tmp_path / 'nowhere')
    pretrained = write_pretraining(tmp_path / 'large', '"large"')
    with pytest.raises(ValueError, match="is 'large', and there are configs for"):
        write_dense_configs(found, tmp_path, pretrained)
    other = write_pretraining(tmp_path / 'other', 'dict(embed_dims=96, num_heads=8)')
    with pytest.raises(ValueError, match="'num_heads': 8}, and there are configs for"):
        write_dense_configs(found, tmp_path, other)
    (pretrained / 'addp/epoch_3.pth').unlink()
    with pytest.raises(FileNotFoundError, match='epoch_3.pth is not there yet'):
        write_dense_configs(found, tmp_path, pretrained)


def test_next_commands_name_the_paths_at_hand(tmp_path: Path):
    out = write_pretraining(tmp_path / 'my out', 'dict()')
    stages = [Stage('addp', out / 'configs/addp.py', out / 'addp')]
    for folder in ('images', 'masks', 'plain/pictures', 'bowl/a/masks', 'bowl/a/images'):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for data, words in [
        (tmp_path / 'images', f'{tmp_path}/images {tmp_path}/masks --pretrained'),
        (tmp_path / 'bowl', f'{tmp_path}/bowl --pretrained'),
        (tmp_path / 'plain/pictures', f'{tmp_path}/plain/pictures LABELS --pretrained'),
        (tmp_path / 'list.txt', 'IMAGES LABELS --pretrained'),
    ]:
        lines = next_commands(Path('tools'), data, out, stages, 4.)
        assert f'tools/prepare_annotations.py {words} ' in lines[-1]
        assert f"'{out}/held_out.txt'" in lines[-1]
    assert f"'{out}/addp/epoch_3.pth'" in lines[1]
