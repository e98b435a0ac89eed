"""Each recognition recipe with a tiny network on real files: it loads, trains and scores."""
from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, load_checkpoint
from mmpretrain import FeatureExtractor, ImageClassificationInferencer

import addp_mm  # noqa: F401  (registers)
from addp_mm.checkpoints.weight_files import load_weights, save_weights
from addp_mm.registry import MODELS
from tests.helpers.tiny import STRIDE
from tests.helpers.tiny_recognition import (
    ARCH,
    NUM_CLASSES,
    save_encoder,
    tiny_recipe,
    write_classes,
)

CONFIGS = Path(__file__).parents[2] / 'configs'
RECIPES = sorted(
    path for folder in ('addp', 'mage') for path in (CONFIGS / folder / 'benchmarks').glob('*.py')
    if path.name.startswith(('finetune_', 'linear_', 'scratch_')))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_classes(tmp_path)


@pytest.mark.parametrize('path', RECIPES, ids=lambda path: path.stem)
def test_it_loads_an_encoder_trains_and_scores(path: Path, images: Path):
    cfg = tiny_recipe(path, images)
    init_cfg = cfg.model.backbone.get('init_cfg')
    if init_cfg and path.parts[-3] == 'addp':
        init_cfg.checkpoint = str(save_encoder(images / 'encoder.pth', cfg.model.backbone))
    runner = Runner.from_cfg(cfg)
    runner.train()

    assert runner.iter == 2
    assert 0 <= runner.message_hub.get_scalar('val/accuracy/top1').current() <= 100
    # The rate is next to nothing in the warm-up, so the weights are still those of the file.
    if init_cfg:
        _check_start(runner.model.backbone, init_cfg.checkpoint)
    frozen = path.stem.startswith('linear')
    assert {p.requires_grad for p in runner.model.backbone.parameters()} == {not frozen}


def _check_start(backbone: torch.nn.Module, checkpoint: str) -> None:
    weights = load_weights(checkpoint)
    name = 'layer1.0.conv1.weight' if hasattr(backbone, 'layer1') else 'layers.1.attn.qkv.weight'
    source = next(weights[p + name] for p in ('backbone.', '') if p + name in weights)
    torch.testing.assert_close(backbone.state_dict()[name], source, rtol=0, atol=1e-3)


@pytest.mark.parametrize('path', RECIPES, ids=lambda path: path.stem)
def test_the_batch_is_the_recipes_on_8_gpus(path: Path):
    cfg = Config.fromfile(path)
    expected = cfg.custom_hooks[-1]['expected']
    count = cfg.optim_wrapper.get('accumulative_counts', 1)
    assert 8 * cfg.train_dataloader.batch_size * count == expected
    assert cfg.auto_scale_lr.base_batch_size * count == expected


@pytest.mark.parametrize('name', ['addp/benchmarks/knn_vit-b.py', 'addp/benchmarks/knn_vit-l.py'])
def test_neighbours(name: str, images: Path):
    cfg = tiny_recipe(CONFIGS / name, images)
    cfg.load_from = str(save_encoder(images / 'encoder.pth', cfg.model.backbone))
    runner = Runner.from_cfg(cfg)
    # The classes differ in colour, which even random features keep.
    assert runner.test()['accuracy/top1'] > 50


@pytest.mark.parametrize('stem, loss', [('finetune_vit-b_100e', 'ce'),
                                        ('finetune_r50_100e', 'bce')])
def test_loss_of_mixed_labels_is_timms(stem: str, loss: str, images: Path):
    loss_cfg = Config.fromfile(CONFIGS / 'addp' / 'benchmarks' / f'{stem}.py').model.head.loss
    init_default_scope('mmpretrain')
    module = MODELS.build(loss_cfg)
    logits, first, second = torch.randn(4, 1000), torch.arange(4), torch.arange(4, 8)
    smooth = [torch.full((4, 1000), 1e-4).scatter_(1, ids[:, None], 0.9001)
              for ids in (first, second)]
    target = 0.3 * smooth[0] + 0.7 * smooth[1]
    mixed = (0.3 * torch.nn.functional.one_hot(first, 1000)
             + 0.7 * torch.nn.functional.one_hot(second, 1000))
    expected = (-(target * logits.log_softmax(1)).sum(1).mean() if loss == 'ce' else
                torch.nn.functional.binary_cross_entropy_with_logits(logits, target))
    torch.testing.assert_close(module(logits, mixed, avg_factor=4), expected)


