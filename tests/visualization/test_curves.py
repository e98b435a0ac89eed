from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from addp_mm import evaluation, models  # noqa: F401  (registers)
from addp_mm.visualization import RunScalars, draw_curves, read_run
from tests.helpers.tiny import tiny_batch, tiny_mage_training_cfg

POINTS = [(1, 3.), (2, 2.)]
OTHERS = [(1, 4.), (2, 5.)]


def lines(axes) -> dict[str, list[tuple[float, float]]]:
    return {line.get_label(): list(map(tuple, line.get_xydata())) for line in axes.lines}


def panels(runs: list[RunScalars]) -> dict[str, object]:
    figure = draw_curves(runs)
    figure.savefig(io.BytesIO())
    return {axes.get_title(): axes for axes in figure.axes}


def test_a_panel_for_each_kind():
    run = RunScalars(
        'a', dict(grad_norm=POINTS, lr=POINTS, loss=POINTS, loss_token=POINTS, psnr=OTHERS),
        {'token/cross_entropy_0.5': POINTS, 'token/cross_entropy': OTHERS,
         'token/marginal_entropy': OTHERS, 'tokenizer/psnr': POINTS})
    shown = panels([run])
    assert list(shown) == [
        'training loss', 'learning rate', 'norm of the gradient', 'training: psnr',
        'held out: token entropy', 'held out: tokenizer psnr']
    assert lines(shown['training loss']) == {'loss token': POINTS}
    assert lines(shown['training: psnr']) == {'psnr': OTHERS}
    assert lines(shown['held out: token entropy']) == {
        'cross entropy': OTHERS, 'cross entropy 0.5': POINTS, 'marginal entropy': OTHERS}
    assert shown['held out: token entropy'].get_ylabel() == 'nats per token'


def test_several_runs_share_their_panels():
    entropies = {'token/cross_entropy_0.5': POINTS, 'token/cross_entropy': POINTS}
    runs = [RunScalars('a', dict(loss=POINTS, loss_a=POINTS, loss_b=POINTS), entropies),
            RunScalars('b', dict(loss=OTHERS), {})]
    shown = panels(runs)
    assert list(shown) == ['training loss', 'held out: token entropy']
    assert lines(shown['training loss']) == {
        'a: loss': POINTS, 'a: loss a': POINTS, 'a: loss b': POINTS, 'b: loss': OTHERS}
    styles = [line.get_linestyle() for line in shown['training loss'].lines]
    assert styles == ['-', '-', '-', '--']
    assert lines(shown['held out: token entropy']) == {'a: cross entropy': POINTS}


def test_training_and_held_out_numbers_of_one_name_are_kept_apart():
    shown = panels([RunScalars('a', dict(loss=POINTS), dict(loss=OTHERS))])
    assert lines(shown['training loss']) == {'loss': POINTS}
    assert lines(shown['held out: loss']) == {'loss': OTHERS}


@pytest.mark.parametrize(('lengths', 'has_epochs'), [
    ([50.], True), ([None], False), ([50., 50.2], True), ([50., 60.], False)])
def test_epochs_stand_on_top_where_all_runs_agree(lengths: list, has_epochs: bool):
    runs = [RunScalars('a', dict(loss=POINTS), {}, length) for length in lengths]
    tops = panels(runs)['training loss'].child_axes
    assert [top.get_xlabel() for top in tops] == ['epoch'] * has_epochs
    if has_epochs:
        assert tops[0].get_xlim()[1] == pytest.approx(runs[0] and 2.05 / 50, rel=1e-3)


def test_nothing_to_draw():
    with pytest.raises(ValueError, match='at least one run'):
        draw_curves([])


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


def test_the_clock_may_go_back(tmp_path: Path):
    write(tmp_path / '20261025_025900', train(2, 3.), train(4, 2.))
    write(tmp_path / '20261025_021500', train(4, 2.1), train(6, 1.))      # an hour later
    assert read_run(tmp_path).train['loss'] == [(2, 3.), (4, 2.1), (6, 1.)]


def test_validation_that_was_made_up_belongs_to_its_epoch(tmp_path: Path):
    write(tmp_path / '1', train(4, 3.), train(8, 2.), val(9., 1), train(12, 1.5, 2),
          train(16, 1., 2))
    write(tmp_path / '2', val(8., 2), train(20, .9, 3), train(24, .8, 3))
    write(tmp_path / '3', val(7., 3))
    run = read_run(tmp_path)
    assert [iteration for iteration, _ in run.train['loss']] == [4, 8, 12, 16, 20, 24]
    assert run.held_out == {'token/cross_entropy': [(8, 9.), (16, 8.), (24, 7.)]}


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
