from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from addp_mm.diffusion import NoisySample
from addp_mm.models.addp import TokenDecoder, TokenHead

GRID, PLACES = (3, 4), 12
SIZES = dict(in_channels=6, grid_size=GRID, num_codes=10, vocab_size=14, embed_dims=16, depth=2,
             num_heads=4)


def build(**kwargs) -> TokenDecoder:
    decoder = TokenDecoder(**(SIZES | kwargs))
    for param in decoder.parameters():
        nn.init.normal_(param, std=0.3)
    return decoder.eval().requires_grad_(False)


def sample_with(*num_masked: int, equal: bool = False) -> NoisySample:
    """A sample of one image for each number of masked tokens."""
    rank = torch.rand(len(num_masked), PLACES).argsort(dim=1).argsort(dim=1)
    mask = rank.lt(torch.tensor(num_masked)[:, None]).view(-1, *GRID)
    return NoisySample(torch.randint(10, mask.shape), mask,
                       num_reliable=PLACES - num_masked[0] if equal else None)


@pytest.fixture
def decoder() -> TokenDecoder:
    return build()


@pytest.fixture
def features() -> Tensor:
    return torch.randn(2, 6, *GRID)


@pytest.fixture
def sample() -> NoisySample:
    return sample_with(7, 7, equal=True)


def sequence_of(decoder: TokenDecoder, features: Tensor, sample: NoisySample) -> Tensor:
    """What goes into the first layer."""
    seen = []
    handle = decoder.layers.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    decoder(features, sample)
    handle.remove()
    return seen[0]


@pytest.mark.parametrize(('dims', 'size'), [(768, 60_037_353), (1024, 105_739_241)])
def test_size_of_the_released_decoders(dims: int, size: int):
    with torch.device('meta'):
        decoder = TokenDecoder(in_channels=dims, grid_size=(16, 16), num_codes=1024,
                               vocab_size=2025, embed_dims=dims)
        head = decoder.build_head({})
    parameters = [*decoder.parameters(), *head.parameters()]
    assert sum(p.numel() for p in parameters) == size
    assert len(decoder.layers) == 8 and decoder.layers[0].attn.num_heads == 16


def test_names_of_the_parameters():
    def pair(*names: str) -> set[str]:
        return {f'{name}.{kind}' for name in names for kind in ('weight', 'bias')}

    keys = {'mask_token', 'token_embed.weight', 'pos_embed', 'mask_pos_embed', 'token_pos_embed'}
    keys |= pair('decoder_embed', 'norm')
    for i in range(2):
        keys |= pair(*(f'layers.{i}.{part}' for part in (
            'ln1', 'attn.qkv', 'attn.proj', 'ln2', 'ffn.layers.0.0', 'ffn.layers.1')))
    assert set(build().state_dict()) == keys
    assert set(build(token_input=False).state_dict()) == keys - {'token_pos_embed'}


def test_the_sequence(decoder: TokenDecoder, features: Tensor, sample: NoisySample):
    sequence = sequence_of(decoder, features, sample)
    assert sequence.shape == (2, 1 + PLACES + 5, 16)
    mask_token, flat = decoder.mask_token[0, 0], features.flatten(2)
    torch.testing.assert_close(sequence[:, 0], (mask_token + decoder.pos_embed[0, 0]).expand(2, -1))
    for n in range(2):
        reliable = []
        for i in range(PLACES):
            if sample.mask[n].flatten()[i]:
                wanted = mask_token + decoder.mask_pos_embed[0, 1 + i]
            else:
                wanted = decoder.decoder_embed(flat[n, :, i]) + decoder.pos_embed[0, 1 + i]
                word = decoder.token_embed.weight[sample.token_ids[n].flatten()[i]]
                reliable.append(word + decoder.token_pos_embed[0, 1 + i])
            torch.testing.assert_close(sequence[n, 1 + i], wanted)
        torch.testing.assert_close(sequence[n, 1 + PLACES:], torch.stack(reliable))


