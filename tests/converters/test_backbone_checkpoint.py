"""An encoder alone, for mmpretrain's classes."""
from __future__ import annotations

import pytest
import torch
from mmpretrain.models.backbones import ResNet, VisionTransformer
from torch import Tensor

from addp_mm.converters.addp_checkpoint import convert_reference_to_addp
from addp_mm.converters.backbone_checkpoint import convert_backbone
from reference import reference_arrays, reference_state_dict

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


def test_unknown_and_missing_names_stop_it(addp: dict) -> None:
    del addp['backbone.layers.1.ln2.bias']
    addp['backbone.fc.weight'] = torch.zeros(1)
    with pytest.raises(ValueError, match=r'1 unknown: backbone\.fc\.weight; '
                                         r'1 missing: backbone\.layers\.1\.ln2\.bias'):
        convert_backbone(addp)
