"""Released ADDP files there and back."""
from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from addp_mm.converters.addp_checkpoint import convert_addp_to_reference, convert_reference_to_addp
from addp_mm.models.backbones import ADDPViT
from addp_mm.models.decoders import TokenDecoder
from addp_mm.models.heads import TokenHead
from reference import reference_dims, reference_state_dict

UNREAD = {'decoder_pos_embed', 'pos_token_embed', 'pos_mask_embed', 'decoder_pred.weight',
          'decoder_pred.bias'}


def addp_parts() -> nn.ModuleDict:
    """The parts of an ADDP of the reference's size, under the names the algorithm gives them."""
    dims = reference_dims()['dims']
    arch = dict(embed_dims=dims['embed_dim'], num_layers=dims['depth'],
                num_heads=dims['num_heads'], feedforward_channels=4 * dims['embed_dim'])
    return nn.ModuleDict(dict(
        backbone=ADDPViT(arch=arch, img_size=64, patch_size=16),
        neck=TokenDecoder(64, (4, 4), 1024, 2025, embed_dims=64, depth=2, num_heads=4),
        head=TokenHead(64, 2025, (4, 4))))


@pytest.fixture
def released() -> dict[str, Tensor]:
    return reference_state_dict()


def test_a_released_file_fits_our_parts(released: dict) -> None:
    conversion = convert_reference_to_addp(released)
    addp_parts().load_state_dict(conversion.weights, strict=True)
    taken, dropped = set(conversion.sources.values()), set(conversion.dropped)
    assert not taken & dropped and taken | dropped == set(released)
    assert {n for n in dropped if not n.startswith(('vqgan.', 'token_predictor.'))} == UNREAD


def test_tensors_go_to_the_parameters_of_the_same_role(released: dict) -> None:
    weights = convert_reference_to_addp(released).weights
    for ours, theirs in {
            'backbone.pos_embed': 'pos_embed',
            'backbone.ln1.weight': 'norm.weight',
            'backbone.pre_norm.weight': 'tokenizer_norm.weight',
            'backbone.layers.1.ffn.layers.1.weight': 'blocks.1.mlp.fc2.weight',
            'neck.pos_embed': 'decoder_pos_embed_learned',
            'neck.mask_pos_embed': 'decoder_pos_mask_embed',
            'neck.token_pos_embed': 'decoder_pos_token_embed',
            'neck.layers.0.ln2.bias': 'decoder_blocks.0.norm2.bias',
            'head.token_projection.ln.bias': 'mlm_layer.ln.bias',
    }.items():
        assert torch.equal(weights[ours], released[theirs]), ours
    assert torch.equal(weights['head.token_projection.bias'], released['mlm_layer.bias'][0, 0])


def test_there_and_back_is_bit_for_bit(released: dict) -> None:
    there = convert_reference_to_addp(released)
    back = convert_addp_to_reference(there.weights)
    live = {n: v for n, v in released.items()
            if n not in UNREAD and not n.startswith(('vqgan.', 'token_predictor.'))}
    assert back.weights.keys() == live.keys() and not back.dropped
    for name, tensor in live.items():
        assert back.weights[name].shape == tensor.shape
        assert torch.equal(back.weights[name], tensor), name


def test_a_file_without_the_frozen_parts_is_the_same(released: dict) -> None:
    stripped = {n: v for n, v in released.items()
                if n not in UNREAD and not n.startswith(('vqgan.', 'token_predictor.'))}
    conversion = convert_reference_to_addp(stripped)
    assert conversion.weights.keys() == convert_reference_to_addp(released).weights.keys()
    assert not conversion.dropped


def test_unknown_and_missing_names_stop_it(released: dict) -> None:
    del released['blocks.1.norm2.bias'], released['mask_token']
    released['fc_norm.weight'] = torch.zeros(1)
    with pytest.raises(ValueError, match=r'1 unknown: fc_norm\.weight; '
                                         r'2 missing: mask_token, blocks\.1\.norm2\.bias'):
        convert_reference_to_addp(released)


def test_ours_without_the_tensors_of_the_release_does_not_go_back(released: dict) -> None:
    ours = convert_reference_to_addp(released).weights
    del ours['neck.token_pos_embed']
    ours['backbone.token_pos_embed'] = torch.zeros(1)
    with pytest.raises(ValueError, match=r'1 unknown: backbone\.token_pos_embed; '
                                         r'1 missing: neck\.token_pos_embed'):
        convert_addp_to_reference(ours)


def test_a_file_without_any_layer_lacks_the_first(released: dict) -> None:
    bare = {n: v for n, v in released.items() if not n.startswith('blocks.')}
    with pytest.raises(ValueError, match=r'12 missing: blocks\.0\.norm1\.weight'):
        convert_reference_to_addp(bare)
