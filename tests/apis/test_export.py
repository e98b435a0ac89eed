"""Exported encoders compute what the models do, on other batches and sizes."""
from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmpretrain.models import ResNet
from torch import nn

from addp_mm.apis.export import (
    FeatureMaps,
    build_feature_maps,
    export_feature_maps,
    export_timm,
    fits_timm,
    publish_checkpoint,
)
from addp_mm.checkpoints.weight_files import load_checkpoint, load_weights
from addp_mm.dense import ADDPUperViT, ADDPViTDet, SimpleFPN
from addp_mm.models.addp import ADDPViT
from tests.helpers.tiny import build_model, tiny_addp_cfg

ARCH = dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=64)
SIZES = dict(arch=ARCH, img_size=64, patch_size=8)
needs_onnx = pytest.mark.skipif(
    not all(find_spec(name) for name in ('onnx', 'onnxruntime', 'onnxscript')),
    reason='needs onnx, onnxscript and onnxruntime: requirements/optional.txt')


def vit() -> FeatureMaps:
    return FeatureMaps(ADDPViT(**SIZES))


def vitdet() -> FeatureMaps:
    encoder = ADDPViTDet(arch=ARCH, img_size=64, pretrain_img_size=64, patch_size=8, window_size=3,
                         global_attn_indexes=(1, ))
    return FeatureMaps(encoder, SimpleFPN(32, out_channels=16))


def upernet() -> FeatureMaps:
    return FeatureMaps(ADDPUperViT(**SIZES, out_indices=(0, 0, 1, 1)))


def resnet() -> FeatureMaps:
    return FeatureMaps(ResNet(depth=18, out_indices=(0, 1, 2, 3)))


def ready(model: FeatureMaps) -> FeatureMaps:
    """The model in eval mode, with no table or norm at its start value."""
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    model.train(False)
    return model


@pytest.mark.parametrize('make', [vit, vitdet, upernet, resnet])
@pytest.mark.parametrize('to', ['torchscript', 'pt2', pytest.param('onnx', marks=needs_onnx)])
@pytest.mark.slow
def test_the_program_computes_the_same(make, to: str, tmp_path: Path):
    path = tmp_path / f'encoder.{to}'
    free_size = to != 'torchscript' and make is not upernet
    error = export_feature_maps(ready(make()), path, to, (64, 64), free_size)
    assert error < 1e-5 and path.stat().st_size > 10_000


def test_windows_are_filled_up_at_any_size(tmp_path: Path):
    model, path = ready(vitdet()), tmp_path / 'encoder.pt2'
    export_feature_maps(model, path, 'pt2', (64, 64), free_size=True)
    program = torch.export.load(path).module()
    for size in ((72, 48), (56, 120), (80, 80)):        # windows of 3 patches of 8 pixels
        images = torch.randn(2, 3, *size)
        with torch.no_grad():
            torch.testing.assert_close(tuple(program(images)), tuple(model(images)))


@needs_onnx
@pytest.mark.parametrize('make', [vit, vitdet, upernet])
def test_the_older_exporter_of_onnx_too(make, tmp_path: Path):
    import onnxruntime
    model, path = ready(make()), str(tmp_path / 'encoder.onnx')
    images = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        expected = model(images)
    names = [f'map_{i}' for i in range(len(expected))]
    free = {name: {0: 'num_images'} for name in ['images', *names]}
    torch.onnx.export(model, (images[:2], ), path, dynamo=False, dynamic_axes=free,
                      input_names=['images'], output_names=names)
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    for own, other in zip(expected, session.run(None, {'images': images.numpy()}), strict=True):
        torch.testing.assert_close(torch.from_numpy(other), own, rtol=0,
                                   atol=1e-5 * float(own.abs().max()))


def test_a_program_that_differs_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = ready(vit())
    model.encoder.drop_after_pos = nn.Dropout(0.5)
    model.encoder.drop_after_pos.train()                # draws other places in every call
    with pytest.raises(ValueError, match=r'(?s)differs from the model by .* nothing was written'):
        export_feature_maps(model, tmp_path / 'a.pt', 'torchscript', (64, 64))
    assert list(tmp_path.iterdir()) == []


@needs_onnx
def test_a_free_size_is_compared_at_whole_patches(tmp_path: Path):
    assert export_feature_maps(ready(vit()), tmp_path / 'a.onnx', 'onnx', (40, 24), True) < 1e-5


