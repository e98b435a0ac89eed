from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from addp_mm.diffusion import (
    MAPPINGS,
    DiffusionProcess,
    FixedMaskRatio,
    MaskRatioDistribution,
    Masks,
    map_to_latents,
)
from tests.helpers.tiny import (
    CODE_DIMS,
    NUM_CODES,
    build_tiny_token_predictor,
    build_tiny_tokenizer,
)

CPU = torch.device('cpu')


@pytest.fixture(scope='module')
def tokenizer() -> nn.Module:
    torch.manual_seed(0)
    return build_tiny_tokenizer().requires_grad_(False)


@pytest.fixture(scope='module')
def predictor() -> nn.Module:
    torch.manual_seed(0)
    return build_tiny_token_predictor().requires_grad_(False)


@pytest.fixture
def ids() -> Tensor:
    return torch.randint(NUM_CODES, (2, 4, 4))


def counts_of(mask: Tensor) -> list[int]:
    return mask.flatten(1).sum(dim=1).tolist()


def test_masks_of_a_batch_share_their_counts():
    process = DiffusionProcess()
    table = {9, 10, 11, 12, 13, 14, 15, 16}           # of 16 tokens, ratios from 0.509
    for _ in range(20):
        masks = process.draw_masks((3, 4, 4), CPU)
        mask, later = masks.now, masks.later
        assert mask.shape == later.shape == (3, 4, 4)
        assert len(set(counts_of(mask))) == len(set(counts_of(later))) == 1
        assert counts_of(mask)[0] in table and counts_of(later)[0] >= counts_of(mask)[0]
        assert masks.num_reliable == 16 - counts_of(mask)[0]
        assert not (mask & ~later).any()


def test_the_larger_mask_is_larger():
    process = DiffusionProcess(dict(type='MaskRatioDistribution', num_steps=8, max_offset=1))
    drawn = [process.draw_masks((1, 8, 8), CPU) for _ in range(40)]
    pairs = {(counts_of(masks.now)[0], counts_of(masks.later)[0]) for masks in drawn}
    assert len(pairs) > 2 and all(b > a for a, b in pairs if a < 63)


def test_each_image_with_its_own_ratio():
    process = DiffusionProcess(per_image=True)
    masks = process.draw_masks((12, 16, 16), CPU)
    mask, later = masks.now, masks.later
    assert masks.num_reliable == tuple(256 - count for count in counts_of(mask))
    assert len(set(masks.num_reliable)) > 4
    assert not (mask & ~later).any()
    smaller, larger = (mask.flatten(1).sum(dim=1), later.flatten(1).sum(dim=1))
    assert bool(((larger > smaller) | (smaller >= 253)).all())


def test_masks_at_a_given_ratio():
    process = DiffusionProcess()
    masks = process.draw_masks((2, 16, 16), CPU, 0.6)
    mask, later = masks.now, masks.later
    assert counts_of(mask) == [154] * 2 and masks.num_reliable == 256 - 154
    # 0.6 lies before entry 7 of the table (0.6004); 3 entries further 164 are masked.
    assert counts_of(later) == [164] * 2
    assert not (mask & ~later).any()
    full = process.draw_masks((2, 16, 16), CPU, 1.0)
    assert full.now.all() and full.num_reliable == 0


@pytest.mark.parametrize('per_image', [False, True])
def test_masks_can_be_repeated(per_image: bool):
    process = DiffusionProcess(per_image=per_image)

    def draw(seed: int) -> Masks:
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        return process.draw_masks((2, 8, 8), CPU, generator=generator)

    first, second, other = draw(1), draw(1), draw(2)
    assert torch.equal(first.now, second.now) and torch.equal(first.later, second.later)
    assert not torch.equal(first.now, other.now)


