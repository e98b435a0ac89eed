"""Every recorded array of the reference implementation is reproduced through the converters.

Float32 on the CPU: ids and masks exactly, every other array within 1e-4 of its largest magnitude.
"""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from addp_mm import models  # noqa: F401  (registers)
from addp_mm.checkpoints.converters import convert
from addp_mm.checkpoints.weight_files import save_weights
from addp_mm.diffusion import (
    MaskRatioDistribution,
    Masks,
    NoisySample,
    cosine_ratio,
    linear_ratio,
    num_masked,
    remask,
)
from addp_mm.models.addp import ADDP
from addp_mm.registry import MODELS
from tests.helpers.reference import (
    reference_arrays,
    reference_dims,
    reference_part,
    reference_state_dict,
)

ARRAYS = reference_arrays()
GRID = (4, 4)


def assert_close(got: Tensor, name: str) -> None:
    """Compare with a recorded array, relative to its largest magnitude."""
    wanted = ARRAYS[name]
    assert got.shape == wanted.shape, name
    error = (got.double() - wanted.double()).abs().max() / wanted.double().abs().max()
    assert error < 1e-4, f'{name}: relative error {float(error):.2e}'


@pytest.fixture(scope='module')
def addp(tmp_path_factory: pytest.TempPathFactory) -> ADDP:
    """The small reference model, its three files converted and loaded as a user would."""
    folder = tmp_path_factory.mktemp('reference')
    parts = dict(addp=reference_state_dict(), vqgan=reference_part('vqgan.'),
                 mage=reference_part('token_predictor.'))
    for name, weights in parts.items():
        suffix = '.pth' if name == 'addp' else '.safetensors'
        save_weights(convert(weights, to=name).weights, folder / f'{name}{suffix}')
    model = MODELS.build(_model_cfg(folder))
    model.init_weights()
    return model.eval()


def _model_cfg(folder: Path) -> dict:
    dims, mage = reference_dims()['dims'], reference_dims()['token_predictor_dims']
    vqgan = reference_dims()['vqgan']['ddconfig']
    tokenizer = dict(type='VQGAN', image_size=64, code_dims=64, channels=vqgan['ch'],
                     channel_mult=vqgan['ch_mult'])
    predictor = dict(
        type='MAGE', vocab_size=2025, class_id=1100, mask_id=2024,
        arch=dict(embed_dims=mage['embed_dim'], depth=mage['depth'], num_heads=mage['num_heads']),
        decoder_depth=mage['decoder_depth'], decoder_heads=mage['decoder_num_heads'])
    return dict(
        type='ADDP',
        init_cfg=dict(type='Pretrained', checkpoint=str(folder / 'addp.pth')),
        data_preprocessor=dict(
            type='ADDPDataPreprocessor',
            tokenizer=dict(model=tokenizer, checkpoint=str(folder / 'vqgan.safetensors')),
            token_predictor=dict(model=predictor, checkpoint=str(folder / 'mage.safetensors'))),
        backbone=dict(
            type='ADDPViT', patch_size=dims['patch_size'],
            arch=dict(embed_dims=dims['embed_dim'], num_layers=dims['depth'],
                      num_heads=dims['num_heads'], feedforward_channels=4 * dims['embed_dim'])),
        neck=dict(type='TokenDecoder', vocab_size=2025, embed_dims=dims['decoder_embed_dim'],
                  depth=dims['decoder_depth'], num_heads=dims['decoder_num_heads']))


def _mask(name: str) -> Tensor:
    return ARRAYS[name].bool().unflatten(1, GRID)


def _sample(**fields: Tensor) -> NoisySample:
    return NoisySample(ARRAYS['tokens'].unflatten(1, GRID), _mask('mask_t'), **fields)


def _prepared(images: Tensor, addp: ADDP) -> Tensor:
    return addp.data_preprocessor.normalize(images.clamp(0, 1))


def test_tokenizer(addp: ADDP) -> None:
    with addp.data_preprocessor.tokenizer.running() as tokenizer:
        token_ids, latents = tokenizer.encode(ARRAYS['x'])
        assert torch.equal(token_ids.flatten(1), ARRAYS['tokens'])
        assert_close(tokenizer.decode(latents), 'recon')
        assert_close(tokenizer.decode_ids(token_ids), 'recon')
        assert_close(tokenizer.quantize.expected(ARRAYS['p_next']), 'z_pred')
    assert torch.equal(addp.data_preprocessor.tokenize(ARRAYS['x'])[0], token_ids)