class Stubborn(nn.Module):
    """Its program takes no other number of images than it was traced with."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        return (images.view(len(images), -1) + torch.ones(int(len(images)), 1), )


def test_a_program_that_cannot_run_is_not_kept(tmp_path: Path):
    with pytest.raises(ValueError, match='cannot run on images of 8 x 8 .* nothing was written'):
        export_feature_maps(FeatureMaps(Stubborn()), tmp_path / 'a.pt', 'torchscript', (8, 8))
    assert list(tmp_path.iterdir()) == []


class TwoMaps(nn.Module):
    """Of whose maps the second is not finite."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return images, images.sqrt()


def test_a_later_map_that_is_not_finite_is_not_kept(tmp_path: Path):
    with pytest.raises(ValueError, match='differs from the model by nan'):
        export_feature_maps(FeatureMaps(TwoMaps()), tmp_path / 'a.pt', 'torchscript', (8, 8))


@pytest.mark.parametrize(('make', 'to', 'words'), [
    (upernet, 'pt2', 'ADDPUperViT resizes .* name the image size'),
    (vit, 'torchscript', 'one image size.*choose onnx or pt2'),
    (vit, 'coreml', "one of .*'onnx', 'pt2', 'torchscript'.* got 'coreml'"),
])
def test_what_cannot_be_exported(make, to: str, words: str, tmp_path: Path):
    with pytest.raises(ValueError, match=words):
        export_feature_maps(ready(make()), tmp_path / 'a', to, (64, 64), free_size=True)


def test_a_file_is_not_replaced_unasked(tmp_path: Path):
    path = tmp_path / 'a.pt'
    path.write_text('mine')
    with pytest.raises(FileExistsError, match='exists already'):
        export_feature_maps(ready(vit()), path, 'torchscript', (64, 64))
    assert path.read_text() == 'mine'


@pytest.mark.parametrize('options', [
    dict(pre_norm=True), dict(pre_norm=False), dict(pre_norm=True, patch_cfg=dict(bias=False))])
def test_timm_computes_the_same_tokens(options: dict, tmp_path: Path):
    from timm.models import VisionTransformer
    encoder = ready(FeatureMaps(ADDPViT(**SIZES, **options))).encoder
    arguments = export_timm(encoder, tmp_path / 'timm.safetensors')
    other = VisionTransformer(**arguments).eval()
    other.load_state_dict(load_weights(tmp_path / 'timm.safetensors'))
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        tokens = other.forward_features(images)[:, 1:]                      # (N, L, D)
        expected = encoder(images)[-1].flatten(2).transpose(1, 2)
    torch.testing.assert_close(tokens, expected, rtol=1e-5, atol=1e-5)


def test_timm_has_no_such_encoder(tmp_path: Path):
    with pytest.raises(ValueError, match='got a ADDPViTDet.*Choose onnx'):
        export_timm(vitdet().encoder, tmp_path / 'a.pth')


@pytest.mark.parametrize('options', [
    dict(final_norm=False, out_type='avg_featmap'), dict(final_norm=False), dict(qkv_bias=False),
    dict(layer_scale_init_value=0.1), dict(patch_cfg=dict(stride=4)),
    dict(norm_cfg=dict(type='LN', eps=1e-2)), dict(pre_norm=False, patch_cfg=dict(bias=False))])
def test_timm_has_no_such_parts(options: dict, tmp_path: Path):
    encoder = ADDPViT(**SIZES, **options)
    assert not fits_timm(encoder)
    with pytest.raises(ValueError, match='ends with a LayerNorm.*Choose onnx'):
        export_timm(encoder, tmp_path / 'a.pth')
    assert not (tmp_path / 'a.pth').exists()


@pytest.mark.parametrize(('change', 'words'), [
    (lambda encoder: encoder.layers.append(nn.Linear(2, 2)), 'does not take the weights'),
    (lambda encoder: setattr(encoder.layers[1].ln2, 'eps', 1.), 'differs from the encoder by'),
])
def test_timm_is_compared(change, words: str, tmp_path: Path):
    encoder = ready(vit()).encoder
    change(encoder)
    with pytest.raises(ValueError, match=f'{words}.*nothing was written'):
        export_timm(encoder, tmp_path / 'a.pth')
    assert not (tmp_path / 'a.pth').exists()


