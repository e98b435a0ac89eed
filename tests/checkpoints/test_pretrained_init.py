"""Pre-trained weights of an encoder from every kind of file, and what does not fit."""
from __future__ import annotations

import copy
import logging
from pathlib import Path

import mmengine.model
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import BaseModule
from mmengine.registry import WEIGHT_INITIALIZERS, DefaultScope
from mmpretrain.models.backbones import ResNet, TIMMBackbone, VisionTransformer
from mmpretrain.models.utils import resize_pos_embed
from torch import Tensor, nn

from addp_mm.checkpoints import load_encoder, resize_position_table
from addp_mm.checkpoints.converters import convert
from addp_mm.checkpoints.weight_files import save_weights
from addp_mm.models.addp import ADDPViT
from addp_mm.registry import MODELS
from tests.helpers.reference import reference_state_dict
from tests.helpers.tiny import build_model, tiny_addp_cfg

CONFIGS = Path(__file__).parents[2] / 'configs'
# The encoder of tiny.tiny_addp_cfg(), and that of the recorded reference.
ARCH = dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=64)
SIZES = dict(arch=ARCH, img_size=32, patch_size=8)
REFERENCE = dict(arch=dict(embed_dims=64, num_layers=2, num_heads=2, feedforward_channels=256),
                 img_size=64, patch_size=16)


def encoder(**kwargs) -> ADDPViT:
    return ADDPViT(**copy.deepcopy(SIZES | kwargs))


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    MMLogger.get_current_instance().addHandler(caplog.handler)
    caplog.set_level(logging.INFO)
    return caplog


def line_of(log: pytest.LogCaptureFixture) -> str:
    lines = [record.getMessage() for record in log.records if 'left out' in record.getMessage()]
    assert len(lines) == 1
    return lines[0].partition(': ')[2]


@pytest.fixture
def trained(tmp_path: Path) -> tuple[dict[str, Tensor], str]:
    """The encoder of a pre-training, and its checkpoint."""
    model = build_model(tiny_addp_cfg(tmp_path))
    for param in model.backbone.parameters():
        nn.init.normal_(param)
    path = str(tmp_path / 'epoch_1.pth')
    torch.save(dict(meta=dict(epoch=1), state_dict=model.state_dict()), path)
    return model.backbone.state_dict(), path


def assert_loaded(model: nn.Module, weights: dict[str, Tensor], but: tuple[str, ...] = ()) -> None:
    own = model.state_dict()
    assert all(torch.equal(own[name], weights[name]) for name in own if not name.startswith(but))


@pytest.mark.parametrize('prefix', [None, 'backbone.', 'backbone'])
def test_a_checkpoint_of_the_pre_training(trained: tuple, prefix: str | None, log) -> None:
    weights, path = trained
    init_cfg = dict(type='Pretrained', checkpoint=path)
    model = encoder(init_cfg=init_cfg if prefix is None else init_cfg | dict(prefix=prefix))
    model.init_weights()
    assert_loaded(model, weights)
    assert line_of(log).startswith('loaded 32, resized 0, left out 38 (neck 33, head 5), new 0')


def test_other_heads_are_warned_of(trained: tuple, log) -> None:
    _, path = trained
    content = torch.load(path)
    content['meta']['cfg'] = Config(dict(model=dict(backbone=dict(arch=ARCH)))).pretty_text
    torch.save(content, path)
    same, other = encoder(), encoder(arch=dict(ARCH, num_heads=4))
    load_encoder(same, path)
    assert 'num_heads' not in log.text
    load_encoder(other, path)
    assert f'{path} was trained with num_heads 2, now 4. Its weights may give wrong' in log.text
    assert other.pretrained == (path, content['meta'])


def test_fine_tuning_leaves_the_input_norm_out_and_says_so(trained: tuple, log) -> None:
    weights, path = trained
    model = encoder(pre_norm=False, out_type='avg_featmap')
    load = load_encoder(model, path)
    assert_loaded(model, weights, but=('ln2.', ))
    assert load.new == ('ln2.weight', 'ln2.bias')
    assert load.left_out[:2] == ('pre_norm.weight', 'pre_norm.bias')
    assert line_of(log) == ('loaded 30, resized 0, left out 40 (pre_norm 2, neck 33, head 5), '
                            'new 2 (ln2 2) tensors')


