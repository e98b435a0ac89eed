"""Released MAGE files."""
from __future__ import annotations

import pytest
import torch
from torch import Tensor

from addp_mm.checkpoints.converters.mage import convert_mage
from addp_mm.models.mage import MAGE
from tests.helpers.reference import reference_part


@pytest.fixture
def released() -> dict[str, Tensor]:
    constant = {'token_emb.position_ids': torch.arange(257)[None]}
    return reference_part('token_predictor.') | constant


def test_a_released_file_fits_our_mage(released: dict) -> None:
    conversion = convert_mage(released)
    model = MAGE(1024, (4, 4), dict(embed_dims=48, depth=2, num_heads=2), decoder_depth=2,
                 decoder_heads=4, vocab_size=2025, class_id=1100, mask_id=2024)
    model.load_state_dict(conversion.weights, strict=True)
    unread = {n for n in conversion.dropped if not n.startswith('vqgan.')}
    assert unread == {
        'cls_token', 'pos_embed', 'mask_token', 'decoder_pos_embed', 'patch_embed.proj.weight',
        'patch_embed.proj.bias', 'decoder_pred.weight', 'decoder_pred.bias',
        'token_emb.position_ids'
    }


def test_rows_that_no_sequence_reaches_are_cut(released: dict) -> None:
    embedding = released['token_emb.position_embeddings.weight']
    assert embedding.shape == (257, 48)
    table = convert_mage(released).weights['pos_embed']
    assert table.shape == (1, 17, 48)
    assert torch.equal(table[0], embedding[:17])


def test_tensors_go_to_the_parameters_of_the_same_role(released: dict) -> None:
    weights = convert_mage(released).weights
    for ours, theirs in {
            'token_embed.weight': 'token_emb.word_embeddings.weight',
            'embed_norm.bias': 'token_emb.LayerNorm.bias',
            'decoder_pos_embed': 'decoder_pos_embed_learned',
            'decoder_layers.1.ln1.weight': 'decoder_blocks.1.norm1.weight',
            'layers.0.ffn.layers.0.0.bias': 'blocks.0.mlp.fc1.bias',
            'norm.weight': 'norm.weight',
            'token_projection.fc.weight': 'mlm_layer.fc.weight',
    }.items():
        assert torch.equal(weights[ours], released[theirs]), ours
    assert torch.equal(weights['token_projection.bias'], released['mlm_layer.bias'].flatten())


def test_unknown_and_missing_names_stop_it(released: dict) -> None:
    del released['decoder_pos_embed_learned']
    released['head.weight'] = torch.zeros(1)
    with pytest.raises(ValueError, match=r'1 unknown: head\.weight; '
                                         '1 missing: decoder_pos_embed_learned'):
        convert_mage(released)
