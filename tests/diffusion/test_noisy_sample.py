from __future__ import annotations

import torch

from addp_mm.diffusion import NoisySample

# Two images on a 2 x 3 grid; True = unreliable.
MASK = torch.tensor([[[1, 0, 1], [0, 0, 1]], [[0, 1, 1], [1, 1, 0]]], dtype=torch.bool)
IDS = torch.tensor([[[10, 11, 12], [13, 14, 15]], [[20, 21, 22], [23, 24, 25]]])


def test_equal_counts_come_in_row_major_order_without_padding():
    mask = MASK.clone()
    mask[1, 0, 1] = False
    ids, places, padding = NoisySample(IDS, mask, num_reliable=3).reliable_tokens()
    assert ids.tolist() == [[11, 13, 14], [20, 21, 25]]
    assert places.tolist() == [[1, 3, 4], [0, 1, 5]]
    assert padding is None


def test_unequal_counts_are_padded_at_the_end():
    ids, places, padding = NoisySample(IDS, MASK).reliable_tokens()
    assert padding.tolist() == [[False, False, False], [False, False, True]]
    assert ids[0].tolist() == [11, 13, 14] and ids[1, :2].tolist() == [20, 25]
    assert places[0].tolist() == [1, 3, 4] and places[1, :2].tolist() == [0, 5]


def test_all_masked_and_none_masked():
    for num_reliable in (0, None):
        ids, places, _ = NoisySample(IDS, torch.ones_like(MASK),
                                     num_reliable=num_reliable).reliable_tokens()
        assert ids.shape == places.shape == (2, 0)
    ids, places, _ = NoisySample(IDS, torch.zeros_like(MASK), num_reliable=6).reliable_tokens()
    assert torch.equal(ids, IDS.flatten(1)) and places.tolist() == [list(range(6))] * 2