def test_the_output_is_that_of_the_grid(decoder: TokenDecoder, features: Tensor,
                                        sample: NoisySample):
    out = decoder(features, sample)
    assert out.shape == (2, PLACES, 16)
    whole = decoder.decode_sequence(features, sample)
    assert whole.shape == (2, 1 + PLACES + 5, 16)
    assert torch.equal(out, whole[:, 1:1 + PLACES])
    tokens = decoder.norm(decoder.layers(sequence_of(decoder, features, sample)))
    assert torch.equal(whole, tokens)


def test_masked_places_do_not_see_the_encoder(decoder: TokenDecoder, features: Tensor,
                                              sample: NoisySample):
    out = decoder(features, sample)
    hidden = torch.where(sample.mask[:, None], torch.randn_like(features), features)
    assert torch.equal(decoder(hidden, sample), out)
    shown = torch.where(sample.mask[:, None], features, torch.randn_like(features))
    assert not torch.allclose(decoder(shown, sample), out, atol=1e-3)


def test_masked_ids_are_not_read(decoder: TokenDecoder, features: Tensor, sample: NoisySample):
    out = decoder(features, sample)
    others = (sample.token_ids + 1) % 10
    hidden = NoisySample(torch.where(sample.mask, others, sample.token_ids), sample.mask,
                         num_reliable=5)
    assert torch.equal(decoder(features, hidden), out)
    shown = NoisySample(torch.where(sample.mask, sample.token_ids, others), sample.mask,
                        num_reliable=5)
    assert not torch.allclose(decoder(features, shown), out, atol=1e-3)


def test_images_do_not_see_each_other(decoder: TokenDecoder, features: Tensor,
                                      sample: NoisySample):
    alone = NoisySample(sample.token_ids[1:], sample.mask[1:], num_reliable=5)
    torch.testing.assert_close(decoder(features, sample)[1:], decoder(features[1:], alone))


def test_unequal_counts_equal_each_image_alone(decoder: TokenDecoder):
    features, sample = torch.randn(4, 6, *GRID), sample_with(3, 12, 0, 7)
    out = decoder(features, sample)
    for n, num_masked in enumerate((3, 12, 0, 7)):
        alone = NoisySample(sample.token_ids[n:n + 1], sample.mask[n:n + 1],
                            num_reliable=PLACES - num_masked)
        torch.testing.assert_close(out[n:n + 1], decoder(features[n:n + 1], alone))


@pytest.mark.parametrize('num_masked', [(7, 7), (12, 12), (3, 9), (0, 12)])
def test_a_bucket_changes_lengths_only(features: Tensor, num_masked: tuple[int, int]):
    plain, padded = build(), build(bucket=4)
    padded.load_state_dict(plain.state_dict())
    sample = sample_with(*num_masked, equal=len(set(num_masked)) == 1)
    wanted, out = plain(features, sample), padded(features, sample)
    torch.testing.assert_close(out, wanted)
    longest = PLACES - min(num_masked)
    assert sequence_of(padded, features, sample).shape[1] == 13 + 4 * math.ceil(longest / 4)
    assert padded.build_head({}).bucket == 4


def test_a_bucket_of_nothing():
    with pytest.raises(ValueError, match='bucket must be at least 1'):
        build(bucket=0)


@pytest.mark.parametrize('num_masked', [0, PLACES])
def test_all_or_nothing_masked(decoder: TokenDecoder, features: Tensor, num_masked: int):
    counted = sample_with(num_masked, num_masked, equal=True)
    uncounted = NoisySample(counted.token_ids, counted.mask)
    out = decoder(features, counted)
    assert sequence_of(decoder, features, counted).shape[1] == 1 + 2 * PLACES - num_masked
    torch.testing.assert_close(decoder(features, uncounted), out)
    if num_masked == PLACES:
        assert torch.equal(out[0], out[1]), 'something of the images leaks'