def test_an_encoder_of_a_config(tmp_path: Path):
    trained = ready(vit()).encoder
    torch.save(dict(state_dict={f'backbone.{k}': v for k, v in trained.state_dict().items()},
                    meta={}), tmp_path / 'addp.pth')
    (tmp_path / 'config.py').write_text(f"model = dict(type='ADDP', backbone=dict("
                                        f"type='ADDPViT', **{SIZES!r}), neck=dict())\n")
    model = build_feature_maps(tmp_path / 'config.py', tmp_path / 'addp.pth')
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(model(images)[0], trained(images)[0])


def test_the_image_size_of_a_pretraining(tmp_path: Path):
    cfg = tiny_addp_cfg(tmp_path)
    torch.save(build_model(cfg).state_dict(), tmp_path / 'addp.pth')
    model = build_feature_maps(Config(dict(model=cfg)), tmp_path / 'addp.pth')
    assert tuple(model.encoder.img_size) == (32, 32)


def test_a_detector_needs_its_neck(tmp_path: Path):
    encoder = ready(vitdet()).encoder
    torch.save({f'backbone.{k}': v for k, v in encoder.state_dict().items()}, tmp_path / 'a.pth')
    (tmp_path / 'config.py').write_text(
        f"default_scope = 'mmdet'\nmodel = dict(backbone=dict(type='ADDPViTDet', arch={ARCH!r}, "
        "img_size=64, pretrain_img_size=64, patch_size=8, window_size=3), "
        "neck=dict(type='SimpleFPN', in_channels=32, out_channels=16))\n")
    with pytest.raises(ValueError, match='does not have the SimpleFPN of the config'):
        build_feature_maps(tmp_path / 'config.py', tmp_path / 'a.pth')


def test_a_neck_that_is_no_number_is_refused(tmp_path: Path):
    model = vitdet()
    nn.init.constant_(next(model.neck.parameters()), float('nan'))
    weights = {f'backbone.{k}': v for k, v in model.encoder.state_dict().items()} | {
        f'neck.{k}': v for k, v in model.neck.state_dict().items()}
    torch.save(weights, tmp_path / 'a.pth')
    cfg = Config(dict(default_scope='mmdet', model=dict(
        backbone=dict(type='ADDPViTDet', arch=ARCH, img_size=64, pretrain_img_size=64,
                      patch_size=8, window_size=3),
        neck=dict(type='SimpleFPN', in_channels=32, out_channels=16))))
    with pytest.raises(ValueError, match='a.pth holds numbers that are not finite'):
        build_feature_maps(cfg, tmp_path / 'a.pth')


def test_published_without_the_optimizer(tmp_path: Path):
    cfg = tiny_addp_cfg(tmp_path)
    content = dict(state_dict=build_model(cfg).state_dict(), meta=dict(epoch=3),
                   optimizer=dict(state={}), param_schedulers=[], message_hub={})
    torch.save(content, tmp_path / 'epoch_3.pth')
    cfg = Config(dict(model=cfg))
    publish_checkpoint(cfg, tmp_path / 'epoch_3.pth', tmp_path / 'addp.pth')
    assert load_checkpoint(tmp_path / 'addp.pth').keys() == {'state_dict', 'meta'}
    torch.save(dict(a=torch.ones(2)), tmp_path / 'weights.pth')
    with pytest.raises(ValueError, match='not a checkpoint of a training'):
        publish_checkpoint(cfg, tmp_path / 'weights.pth', tmp_path / 'b.pth')


def test_only_a_whole_checkpoint_of_the_config_is_published(tmp_path: Path):
    cfg = tiny_addp_cfg(tmp_path)
    weights = build_model(cfg).state_dict()
    config, source, out = Config(dict(model=cfg)), tmp_path / 'a.pth', tmp_path / 'out.pth'
    torch.save(dict(state_dict=weights, meta={}), source)
    with pytest.raises(ValueError, match='torch file, got the name .*: end it in .pth'):
        publish_checkpoint(config, source, tmp_path / 'out.safetensors')
    with pytest.raises(FileNotFoundError, match='no_such.py'):
        publish_checkpoint(tmp_path / 'no_such.py', source, out)
    other = Config(dict(model=cfg | dict(neck=cfg['neck'] | dict(depth=1))))
    with pytest.raises(ValueError, match='a.pth holds .*Take the config it was trained with'):
        publish_checkpoint(other, source, out)
    weights['backbone.ln1.bias'][0] = float('nan')
    torch.save(dict(state_dict=weights, meta={}), source)
    with pytest.raises(ValueError, match='not finite.*backbone.ln1.bias first'):
        publish_checkpoint(config, source, out)
    assert not out.exists()
