"""Drawing token ids, and the confidence in them."""
from __future__ import annotations

import pytest
import torch

from addp_mm.generation import confidence, draw_ids

PROBS = torch.tensor([0.1, 0.4, 0.0, 0.2, 0.3])


def places(probs: torch.Tensor, count: int = 40000) -> tuple[torch.Tensor, torch.Tensor]:
    """One image of ``count`` places of the same distribution, and noise."""
    uniform = torch.rand(1, 1, count)
    return probs[None, :, None, None].expand(1, -1, 1, count), uniform


def frequencies(ids: torch.Tensor) -> torch.Tensor:
    return ids.flatten().bincount(minlength=len(PROBS)) / ids.numel()


def test_frequencies() -> None:
    ids = draw_ids(*places(PROBS))
    assert ids.dtype == torch.long and ids.shape == (1, 1, 40000)
    assert torch.allclose(frequencies(ids), PROBS, atol=0.01)


def test_probabilities_need_not_sum_to_one() -> None:
    assert torch.allclose(frequencies(draw_ids(*places(3 * PROBS))), PROBS, atol=0.01)


@pytest.mark.parametrize('top_p, kept', [
    (0.3, [1]), (0.5, [1, 4]), (0.69, [1, 4]), (0.8, [1, 3, 4]), (0.95, [0, 1, 3, 4])
])
def test_top_p_keeps_the_smallest_sufficient_set(top_p: float, kept: list[int]) -> None:
    wanted = torch.zeros_like(PROBS)
    wanted[kept] = PROBS[kept] / PROBS[kept].sum()
    assert torch.allclose(frequencies(draw_ids(*places(PROBS), top_p)), wanted, atol=0.01)


@pytest.mark.parametrize('top_p', [1., 0.9])
@pytest.mark.parametrize('noise', [0., 1 - 2**-24])
def test_a_code_of_probability_zero_is_never_drawn(noise: float, top_p: float) -> None:
    probs = torch.tensor([0., 0.3, 0., 0.7, 0., 0.])[None, :, None, None]
    for scale in (1., 1.0000001, 0.9999999, 1 / 3):
        drawn = draw_ids(scale * probs, torch.full((1, 1, 1), noise), top_p)
        assert int(drawn) in (1, 3)


def test_float64() -> None:
    probs, uniform = places(PROBS, 1000)
    assert torch.equal(draw_ids(probs.double(), uniform), draw_ids(probs, uniform))


def test_confidence() -> None:
    log_probs = torch.randn(2, 7, 3, 4).log_softmax(dim=1)
    token_ids, noise = torch.randint(7, (2, 3, 4)), torch.randn(2, 3, 4)
    mask = torch.rand(2, 3, 4) < 0.5
    sureness = confidence(log_probs, token_ids, mask, noise)
    assert torch.isinf(sureness[~mask]).all() and (sureness[~mask] > 0).all()
    n, row, column = mask.nonzero()[0].tolist()
    code = token_ids[n, row, column]
    expected = log_probs[n, code, row, column] + noise[n, row, column]
    assert sureness[n, row, column] == expected
