from __future__ import annotations

import io

import pytest

from addp_mm.visualization import RunScalars, draw_curves

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
