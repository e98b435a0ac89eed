from __future__ import annotations

import pytest
import torch

from addp_mm.diffusion import nested_masks, num_masked, remask


@pytest.mark.parametrize(('ratio', 'num_tokens', 'count'), [
    (0., 256, 0), (1., 256, 256), (0.5, 256, 128), (0.5001, 256, 129), (1e-9, 16, 1),
    (0.7, 256, 180), (0.999, 256, 256),
    # In float64 the product is 55.00000000000001, 14.000000000000002 and 28.000000000000004.
    (0.55, 100, 55), (0.07, 200, 14), (0.07, 400, 28),
])
def test_num_masked_rounds_up_in_float32(ratio: float, num_tokens: int, count: int):
    assert num_masked(ratio, num_tokens) == count


@pytest.mark.parametrize('ratio', [-0.01, 1.01, float('nan')])
def test_num_masked_refuses_what_is_no_share(ratio: float):
    with pytest.raises(ValueError, match=r'must lie in \[0, 1\], got'):
        num_masked(ratio, 16)


def counts_of(mask: torch.Tensor) -> list[int]:
    return mask.flatten(1).sum(dim=1).tolist()


def test_nested_masks_have_exact_counts_and_lie_inside_each_other():
    small, middle, large = nested_masks(torch.rand(4, 3, 5), 2, 9, 15)
    assert small.shape == (4, 3, 5) and small.dtype == torch.bool
    assert [counts_of(m) for m in (small, middle, large)] == [[2] * 4, [9] * 4, [15] * 4]
    assert not (small & ~middle).any() and not (middle & ~large).any()
    assert len({tuple(m.flatten().tolist()) for m in middle}) == 4, 'one mask for every image'


def test_the_smallest_noise_is_masked_first():
    noise = torch.tensor([[[0.4, 0.1], [0.3, 0.2]]])
    one, three = nested_masks(noise, 1, 3)
    assert one.tolist() == [[[False, True], [False, False]]]
    assert three.tolist() == [[[False, True], [True, True]]]


def test_ties_do_not_change_the_counts():
    small, large = nested_masks(torch.zeros(3, 4, 4), 5, 11)
    assert counts_of(small) == [5] * 3 and counts_of(large) == [11] * 3
    assert not (small & ~large).any()


def test_counts_per_image():
    small, large = nested_masks(torch.rand(3, 4, 4), torch.tensor([0, 7, 16]),
                                torch.tensor([3, 7, 16]))
    assert counts_of(small) == [0, 7, 16] and counts_of(large) == [3, 7, 16]
    assert not (small & ~large).any()


def test_every_place_is_masked_equally_often():
    mask, = nested_masks(torch.rand(2000, 4, 4), 4)
    assert mask.float().mean(dim=0).flatten().tolist() == pytest.approx([0.25] * 16, abs=0.05)


def test_remask_takes_the_least_confident_and_leaves_what_must_stay():
    confidence = torch.tensor([[[float('inf'), 0.5], [0.1, -3.]],
                               [[0.2, 0.9], [float('inf'), 0.1]]])
    assert remask(confidence, 2).tolist() == [[[False, False], [True, True]],
                                              [[True, False], [False, True]]]
    assert counts_of(remask(confidence, torch.tensor([1, 3]))) == [1, 3]
