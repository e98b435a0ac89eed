from __future__ import annotations

import numpy as np
import pytest

from addp_mm.diffusion import FixedMaskRatio, MaskRatioDistribution, TruncatedNormalMaskRatio
from addp_mm.visualization import draw_mask_ratios
from addp_mm.visualization.mask_ratios import evenly_spaced_ratios, ratio_table


def heights(axes) -> np.ndarray:
    return np.array([bar.get_height() for bar in axes.patches])


def test_table_of_steps():
    ratios, probs = ratio_table(MaskRatioDistribution())
    assert len(ratios) == len(probs) == 66
    assert probs.sum() == pytest.approx(1) and ratios @ probs == pytest.approx(0.74526, abs=1e-5)


def test_draws_stand_for_a_continuous_distribution():
    ratios, probs = ratio_table(TruncatedNormalMaskRatio())
    assert ratios @ probs == pytest.approx(0.6936, abs=0.01) and probs.sum() == pytest.approx(1)
    assert (np.diff(ratios) > 0).all() and ratios[0] >= 0.5 and ratios[-1] <= 1


def test_evenly_spaced_ratios():
    distribution = MaskRatioDistribution()
    expected = distribution.ratios[[0, 32, 65]].tolist()
    assert evenly_spaced_ratios(distribution, 3) == pytest.approx(expected)
    assert len(evenly_spaced_ratios(distribution, 1000)) == 66
    assert evenly_spaced_ratios(FixedMaskRatio(0.7), 5) == [0.7]
    assert len(evenly_spaced_ratios(TruncatedNormalMaskRatio(), 5)) == 5


def test_figure_over_ratios_and_time():
    distribution = MaskRatioDistribution()
    over_ratios, over_time = draw_mask_ratios(distribution).axes
    ratios, probs = np.asarray(distribution.ratios), np.asarray(distribution.probs)
    bars = heights(over_ratios)
    assert len(bars) == 20 and bars.sum() == pytest.approx(1) and not bars[:10].any()
    assert bars[-1] == pytest.approx(probs[ratios >= 0.95].sum())
    assert '0.745' in over_ratios.get_title() and '66' in over_ratios.get_xlabel()
    assert heights(over_time) == pytest.approx(probs)
    centers = [bar.get_x() + bar.get_width() / 2 for bar in over_time.patches]
    assert centers == pytest.approx(np.arange(34, 100) / 100, abs=1e-3)


@pytest.mark.parametrize(('mask_ratio', 'first'), [
    (FixedMaskRatio(0.5), 10), (FixedMaskRatio(1.0), 19), (TruncatedNormalMaskRatio(), 10)])
def test_no_steps_no_panel_over_time(mask_ratio, first: int):
    axes, = draw_mask_ratios(mask_ratio).axes
    bars = heights(axes)
    assert bars.sum() == pytest.approx(1) and np.flatnonzero(bars)[0] == first