def test_a_converted_encoder_with_and_without_prefix(trained: tuple, tmp_path: Path) -> None:
    weights, path = trained
    converted = str(tmp_path / 'encoder.safetensors')
    whole = torch.load(path)['state_dict']
    save_weights(convert(whole, 'backbone').weights, converted)
    for prefix in (None, 'backbone.'):          # a config's prefix need not change with the file
        model = encoder(pre_norm=False)
        assert len(load_encoder(model, converted, prefix).loaded) == 30
        assert_loaded(model, weights)
    with pytest.raises(ValueError, match=r'2 of its 32 tensors .*: pre_norm\.weight, pre_norm'):
        load_encoder(encoder(), converted)


@pytest.mark.parametrize('pre_norm', [False, True])
def test_a_released_addp(tmp_path: Path, pre_norm: bool) -> None:
    path = str(tmp_path / 'released.pth')
    torch.save(dict(model=reference_state_dict()), path)
    model = encoder(**REFERENCE, pre_norm=pre_norm)
    load = load_encoder(model, path, 'backbone.')
    wanted = convert(reference_state_dict(), 'backbone', keep_pre_norm=True).weights
    assert_loaded(model, wanted)
    assert len(load.loaded) + len(load.left_out) == 483
    assert ('pre_norm.weight' in load.left_out) is not pre_norm


def test_a_fine_tuned_classifier(tmp_path: Path) -> None:
    cfg = dict(type='ImageClassifier', head=dict(type='LinearClsHead', num_classes=3,
                                                 in_channels=32))
    backbone = dict(type='ADDPViT', pre_norm=False, out_type='avg_featmap', **SIZES)
    classifier = MODELS.build(cfg | dict(backbone=copy.deepcopy(backbone)))
    classifier.init_weights()
    nn.init.normal_(classifier.backbone.ln2.weight)
    path = str(tmp_path / 'epoch_2.pth')
    torch.save(dict(state_dict=classifier.state_dict()), path)
    pooled = encoder(pre_norm=False, out_type='avg_featmap')
    load = load_encoder(pooled, path)
    assert load.new == () and load.left_out == ('head.fc.weight', 'head.fc.bias')
    assert_loaded(pooled, classifier.backbone.state_dict())
    dense = encoder(pre_norm=False)
    assert load_encoder(dense, path).left_out[:2] == ('ln2.weight', 'ln2.bias')
    assert_loaded(dense, classifier.backbone.state_dict())


class DenseViT(ADDPViT):
    """With a part that no pre-training has, as a detector's has."""

    new_parameters = ('layers.*.rel_pos', )

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        for layer in self.layers:
            layer.rel_pos = nn.Parameter(torch.zeros(3))


def test_what_a_subclass_adds_is_new_or_comes_from_its_own_checkpoint(
        trained: tuple, tmp_path: Path) -> None:
    weights, path = trained
    dense = DenseViT(**copy.deepcopy(SIZES), init_cfg=dict(type='Pretrained', checkpoint=path))
    dense.init_weights()
    assert_loaded(dense, weights, but=('layers.0.rel_pos', 'layers.1.rel_pos'))
    assert not dense.layers[0].rel_pos.any()
    nn.init.ones_(dense.layers[1].rel_pos)
    own = str(tmp_path / 'detector.pth')
    torch.save(dict(state_dict={f'backbone.{k}': v for k, v in dense.state_dict().items()}), own)
    again = DenseViT(**copy.deepcopy(SIZES))
    assert load_encoder(again, own).new == ()
    assert again.layers[1].rel_pos.all()
    plain = encoder()
    assert load_encoder(plain, own).left_out == ('layers.0.rel_pos', 'layers.1.rel_pos')


@pytest.mark.parametrize('with_cls_token', [True, False])
@pytest.mark.parametrize(('img_size', 'grid_size'), [(32, (4, 4)), (48, (6, 6)),
                                                     ((24, 56), (3, 7))])
def test_position_tables_get_the_grid(trained: tuple, with_cls_token: bool, img_size: int | tuple,
                                      grid_size: tuple) -> None:
    weights, path = trained
    model = encoder(img_size=img_size, with_cls_token=with_cls_token)
    load = load_encoder(model, path)
    table = resize_position_table(weights['pos_embed'], grid_size)
    assert torch.equal(model.pos_embed, table if with_cls_token else table[:, 1:])
    changed = grid_size != (4, 4) or not with_cls_token
    assert load.resized == (('pos_embed', ) if changed else ())
    assert ('cls_token' in load.left_out) is not with_cls_token
    # Back again from a file that has no row of CLS.
    if not with_cls_token and img_size == 48:
        small = encoder(with_cls_token=False)
        torch.save(model.state_dict(), path)
        load_encoder(small, path)
        assert torch.equal(small.pos_embed,
                           resize_position_table(model.pos_embed, (4, 4), num_extra_tokens=0))