def test_a_missing_class_stops_the_run(images: Path):
    for file in (images / 'val' / 'n1').iterdir():
        file.unlink()
    (images / 'val' / 'n1').rmdir()
    cfg = tiny_recipe(CONFIGS / 'addp' / 'benchmarks' / 'scratch_vit-b_300e.py', images)
    with pytest.raises(ValueError, match='each of 6 classes .*/val.*found 5'):
        Runner.from_cfg(cfg).train()


def test_images_of_another_number_of_classes_stop_the_run(images: Path):
    cfg = tiny_recipe(CONFIGS / 'addp' / 'benchmarks' / 'scratch_vit-b_300e.py', images)
    cfg.train_dataloader.dataset = dict(
        type='ImageNetFolder', data_root=str(images), data_prefix='train',
        pipeline=cfg.train_dataloader.dataset.pipeline)
    with pytest.raises(ValueError, match='each of 1000 classes .*/train.*found 6'):
        Runner.from_cfg(cfg).train()


def test_the_norm_of_the_pretraining_can_stay(images: Path):
    cfg = tiny_recipe(CONFIGS / 'addp' / 'benchmarks' / 'finetune_vit-b_100e.py', images)
    checkpoint = save_encoder(images / 'encoder.pth', cfg.model.backbone)
    cfg.merge_from_dict({'model.backbone.pre_norm': True,
                         'model.backbone.init_cfg.checkpoint': str(checkpoint)})
    model = MODELS.build(cfg.model)
    model.init_weights()
    torch.testing.assert_close(model.backbone.pre_norm.weight.data,
                               load_weights(checkpoint)['backbone.pre_norm.weight'])
    # It stands before the first layer, and so learns as slowly as the patch embedding.
    assert model.get_layer_depth('backbone.pre_norm.weight')[0] == 0


@pytest.mark.parametrize('size', [24, 40])
def test_other_sizes_and_timms_logits(size: int, images: Path):
    """A recipe for 32 pixels, loaded at another size: timm's ViT has the same logits."""
    timm = pytest.importorskip('timm')
    cfg = tiny_recipe(CONFIGS / 'addp' / 'benchmarks' / 'finetune_vit-b_100e.py', images)
    trained = MODELS.build(cfg.model).eval()
    for parameter in trained.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    torch.save(dict(state_dict=trained.state_dict()), images / 'trained.pth')
    cfg.model.backbone.update(img_size=size, init_cfg=None)
    model = MODELS.build(cfg.model).eval()
    load_checkpoint(model, str(images / 'trained.pth'), map_location='cpu', strict=True)

    theirs = timm.models.VisionTransformer(
        img_size=size, patch_size=STRIDE, num_classes=NUM_CLASSES, global_pool='avg',
        embed_dim=ARCH['embed_dims'], depth=ARCH['num_layers'], num_heads=ARCH['num_heads'],
        mlp_ratio=ARCH['feedforward_channels'] / ARCH['embed_dims']).eval()
    theirs.load_state_dict({_timm_name(n): v for n, v in model.state_dict().items()})
    pixels = torch.randn(2, 3, size, size)
    torch.testing.assert_close(model(pixels), theirs(pixels), rtol=0, atol=1e-5)


def _timm_name(name: str) -> str:
    for ours, timms in ((r'backbone\.ln2', 'fc_norm'), (r'head\.fc', 'head'), (r'backbone\.', ''),
                        ('projection', 'proj'), (r'ffn\.layers\.0\.0', 'mlp.fc1'),
                        (r'ffn\.layers\.1', 'mlp.fc2'), (r'layers\.(\d+)\.', r'blocks.\1.'),
                        (r'\.ln(\d)', r'.norm\1')):
        name = re.sub(ours, timms, name)
    return name


def test_mmpretrains_inferencers_take_a_recipe(images: Path):
    cfg = tiny_recipe(CONFIGS / 'addp' / 'benchmarks' / 'finetune_vit-b_100e.py', images)
    model = MODELS.build(cfg.model)
    save_weights(model.state_dict(), images / 'trained.pth')
    cfg.dump(images / 'recipe.py')
    arguments = dict(model=str(images / 'recipe.py'), pretrained=str(images / 'trained.pth'),
                     device='cpu')
    image = str(images / 'val' / 'n0' / '0.png')
    features = FeatureExtractor(**arguments)(image)[0]
    assert features[-1].shape == (ARCH['embed_dims'], )
    scores = ImageClassificationInferencer(**arguments)(image)[0]['pred_scores']
    assert scores.shape == (NUM_CLASSES, )
