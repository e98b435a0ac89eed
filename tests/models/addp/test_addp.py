from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmpretrain.models.backbones import VisionTransformer
from torch import Tensor, nn

from addp_mm.models.addp import ADDP, ADDPViT
from addp_mm.models.layers import VAL_RATIOS, val_generators
from addp_mm.registry import MODELS
from tests.helpers.tiny import NUM_CODES, VOCAB_SIZE, build_model, tiny_addp_cfg, tiny_batch


def diffusion(**kwargs) -> dict:
    return dict(data_preprocessor=dict(diffusion=dict(type='DiffusionProcess', **kwargs)))


def loss(**kwargs) -> dict:
    return dict(head=dict(loss=dict(type='MaskedTokenLoss', **kwargs)))


# Each row of the paper's ablations is one changed value of the config.
ABLATIONS = {
    'default': dict(),
    'Tab. 3, condition z_t': diffusion(condition='z_t'),
    'Tab. 4, sampling': diffusion(mapping='sampling'),
    'Tab. 4, argmax': diffusion(mapping='argmax'),
    'Tab. 5, no token input': dict(neck=dict(token_input=False)),
    'Tab. 5, encoder and decoder': dict(backbone=dict(token_vocab=NUM_CODES)),
    'Tab. 6, hard target': loss(target='hard'),
    'Tab. 6, both targets': loss(target='both'),
    'Tab. 6, fixed mask ratio': diffusion(mask_ratio=dict(type='FixedMaskRatio', ratio=0.5)),
}
# And what else must leave no parameter without a gradient.
EVERYTHING_MASKED = diffusion(mask_ratio=dict(type='FixedMaskRatio', ratio=1.0))
VARIANTS = ABLATIONS | {
    'everything masked': EVERYTHING_MASKED,
    'everything masked, encoder and decoder':
        EVERYTHING_MASKED | ABLATIONS['Tab. 5, encoder and decoder'],
    'everything masked, no token input': EVERYTHING_MASKED | ABLATIONS['Tab. 5, no token input'],
    'a ratio for each image': diffusion(per_image=True),
    'no CLS token': dict(backbone=dict(with_cls_token=False)),
    'no CLS token, encoder and decoder':
        dict(backbone=dict(with_cls_token=False, token_vocab=NUM_CODES)),
}
each_ablation = pytest.mark.parametrize('overrides', ABLATIONS.values(), ids=ABLATIONS.keys())
each_variant = pytest.mark.parametrize('overrides', VARIANTS.values(), ids=VARIANTS.keys())

CONVNEXT = dict(backbone=dict(_delete_=True, type='TIMMBackbone', model_name='convnext_atto',
                              features_only=True), neck=dict(in_channels=320))
RESNET = dict(backbone=dict(_delete_=True, type='ResNet', depth=18), neck=dict(in_channels=512))
TIMM_SWIN = dict(                               # gives (N, h, w, C)
    backbone=dict(_delete_=True, type='TIMMBackbone', model_name='swin_tiny_patch4_window7_224',
                  features_only=True, img_size=32, embed_dim=24, depths=(1, 1),
                  num_heads=(1, 2), out_indices=(0, 1)), neck=dict(in_channels=48))
SWIN = dict(backbone=dict(_delete_=True, type='SwinTransformer', img_size=32, window_size=4,
                          arch=dict(embed_dims=24, depths=[1, 1], num_heads=[1, 2]),
                          out_indices=(1, )), neck=dict(in_channels=48))


@pytest.fixture
def model(tmp_path: Path) -> ADDP:
    return build_model(tiny_addp_cfg(tmp_path))


def training_loss(model: ADDP, batch: dict) -> Tensor:
    losses = model(**model.data_preprocessor(batch, True), mode='loss')
    assert losses.keys() == {'loss_token'}
    return losses['loss_token']


def without_gradient(model: nn.Module) -> list[str]:
    return [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]


def tiny_batch_of(seed: int) -> dict:
    torch.manual_seed(seed)
    return tiny_batch()


@each_variant
def test_variant_trains_every_parameter(tmp_path: Path, overrides: dict):
    model = build_model(tiny_addp_cfg(tmp_path, **overrides)).train()
    value = training_loss(model, tiny_batch(3))
    value.backward()
    losses = 2 if model.head.loss_module.target == 'both' else 1
    # Nothing is known yet: about the logarithm of the vocabulary.
    assert value.item() == pytest.approx(losses * math.log(VOCAB_SIZE), rel=0.15)
    assert without_gradient(model) == []


