"""The plot of scores over a setting of the sampler."""
from __future__ import annotations

import pytest

from addp_mm.visualization.sweep_plot import draw_sweep


@pytest.fixture
def rows() -> list[dict]:
    return [dict(num_steps=n, schedule=s, fid=100 / n + len(s), precision=0.5)
            for s in ('linear', 'cosine', 'other') for n in (256, 4, 16)]


def test_a_line_for_each_series_and_a_panel_for_each_score(rows: list[dict]):
    figure = draw_sweep(rows, 'num_steps', dict(fid='FID', precision='precision'), 'schedule',
                        'log2')
    fid, precision = figure.axes
    assert [line.get_label() for line in fid.lines] == ['cosine', 'linear', 'other']
    assert list(fid.lines[2].get_xdata()) == [4, 16, 256]
    assert list(fid.lines[2].get_ydata()) == [30, 11.25, 100 / 256 + 5]
    assert fid.get_ylabel() == 'FID' and precision.get_xlabel() == 'num steps'
    assert fid.get_xscale() == 'log' and list(fid.get_xticks()) == [4, 16, 256]
    assert fid.get_legend().get_title().get_text() == 'schedule'


def test_one_line_and_a_temperature_of_zero(rows: list[dict]):
    points = [dict(temperature=t, fid=t) for t in (0.0, 2.0, 60.0)]
    axis = draw_sweep(points, 'temperature', dict(fid='FID'), scale='symlog').axes[0]
    assert axis.get_legend() is None and axis.get_xscale() == 'symlog'
    assert list(axis.get_xticks()) == [0, 2, 60]


def test_bad_input():
    with pytest.raises(ValueError, match='at least one point'):
        draw_sweep([], 'x', dict(y='y'))
    with pytest.raises(ValueError, match="got 'cubic'"):
        draw_sweep([dict(x=1, y=2)], 'x', dict(y='y'), scale='cubic')