def test_token_predictor_and_noisy_images(addp: ADDP) -> None:
    preprocessor, tokens = addp.data_preprocessor, ARRAYS['tokens'].unflatten(1, GRID)
    with preprocessor.token_predictor.running() as predictor:
        filling, target = preprocessor.diffusion.predict(
            tokens, Masks(_mask('mask_t'), _mask('mask_next'), num_reliable=0), predictor)
    assert_close(filling, 'p_next')
    assert_close(target, 'target')
    with preprocessor.tokenizer.running() as tokenizer:
        latents = tokenizer.quantize.lookup(tokens)
        x_t = preprocessor.diffusion.synthesize(latents, _mask('mask_t'), filling, tokenizer)
    assert_close(x_t, 'x_t')


def test_encoder(addp: ADDP) -> None:
    images = _prepared(ARRAYS['x_t'], addp)
    features = addp.backbone(images)[-1].flatten(2).transpose(1, 2)
    addp.backbone.out_type = 'raw'
    try:
        encoded = addp.backbone(images)[-1]
    finally:
        addp.backbone.out_type = 'featmap'
    assert_close(encoded, 'e_t')
    assert torch.equal(features, encoded[:, 1:])


def test_decoder_and_head(addp: ADDP) -> None:
    features = ARRAYS['e_t'][:, 1:].transpose(1, 2).unflatten(2, GRID)
    sequence = addp.neck.decode_sequence(features, _sample())
    assert_close(addp.head.token_projection(sequence, addp.neck.token_embed.weight), 'logits')


def test_loss(addp: ADDP) -> None:
    sample = _sample(target_probs=ARRAYS['target'])
    losses = addp.loss(_prepared(ARRAYS['x_t'], addp), sample)
    assert_close(losses['loss_token'], 'loss')


def test_generation_step(addp: ADDP) -> None:
    sample, images = _sample(), _prepared(ARRAYS['x_t'], addp)
    logits = addp.predict_tokens(images, sample)[:, :1024]
    assert_close(logits.flatten(2).transpose(1, 2), 'gen_logits')
    preprocessor = addp.data_preprocessor
    with preprocessor.tokenizer.running() as tokenizer:
        latents = tokenizer.quantize.lookup(sample.token_ids)
        x_next = preprocessor.diffusion.synthesize(
            latents, sample.mask, logits.softmax(dim=1), tokenizer)
    assert_close(x_next, 'x_next')
    confidence = logits.log_softmax(dim=1).gather(1, sample.token_ids[:, None]).squeeze(1)
    confidence = confidence.masked_fill(~sample.mask, torch.inf)
    noise = float(ARRAYS['remask_temperature']) * ARRAYS['gumbel'].unflatten(1, GRID)
    masked = remask(confidence + noise, int(ARRAYS['remask_k']))
    assert torch.equal(masked.flatten(1), ARRAYS['remask'])


def test_first_generation_step(addp: ADDP) -> None:
    sample = NoisySample(ARRAYS['tokens'].unflatten(1, GRID), torch.ones(2, *GRID).bool())
    logits = addp.predict_tokens(_prepared(ARRAYS['x'], addp), sample)[:, :1024]
    assert_close(logits.flatten(2).transpose(1, 2), 'gen_logits_all_masked')


@pytest.mark.parametrize('schedule', [cosine_ratio, linear_ratio])
@pytest.mark.parametrize('num_steps', [5, 20, 256])
def test_masked_tokens_of_each_step(schedule: Callable[[float], float], num_steps: int) -> None:
    name = schedule.__name__.removesuffix('_ratio')
    counts = [max(1, num_masked(schedule((k + 1) / num_steps), 256)) for k in range(num_steps)]
    assert counts == ARRAYS[f'mask_len_{name}_{num_steps}'].tolist()


def test_mask_ratio_distribution() -> None:
    distribution = MaskRatioDistribution()
    assert_close(distribution.ratios, 'mask_ratio_values')
    assert_close(distribution.probs, 'mask_ratio_probs')


def test_parameter_count(addp: ADDP) -> None:
    preprocessor = addp.data_preprocessor
    parts = [addp, preprocessor.tokenizer.description, preprocessor.token_predictor.description]
    living = sum(p.numel() for part in parts for p in part.parameters())
    weights = reference_state_dict()
    shared = ('vqgan.', 'token_predictor.')
    dead = [n for n in convert(weights, to='addp').dropped if not n.startswith(shared)]
    mage = convert(reference_part('token_predictor.'), to='mage')
    dead += [f'token_predictor.{n}' for n in mage.dropped if not n.startswith('vqgan.')]
    dead_count = sum(weights[name].numel() for name in dead)
    unread_rows = 257 - mage.weights['pos_embed'].shape[1]
    dead_count += unread_rows * mage.weights['pos_embed'].shape[2]
    assert living + dead_count == int(ARRAYS['param_count'])
