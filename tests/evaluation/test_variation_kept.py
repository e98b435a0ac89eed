from __future__ import annotations

import math

import pytest
import torch

from addp_mm.evaluation.variation_kept import MIN_VARIANCE, variation_kept
from addp_mm.registry import METRICS


def test_by_hand():
    image = torch.tensor([0., 1.]).view(1, 1, 1, 2).expand(1, 3, 1, 2)      # variance 0.25
    almost = torch.tensor([0.1, 0.9]).view(1, 1, 1, 2).expand(1, 3, 1, 2)   # squared error 0.01
    assert variation_kept(almost, image).item() == pytest.approx(0.96)
    assert variation_kept(image, image).item() == 1
    assert variation_kept(torch.full_like(image, 0.5), image).item() == 0
    assert variation_kept(1 - image, image).item() == 0


def test_a_blank_picture_keeps_nothing_of_a_dark_image():
    """PSNR passes it: 26 dB."""
    image = torch.zeros(1, 3, 20, 20)
    image[:, :, 8:12, 8:12] = 0.25
    assert variation_kept(torch.zeros_like(image), image).item() == 0
    assert -10 * image.square().mean().log10() > 25


def test_each_channel_has_a_mean_of_its_own():
    red = torch.zeros(1, 3, 4, 4)
    red[:, 0] = 1
    assert math.isnan(variation_kept(red, red).item())


def test_a_metric_of_median_and_tenth():
    metric = METRICS.build(dict(type='VariationKept'))
    image = torch.rand(3, 8, 8)
    blank = image.mean(dim=(1, 2), keepdim=True).expand_as(image)
    samples = [dict(image=image, reconstruction=image.lerp(blank, share / 10))
               for share in range(11)]
    metric.process({}, samples[:6])
    metric.process({}, [*samples[6:], dict(image=blank, reconstruction=image)])
    results = metric.evaluate(12)
    assert results['reconstruction/variation_kept'] == pytest.approx(0.75)
    assert results['reconstruction/variation_kept_p10'] == pytest.approx(1 - 0.81)
    assert results['reconstruction/one_colour'] == 1


def test_images_of_one_colour_alone_give_no_number():
    metric = METRICS.build(dict(type='VariationKept'))
    metric.process({}, [dict(image=torch.zeros(3, 8, 8), reconstruction=torch.zeros(3, 8, 8))])
    results = metric.evaluate(1)
    assert math.isnan(results['reconstruction/variation_kept'])
    assert MIN_VARIANCE > 1 / 12 / 255**2
