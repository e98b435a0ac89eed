"""The encoder on tokens: the encoder of a MAGE, and what of its files it takes."""
from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from addp_mm.checkpoints import load_encoder, resize_position_table
from addp_mm.checkpoints.converters.mage import convert_mage
from addp_mm.models.addp import ADDPViT
from addp_mm.models.mage import MAGE
from tests.helpers.reference import reference_part, reference_state_dict
from tests.helpers.tiny import (
    NUM_CODES,
    build_model,
    build_tiny_token_predictor,
    save_tiny_weights,
    tiny_addp_cfg,
    tiny_batch,
    tiny_mage_training_cfg,
    tiny_tokenizer_cfg,
)

SIZES = dict(arch=dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=128),
             img_size=32)
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


@pytest.fixture
def tokenizer(tmp_path: Path) -> dict:
    return dict(model=tiny_tokenizer_cfg(), checkpoint=save_tiny_weights(tmp_path)['tokenizer'])


@pytest.fixture
def images() -> Tensor:
    return (tiny_batch()['inputs'].float() / 255 - MEAN) / STD


def build(tokenizer: dict, **kwargs) -> ADDPViT:
    model = ADDPViT(**copy.deepcopy(SIZES | kwargs), tokenizer=tokenizer)
    model.init_weights()
    model.eval()
    return model


def random_mage(**kwargs) -> MAGE:
    mage = build_tiny_token_predictor(**kwargs)
    for param in mage.parameters():
        nn.init.normal_(param, std=0.3)
    return mage


@torch.no_grad()
def encode_with(mage: MAGE, token_ids: Tensor) -> Tensor:
    """The output (N, 1 + L, D) of the encoder of a MAGE where nothing is masked."""
    encoded = []
    handle = mage.norm.register_forward_hook(lambda _, __, out: encoded.append(out))
    mage(token_ids, torch.zeros_like(token_ids, dtype=torch.bool))
    handle.remove()
    return encoded[0]


@pytest.mark.parametrize('form', ['training', 'alone', 'rows as released'])
def test_it_is_the_encoder_of_a_mage(tokenizer: dict, images: Tensor, tmp_path: Path,
                                     form: str) -> None:
    path = str(tmp_path / 'mage.pth')
    rows = dict(vocab_size=2025, class_id=1100, mask_id=2024) if form == 'rows as released' else {}
    mage = random_mage(**rows)
    if form == 'training':
        training = build_model(tiny_mage_training_cfg(tmp_path))
        training.token_predictor = mage
        torch.save(dict(state_dict=training.state_dict()), path)
    else:
        torch.save(mage.state_dict(), path)
    model = build(tokenizer, out_type='raw', init_cfg=dict(type='Pretrained', checkpoint=path))
    with torch.no_grad():
        features, = model(images)
        token_ids = model.patch_embed.tokenize(images)
    wanted = encode_with(mage, token_ids)
    assert (features - wanted).abs().max() < 1e-5 * max(1, float(wanted.abs().max()))


def test_a_released_mage(tmp_path: Path) -> None:
    model_cfg = dict(type='VQGAN', image_size=64, num_codes=1024, code_dims=64, channels=32,
                     channel_mult=(1, 1, 2, 2, 4))
    tokenizer, path = str(tmp_path / 'vqgan.pth'), str(tmp_path / 'mage.pth')
    torch.save(reference_part('vqgan.'), tokenizer)
    torch.save(dict(model=reference_part('token_predictor.')), path)
    arch = dict(embed_dims=48, num_layers=2, num_heads=2, feedforward_channels=192)
    model = build(dict(model=model_cfg, checkpoint=tokenizer), arch=arch, img_size=64,
                  out_type='raw', init_cfg=dict(type='Pretrained', checkpoint=path))
    mage = MAGE(1024, (4, 4), dict(embed_dims=48, depth=2, num_heads=2), decoder_depth=2,
                decoder_heads=4, vocab_size=2025, class_id=1100, mask_id=2024).eval()
    mage.load_state_dict(convert_mage(reference_part('token_predictor.')).weights)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        features, = model(images)
        token_ids = model.patch_embed.tokenize(images)
    assert (features - encode_with(mage, token_ids)).abs().max() < 1e-5