def test_a_table_of_a_grid_that_is_not_square(tmp_path: Path) -> None:
    path = str(tmp_path / 'wide.pth')
    torch.save(dict(encoder(img_size=(32, 48)).state_dict()), path)
    load_encoder(encoder(img_size=(32, 48)), path)
    with pytest.raises(ValueError, match='wide.pth does not fit the ADDPViT: .*square grids only'):
        load_encoder(encoder(), path)


@pytest.mark.parametrize('name', ['wide.pth', 'wide.safetensors', 'checkpoint.pth'])
@pytest.mark.parametrize('with_cls_token', [True, False])
def test_as_many_places_on_another_grid(tmp_path: Path, name: str, with_cls_token: bool,
                                        log) -> None:
    wide = encoder(img_size=(32, 128), token_vocab=5)
    for table in (wide.pos_embed, wide.token_pos_embed):
        nn.init.normal_(table)
    path = tmp_path / name
    if name == 'checkpoint.pth':
        torch.save(dict(state_dict=nn.ModuleDict(dict(backbone=wide)).state_dict()), path)
    else:
        save_weights(wide.state_dict(), path)
    model = encoder(img_size=64, token_vocab=5, with_cls_token=with_cls_token)
    load = load_encoder(model, str(path))
    wanted, tokens = (resize_pos_embed(table, (4, 16), (8, 8))
                      for table in (wide.pos_embed, wide.token_pos_embed))
    assert torch.equal(model.pos_embed, wanted if with_cls_token else wanted[:, 1:])
    assert torch.equal(model.token_pos_embed, tokens)
    assert load.resized == ('pos_embed', 'token_pos_embed')
    stock = VisionTransformer(**copy.deepcopy(SIZES) | dict(img_size=64), pre_norm=True)
    load_encoder(stock, str(path))
    assert torch.equal(stock.pos_embed, wanted)
    assert not any('of which grid' in record.getMessage() for record in log.records)


def test_a_grid_that_no_file_says_is_warned_of(tmp_path: Path, log) -> None:
    path = str(tmp_path / 'square.pth')
    torch.save(dict(encoder(img_size=64).state_dict()), path)
    load_encoder(encoder(img_size=64), path)
    assert 'of which grid' not in log.text
    load_encoder(encoder(img_size=(256, 16)), path)
    assert 'They fit 32 x 2 places' in log.text


def test_mmpretrains_own_encoders(trained: tuple, tmp_path: Path) -> None:
    weights, path = trained
    vit = VisionTransformer(**copy.deepcopy(SIZES), out_type='avg_featmap',
                            init_cfg=dict(type='Pretrained', checkpoint=path, prefix='backbone.'))
    vit.init_weights()
    assert_loaded(vit, weights, but=('ln2.', ))
    for build in (lambda cfg: ResNet(18, base_channels=4, stem_channels=4, init_cfg=cfg),
                  lambda cfg: TIMMBackbone('resnet18', init_cfg=cfg)):
        source = build(None)
        for param in source.parameters():
            nn.init.normal_(param)
        file = str(tmp_path / 'cnn.pth')
        inside = {f'backbone.{k}': v for k, v in source.state_dict().items()}
        torch.save(dict(state_dict=inside | {'neck.token_embed.weight': torch.zeros(1)}), file)
        model = build(dict(type='Pretrained', checkpoint=file, prefix='backbone.'))
        model.init_weights()
        assert_loaded(model, source.state_dict())


@pytest.mark.parametrize('depth', [18, 50, 101])
def test_a_resnet_of_another_kind_stops(tmp_path: Path, depth: int) -> None:
    path = str(tmp_path / 'resnet.pth')
    sizes = dict(base_channels=4, stem_channels=4)
    torch.save(ResNet(depth, **sizes).state_dict(), path)
    model = ResNet(34 if depth != 101 else 50, **sizes,
                   init_cfg=dict(type='Pretrained', checkpoint=path, must_fit=True))
    with pytest.raises(ValueError, match='does not fit the ResNet'):
        model.init_weights()


