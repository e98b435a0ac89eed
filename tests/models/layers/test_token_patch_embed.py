"""Images in, embeddings of their tokens out."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from addp_mm.models.layers import FrozenModule, TokenPatchEmbed
from tests.helpers.tiny import (
    NUM_CODES,
    build_tiny_tokenizer,
    save_tiny_weights,
    tiny_batch,
    tiny_tokenizer_cfg,
)

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


@pytest.fixture
def frozen(tmp_path: Path) -> FrozenModule:
    return FrozenModule(tiny_tokenizer_cfg(), save_tiny_weights(tmp_path)['tokenizer'])


def pixels(image_size: int | tuple[int, int] = 32) -> Tensor:
    return tiny_batch(image_size=image_size)['inputs'].float() / 255


def tokenizer_of(path: str) -> nn.Module:
    tokenizer = build_tiny_tokenizer()
    tokenizer.load_state_dict(torch.load(path)['state_dict'])
    return tokenizer


@pytest.mark.parametrize('image_size', [32, (48, 40)])
def test_words_of_the_tokens_in_the_order_of_rows(frozen: FrozenModule,
                                                  image_size: int | tuple) -> None:
    patch_embed = TokenPatchEmbed(frozen, 5, (32, 32))
    images = pixels(image_size)
    patches, grid = patch_embed((images - MEAN) / STD)
    with torch.no_grad():
        token_ids, _ = tokenizer_of(frozen.checkpoint).encode(images)
    assert token_ids.unique().numel() > 4
    assert grid == ((4, 4) if image_size == 32 else (6, 5))
    assert torch.equal(patches, patch_embed.embedding.weight[token_ids].flatten(1, 2))


def test_other_normalisations_are_undone_and_the_rest_is_clamped(frozen: FrozenModule) -> None:
    images = pixels()
    wanted = TokenPatchEmbed(frozen, 5, (32, 32)).tokenize((images - MEAN) / STD)
    symmetric = TokenPatchEmbed(frozen, 5, (32, 32), mean=[127.5] * 3, std=[127.5] * 3)
    assert torch.equal(symmetric.tokenize(images * 2 - 1), wanted)
    assert torch.equal(symmetric.tokenize(torch.full((1, 3, 32, 32), 7.)),
                       symmetric.tokenize(torch.ones(1, 3, 32, 32)))


def test_its_words_train_and_its_tokenizer_does_not(frozen: FrozenModule) -> None:
    patch_embed = TokenPatchEmbed(frozen, 5, (32, 48))
    patch_embed.init_weights()
    assert patch_embed.init_out_size == (4, 6)
    assert list(patch_embed.state_dict()) == ['embedding.weight']
    assert patch_embed.embedding.weight.shape == (NUM_CODES, 5)
    assert float(patch_embed.embedding.weight.detach().std()) == pytest.approx(0.02, rel=0.3)
    patch_embed(pixels())[0].sum().backward()
    assert patch_embed.embedding.weight.grad.any()
    assert not any(p.requires_grad for p in frozen.description.parameters())


def test_sizes_that_the_stride_does_not_divide(frozen: FrozenModule) -> None:
    with pytest.raises(ValueError, match=r'stride 8, .* size \(32, 30\)'):
        TokenPatchEmbed(frozen, 5, (32, 30))
    with pytest.raises(ValueError, match=r'multiples of 8, got \(32, 36\)'):
        TokenPatchEmbed(frozen, 5, (32, 32))(torch.zeros(1, 3, 32, 36))


def test_a_missing_tokenizer_stops_before_the_training() -> None:
    patch_embed = TokenPatchEmbed(FrozenModule(tiny_tokenizer_cfg(), 'nowhere.pth'), 5, (32, 32))
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        patch_embed.init_weights()
