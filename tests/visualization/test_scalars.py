from __future__ import annotations

import json
from pathlib import Path

import pytest
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from addp_mm import evaluation, models  # noqa: F401  (registers)
from addp_mm.visualization import read_run
from tiny import tiny_batch, tiny_mage_training_cfg


def write(folder: Path, *lines: dict | str) -> Path:
    file = folder / 'vis_data' / 'scalars.json'
    file.parent.mkdir(parents=True)
    text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    file.write_text('\n'.join(text))
    return file


def train(iteration: int, loss: float, epoch: int = 1) -> dict:
    return dict(loss=loss, lr=0.1, time=1., memory=3, epoch=epoch, iter=iteration, step=iteration)


def val(value: float, step: int) -> dict:
    return {'token/cross_entropy': value, 'time': 1., 'step': step}


def test_curves_of_a_run(tmp_path: Path):
    write(tmp_path / 'run' / '20260101_000000', train(4, 3.), train(8, 2.), val(2.5, 1),
          train(16, 1.5, epoch=2), val(2.4, 2))
    run = read_run(tmp_path / 'run')
    assert run.name == 'run'
    assert run.train == dict(loss=[(4, 3.), (8, 2.), (16, 1.5)], lr=[(4, .1), (8, .1), (16, .1)])
    assert run.held_out == {'token/cross_entropy': [(8, 2.5), (16, 2.4)]}
    assert run.iters_per_epoch == 8


@pytest.mark.parametrize('part', ['', 'vis_data', 'vis_data/scalars.json'])
def test_paths_that_mean_the_same_run(tmp_path: Path, part: str):
    write(tmp_path / 'start', train(1, 3.))
    run = read_run(tmp_path / 'start' / part)
    assert run.name == 'start' and run.train['loss'] == [(1, 3.)]


def test_a_resumed_run_goes_on_from_its_checkpoint(tmp_path: Path):
    write(tmp_path / '20260101_000000', train(2, 3.), train(4, 2.), val(9., 1), train(6, 1.))
    write(tmp_path / '20260102_000000', train(6, 1.1), train(8, 1.2))
    write(tmp_path / '20260103_000000')
    run = read_run(tmp_path)
    assert run.train['loss'] == [(2, 3.), (4, 2.), (6, 1.1), (8, 1.2)]
    assert run.held_out == {'token/cross_entropy': [(4, 9.)]}


def test_a_run_started_anew_replaces_the_old_one(tmp_path: Path):
    write(tmp_path / '20260101_000000', train(2, 3.), train(4, 2.))
    write(tmp_path / '20260102_000000', train(2, 1.))
    assert read_run(tmp_path).train['loss'] == [(2, 1.)]


def test_lines_that_are_not_whole_are_skipped(tmp_path: Path):
    write(tmp_path, train(1, 3.), '{"loss": 0.2, "it', '', '[1]', dict(note='text', step=3),
          train(2, float('nan')), '\0\0')
    run = read_run(tmp_path)
    assert [iteration for iteration, _ in run.train['loss']] == [1, 2]


def test_without_epochs(tmp_path: Path):
    write(tmp_path, val(1., 7), dict(loss=2., iter=9, step=9), val(3., 10))
    run = read_run(tmp_path)
    assert run.iters_per_epoch is None and run.train == dict(loss=[(9, 2.)])
    assert run.held_out['token/cross_entropy'] == [(7, 1.), (9, 3.)]


def test_no_run(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match='holds no vis_data/scalars.json'):
        read_run(tmp_path)
    write(tmp_path, dict(time=1., step=1))
    with pytest.raises(ValueError, match='logged no numbers yet'):
        read_run(tmp_path)


def test_what_mmengine_writes(tmp_path: Path):
    """A real training of two epochs of three iterations."""
    images = [dict(inputs=image) for image in tiny_batch(6)['inputs']]
    runner = Runner(
        model=tiny_mage_training_cfg(tmp_path), work_dir=str(tmp_path / 'run'),
        train_dataloader=DataLoader(images, batch_size=2),
        val_dataloader=DataLoader(images, batch_size=6),
        train_cfg=dict(by_epoch=True, max_epochs=2), val_cfg=dict(),
        val_evaluator=dict(type='MaskedTokenCrossEntropy'),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1), clip_grad=dict(max_norm=3.)),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1), checkpoint=None),
        default_scope='mmpretrain', log_level='WARNING')
    runner.train()
    run = read_run(tmp_path / 'run')
    assert set(run.train) == {'lr', 'loss', 'loss_token', 'grad_norm'}
    assert [iteration for iteration, _ in run.train['loss']] == [1, 2, 3, 4, 5, 6]
    assert run.iters_per_epoch == 3
    assert [iteration for iteration, _ in run.held_out['token/cross_entropy_0.55']] == [3, 6]
    assert {'token/cross_entropy', 'token/marginal_entropy'} < set(run.held_out)