def test_nothing_that_fits(trained: tuple, tmp_path: Path) -> None:
    resnet = ResNet(18, base_channels=4, stem_channels=4,
                    init_cfg=dict(type='Pretrained', checkpoint=trained[1], prefix='backbone.',
                                  must_fit=True))
    with pytest.raises(ValueError, match=r'epoch_1\.pth does not fit the ResNet: 0 of \d+ tensors '
                       r'fit, .*conv1\.weight, .* 32 tensors \(cls_token, .* 0 % of its values'):
        resnet.init_weights()
    path = str(tmp_path / 'other.pth')
    torch.save(dict(fc=torch.zeros(1)), path)
    with pytest.raises(ValueError, match=r'32 of its 32 tensors .*: cls_token.*has 1: fc\. Name'):
        load_encoder(encoder(), path)


@pytest.mark.parametrize(('sizes', 'message'), [
    (dict(arch=ARCH | dict(embed_dims=48)), r'mismatch for cls_token.*\b32\b.*\b48\b'),
    (dict(patch_size=16), r'mismatch for patch_embed.*\[32, 3, 8, 8\].*\[32, 3, 16, 16\]'),
    (dict(arch=ARCH | dict(num_layers=3)), r'12 of its 44 tensors .*: layers\.2\.ln1\.weight'),
    (dict(arch=ARCH | dict(num_layers=1)), r'deeper encoder, which has layers\.1\.ln1\.weight'),
])
def test_another_architecture(trained: tuple, sizes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_encoder(encoder(**sizes), trained[1])


def test_a_missing_file_stops_at_once() -> None:
    model = encoder(init_cfg=dict(type='Pretrained', checkpoint='nowhere/epoch_1.pth'))
    with pytest.raises(FileNotFoundError, match='nowhere'):
        model.init_weights()


class Whole(BaseModule):

    def __init__(self, init_cfg: dict) -> None:
        super().__init__(init_cfg)
        self.fc = nn.Linear(2, 2)
        self.new = nn.Linear(2, 2)


def test_a_whole_model_is_left_to_mmengine(tmp_path: Path) -> None:
    path = str(tmp_path / 'whole.pth')
    torch.save({'fc.weight': torch.ones(2, 2), 'other': torch.ones(1)}, path)
    model = Whole(dict(type='Pretrained', checkpoint=path))
    model.init_weights()
    assert model.fc.weight.eq(1).all()


def test_start_values_stay_under_loaded_ones_and_are_drawn_once(trained: tuple) -> None:
    weights, path = trained
    init_cfg = [dict(type='Constant', layer='LayerNorm', val=3.),
                dict(type='Pretrained', checkpoint=path)]
    model = encoder(init_cfg=init_cfg, out_type='avg_featmap')
    model.init_weights()
    assert model.init_cfg == init_cfg
    assert_loaded(model, weights, but=('ln2.', ))
    assert model.ln2.weight.eq(1).all() and not model.ln2.bias.any()
    nn.init.constant_(model.ln2.weight, 2.)
    nn.init.constant_(model.cls_token, 2.)
    model.init_weights()
    assert model.ln2.weight.eq(2).all() and model.cls_token.eq(2).all()


def test_folded_layer_scales_and_a_new_cls_token(tmp_path: Path) -> None:
    # As a segmentor's encoder: learned scales, no CLS token, which ADDP leaves untrained.
    source = encoder(with_cls_token=False, layer_scale_init_value=0.5, pre_norm=False,
                     drop_rate=0.)
    for name, param in source.named_parameters():
        nn.init.normal_(param, mean=1. if 'gamma' in name else 0., std=0.3)
    path = str(tmp_path / 'segmentor.pth')
    torch.save({f'backbone.{k}': v for k, v in source.state_dict().items()}, path)
    images = torch.rand(2, 3, 32, 32)
    twin = encoder(with_cls_token=False, pre_norm=False, drop_rate=0.)
    load_encoder(twin, path)
    torch.testing.assert_close(twin.eval()(images), source.eval()(images))
    whole = encoder(pre_norm=False, out_type='avg_featmap', drop_rate=0.)
    assert load_encoder(whole, path).new == ('cls_token', 'ln2.weight', 'ln2.bias')
    assert torch.equal(whole.pos_embed[:, 1:], source.pos_embed)
    with pytest.raises(ValueError, match='are not in the file: cls_token'):
        load_encoder(encoder(pre_norm=False, out_type='cls_token'), path)


@pytest.mark.parametrize('name', ['layers.1.attn.gamma1.weight', 'patch_embed.projection.bias'])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, name: str) -> None:
    weights = encoder(layer_scale_init_value=0.5).state_dict()
    weights[name][0] = float('nan')
    torch.save(weights, tmp_path / 'bad.pth')
    with pytest.raises(ValueError, match=r'bad.pth holds numbers that are not finite, in \d+ of'):
        load_encoder(encoder(), str(tmp_path / 'bad.pth'))


