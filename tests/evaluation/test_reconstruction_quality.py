from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from addp_mm.evaluation import CodebookUsage, ReconstructionQuality, psnr, ssim


def smooth_pair(side: int = 24) -> tuple[Tensor, Tensor]:
    images = torch.nn.functional.interpolate(torch.rand(2, 3, 5, 5), (side, side + 4),
                                             mode='bilinear')
    return images, (images + 0.1 * torch.randn_like(images)).clamp(0, 1)


def plain_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Wang et al. 2004 for one channel, by scipy, where the 11 x 11 window lies inside."""

    def blur(z: np.ndarray) -> np.ndarray:
        return gaussian_filter(z, 1.5, truncate=3.4)[5:-5, 5:-5]

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    return float(np.mean((2 * mx * my + c1) * (2 * cov + c2) /
                         ((mx**2 + my**2 + c1) * (vx + vy + c2))))


def test_psnr_by_hand():
    images = torch.full((1, 3, 4, 4), 0.5)
    assert psnr(images, images + 0.1).item() == pytest.approx(20)
    assert psnr(images, images + 0.01).item() == pytest.approx(40, abs=1e-3)
    assert psnr(images, images).item() == 100


def test_psnr_is_of_each_image():
    images = torch.zeros(2, 3, 4, 4)
    others = images + torch.tensor([0.1, 0.01]).view(2, 1, 1, 1)
    torch.testing.assert_close(psnr(others, images), torch.tensor([20., 40.]).double(), atol=1e-4,
                               rtol=0)


def test_ssim_equals_the_definition_by_scipy():
    images, others = smooth_pair()
    found = ssim(others, images)
    for n in range(2):
        wanted = np.mean([plain_ssim(others[n, c].double().numpy(), images[n, c].double().numpy())
                          for c in range(3)])
        assert found[n].item() == pytest.approx(wanted, abs=1e-9)
    assert 0.1 < found.min() < found.max() < 0.95


def test_ssim_of_constant_images_by_hand():
    a, b = 0.3, 0.5
    found = ssim(torch.full((1, 3, 16, 16), a), torch.full((1, 3, 16, 16), b))
    assert found.item() == pytest.approx((2 * a * b + 1e-4) / (a * a + b * b + 1e-4), rel=1e-5)


def test_ssim_of_equal_images_is_1_and_of_small_ones_refused():
    images, _ = smooth_pair()
    torch.testing.assert_close(ssim(images, images), torch.ones(2).double())
    with pytest.raises(ValueError, match='11 x 11'):
        ssim(images[..., :10, :], images[..., :10, :])


def test_metric_averages_over_the_images_of_all_batches():
    metric = ReconstructionQuality()
    errors = (0.1, 0.01, 0.1)
    samples = [dict(image=torch.full((3, 16, 16), 0.5),
                    reconstruction=torch.full((3, 16, 16), 0.5 + e)) for e in errors]
    metric.process({}, samples[:2])
    metric.process({}, samples[2:])
    results = metric.evaluate(size=3)
    assert results['reconstruction/psnr'] == pytest.approx((20 + 40 + 20) / 3, abs=1e-3)
    assert results['reconstruction/psnr_min'] == pytest.approx(20, abs=1e-3)
    assert results['reconstruction/ssim'] < 1 and not math.isnan(results['reconstruction/ssim'])


def evaluate(*token_ids: list[list[int]], num_codes: int = 8) -> dict[str, float]:
    metric = CodebookUsage()
    for ids in token_ids:
        metric.process({}, [dict(token_ids=torch.tensor(ids), num_codes=num_codes)])
    return metric.evaluate(size=len(token_ids))


def test_use_over_all_images():
    results = evaluate([[0, 0], [1, 1]], [[0, 0], [5, 5]])
    entropy = -(0.5 * math.log(0.5) + 2 * 0.25 * math.log(0.25))
    assert results['codebook/perplexity'] == pytest.approx(math.exp(entropy))
    assert results['codebook/dead_codes'] == 5
    assert results['codebook/in_use'] == pytest.approx(37.5)


def test_even_use_of_all_codes():
    results = evaluate([[0, 1], [2, 3]], num_codes=4)
    assert results == {'codebook/perplexity': pytest.approx(4), 'codebook/dead_codes': 0,
                       'codebook/in_use': 100}


def test_one_code_alone():
    results = evaluate([[3, 3]])
    assert results['codebook/perplexity'] == pytest.approx(1)
    assert results['codebook/dead_codes'] == 7
