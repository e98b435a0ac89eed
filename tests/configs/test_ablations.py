"""The configs of the paper's ablation tables: what each changes, and that it builds."""
from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from addp_mm.studies.ablations.rows import config_changes, find_rows

CONFIGS = Path(__file__).parents[2] / 'configs'
FOLDER = CONFIGS / 'addp' / 'ablations'
DIFFUSION = 'model.data_preprocessor.diffusion'
CHANGES = {
    'default': {},
    'table3_z_t': {f'{DIFFUSION}.condition': 'z_t'},
    'table4_argmax': {f'{DIFFUSION}.mapping': 'argmax'},
    'table4_sampling': {f'{DIFFUSION}.mapping': 'sampling'},
    'table5_encoder_and_decoder': {'model.backbone.token_vocab': 1024},
    'table5_none': {'model.neck.token_input': False},
    'table6_both': {'model.head.loss.target': 'both'},
    'table6_fixed_mask': {f'{DIFFUSION}.mask_ratio.type': 'FixedMaskRatio',
                          f'{DIFFUSION}.mask_ratio.ratio': 0.5},
    'table6_hard': {'model.head.loss.target': 'hard'},
}


@pytest.mark.parametrize('on', [None, CONFIGS / 'digits' / 'ablations' / 'addp_15e.py'])
def test_every_row_builds_and_changes_its_keys_alone(on: Path | None) -> None:
    rows = {row.name: row for row in find_rows([FOLDER], on)}
    assert list(rows)[0] == 'default' and rows.keys() == CHANGES.keys()
    assert {name: row.changes for name, row in rows.items()} == CHANGES
    for name, row in rows.items():
        cfg, default = row.stage(Path()).cfg, rows['default'].stage(Path()).cfg
        # What the digits leave to defaults of the code is new in their config.
        assert config_changes(cfg, default) == CHANGES[name]


def test_the_default_is_the_paper_s_config_for_150_epochs() -> None:
    base = Config.fromfile(CONFIGS / 'addp' / 'vit-b_1600e.py')
    changes = config_changes(Config.fromfile(FOLDER / 'default.py'), base)
    assert changes.pop('train_cfg.max_epochs') == changes.pop('max_epochs') == 150
    assert [s['end'] for s in changes.pop('param_scheduler')] == [10, 150]
    assert changes == {'warmup_epochs': 10}


LENGTH = {'max_epochs', 'warmup_epochs', 'train_cfg.max_epochs', 'train_cfg.val_interval',
          'param_scheduler', 'default_hooks.checkpoint.interval', 'work_dir'}


def digits_pair(name: str, other: str) -> tuple[Config, Config]:
    cfg = Config.fromfile(CONFIGS / 'digits' / 'ablations' / f'{other}.py')
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[-1].end == cfg.max_epochs
    return cfg, Config.fromfile(CONFIGS / 'digits' / f'{name}.py')


def test_the_fine_tuning_of_the_digits_differs_in_length_alone() -> None:
    assert config_changes(*digits_pair('finetune', 'finetune_100e')).keys() <= LENGTH


def test_the_digits_are_pretrained_as_in_the_paper_and_shorter() -> None:
    cfg, usual = digits_pair('addp', 'addp_15e')
    model = cfg.model
    assert model.data_preprocessor.diffusion.mask_ratio == dict(type='MaskRatioDistribution')
    assert not model.data_preprocessor.diffusion.per_image
    assert model.backbone.pre_norm and not usual.model.backbone.pre_norm
    assert model.backbone.drop_rate == model.neck.drop_rate == 0.1
    assert model.neck.table_std == 0.02
    usual.model.data_preprocessor.diffusion = model.data_preprocessor.diffusion
    usual.model.backbone.update(pre_norm=True, drop_rate=model.backbone.drop_rate)
    usual.model.neck.update(drop_rate=model.neck.drop_rate, table_std=model.neck.table_std)
    assert config_changes(cfg, usual).keys() <= LENGTH
