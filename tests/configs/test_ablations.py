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


def test_the_digits_configs_differ_in_length_alone() -> None:
    folder = CONFIGS / 'digits'
    for name, longer in (('addp', 'addp_15e'), ('finetune', 'finetune_100e')):
        cfg = Config.fromfile(folder / 'ablations' / f'{longer}.py')
        changed = config_changes(cfg, Config.fromfile(folder / f'{name}.py'))
        assert changed.keys() <= {
            'max_epochs', 'warmup_epochs', 'train_cfg.max_epochs', 'train_cfg.val_interval',
            'param_scheduler', 'default_hooks.checkpoint.interval', 'work_dir'}
        assert cfg.train_cfg.max_epochs == cfg.param_scheduler[-1].end == cfg.max_epochs
