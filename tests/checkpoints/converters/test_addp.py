"""Released ADDP files there and back."""
from __future__ import annotations

import pytest
import torch
from mmpretrain.models.backbones import ResNet, VisionTransformer
from torch import Tensor, nn

from addp_mm.checkpoints.converters.addp import (
    convert_addp_to_reference,
    convert_backbone,
    convert_reference_to_addp,
)
from addp_mm.models.addp import ADDPViT, TokenDecoder, TokenHead
from tests.helpers.reference import reference_arrays, reference_dims, reference_state_dict

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


ARCH = dict(embed_dims=64, num_layers=2, num_heads=2, feedforward_channels=256)
SIZES = dict(arch=ARCH, img_size=64, patch_size=16)
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


@pytest.fixture
def addp() -> dict[str, Tensor]:
    return convert_reference_to_addp(reference_state_dict()).weights


def test_loads_strictly_in_the_vision_transformer(addp: dict) -> None:
    conversion = convert_backbone(addp)
    VisionTransformer(**SIZES, out_type='featmap').load_state_dict(conversion.weights, strict=True)
    dropped = set(conversion.dropped)
    assert {n for n in dropped if n.startswith('backbone.')} == {
        'backbone.pre_norm.weight', 'backbone.pre_norm.bias'}
    assert {n for n in addp if n.startswith(('neck.', 'head.'))} <= dropped


def test_pooled_features_start_with_an_identity_norm(addp: dict) -> None:
    model = VisionTransformer(**SIZES, out_type='avg_featmap')
    keys = model.load_state_dict(convert_backbone(addp).weights, strict=False)
    assert keys.missing_keys == ['ln2.weight', 'ln2.bias'] and not keys.unexpected_keys
    assert (model.ln2.weight == 1).all() and (model.ln2.bias == 0).all()


def test_with_pre_norm_it_computes_the_features_of_the_pre_training(addp: dict) -> None:
    model = VisionTransformer(**SIZES, out_type='raw', pre_norm=True, patch_cfg=dict(bias=True))
    model.load_state_dict(convert_backbone(addp, keep_pre_norm=True).weights, strict=True)
    model.eval()
    arrays = reference_arrays()
    with torch.no_grad():
        features = model((arrays['x_t'].clamp(0, 1) - MEAN) / STD)[0]
    assert (features - arrays['e_t']).abs().max() < 1e-4 * arrays['e_t'].abs().max()


def test_an_encoder_that_reads_tokens_leaves_them_out(addp: dict) -> None:
    addp |= {'backbone.token_embed.weight': torch.zeros(3, 64),
             'backbone.token_pos_embed': torch.zeros(1, 17, 64)}
    weights = convert_backbone(addp).weights
    VisionTransformer(**SIZES).load_state_dict(weights, strict=True)


def test_any_other_encoder_is_taken_whole() -> None:
    resnet = ResNet(18, base_channels=4, stem_channels=4)
    inside = {f'backbone.{n}': v for n, v in resnet.state_dict().items()}
    conversion = convert_backbone(inside | {'neck.token_embed.weight': torch.zeros(1)})
    ResNet(18, base_channels=4, stem_channels=4).load_state_dict(conversion.weights, strict=True)
    assert list(conversion.dropped) == ['neck.token_embed.weight']


def test_unknown_and_missing_names_stop_the_encoder(addp: dict) -> None:
    del addp['backbone.layers.1.ln2.bias']
    addp['backbone.fc.weight'] = torch.zeros(1)
    with pytest.raises(ValueError, match=r'1 unknown: backbone\.fc\.weight; '
                                         r'1 missing: backbone\.layers\.1\.ln2\.bias'):
        convert_backbone(addp)
