"""run_dense_transfer.py: reads the last scores of a run, repeats none, and makes the table."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
from mmengine.config import Config

from addp_mm.cli.train import parse_args
from addp_mm.config_file import change_config
from addp_mm.own_images.trainings import Stage, StageError
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


def test_run_without_a_log_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match='has no log with scores'):
        dense_transfer.read_scores(tmp_path)


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config, named relative to the working folder; its results go to the same folder."""
    monkeypatch.chdir(tmp_path)
    path = Path('configs/a.py')
    path.parent.mkdir()
    path.write_text("model = dict(backbone=dict(init_cfg=dict(checkpoint='start.pth')))\n"
                    'train_cfg = dict(max_iters=3)\n')
    return path


def record(folder: Path, options: list[str], scores: dict, **more: dict) -> None:
    folder.mkdir(parents=True)
    settings = dict(config='configs/a.py', options=options)
    (folder / 'scores.json').write_text(json.dumps(dict(settings=settings, scores=scores, **more)))


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
    words = ['configs/a.py', '--out', str(tmp_path), '--starts', 'from scratch', '--seeds', '0']
    with pytest.raises(StageError, match=r'(?s)a, from scratch, seed 0\] failed.*train.log'):
        transfer.main(words)


def finish_run(config: Path, out: Path) -> list[str]:
    """A record as a training leaves it; the command that it is of."""
    start = Path('start.pth')
    start.write_bytes(b'weights')
    stage = Stage('a', config, out, {'randomness.seed': 0})
    made_with = dense_transfer._contents(stage.cfg)
    record(out / 'a_pre-trained_0', ['randomness.seed=0'], dict(mIoU=40.), made_with=made_with)
    return ['configs/a.py', '--out', str(out), '--seeds', '0', '--starts', 'pre-trained']


def test_a_config_that_was_changed_is_not_taken_for_the_earlier_one(tmp_path: Path, config: Path):
    words = finish_run(config, tmp_path)
    transfer.main(words)
    config.write_text(config.read_text().replace('max_iters=3', 'max_iters=6'))
    with pytest.raises(ValueError, match='train_cfg.max_iters 3, now 6.*choose another --out'):
        transfer.main(words)


def test_other_start_values_are_not_taken_for_the_earlier_ones(tmp_path: Path, config: Path):
    words = finish_run(config, tmp_path)
    transfer.main(words)
    Path('start.pth').write_bytes(b'others')
    with pytest.raises(ValueError, match='made_with.weights.start.pth .*choose another --out'):
        transfer.main(words)


@pytest.mark.parametrize(('words', 'message'), [
    (['--seeds', '0', '1', '0'], 'each seed once'),
    (['--cfg-options', 'randomness.seed=5'], 'use --seeds'),
    (['--cfg-options', 'work_dir=elsewhere'], 'use --out'),
])
def test_what_would_make_runs_alike_is_refused(tmp_path: Path, words: list[str], message: str):
    with pytest.raises(ValueError, match=message):
        transfer.main(['configs/a.py', '--out', str(tmp_path), *words])
    assert not list(tmp_path.glob('a_*'))