def test_dense_tasks_have_no_class_token_and_any_size(tokenizer: dict, tmp_path: Path) -> None:
    mage, path = random_mage(), str(tmp_path / 'mage.pth')
    torch.save(mage.state_dict(), path)
    model = build(tokenizer, img_size=(64, 48), with_cls_token=False)
    load = load_encoder(model, path)
    table = resize_position_table(mage.pos_embed, (8, 6))[:, 1:]
    assert torch.equal(model.pos_embed, table) and load.resized == ('pos_embed', )
    assert model.cls_token is None and load.left_out[0] == 'cls_token'
    assert model(torch.randn(1, 3, 64, 48))[0].shape == (1, 32, 8, 6)
    assert model(torch.randn(1, 3, 40, 88))[0].shape == (1, 32, 5, 11)
    with pytest.raises(ValueError, match=r'multiples of 8, got \(40, 84\)'):
        model(torch.randn(1, 3, 40, 84))


def test_its_own_checkpoint_and_start_values(tokenizer: dict, images: Tensor,
                                             tmp_path: Path) -> None:
    model, path = build(tokenizer, out_type='avg_featmap'), str(tmp_path / 'classifier.pth')
    assert model.patch_embed.embedding.weight.shape == (NUM_CODES, 32)
    assert float(model.patch_embed.embedding.weight.detach().std()) == pytest.approx(0.02, rel=0.15)
    assert not any('tokenizer' in name or 'projection' in name for name in model.state_dict())
    torch.save({f'backbone.{k}': v for k, v in model.state_dict().items()}, path)
    again = build(tokenizer, out_type='avg_featmap')
    assert load_encoder(again, path).new == ()
    assert torch.equal(again(images)[0], model(images)[0])


def test_it_trains_but_for_the_tokenizer(tokenizer: dict, images: Tensor) -> None:
    model = build(tokenizer, out_type='avg_featmap', pre_norm=False)
    model.train()
    model(images)[0].square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    frozen = ADDPViT(**copy.deepcopy(SIZES), tokenizer=tokenizer, frozen_stages=2)
    assert not frozen.patch_embed.embedding.weight.requires_grad


def test_files_of_other_kinds(tokenizer: dict, tmp_path: Path) -> None:
    model, path = build(tokenizer), str(tmp_path / 'file.pth')
    torch.save(build_model(tiny_addp_cfg(tmp_path)).state_dict(), path)
    with pytest.raises(ValueError, match=r'1 of its 31 tensors .*: patch_embed\.embedding\.weight'):
        load_encoder(model, path)
    torch.save(reference_state_dict(), path)
    with pytest.raises(ValueError, match=r'file.pth does not fit .*patch_embed\.embedding'):
        load_encoder(model, path)
    torch.save(random_mage(num_codes=23).state_dict(), path)
    with pytest.raises(ValueError, match='has 25 rows; for the 24 codes of the tokenizer expec'):
        load_encoder(model, path)
    pixels = ADDPViT(**copy.deepcopy(SIZES), patch_size=8)
    with pytest.raises(ValueError, match='a MAGE, which reads tokens.* `tokenizer`'):
        load_encoder(pixels, path)


def test_arguments_that_do_not_fit(tokenizer: dict) -> None:
    with pytest.raises(ValueError, match='as its stride, 8, got patch_size=16'):
        build(tokenizer, patch_size=16)
    with pytest.raises(ValueError, match='token_vocab reads tokens beside pixels'):
        build(tokenizer, token_vocab=10)
    assert build(tokenizer, patch_size=8).patch_resolution == (4, 4)
    mean = build(tokenizer, patch_cfg=dict(mean=[0.] * 3)).patch_embed.mean
    assert mean.flatten().tolist() == [0.] * 3