def test_other_parts_of_the_file_need_not_be_finite(trained: tuple) -> None:
    content = torch.load(trained[1])
    content['state_dict']['head.token_projection.fc.weight'][0] = float('nan')
    torch.save(content, trained[1])
    load_encoder(encoder(), trained[1])


@pytest.mark.parametrize('kind', ['ADDP', 'ResNet'])
def test_other_models_refuse_what_is_no_number(tmp_path: Path, kind: str) -> None:
    cfg = tiny_addp_cfg(tmp_path) if kind == 'ADDP' else dict(
        type='ResNet', depth=18, base_channels=4, stem_channels=4)
    weights = MODELS.build(copy.deepcopy(cfg)).state_dict()
    next(tensor for tensor in weights.values() if tensor.is_floating_point()).fill_(float('nan'))
    path = str(tmp_path / 'bad.pth')
    torch.save(weights, path)
    model = MODELS.build(copy.deepcopy(cfg) | dict(
        init_cfg=dict(type='Pretrained', checkpoint=path, must_fit=True)))
    with pytest.raises(ValueError, match='bad.pth holds numbers that are not finite'):
        model.init_weights()


@pytest.mark.parametrize('frozen_stages', [-1, 2])
def test_a_frozen_encoder_without_its_norm_is_warned_of(trained: tuple, frozen_stages: int,
                                                        log) -> None:
    load_encoder(encoder(pre_norm=False, frozen_stages=frozen_stages), trained[1])
    warned = any('was trained with pre_norm' in record.getMessage() for record in log.records)
    assert warned is (frozen_stages > 0)


def test_scales_of_layers_of_another_kind(tmp_path: Path) -> None:
    source = VisionTransformer(**copy.deepcopy(SIZES), layer_scale_init_value=0.5,
                               layer_cfgs=dict(ffn_type='swiglu_fused'))
    torch.save(source.state_dict(), tmp_path / 'swiglu.pth')
    with pytest.raises(ValueError, match=r'not in the file: layers.0.ffn.layers.0.0.weight'):
        load_encoder(encoder(pre_norm=False), str(tmp_path / 'swiglu.pth'))


def test_left_out_relative_positions_are_warned_of(tmp_path: Path, log) -> None:
    dense = DenseViT(**copy.deepcopy(SIZES))
    torch.save(dense.state_dict(), tmp_path / 'detector.pth')
    load_encoder(encoder(), str(tmp_path / 'detector.pth'))
    assert any('trained with relative positions' in record.getMessage() and
               record.levelno == logging.WARNING for record in log.records)


@pytest.mark.parametrize('fits', [True, False])
def test_the_encoder_of_another_library_inside_addp(tmp_path: Path, fits: bool) -> None:
    cfg = tiny_addp_cfg(tmp_path)
    resnet = dict(type='ResNet', depth=18, base_channels=4, stem_channels=4, out_indices=(3, ),
                  strides=(1, 1, 2, 2))
    cfg['backbone'] = resnet
    cfg['neck'] = cfg['neck'] | dict(in_channels=32)
    path = str(tmp_path / 'cnn.pth')
    source = MODELS.build(copy.deepcopy(resnet)) if fits else encoder()
    torch.save(source.state_dict(), path)
    resnet['init_cfg'] = dict(type='Pretrained', checkpoint=path)
    model = MODELS.build(copy.deepcopy(cfg))
    if fits:
        model.init_weights()
        assert_loaded(model.backbone, source.state_dict())
    else:
        with pytest.raises(ValueError, match='cnn.pth does not fit the ResNet'):
            model.init_weights()


def test_a_whole_algorithm_is_loaded_whole_or_not_at_all(tmp_path: Path, log) -> None:
    cfg = tiny_addp_cfg(tmp_path)
    trained = build_model(cfg)
    path = str(tmp_path / 'epoch_1.pth')
    torch.save(dict(state_dict=trained.state_dict()), path)
    init_cfg = dict(type='Pretrained', checkpoint=path)
    model = MODELS.build(copy.deepcopy(cfg) | dict(init_cfg=init_cfg))
    model.init_weights()
    assert_loaded(model, trained.state_dict())
    deeper = copy.deepcopy(cfg) | dict(init_cfg=init_cfg)
    deeper['neck']['depth'] += 1
    with pytest.raises(ValueError, match=r'does not fit the ADDP: .*of its parts lack neck\.'):
        MODELS.build(deeper).init_weights()
    torch.save(dict(state_dict={f'encoder.{k}': v for k, v in trained.state_dict().items()}), path)
    with pytest.raises(ValueError, match='does not fit the ADDP: 0 of'):
        MODELS.build(copy.deepcopy(cfg) | dict(init_cfg=init_cfg)).init_weights()


