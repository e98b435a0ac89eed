from __future__ import annotations

import pytest
import torch

from addp_mm.diffusion import NoisySample

# Two images on a 2 x 3 grid; True = unreliable.
MASK = torch.tensor([[[1, 0, 1], [0, 0, 1]], [[0, 1, 1], [1, 1, 0]]], dtype=torch.bool)
IDS = torch.tensor([[[10, 11, 12], [13, 14, 15]], [[20, 21, 22], [23, 24, 25]]])

MASK_OF_THREE = MASK.clone()
MASK_OF_THREE[1, 0, 1] = False


def test_equal_counts_come_in_row_major_order_without_padding():
    ids, places, padding = NoisySample(IDS, MASK_OF_THREE, num_reliable=3).reliable_tokens()
    assert ids.tolist() == [[11, 13, 14], [20, 21, 25]]
    assert places.tolist() == [[1, 3, 4], [0, 1, 5]]
    assert padding is None


@pytest.mark.parametrize('num_reliable', [None, (3, 2)])
def test_unequal_counts_are_padded_at_the_end(num_reliable: tuple[int, int] | None):
    ids, places, padding = NoisySample(IDS, MASK, num_reliable=num_reliable).reliable_tokens()
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


@pytest.mark.parametrize('known', [True, False])
def test_padding_to_a_multiple(known: bool):
    sample = NoisySample(IDS, MASK_OF_THREE, num_reliable=3 if known else None)
    ids, places, padding = sample.reliable_tokens(multiple=5)
    assert places[:, :3].tolist() == [[1, 3, 4], [0, 1, 5]] and ids.shape == (2, 5)
    assert padding.tolist() == [[False] * 3 + [True] * 2] * 2
    assert sample.reliable_tokens(multiple=4)[0].shape == (2, 4)
    padding = sample.reliable_tokens(multiple=3)[2]
    assert padding.shape == (2, 3) and not padding.any(), 'one form for every length'
    assert sample.reliable_tokens(multiple=50)[0].shape == (2, 6), 'more than the grid has'


@pytest.mark.parametrize(('multiple', 'length'), [(1, 3), (2, 4), (3, 3), (50, 6)])
def test_masked_places(multiple: int, length: int):
    probs = torch.rand(2, 4, 2, 3)
    places, masked = NoisySample(IDS, MASK_OF_THREE, probs, 3).masked_places(multiple)
    assert places.shape == (2, length)
    assert places[:, :3].tolist() == [[0, 2, 5], [2, 3, 4]]
    assert masked.token_ids[:, :3].tolist() == [[10, 12, 15], [22, 23, 24]]
    assert masked.mask.tolist() == [[True] * 3 + [False] * (length - 3)] * 2
    assert torch.equal(masked.target_probs[1, :, 2], probs[1, :, 1, 1])
    assert masked.target_probs.shape == (2, 4, length)


def test_masked_places_of_unequal_number_are_padded_at_the_end():
    places, masked = NoisySample(IDS, MASK, num_reliable=(3, 2)).masked_places()
    assert places.tolist() == [[0, 2, 5, 1], [1, 2, 3, 4]]
    assert masked.mask.tolist() == [[True] * 3 + [False], [True] * 4]


def test_masked_places_of_unknown_number_are_all_places():
    places, masked = NoisySample(IDS, MASK).masked_places()
    assert places.tolist() == [[0, 2, 5, 1, 3, 4], [1, 2, 3, 4, 0, 5]]
    assert masked.mask.sum(dim=1).tolist() == [3, 4] and masked.target_probs is None
