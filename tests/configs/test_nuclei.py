"""The configs of configs/nuclei: the stages fit each other, and the detectors their encoders."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from addp_mm.apis.check_config import check_custom_keys
from addp_mm.registry import MODELS

FOLDER = Path(__file__).resolve().parents[2] / 'configs/nuclei'
CHAINS = {
    'small': ('vqgan_nuclei-64', 'mage_nuclei-64', 'addp_nuclei-64', 'mask-rcnn_nuclei-128',
              'upernet_nuclei-128'),
    'base': ('vqgan_nuclei-256', 'mage-b_nuclei-256', 'addp-b_nuclei-256',
             'mask-rcnn_vitdet-b_nuclei-512', 'upernet_vit-b_nuclei-512'),
}


@pytest.fixture(scope='module', params=list(CHAINS))
def chain(request: pytest.FixtureRequest) -> list[Config]:
    return [Config.fromfile(FOLDER / f'{name}.py') for name in CHAINS[request.param]]


def test_every_config_is_part_of_a_chain():
    assert {path.stem for path in FOLDER.glob('*.py')} == {'mae_nuclei-64'} | {
        name for names in CHAINS.values() for name in names}


def test_the_small_encoder_starts_from_the_autoencoder():
    autoencoder, addp = (Config.fromfile(FOLDER / f'{name}_nuclei-64.py')
                         for name in ('mae', 'addp'))
    left = f'{autoencoder.work_dir}/epoch_{autoencoder.train_cfg.max_epochs}.pth'
    assert addp.model.backbone.init_cfg.checkpoint == left
    assert autoencoder.model.backbone.arch == addp.model.backbone.arch
    assert autoencoder.param_scheduler[-1].end == autoencoder.train_cfg.max_epochs
    with DefaultScope.overwrite_default_scope('mmpretrain'), torch.device('meta'):
        check_custom_keys(autoencoder, MODELS.build(autoencoder.model))


def test_stages_fit_each_other(chain: list[Config]):
    with DefaultScope.overwrite_default_scope('mmpretrain'), torch.device('meta'):
        vqgan, mage, addp = (MODELS.build(cfg.model) for cfg in chain[:3])
    pairs = [(vqgan.tokenizer, mage.data_preprocessor.tokenizer),
             (vqgan.tokenizer, addp.data_preprocessor.tokenizer),
             (mage.token_predictor, addp.data_preprocessor.token_predictor)]
    for made, taken in pairs:
        wanted = taken.description.state_dict()
        assert {k: v.shape for k, v in made.state_dict().items()} == {
            k: v.shape for k, v in wanted.items()}
    assert vqgan.tokenizer.grid_size == mage.data_preprocessor.grid_size
    assert 'timm.layers.LayerNorm2d' in str(chain[0].model.tokenizer.norm)
    assert chain[2].model.backbone.patch_size == vqgan.tokenizer.stride


def test_every_rate_of_a_parameter_holds_for_one(chain: list[Config]):
    for cfg in chain:
        with DefaultScope.overwrite_default_scope(cfg.default_scope), torch.device('meta'):
            check_custom_keys(cfg, MODELS.build(cfg.model))


def test_each_stage_starts_from_what_the_ones_before_it_leave(chain: list[Config]):
    left = [f'{cfg.work_dir}/epoch_{cfg.train_cfg.max_epochs}.pth' for cfg in chain[:3]]
    mage, addp = (cfg.model.data_preprocessor for cfg in chain[1:3])
    assert mage.tokenizer.checkpoint == addp.tokenizer.checkpoint == left[0]
    assert addp.token_predictor.checkpoint == left[1]
    assert [cfg.model.backbone.init_cfg.checkpoint for cfg in chain[3:]] == [left[2]] * 2
    assert len({cfg.work_dir for cfg in chain}) == 5


def test_all_read_the_same_lists(chain: list[Config]):
    for cfg in chain[:3]:
        train = cfg.train_dataloader.dataset.dataset
        assert (train.data_root, train.data_prefix) == ('data/nuclei', 'images')
        assert train.ann_file == 'annotations/train.txt'
        assert cfg.val_dataloader.dataset.ann_file == 'annotations/val.txt'
        scheduled = cfg.param_scheduler[-1].end if cfg.get('param_scheduler') else None
        assert scheduled in (cfg.train_cfg.max_epochs, None)
    detector, segmentor = chain[3:]
    for part, loader in (('train', detector.train_dataloader), ('val', detector.test_dataloader)):
        assert loader.dataset.ann_file == f'annotations/{part}.json'
        assert loader.dataset.data_prefix == dict(img='images/')
        assert tuple(loader.dataset.metainfo.classes) == ('nucleus', )
    for part, loader in (('train', segmentor.train_dataloader),
                         ('val', segmentor.test_dataloader)):
        assert loader.dataset.ann_file == f'annotations/{part}.txt'
        assert loader.dataset.img_suffix == '' and not loader.dataset.get('reduce_zero_label')
    assert segmentor.model.decode_head.num_classes == 2
    assert detector.model.roi_head.mask_head.num_classes == 1
    assert chain[4].param_scheduler[-1].end == chain[4].train_cfg.max_iters