def test_without_token_input_no_id_is_read(features: Tensor, sample: NoisySample):
    decoder = build(token_input=False)
    out = decoder(features, sample)
    assert sequence_of(decoder, features, sample).shape == (2, 1 + PLACES, 16)
    others = NoisySample((sample.token_ids + 1) % 10, sample.mask, num_reliable=5)
    assert torch.equal(decoder(features, others), out)
    uncounted = NoisySample(sample.token_ids, sample.mask)
    assert torch.equal(decoder(features, uncounted), out)


def test_what_the_head_has_to_know():
    head = build().build_head({})
    projection = head.token_projection
    assert isinstance(head, TokenHead) and (head.grid_size, head.bucket) == (GRID, 1)
    assert projection.fc.in_features == 16 and projection.bias.shape == (14, )
    assert projection.detach is True
    without = build(token_input=False).build_head({})
    assert without.token_projection.detach is False, 'nothing trains the embedding'
    assert build(vocab_size=None).build_head({}).token_projection.bias.shape == (10, )


def test_features_of_another_grid_are_resized(decoder: TokenDecoder, sample: NoisySample):
    coarse = torch.randn(2, 6, 2, 2)
    fine = F.interpolate(coarse, GRID, mode='bilinear')
    assert torch.equal(decoder(coarse, sample), decoder(fine, sample))


def test_dropout_in_training_only(features: Tensor, sample: NoisySample):
    decoder = build(drop_rate=0.3)
    assert torch.equal(decoder(features, sample), decoder(features, sample))
    decoder.train()
    assert not torch.allclose(decoder(features, sample), decoder(features, sample))
    assert TokenDecoder(**SIZES).layers[1].attn.attn_drop == 0.1


def test_weights_of_another_grid_load_and_keep_cls():
    small, large = build(grid_size=(4, 4)), build(grid_size=(4, 6))
    large.load_state_dict(small.state_dict())
    for name in ('pos_embed', 'mask_pos_embed', 'token_pos_embed'):
        table, resized = getattr(small, name), getattr(large, name)
        assert resized.shape == (1, 25, 16)
        assert torch.equal(resized[:, 0], table[:, 0])
        wanted = F.interpolate(table[:, 1:].view(1, 4, 4, 16).permute(0, 3, 1, 2), (4, 6),
                               mode='bicubic', align_corners=False)
        torch.testing.assert_close(resized[0, 1:], wanted[0].flatten(1).t())


@pytest.mark.parametrize('std', [0.02, 0.15])
def test_start_values(std: float):
    changes = {} if std == 0.02 else dict(table_std=std)
    decoder = TokenDecoder(**SIZES | dict(embed_dims=64, grid_size=(6, 6)) | changes)
    nn.init.constant_(decoder.decoder_embed.bias, 3.)
    decoder.init_weights()
    for name in ('pos_embed', 'mask_pos_embed', 'token_pos_embed', 'mask_token'):
        table = getattr(decoder, name).detach()
        assert float(table.std()) == pytest.approx(std, rel=0.3), name
    assert float(decoder.token_embed.weight.detach().std()) == pytest.approx(std, rel=0.15)
    assert not decoder.decoder_embed.bias.any()
    bound = (6 / (6 + 64))**0.5
    assert float(decoder.decoder_embed.weight.detach().abs().max()) == pytest.approx(bound, rel=.03)


def test_what_does_not_fit(decoder: TokenDecoder, features: Tensor, sample: NoisySample):
    with pytest.raises(ValueError, match=r'expects features \(N, 6, h, w\), got \(2, 5, 3, 4\)'):
        decoder(features[:, :5], sample)
    with pytest.raises(ValueError, match=r'got \(2, 6, 12\).*to a feature map'):
        decoder(features.flatten(2), sample)
    with pytest.raises(ValueError, match=r'grid \(3, 4\), the tokens \(3, 3\)'):
        decoder(features, NoisySample(sample.token_ids[..., :3], sample.mask[..., :3]))
    with pytest.raises(ValueError, match='vocab_size must be at least num_codes=10, got 9'):
        build(vocab_size=9)
