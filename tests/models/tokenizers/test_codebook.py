from __future__ import annotations

import pytest
import torch

from addp_mm.models.tokenizers import Codebook


@pytest.fixture
def codebook() -> Codebook:
    codebook = Codebook(num_codes=7, code_dims=3)
    torch.nn.init.normal_(codebook.embedding.weight)
    return codebook.requires_grad_(False)


def test_start_values_are_small_and_uniform():
    weight = Codebook(num_codes=50, code_dims=40).embedding.weight.detach()
    assert 0.019 < float(weight.max()) <= 0.02 and -0.02 <= float(weight.min()) < -0.019
    assert float(weight.std()) == pytest.approx(0.02 / 3**0.5, rel=0.05)


def test_assign_takes_the_nearest_code(codebook: Codebook):
    latents = torch.randn(2, 3, 4, 5)
    ids = codebook.assign(latents)
    assert ids.shape == (2, 4, 5) and ids.dtype == torch.int64
    points = latents.permute(0, 2, 3, 1).reshape(-1, 3)
    wanted = torch.cdist(points, codebook.embedding.weight).argmin(dim=1)
    assert torch.equal(ids.flatten(), wanted)
    assert len(ids.unique()) > 3


@pytest.mark.parametrize('latents_dtype', [torch.float32, torch.bfloat16])
def test_assign_measures_in_float32(latents_dtype: torch.dtype):
    codebook = Codebook(num_codes=2, code_dims=1).requires_grad_(False)
    codebook.embedding.weight.copy_(torch.tensor([[1.], [1.001]]))
    latents = torch.full((1, 1, 1, 1), 1.0078125, dtype=latents_dtype)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        # Rounded to bfloat16 the two codes are one, and the first would be taken.
        assert codebook.assign(latents).item() == 1


def test_lookup(codebook: Codebook):
    ids = torch.randint(7, (2, 4, 5))
    latents = codebook.lookup(ids)
    assert latents.shape == (2, 3, 4, 5)
    assert torch.equal(latents[1, :, 3, 2], codebook.embedding.weight[ids[1, 3, 2]])
    assert torch.equal(codebook.assign(latents), ids)


def test_expected_by_hand(codebook: Codebook):
    probs = torch.randn(2, 7, 4, 5).softmax(dim=1)
    latents = codebook.expected(probs)
    assert latents.shape == (2, 3, 4, 5)
    by_hand = sum(probs[1, k, 3, 2] * codebook.embedding.weight[k] for k in range(7))
    torch.testing.assert_close(latents[1, :, 3, 2], by_hand)
