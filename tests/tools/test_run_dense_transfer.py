"""run_dense_transfer.py: reads the last scores of a run, repeats none, and makes the table."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
from mmengine.config import Config

from addp_mm.cli.train import parse_args
from addp_mm.config_file import change_config
from addp_mm.studies import dense_transfer
from tests.helpers.tools import load_tool

transfer = load_tool('run_dense_transfer')


def write_log(folder: Path, *lines: dict) -> None:
    path = folder / '20260101_000000' / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join(map(json.dumps, lines)))


def test_last_scores_in_percent(tmp_path: Path):
    write_log(tmp_path, {'loss': 1.}, {'coco/bbox_mAP': 0.1, 'coco/segm_mAP': 0.2}, {'loss': 2.},
              {'coco/bbox_mAP': 0.25, 'coco/segm_mAP': 0.5, 'time': 1.})
    assert dense_transfer.read_scores(tmp_path) == {'box AP': 25, 'mask AP': 50}


def test_log_without_scores_is_named(tmp_path: Path):
    write_log(tmp_path, {'loss': 1.})
    with pytest.raises(ValueError, match='scalars.json has none of the scores coco/bbox_mAP'):
        dense_transfer.read_scores(tmp_path)


def record(folder: Path, options: list[str], scores: dict) -> None:
    folder.mkdir(parents=True)
    settings = dict(config='configs/a.py', options=options)
    (folder / 'scores.json').write_text(json.dumps(dict(settings=settings, scores=scores)))


def test_finished_runs_become_a_table(tmp_path: Path, capsys: pytest.CaptureFixture):
    for seed, score in enumerate((40., 44.)):
        record(tmp_path / f'a_pre-trained_{seed}', [f'randomness.seed={seed}'], dict(mIoU=score))
        record(tmp_path / f'a_from-scratch_{seed}',
               [f'randomness.seed={seed}', 'model.backbone.init_cfg=None'], dict(mIoU=score / 2))
    transfer.main(['configs/a.py', '--out', str(tmp_path), '--seeds', '0', '1'])
    table = (tmp_path / 'table.md').read_text()
    assert capsys.readouterr().out == table
    assert table.splitlines()[0] == '| config | encoder | mIoU |'
    assert table.splitlines()[2:] == ['| a | pre-trained | 42.0 ± 2.8 |',
                                      '| a | from scratch | 21.0 ± 1.4 |']


def test_one_start_alone(tmp_path: Path):
    record(tmp_path / 'a_pre-trained_0', ['randomness.seed=0'], dict(mIoU=40.))
    transfer.main(['configs/a.py', '--out', str(tmp_path), '--seeds', '0',
                   '--starts', 'pre-trained'])
    assert 'from scratch' not in (tmp_path / 'table.md').read_text()


def test_run_with_other_options_is_not_taken_for_this_one(tmp_path: Path):
    record(tmp_path / 'a_pre-trained_0', ['randomness.seed=0', 'x=1'], dict(mIoU=1.))
    with pytest.raises(ValueError, match=r'a_pre-trained_0.* other settings .*x=1'):
        transfer.main(['configs/a.py', '--out', str(tmp_path), '--seeds', '0'])


def test_another_encoder_is_not_given_to_the_runs_from_scratch(tmp_path: Path):
    encoder = 'model.backbone.init_cfg.checkpoint=mine.pth'
    record(tmp_path / 'a_pre-trained_0', ['randomness.seed=0', encoder], dict(mIoU=1.))
    words = ['randomness.seed=0', encoder, 'model.backbone.init_cfg=None']
    record(tmp_path / 'a_from-scratch_0', words, dict(mIoU=2.))
    transfer.main(['configs/a.py', '--out', str(tmp_path), '--seeds', '0',
                   '--cfg-options', encoder])
    options = parse_args(['config.py', '--cfg-options', *words]).cfg_options
    cfg = Config(dict(model=dict(backbone=dict(init_cfg=dict(checkpoint='digits.pth')))))
    change_config(cfg, options)
    assert cfg.model.backbone.init_cfg is None


def test_failing_training_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r'training missing.py failed \(2\).*output.log'):
        transfer.main(['missing.py', '--out', str(tmp_path), '--seeds', '0'])