@each_ablation
def test_ablation_uses_every_parameter(tmp_path: Path, overrides: dict):
    model = build_model(tiny_addp_cfg(tmp_path, **overrides))
    training_loss(model, tiny_batch(3)).backward()
    assert [n for n, p in model.named_parameters() if not p.grad.any()] == []


def test_ablations_change_what_they_name(tmp_path: Path):
    models = {name: MODELS.build(tiny_addp_cfg(tmp_path, **overrides))
              for name, overrides in ABLATIONS.items()}
    processes = {name: m.data_preprocessor.diffusion for name, m in models.items()}
    assert processes['default'].condition == 'z_t+d'
    assert processes['Tab. 3, condition z_t'].condition == 'z_t'
    assert processes['default'].mapping == 'weighted_sum'
    assert processes['Tab. 4, sampling'].mapping == 'sampling'
    assert processes['Tab. 4, argmax'].mapping == 'argmax'
    assert processes['Tab. 6, fixed mask ratio'].mask_ratio.sample() == (0.5, 0.5)
    assert [models[n].neck.token_input for n in ('default', 'Tab. 5, no token input')] == [
        True, False]
    assert models['Tab. 5, encoder and decoder'].backbone.takes_tokens
    assert not models['default'].backbone.takes_tokens
    assert [models[n].head.loss_module.target
            for n in ('default', 'Tab. 6, hard target', 'Tab. 6, both targets')] == [
                'soft', 'hard', 'both']


@pytest.mark.parametrize('overrides', [CONVNEXT, TIMM_SWIN, RESNET, SWIN],
                         ids=['ConvNeXt of timm', 'Swin of timm', 'ResNet', 'Swin'])
def test_other_encoders(tmp_path: Path, overrides: dict):
    model = build_model(tiny_addp_cfg(tmp_path, **overrides))
    training_loss(model, tiny_batch()).backward()
    assert without_gradient(model) == []
    assert model.val_step(tiny_batch())[0]['count'].tolist() == [9, 9]


