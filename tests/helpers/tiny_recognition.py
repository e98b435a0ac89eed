"""The recognition recipes at a tiny size: 6 classes of 32 x 32 pixels in ImageNet's layout."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from PIL import Image

from addp_mm.checkpoints.weight_files import save_weights
from addp_mm.registry import MODELS
from tests.helpers.tiny import STRIDE, save_tiny_weights, tiny_tokenizer_cfg

ARCH = dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=128)
NUM_CLASSES = 6      # top-5 accuracy needs 5
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def write_classes(folder: Path, per_class: int = 2) -> Path:
    """Write ``folder/{train,val}/n<class>/<number>.png``; the classes differ in colour."""
    rng = np.random.default_rng(0)
    for part in ('train', 'val'):
        for label in range(NUM_CLASSES):
            for index in range(per_class):
                pixels = rng.integers(0, 100, (40, 48, 3), dtype=np.uint8)
                pixels[..., label % 3] += 150 if label < 3 else 80
                path = folder / part / f'n{label}' / f'{index}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
    return folder


def save_encoder(path: Path, cfg: dict) -> Path:
    """Write random weights of the pre-training's encoder, under the names of a converted file."""
    if cfg['type'] == 'ADDPViT':
        cfg = dict(cfg, out_type='featmap', pre_norm=True, final_norm=True)
    encoder = MODELS.build(dict(cfg, init_cfg=None, frozen_stages=-1))
    torch.manual_seed(1)
    weights = {f'backbone.{name}': torch.randn_like(value.float()) * 0.1 + 0.2
               for name, value in encoder.state_dict().items()}
    save_weights(weights, path)
    return path


def unformatted(cfg: Config) -> Config:
    """A config whose text is not laid out: that takes more time than a tiny training."""
    return Config(cfg.to_dict(), format_python_code=False)


def tiny_recipe(path: Path, folder: Path) -> Config:
    """A recipe of configs/*/benchmarks at a tiny size: two batches of 6 images, and two to score.

    Its checkpoints are written to ``folder``, its images must be there.
    """
    cfg = unformatted(Config.fromfile(path))
    cfg.work_dir, cfg.experiment_name = str(folder / 'work'), path.stem
    cfg.visualizer = None
    loaders = [cfg[name] for name in LOADERS if cfg.get(name)]
    if cfg.model.get('gallery'):
        loaders.append(cfg.model.gallery)
    for loader in loaders:
        _shrink_loader(loader, folder)
        loader.batch_size = 6
    if cfg.model.backbone.type == 'ResNet':
        cfg.model.backbone.update(base_channels=8, stem_channels=8)
        dims = 256
    else:
        _shrink_vit(cfg.model, folder)
        dims = ARCH['embed_dims']
    _set_sizes(cfg.model, dims)
    if cfg.get('train_cfg'):
        cfg.train_cfg.update(max_epochs=1, val_interval=1)
    return cfg


def _shrink_loader(loader: dict, folder: Path) -> None:
    loader.update(num_workers=0, persistent_workers=False, pin_memory=False)
    loader.dataset.update(type='ImageFolder', with_label=True, num_classes=NUM_CLASSES,
                          data_root=str(folder))
    for transform in loader.dataset.pipeline:
        if 'crop' in transform:
            transform.crop.scale = 32
        if transform.type == 'ResizeEdge':
            transform.scale = 36
        if transform.type == 'CenterCrop':
            transform.crop_size = 32


def _shrink_vit(model: Config, folder: Path) -> None:
    backbone = model.backbone
    if backbone.get('frozen_stages') == {'base': 12, 'large': 24}[backbone.arch]:
        backbone.frozen_stages = ARCH['num_layers']     # all, as before
    backbone.update(arch=ARCH, img_size=32, patch_size=STRIDE)
    if backbone.get('tokenizer'):
        paths = save_tiny_weights(folder)
        backbone.tokenizer.update(model=tiny_tokenizer_cfg(), checkpoint=paths['tokenizer'])
        if backbone.init_cfg:
            backbone.init_cfg.checkpoint = paths['token_predictor']


def _set_sizes(model: Config, dims: int) -> None:
    model.data_preprocessor.num_classes = NUM_CLASSES
    if model.get('neck') and 'input_features' in model.neck:
        model.neck.input_features = dims
    if model.get('head'):
        model.head.update(num_classes=NUM_CLASSES, in_channels=dims)
        if 'num_classes' in model.head.loss:
            model.head.loss.num_classes = NUM_CLASSES
    if 'num_classes' in model:
        model.update(num_classes=NUM_CLASSES, num_neighbors=2)
