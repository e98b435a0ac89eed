from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from addp_mm.models.vqgan import VQGAN, Codebook
from addp_mm.models.vqgan.vqgan_layers import (
    RELEASED_NORM,
    BlockStyle,
    ResidualBlock,
    Upsample,
    build_norm,
)
from addp_mm.registry import MODELS
from tests.helpers.tiny import NUM_CODES, build_tiny_tokenizer, tiny_tokenizer_cfg


@pytest.fixture
def tokenizer() -> VQGAN:
    return build_tiny_tokenizer().requires_grad_(False)


@pytest.fixture(scope='module')
def released() -> VQGAN:
    with torch.device('meta'):
        return VQGAN()


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def block_keys(prefix: str) -> set[str]:
    norms = {f'{prefix}.norm{i}.{kind}' for i in (1, 2) for kind in ('weight', 'bias')}
    return norms | {f'{prefix}.conv{i}.weight' for i in (1, 2)}


def test_size_of_the_released_tokenizer(released: VQGAN):
    assert count(released.encoder) == 23_775_104
    assert count(released.decoder) == 30_478_339
    assert count(released) == 54_515_587
    assert released.grid_size == (16, 16) and released.stride == 16


def test_names_of_the_released_file(released: VQGAN):
    keys = {'quantize.embedding.weight', 'encoder.conv_in.weight'}
    for part in ('encoder.norm_out', 'encoder.conv_out', 'decoder.conv_in', 'decoder.norm_out',
                 'decoder.conv_out', *(f'decoder.up.{i}.upsample.conv' for i in (1, 2, 3, 4))):
        keys |= {f'{part}.weight', f'{part}.bias'}
    for part in ('encoder', 'decoder'):
        folder = 'down' if part == 'encoder' else 'up'
        keys |= block_keys(f'{part}.mid.block_1') | block_keys(f'{part}.mid.block_2')
        for i in range(5):
            keys |= block_keys(f'{part}.{folder}.{i}.block.0')
            keys |= block_keys(f'{part}.{folder}.{i}.block.1')
    shortcuts = {'encoder.down.2': 256, 'encoder.down.4': 512, 'decoder.up.1': 128,
                 'decoder.up.3': 256}
    keys |= {f'{level}.block.0.nin_shortcut.weight' for level in shortcuts}
    state = released.state_dict()
    assert len(state) == 168 and set(state) == keys
    for level, width in shortcuts.items():
        assert state[f'{level}.block.0.nin_shortcut.weight'].shape == (width, width, 1, 1)
    assert state['encoder.conv_out.weight'].shape == (256, 512, 1, 1)
    assert state['decoder.conv_out.weight'].shape == (3, 128, 3, 3)


@pytest.mark.parametrize('out_channels', [32, 64])
def test_a_residual_block_by_hand(out_channels: int):
    block = ResidualBlock(32, out_channels, BlockStyle(RELEASED_NORM, 'branch'))
    nn.init.normal_(block.norm1.weight)
    nn.init.normal_(block.norm2.bias)
    x = torch.randn(2, 32, 4, 4)
    hidden = F.conv2d(swish(F.group_norm(x, 32, block.norm1.weight, block.norm1.bias, 1e-6)),
                      block.conv1.weight, padding=1)
    hidden = F.conv2d(swish(F.group_norm(hidden, 32, block.norm2.weight, block.norm2.bias, 1e-6)),
                      block.conv2.weight, padding=1)
    # The released network's shortcut reads the branch: the input is lost where widths change.
    shortcut = x if out_channels == 32 else F.conv2d(hidden, block.nin_shortcut.weight)
    torch.testing.assert_close(block(x), hidden + shortcut)


def test_a_block_whose_shortcut_reads_its_input_by_hand():
    block = ResidualBlock(8, 16, BlockStyle(dict(type='LN2d', eps=1e-5), 'input'))
    nn.init.normal_(block.norm1.weight)
    x = torch.randn(2, 8, 4, 4)
    places = F.layer_norm(x.movedim(1, -1), (8,), block.norm1.weight).movedim(-1, 1)
    hidden = F.conv2d(swish(places), block.conv1.weight, padding=1)
    places = F.layer_norm(hidden.movedim(1, -1), (16,)).movedim(-1, 1)
    hidden = F.conv2d(swish(places), block.conv2.weight, padding=1)
    shortcut = F.conv2d(x, block.nin_shortcut.weight)
    torch.testing.assert_close(block(x), hidden + shortcut)


@pytest.mark.parametrize('norm, keeps_brightness', [
    (RELEASED_NORM, False), (dict(type='GN', channels_per_group=16), True),
    (dict(type='LN2d'), True)])