@pytest.fixture
def gloo(tmp_path: Path) -> Iterator[None]:
    """A process group of this one process."""
    store = dist.FileStore(str(tmp_path / 'store'), 1)
    dist.init_process_group('gloo', store=store, rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize('overrides', [dict(), EVERYTHING_MASKED,
                                       ABLATIONS['Tab. 5, no token input'],
                                       ABLATIONS['Tab. 5, encoder and decoder']])
def test_ddp_finds_no_unused_parameter(tmp_path: Path, gloo: None, overrides: dict):
    model = MMDistributedDataParallel(build_model(tiny_addp_cfg(tmp_path, **overrides)))
    optim = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    for _ in range(3):                          # the reducer complains in the step after
        assert model.train_step(tiny_batch(), optim)['loss'].isfinite()
    assert len(model.val_step(tiny_batch())) == len(VAL_RATIOS)


def test_it_learns(tmp_path: Path):
    overrides = dict(backbone=dict(drop_rate=0.), neck=dict(drop_rate=0.))
    cfg = tiny_addp_cfg(tmp_path, **loss(target='hard', label_smoothing=0.), **overrides)
    model, batch = build_model(cfg).train(), tiny_batch(1)
    optim = OptimWrapper(torch.optim.AdamW(model.parameters(), lr=1e-2))
    losses = [model.train_step(batch, optim)['loss_token'].item() for _ in range(30)]
    # More than that the codes are as likely as each other and the other rows are none.
    assert sum(losses[-5:]) / 5 < math.log(NUM_CODES) - 0.2


def test_a_step_under_autocast(model: ADDP):
    with torch.autocast('cpu', dtype=torch.bfloat16):
        value = training_loss(model, tiny_batch())
    assert value.dtype == torch.float32 and value.isfinite()
    value.backward()
    assert without_gradient(model) == []


def test_loss_is_that_of_the_parts(model: ADDP):
    model.eval()
    data = model.data_preprocessor(tiny_batch(), True)
    images, sample = data['inputs'], data['data_samples']
    tokens = model.neck(model.backbone(images)[-1], sample)
    logits = model.head(tokens, model.neck.token_embed.weight)
    assert logits.shape == (2, VOCAB_SIZE, 4, 4)
    assert torch.equal(model.predict_tokens(images, sample), logits)
    wanted = model.head.loss_module(logits, sample)
    torch.testing.assert_close(model(**data, mode='loss')['loss_token'], wanted)


def test_sizes_come_from_the_tokenizer(tmp_path: Path):
    model = MODELS.build(tiny_addp_cfg(tmp_path, image_size=(32, 48)))
    assert model.backbone.img_size == (32, 48)
    assert tuple(model.backbone.patch_resolution) == (4, 6)
    assert model.neck.grid_size == model.head.grid_size == (4, 6)
    assert model.neck.num_codes == NUM_CODES
    assert model.neck.in_channels == 32 and model.head.token_projection.fc.in_features == 48
    assert model.data_preprocessor.token_predictor.description.grid_size == (4, 6)


@pytest.mark.parametrize('kind', ['ADDPViT', 'mmpretrain.ADDPViT', ADDPViT, 'VisionTransformer'])
def test_the_image_size_reaches_every_vit(tmp_path: Path, kind: str | type):
    cfg = tiny_addp_cfg(tmp_path)
    cfg['backbone'].update(type=kind, out_type='featmap')
    assert MODELS.build(cfg).backbone.img_size == (32, 32)
    cfg['backbone'].update(img_size=64)
    assert MODELS.build(cfg).backbone.img_size == (64, 64), 'an explicit size must win'


def test_an_unknown_encoder(tmp_path: Path):
    with pytest.raises(KeyError, match='ADPViT is not in the mmpretrain::model registry'):
        MODELS.build(tiny_addp_cfg(tmp_path, backbone=dict(type='ADPViT')))


def test_grids_that_are_not_square(tmp_path: Path):
    model = build_model(tiny_addp_cfg(tmp_path, image_size=(32, 48)))
    training_loss(model, tiny_batch(2, (32, 48))).backward()
    assert without_gradient(model) == []


def test_the_config_is_left_as_it_is(tmp_path: Path):
    cfg = tiny_addp_cfg(tmp_path)
    before = copy.deepcopy(cfg)
    MODELS.build(cfg)
    assert cfg == before


@pytest.mark.parametrize('wrong', [dict(num_codes=NUM_CODES + 1), dict(grid_size=(4, 5))])
def test_a_neck_for_another_tokenizer(tmp_path: Path, wrong: dict):
    with pytest.raises(ValueError, match=rf'gives {NUM_CODES} codes on the grid \(4, 4\), the '
                                         'neck is made for .*Leave num_codes and'):
        MODELS.build(tiny_addp_cfg(tmp_path, neck=wrong))


def test_missing_files_stop_before_training(tmp_path: Path):
    cfg = tiny_addp_cfg(tmp_path)
    cfg['data_preprocessor']['token_predictor']['checkpoint'] = str(tmp_path / 'lost.pth')
    model = MODELS.build(cfg)
    with pytest.raises(FileNotFoundError, match=r'frozen MAGE are not at .*lost\.pth'):
        model.init_weights()


def test_features_need_no_frozen_part(tmp_path: Path):
    model = MODELS.build(tiny_addp_cfg(tmp_path)).eval()
    for path in tmp_path.glob('*.pth'):
        path.unlink()
    data = model.data_preprocessor(tiny_batch(), False)
    features = model(data['inputs'], mode='tensor')
    assert isinstance(features, tuple) and features[-1].shape == (2, 32, 4, 4)
    assert torch.equal(features[0], model.extract_feat(data['inputs'])[0])
    assert torch.equal(features[0], model.backbone(data['inputs'])[0])


def test_its_parameters_are_the_trained_ones(model: ADDP):
    parts = {name.split('.')[0] for name in model.state_dict()}
    assert parts == {'backbone', 'neck', 'head'}
    assert set(dict(model.named_parameters())) == set(model.state_dict())
    names = set(model.state_dict())
    assert {'backbone.pre_norm.weight', 'backbone.layers.1.attn.qkv.bias', 'neck.mask_token',
            'neck.token_pos_embed', 'neck.layers.0.ffn.layers.0.0.weight',
            'head.token_projection.bias', 'head.token_projection.fc.weight'} <= names


def test_copies_share_the_frozen_parts(model: ADDP):
    twin = copy.deepcopy(model)
    assert twin.data_preprocessor.tokenizer.description is (
        model.data_preprocessor.tokenizer.description)
    assert twin.backbone.pos_embed is not model.backbone.pos_embed
    twin.load_state_dict(model.state_dict())
    scores = [[s['loss'].tolist() for s in m.eval().val_step(data)]
              for m, data in ((model, tiny_batch_of(1)), (twin, tiny_batch_of(1)))]
    assert scores[0] == scores[1]


def test_start_values_of_a_layer_do_not_reach_the_frozen_parts(tmp_path: Path):
    cfg = tiny_addp_cfg(tmp_path, init_cfg=dict(type='Constant', layer=['Conv2d', 'Linear'], val=7))
    model = MODELS.build(cfg)
    model.data_preprocessor.load_frozen()
    model.init_weights()
    for part in (model.data_preprocessor.tokenizer, model.data_preprocessor.token_predictor):
        assert not any(bool((p == 7).all()) for p in part.description.parameters())


def test_named_weights_are_the_start_values(model: ADDP, tmp_path: Path):
    path = str(tmp_path / 'addp.pth')
    torch.save(dict(state_dict=model.state_dict()), path)
    twin = build_model(tiny_addp_cfg(tmp_path, init_cfg=dict(type='Pretrained', checkpoint=path)))
    assert all(torch.equal(v, twin.state_dict()[k]) for k, v in model.state_dict().items())


def test_named_weights_of_another_grid_are_resized(model: ADDP, tmp_path: Path):
    path = str(tmp_path / 'addp.pth')
    torch.save(dict(state_dict=model.state_dict()), path)
    init_cfg = dict(type='Pretrained', checkpoint=path)
    wide = build_model(tiny_addp_cfg(tmp_path, (32, 48), init_cfg=init_cfg)).state_dict()
    for name, value in model.state_dict().items():
        if name.endswith('pos_embed'):
            assert wide[name].shape[1] == 25 and torch.equal(wide[name][:, 0], value[:, 0])
        else:
            assert torch.equal(wide[name], value)


def test_the_encoder_loads_in_mmpretrains_vit(model: ADDP, tmp_path: Path):
    path = str(tmp_path / 'addp.pth')
    torch.save(dict(state_dict=model.state_dict()), path)
    vit = VisionTransformer(
        arch=dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=64), img_size=32,
        patch_size=8, out_type='avg_featmap', pre_norm=True, patch_cfg=dict(bias=True),
        init_cfg=dict(type='Pretrained', checkpoint=path, prefix='backbone.'))
    vit.init_weights()
    ours = model.backbone.state_dict()
    loaded = {k: v for k, v in vit.state_dict().items() if not k.startswith('ln2')}
    assert loaded.keys() == ours.keys()
    assert all(torch.equal(v, ours[k]) for k, v in loaded.items())


