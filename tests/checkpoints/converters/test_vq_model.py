"""VQGANs of taming-transformers, and the names that diffusers had before."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from addp_mm.checkpoints.converters import convert, detect_kind, vq_model_config
from addp_mm.checkpoints.weight_files import save_weights
from addp_mm.models.vqgan import DiffusersVQModel
from addp_mm.registry import MODELS
from tests.helpers import taming
from tests.helpers.tiny import build_model, tiny_addp_cfg, tiny_batch

pytest.importorskip('diffusers')


@pytest.fixture(scope='module')
def weights() -> dict[str, Tensor]:
    return taming.taming_weights(torch.Generator().manual_seed(0))


def test_converted_vqgan_computes_what_taming_describes(weights: dict) -> None:
    assert detect_kind(weights) == 'taming'
    conversion = convert(weights)
    tokenizer = DiffusersVQModel(vq_model_config(conversion.weights), image_size=16)
    tokenizer.load_state_dict(conversion.weights)
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        token_ids, latents = tokenizer.encode(images)
        expected = taming.encode(weights, 2 * images - 1)
        assert len(expected.unique()) > 3 and torch.equal(token_ids, expected)
        pixels = taming.decode(weights, expected)
        assert torch.allclose(2 * tokenizer.decode(latents) - 1, pixels, atol=1e-4)


def test_addp_trains_on_a_converted_vqgan(weights: dict, tmp_path: Path) -> None:
    converted = convert(weights).weights
    save_weights(converted, tmp_path / 'taming.safetensors')
    tokenizer = dict(
        model=dict(type='DiffusersVQModel', config=vq_model_config(converted), image_size=8,
                   _delete_=True),
        checkpoint=str(tmp_path / 'taming.safetensors'))
    predictor = dict(model=dict(num_codes=taming.CODES), checkpoint=None)
    cfg = tiny_addp_cfg(tmp_path, backbone=dict(patch_size=2), neck=dict(vocab_size=27),
                        data_preprocessor=dict(tokenizer=tokenizer, token_predictor=predictor))
    cfg['data_preprocessor']['token_predictor']['checkpoint'] = _predictor(cfg, tmp_path)
    model = build_model(cfg)
    losses = model(**model.data_preprocessor(tiny_batch(2, 8), training=True), mode='loss')
    losses['loss_token'].backward()
    assert 0 < losses['loss_token'] < 10        # log(20) = 3.0 nats
    assert all(p.grad is not None for p in model.parameters())


def _predictor(cfg: dict, folder: Path) -> str:
    """Random weights of a token predictor of 20 codes on the grid of 4 x 4."""
    part = cfg['data_preprocessor']['token_predictor']['model']
    model = MODELS.build(dict(grid_size=(4, 4)) | part)
    path = folder / 'predictor.safetensors'
    save_weights(model.state_dict(), path)
    return str(path)


def test_training_parts_and_averages_are_dropped(weights: dict) -> None:
    more = {'loss.discriminator.main.0.weight': torch.zeros(1), 'model_ema.decay': torch.zeros(1)}
    assert convert(weights | more).dropped.keys() == more.keys()


@pytest.mark.parametrize('name', ['encoder.down.0.downsample.conv.weight', 'post_quant_conv.bias',
                                  'decoder.up.1.attn.1.k.weight', 'decoder.mid.attn_1.norm.bias',
                                  'encoder.down.1.block.0.nin_shortcut.bias'])
def test_a_missing_tensor_stops_it(weights: dict, name: str) -> None:
    less = {key: value for key, value in weights.items() if key != name}
    with pytest.raises(ValueError, match=f'0 unknown; 1 missing: {name}'):
        convert(less, kind='taming')


def test_a_gumbel_quantiser_is_refused(weights: dict) -> None:
    with pytest.raises(ValueError, match='1 unknown: quantize.proj.weight; 0 missing'):
        convert(weights | {'quantize.proj.weight': torch.zeros(1)})


def test_old_names_of_diffusers_are_renewed(weights: dict) -> None:
    new = convert(weights).weights
    old_names = {'to_q': 'query', 'to_k': 'key', 'to_v': 'value', 'to_out.0': 'proj_attn'}
    old = {}
    for name, tensor in new.items():
        for ours, theirs in old_names.items():
            name = name.replace(f'.{ours}.', f'.{theirs}.')
        old[name] = tensor
    assert sum(name in new for name in old) < len(new)
    conversion = convert(old)
    assert conversion.weights.keys() == new.keys()
    assert all(conversion.weights[name] is tensor for name, tensor in new.items())
    assert convert(new, kind='diffusers').weights.keys() == new.keys()