def test_which_norms_of_32_channels_keep_brightness(norm: dict, keeps_brightness: bool):
    brightness = torch.linspace(-1, 1, 32).view(1, 32, 1, 1)
    hidden = build_norm(norm, 32)(torch.randn(2, 32, 8, 8) + brightness)
    # A norm of one channel a group leaves each channel with a mean of zero, whatever its picture.
    assert bool(hidden.mean(dim=(2, 3)).abs().max() > 0.1) is keeps_brightness


def test_widths_that_fit_the_norm():
    VQGAN(32, channels=8, channel_mult=(1, 1), norm=dict(type='LN2d'), shortcut='input')
    by_width = VQGAN(32, channels=48, channel_mult=(1, 2),
                     norm=dict(type='GN', channels_per_group=16))
    assert by_width.encoder.norm_out.num_groups == 6
    with pytest.raises(ValueError, match='multiple of 16, got 40'):
        VQGAN(32, channels=40, channel_mult=(1, 1), norm=dict(type='GN', channels_per_group=16))
    with pytest.raises(ValueError, match="one of .*'branch', 'input'.*, got 'skip'"):
        VQGAN(32, channels=32, channel_mult=(1, 1), shortcut='skip')


def swish(x: torch.Tensor) -> torch.Tensor:
    return x * torch.sigmoid(x)


def test_upsampling_repeats_pixels():
    upsample = Upsample(1)
    nn.init.zeros_(upsample.conv.weight)
    nn.init.zeros_(upsample.conv.bias)
    with torch.no_grad():
        upsample.conv.weight[0, 0, 1, 1] = 1.
    x = torch.arange(4.).view(1, 1, 2, 2)
    assert upsample(x)[0, 0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]


def test_resolutions_are_halved_by_averaging(tokenizer: VQGAN):
    seen = []
    for level in tokenizer.encoder.down:
        level.register_forward_hook(lambda _, inputs, out: seen.append((inputs[0], out)))
    tokenizer.encoder(torch.rand(1, 3, 32, 32))
    assert [out.shape[2] for _, out in seen] == [32, 16, 8, 4]
    for i in range(3):
        (_, finer), (coarser, _) = seen[i:i + 2]
        pairs = finer.unflatten(2, (-1, 2)).unflatten(4, (-1, 2))
        torch.testing.assert_close(coarser, pairs.mean(dim=(3, 5)))


def test_encode_gives_nearest_codes(tokenizer: VQGAN):
    images = torch.rand(3, 3, 32, 32)
    ids, latents = tokenizer.encode(images)
    assert ids.shape == (3, 4, 4) and ids.dtype == torch.int64
    assert len(ids.unique()) > 4 and int(ids.max()) < NUM_CODES
    assert torch.equal(ids, tokenizer.quantize.assign(tokenizer.encoder(images)))
    assert torch.equal(latents, tokenizer.quantize.lookup(ids))


def test_decode_ids_and_probs(tokenizer: VQGAN):
    ids = torch.randint(NUM_CODES, (2, 4, 4))
    images = tokenizer.decode_ids(ids)
    assert images.shape == (2, 3, 32, 32)
    torch.testing.assert_close(images, tokenizer.decode(tokenizer.quantize.lookup(ids)))
    certain = F.one_hot(ids, NUM_CODES).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(tokenizer.decode_probs(certain), images)
    tokenizer.decoder.conv_out.bias += 3.
    torch.testing.assert_close(tokenizer.decode_ids(ids), images + 3., msg='the output is clamped')


def test_other_image_sizes(tokenizer: VQGAN):
    ids, latents = tokenizer.encode(torch.rand(1, 3, 48, 64))
    assert ids.shape == (1, 6, 8)
    assert tokenizer.decode(latents).shape == (1, 3, 48, 64)


@pytest.mark.parametrize('image_size', [(32, 48), [32, 48]])
def test_image_size_may_be_a_list_as_from_the_command_line(image_size: tuple | list):
    tokenizer = MODELS.build(tiny_tokenizer_cfg(image_size=image_size))
    assert tokenizer.image_size == (32, 48) and tokenizer.grid_size == (4, 6)
    assert VQGAN(32, channels=32, channel_mult=(1, 1)).image_size == (32, 32)


def test_wrong_sizes(tokenizer: VQGAN):
    with pytest.raises(ValueError, match=r'stride 8, which does not divide .*\(32, 36\)'):
        VQGAN((32, 36), channels=32, channel_mult=(1, 1, 1, 1))
    with pytest.raises(ValueError, match='multiple of 32, got 48'):
        VQGAN(32, channels=48, channel_mult=(1, 1))
    with pytest.raises(ValueError, match=r'multiples of 8, got \(32, 36\)'):
        tokenizer.encode(torch.rand(1, 3, 32, 36))


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