def test_layer_depth(model: ADDP):
    depths = [model.get_layer_depth(f'backbone.{n}')[0] for n in ('pos_embed', 'layers.1.ln1.bias')]
    assert depths == [0, 2]


def test_val_step_scores_each_ratio(model: ADDP):
    model.eval()
    batch = tiny_batch(3)
    with torch.no_grad():
        scores = model.val_step(batch)
    assert [s['ratio'] for s in scores] == list(VAL_RATIOS)
    assert [s['count'].tolist() for s in scores] == [[n] * 3 for n in (9, 12, 13, 15, 16)]
    images, _ = model.data_preprocessor.to_images(batch)
    for score in scores:
        noisy, sample = model.data_preprocessor.diffuse(
            images, score['ratio'], val_generators(score['ratio'], None, 3))
        with torch.no_grad():
            logits = model.predict_tokens(noisy, sample)[:, :NUM_CODES]
        losses = nn.functional.cross_entropy(logits, sample.token_ids, reduction='none')
        assert float(score['loss'].sum()) == pytest.approx(
            float(losses[sample.mask].sum()), rel=1e-5)
        assert torch.equal(score['token_ids'], sample.token_ids)


@pytest.mark.parametrize('overrides', [dict(), ABLATIONS['Tab. 4, sampling'],
                                       diffusion(per_image=True)])
def test_val_step_repeats_and_leaves_the_draws_of_training(tmp_path: Path, overrides: dict):
    model = build_model(tiny_addp_cfg(tmp_path, val_ratios=(0.6, 0.9), **overrides)).eval()
    batch = tiny_batch()
    state = torch.get_rng_state()
    with torch.no_grad():
        scores = [[s['loss'].tolist() for s in step(batch)]
                  for step in (model.val_step, model.test_step)]
    assert torch.equal(torch.get_rng_state(), state)
    assert scores[0] == scores[1] and len(scores[0]) == 2


@each_ablation
def test_ablation_can_be_scored(tmp_path: Path, overrides: dict):
    model = build_model(tiny_addp_cfg(tmp_path, val_ratios=(0.7, ), **overrides)).eval()
    score, = model.val_step(tiny_batch())
    assert score['loss'].isfinite().all() and score['count'].tolist() == [12, 12]


def test_other_encoders_must_say_their_channels(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='neck.in_channels.*ResNet'):
        MODELS.build(tiny_addp_cfg(tmp_path, backbone=RESNET['backbone']))
