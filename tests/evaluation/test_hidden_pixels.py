from __future__ import annotations

import math

import pytest

from addp_mm.registry import METRICS


def test_the_share_is_of_all_images_together():
    metric = METRICS.build(dict(type='HiddenPixels'))
    metric.process({}, [dict(error=1., deviation=4.)])
    metric.process({}, [dict(error=0., deviation=0.), dict(error=2., deviation=8.)])
    assert metric.evaluate(3)['hidden_pixels/explained'] == pytest.approx(0.75)


def test_images_of_one_colour_have_nothing_to_explain():
    metric = METRICS.build(dict(type='HiddenPixels'))
    metric.process({}, [dict(error=0., deviation=0.)])
    assert math.isnan(metric.evaluate(1)['hidden_pixels/explained'])
