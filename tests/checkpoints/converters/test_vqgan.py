"""Released VQGAN files, and those that only look like them."""
from __future__ import annotations

import pytest
import torch
from torch import Tensor

from addp_mm.checkpoints.converters.vqgan import convert_vqgan
from addp_mm.models.vqgan import VQGAN
from tests.helpers.reference import reference_part


@pytest.fixture
def released() -> dict[str, Tensor]:
    return reference_part('vqgan.')


def test_a_released_file_keeps_its_168_names(released: dict) -> None:
    conversion = convert_vqgan(released)
    assert len(released) == 168
    assert conversion.weights.keys() == released.keys() and not conversion.dropped
    assert all(conversion.weights[n] is v for n, v in released.items())


def test_other_sizes_of_the_architecture_pass() -> None:
    with torch.device('meta'):
        model = VQGAN(image_size=32, num_codes=64, code_dims=16, channels=32,
                      channel_mult=(1, 2, 4), num_res_blocks=1)
    weights = model.state_dict()
    assert convert_vqgan(weights).weights.keys() == weights.keys()


def test_parts_of_the_training_are_dropped(released: dict) -> None:
    training = {'loss.perceptual_loss.lin0.model.1.weight': torch.zeros(1),
                'loss.discriminator.main.0.weight': torch.zeros(1),
                'discriminator.conv.weight': torch.zeros(1)}
    conversion = convert_vqgan(released | training)
    assert conversion.dropped.keys() == training.keys()
    assert conversion.weights.keys() == released.keys()


@pytest.mark.parametrize('name, part', [
    ('quant_conv.weight', 'convolutions around the codebook'),
    ('post_quant_conv.bias', 'convolutions around the codebook'),
    ('encoder.down.4.attn.0.q.weight', 'attention layers'),
    ('decoder.mid.attn_1.norm.weight', 'attention layers'),
    ('encoder.down.0.downsample.conv.weight', 'strided convolutions'),
])
def test_another_architecture_is_named(released: dict, name: str, part: str) -> None:
    with pytest.raises(ValueError, match=f'{part}.*taming-transformers.*vqgan_jax_strongaug'):
        convert_vqgan(released | {name: torch.zeros(1)})


@pytest.mark.parametrize('name', [
    'encoder.down.2.block.0.nin_shortcut.weight', 'decoder.up.3.block.1.conv2.weight',
    'decoder.up.1.upsample.conv.bias', 'decoder.conv_in.bias', 'encoder.mid.block_2.norm1.weight',
    'quantize.embedding.weight'
])
def test_a_missing_tensor_stops_it(released: dict, name: str) -> None:
    if name.endswith('nin_shortcut.weight'):     # Only where the width changes is there one.
        stem = name.removesuffix('nin_shortcut.weight')
        shape = released[f'{stem}conv1.weight'].shape
        assert shape[0] != shape[1]
    del released[name]
    with pytest.raises(ValueError, match=f'0 unknown; 1 missing: {name}'):
        convert_vqgan(released)


def test_an_unknown_tensor_stops_it(released: dict) -> None:
    with pytest.raises(ValueError, match=r'1 unknown: encoder\.conv_in\.bias; 0 missing'):
        convert_vqgan(released | {'encoder.conv_in.bias': torch.zeros(1)})