VIT = dict(arch=ARCH, img_size=32, patch_size=8)
# Encoders of mmpretrain, and what the file's encoder has otherwise; (None: the same).
FOREIGN = {
    'another output': (dict(type='ResNet', depth=18, base_channels=4, stem_channels=4), None),
    'part of a deeper one': (dict(type='ResNet', depth=18, base_channels=4, stem_channels=4),
                             dict(depth=34)),
    'timm': (dict(type='TIMMBackbone', model_name='resnet18'), None),
    'several outputs from one': (dict(type='ConvNeXt', arch=dict(
        depths=[1, 1, 1, 1], channels=[4, 8, 8, 8]), out_indices=(0, 1, 2, 3),
        gap_before_final_norm=False),
        dict(out_indices=(3, ))),
    'DeiT3': (dict(type='DeiT3', **VIT), None),
    'DeiT3 of another grid': (dict(type='DeiT3', **VIT), dict(img_size=64)),
    'distilled ViT': (dict(type='DistilledVisionTransformer', **VIT), None),
    'shared tables': (dict(type='BEiTViT', **VIT, use_shared_rel_pos_bias=False,
                           use_rel_pos_bias=True),
                      dict(use_shared_rel_pos_bias=True, use_rel_pos_bias=False)),
    'new norms': (dict(type='VisionTransformer', **VIT, pre_norm=True, out_type='avg_featmap'),
                  dict(pre_norm=False)),
    'another grid': (dict(type='VisionTransformer', **VIT), dict(img_size=64)),
    'another size': (dict(type='VisionTransformer', **VIT), dict(
        arch=ARCH | dict(embed_dims=48))),
    'Swin of another window': (dict(type='SwinTransformer', img_size=32, arch=dict(
        embed_dims=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1]), window_size=2), None),
    'MobileNet': (dict(type='MobileNetV2', widen_factor=0.1), dict(type='ShuffleNetV1')),
}


@pytest.mark.parametrize('case', FOREIGN)
def test_encoders_of_other_libraries_load_as_their_library_does(tmp_path: Path, case: str) -> None:
    cfg, other = FOREIGN[case]
    source_cfg = copy.deepcopy(cfg) | (other or {})
    if case == 'MobileNet':
        source_cfg = other
    source = MODELS.build(source_cfg)
    path = str(tmp_path / 'encoder.pth')
    torch.save(dict(state_dict={f'backbone.{k}': v for k, v in source.state_dict().items()}), path)
    for prefix in ('backbone.', None):
        init_cfg = dict(checkpoint=path, prefix=prefix)
        ours = MODELS.build(copy.deepcopy(cfg) | dict(init_cfg=dict(type='Pretrained', **init_cfg)))
        stock = MODELS.build(copy.deepcopy(cfg))
        ours.load_state_dict(stock.state_dict())
        WEIGHT_INITIALIZERS.build(ours.init_cfg)(ours)
        mmengine.model.PretrainedInit(**init_cfg)(stock)
        assert_loaded(ours, stock.state_dict())


def test_other_modules_load_as_their_library_does(tmp_path: Path) -> None:
    path = str(tmp_path / 'a.pth')
    torch.save({'fc.weight': torch.ones(2, 2)}, path)
    with pytest.raises(AssertionError, match='is not in the pretrained model'):
        Whole(dict(type='Pretrained', checkpoint=path, prefix='nowhere')).init_weights()


def test_the_detector_with_a_resnet_stops_at_the_file_of_a_vit(trained: tuple) -> None:
    pytest.importorskip('mmdet')
    cfg = Config.fromfile(CONFIGS / 'mmdet' / 'mask-rcnn_r50-fpn_100e.py').model.backbone
    cfg.init_cfg.checkpoint = trained[1]
    with DefaultScope.overwrite_default_scope('mmdet'):
        backbone = MODELS.build(cfg | dict(type='mmdet.ResNet'))
        with pytest.raises(ValueError, match=r'epoch_1\.pth does not fit the ResNet: 0 of'):
            backbone.init_weights()