def test_the_places_come_from_the_generator():
    process = DiffusionProcess(dict(type='FixedMaskRatio'))
    masks = [process.draw_masks((2, 8, 8), CPU, generator=torch.Generator().manual_seed(5)).now
             for _ in range(2)]
    assert torch.equal(*masks)


def test_filling_is_conditioned_on_the_larger_mask(ids: Tensor, predictor: nn.Module):
    process = DiffusionProcess()
    masks = process.draw_masks(ids.shape, CPU, 0.55)
    unreliable_probs, target_probs = process.predict(ids, masks, predictor)
    torch.testing.assert_close(unreliable_probs, predictor.predict_probs(ids, masks.later))
    torch.testing.assert_close(target_probs, predictor.predict_probs(ids, masks.now))
    assert not torch.allclose(unreliable_probs, target_probs)


def test_both_passes_are_one_batch(ids: Tensor, predictor: nn.Module):
    process, sizes = DiffusionProcess(), []
    predictor.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    process.predict(ids, process.draw_masks(ids.shape, CPU, 0.55), predictor)
    assert sizes == [2 * len(ids)]


def test_filling_conditioned_on_z_t_is_the_target(ids: Tensor, predictor: nn.Module):
    process = DiffusionProcess(condition='z_t')
    masks = process.draw_masks(ids.shape, CPU, 0.55)
    unreliable_probs, target_probs = process.predict(ids, masks, predictor)
    assert torch.equal(unreliable_probs, predictor.predict_probs(ids, masks.now))
    assert torch.equal(unreliable_probs, target_probs)


@pytest.mark.parametrize('mapping', MAPPINGS)
def test_masked_places_are_filled_and_the_others_kept(ids: Tensor, tokenizer: nn.Module,
                                                      mapping: str):
    process = DiffusionProcess(mapping=mapping)
    mask = torch.rand(ids.shape) < 0.5
    latents = tokenizer.quantize.lookup(ids)
    probs = torch.randn(2, NUM_CODES, 4, 4).softmax(dim=1)
    noisy = process.synthesize(latents, mask, probs, tokenizer, torch.Generator().manual_seed(1))

    filling = map_to_latents(probs, tokenizer.quantize, mapping, torch.Generator().manual_seed(1))
    mixture = latents.clone()
    for n, row, col in mask.nonzero().tolist():
        mixture[n, :, row, col] = filling[n, :, row, col]
    assert mixture.shape == (2, CODE_DIMS, 4, 4) and noisy.shape == (2, 3, 32, 32)
    torch.testing.assert_close(noisy, tokenizer.decode(mixture))
    assert not torch.allclose(noisy, tokenizer.decode(latents), atol=1e-3)
    assert not torch.allclose(noisy, tokenizer.decode(filling), atol=1e-3)


def test_an_image_with_nothing_masked_is_its_reconstruction(ids: Tensor, tokenizer: nn.Module):
    probs = torch.randn(2, NUM_CODES, 4, 4).softmax(dim=1)
    noisy = DiffusionProcess().synthesize(tokenizer.quantize.lookup(ids),
                                          torch.zeros_like(ids, dtype=torch.bool), probs, tokenizer)
    torch.testing.assert_close(noisy, tokenizer.decode_ids(ids))


def test_defaults_and_wrong_arguments():
    process = DiffusionProcess()
    assert isinstance(process.mask_ratio, MaskRatioDistribution)
    assert (process.mapping, process.condition, process.per_image) == (
        'weighted_sum', 'z_t+d', False)
    fixed = DiffusionProcess(dict(type='FixedMaskRatio', ratio=0.25)).mask_ratio
    assert isinstance(fixed, FixedMaskRatio) and fixed.ratio == 0.25
    with pytest.raises(ValueError, match="condition must be one of .*'z_t', 'z_t\\+d'.*got 'z_0'"):
        DiffusionProcess(condition='z_0')
    with pytest.raises(ValueError, match="mapping must be one of .* got 'mean'"):
        DiffusionProcess(mapping='mean')
