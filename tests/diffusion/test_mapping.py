from __future__ import annotations

import pytest
import torch

from addp_mm.diffusion import MAPPINGS, check_mapping, map_to_latents, sample_ids
from addp_mm.models.vqgan import Codebook


@pytest.fixture
def codebook() -> Codebook:
    return Codebook(num_codes=5, code_dims=3)


@pytest.fixture
def probs() -> torch.Tensor:
    """(N, K, h, w) = (2, 5, 2, 4)."""
    return torch.randn(2, 5, 2, 4).mul(2).softmax(dim=1)


def test_weighted_sum(codebook: Codebook, probs: torch.Tensor):
    latents = map_to_latents(probs, codebook, 'weighted_sum')
    codes = codebook.embedding.weight
    for n, row, col in [(0, 0, 0), (1, 0, 3), (1, 1, 2)]:
        by_hand = sum(probs[n, k, row, col] * codes[k] for k in range(5))
        torch.testing.assert_close(latents[n, :, row, col], by_hand)
    assert latents.shape == (2, 3, 2, 4)


def test_argmax(codebook: Codebook, probs: torch.Tensor):
    latents = map_to_latents(probs, codebook, 'argmax')
    for n, row, col in [(0, 0, 0), (1, 0, 3), (1, 1, 2)]:
        best = max(range(5), key=lambda k: float(probs[n, k, row, col]))
        assert torch.equal(latents[n, :, row, col], codebook.embedding.weight[best])


def test_sampling_gives_codes_and_follows_its_generator(codebook: Codebook, probs: torch.Tensor):
    first, second, other = (
        map_to_latents(probs, codebook, 'sampling', torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2))
    assert torch.equal(first, second) and not torch.equal(first, other)
    distances = torch.cdist(first.permute(0, 2, 3, 1).reshape(-1, 3), codebook.embedding.weight)
    assert float(distances.detach().min(dim=1).values.max()) < 1e-6


def test_sampling_frequencies_are_those_of_each_place():
    wanted = torch.tensor([[0.1, 0.6, 0.3], [0.7, 0., 0.3]]).t()          # (K, places)
    probs = wanted[None, :, None].expand(6000, 3, 1, 2)
    ids = sample_ids(probs)
    assert ids.shape == (6000, 1, 2) and ids.dtype == torch.int64
    shares = torch.nn.functional.one_hot(ids[:, 0], 3).float().mean(dim=0).t()
    torch.testing.assert_close(shares, wanted, atol=0.03, rtol=0)
    assert float(shares[1, 1]) == 0, 'drew a code of probability 0'


@pytest.mark.parametrize('mapping', MAPPINGS)
def test_certain_distributions_give_their_code(codebook: Codebook, mapping: str):
    ids = torch.randint(5, (2, 3, 2))
    probs = torch.nn.functional.one_hot(ids, 5).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(map_to_latents(probs, codebook, mapping), codebook.lookup(ids))


def test_unknown_mapping(codebook: Codebook, probs: torch.Tensor):
    for call in (lambda: check_mapping('mean'), lambda: map_to_latents(probs, codebook, 'mean')):
        with pytest.raises(ValueError, match="'weighted_sum'.*got 'mean'"):
            call()
