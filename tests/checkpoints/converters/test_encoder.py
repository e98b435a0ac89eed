"""An encoder out of any file."""
from __future__ import annotations

import pytest
import torch
from torch import Tensor

from addp_mm.checkpoints.converters import convert, convert_to_encoder
from addp_mm.checkpoints.converters.mage import convert_mage, convert_mage_to_encoder
from tests.helpers.reference import reference_part, reference_state_dict


@pytest.fixture
def mage() -> dict[str, Tensor]:
    return convert_mage(reference_part('token_predictor.')).weights


def test_a_released_and_an_own_addp_give_the_same() -> None:
    released = convert_to_encoder(reference_state_dict())
    own = convert_to_encoder(convert(reference_state_dict()).weights)
    assert released.weights.keys() == own.weights.keys() and 'pre_norm.bias' in own.weights
    assert all(torch.equal(v, own.weights[k]) for k, v in released.weights.items())
    assert released.sources['ln1.weight'] == 'norm.weight'
    assert own.sources['ln1.weight'] == 'backbone.ln1.weight'
    assert set(own.dropped) == {n for n in convert(reference_state_dict()).weights
                                if not n.startswith('backbone.')}


def test_the_prefix_is_the_place_of_the_encoder() -> None:
    weights = {'teacher.backbone.a': torch.ones(1), 'backbone.a': torch.zeros(1)}
    assert convert_to_encoder(weights).weights == {'a': 0}
    assert convert_to_encoder(weights, 'teacher.backbone').weights == {'a': 1}
    alone = convert_to_encoder({'a': torch.ones(1)}, 'backbone.')
    assert alone.weights == {'a': 1} and alone.dropped == {}


def test_the_encoder_of_a_mage(mage: dict) -> None:
    weights = convert_mage_to_encoder(mage, num_codes=1024).weights
    words = mage['token_embed.weight']
    assert torch.equal(weights['patch_embed.embedding.weight'], words[:1024])
    assert torch.equal(weights['cls_token'], words[1100].view(1, 1, 48))
    assert torch.equal(weights['pos_embed'], mage['pos_embed'])
    assert torch.equal(weights['pre_norm.weight'], mage['embed_norm.weight'])
    assert torch.equal(weights['ln1.bias'], mage['norm.bias'])
    assert {n for n in mage if n.startswith('layers.')} <= weights.keys()
    assert not any(name.startswith(('decoder', 'token_projection')) for name in weights)


def test_a_mage_is_found_where_it_stands(mage: dict) -> None:
    wanted = convert_mage_to_encoder(mage, num_codes=1024).weights
    training = {f'token_predictor.{name}': tensor for name, tensor in mage.items()}
    for weights, cls in ((mage, 'token_embed.weight'),
                         (training, 'token_predictor.token_embed.weight'),
                         (reference_part('token_predictor.'), 'token_emb.word_embeddings.weight')):
        found = convert_to_encoder(weights, 'backbone.', num_codes=1024)
        assert found.sources['cls_token'] == cls
        assert found.weights.keys() == wanted.keys()
        assert all(torch.equal(v, found.weights[k]) for k, v in wanted.items())
        assert set(found.sources.values()) | set(found.dropped) == set(weights)


def test_the_row_of_the_class_token(mage: dict) -> None:
    own = mage | {'token_embed.weight': mage['token_embed.weight'][:1026]}
    cls = convert_mage_to_encoder(own, num_codes=1024).weights['cls_token']
    assert torch.equal(cls[0, 0], own['token_embed.weight'][1024])
    for weights, num_codes in ((own, 1000), (mage, 1500)):
        with pytest.raises(ValueError, match=f'for the {num_codes} codes of the tokenizer'):
            convert_mage_to_encoder(weights, num_codes)


def test_a_mage_for_pixels_and_a_broken_one(mage: dict) -> None:
    with pytest.raises(ValueError, match='holds a MAGE, which reads tokens'):
        convert_to_encoder(mage)
    del mage['norm.bias']
    with pytest.raises(ValueError, match=r'1 missing: norm\.bias'):
        convert_to_encoder(mage, num_codes=1024)
