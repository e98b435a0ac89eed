"""An encoder by itself as a folder that timm, mmpretrain, mmdet and mmseg read."""
from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelCard
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import Tensor, nn

from ..atomic_write import write_json
from ..checkpoints import load_encoder
from ..checkpoints.download import file_hash
from ..checkpoints.module_notes import with_notes
from ..checkpoints.weight_files import save_weights
from ..models.layers import check_ready, is_exporting
from ..registry import MODELS
from ..version import __version__
from .export import export_timm, fits_timm
from .hub_folder import HubFolder, folder_of
from .model_card import model_card
from .shared_folder import (
    CONFIG,
    LIBRARY,
    WEIGHTS,
    check_file,
    check_types,
    read_record,
    without_start_values,
)

BACKBONE = 'backbone.pth'
# What mmpretrain's own ViT must be told to compute the same, pooled over the patches.
_AS_IN_ADDP = dict(patch_cfg=dict(bias=True), out_type='avg_featmap')
_USE_TIMM = """With timm, without this package; images normalised with `data_config` of the model:

```python
model = timm.create_model('local-dir:{name}', pretrained=True)      # or hf-hub:USER/REPO
vectors = model(images)                                             # (N, {dims})
```

"""
_USE = """With mmpretrain, mmdet or mmseg, in a config:

```python
backbone = dict(
    {arguments},
    init_cfg=dict(type='Pretrained', checkpoint='{name}/backbone.pth', prefix='backbone.'))
```

Detectors take `type='addp_mm.ADDPViTDet'` of the same `arch` (docs/dense.md of addp_mm), segmenters
`addp_mm.ADDPUperViT`. In Python:

```python
from addp_mm.apis import ADDPEncoder

maps = ADDPEncoder.from_pretrained('{name}')(images)    # images (N, 3, H, W), RGB in [0, 1]
```"""


class ADDPEncoder(nn.Module, HubFolder):
    """The encoder of a training, from images in [0, 1] to feature maps.

    ``save_pretrained`` writes ``backbone.pth``, by the names of mmpretrain's backbones, and for a
    ViT that reads pixels ``model.safetensors`` and ``config.json`` as timm reads them.
    ``from_pretrained`` takes that folder or a repository on the hub.

    Args:
        encoder: Config of the encoder.
        mean: Mean of each channel, of pixels in 0 to 255, RGB.
        std: Standard deviation of each channel, of pixels in 0 to 255, RGB.
    """

    def __init__(self, encoder: dict, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.config = without_start_values(copy.deepcopy(encoder))
        self.encoder = MODELS.build(copy.deepcopy(self.config))
        self.encoder.train(False)
        self.weights: str | Path | None = None
        for name, values in (('mean', mean), ('std', std)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    @classmethod
    def from_training(cls, cfg: Config, model: BaseModel,
                      weights: str | Path | None = None) -> ADDPEncoder:
        """The encoder of a model.

        Args:
            cfg: The config of the model, of type ``ADDP``.
            model: The model, loaded.
            weights: Its file, for the model card.

        Raises:
            ValueError: If the model has no encoder of images.
        """
        if not hasattr(model, 'backbone'):
            raise ValueError(f'A {type(model).__name__} has no encoder of images: expected a '
                             'training of type ADDP.')
        config = cfg.model.backbone.to_dict()
        if hasattr(model.backbone, 'img_size'):
            config['img_size'] = [int(side) for side in model.backbone.img_size]
        normalizer = model.data_preprocessor
        new = cls(config, normalizer.mean.flatten().tolist(), normalizer.std.flatten().tolist())
        new.encoder.load_state_dict(model.backbone.state_dict())
        new.weights = weights
        return new

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (N, 3, H, W), RGB in [0, 1], to feature maps (N, D, h, w).

        Raises:
            ValueError: If they are on another scale.
        """
        if not is_exporting():
            check_ready(images)
        return tuple(self.encoder((images * 255 - self.mean) / self.std))

    def _save_pretrained(self, save_directory: Path) -> None:
        own = self.encoder.state_dict()
        weights = {f'backbone.{name}': tensor.float() if tensor.is_floating_point() else tensor
                   for name, tensor in own.items()}
        weights = with_notes(weights, own, {f'backbone.{name}': name for name in own})
        save_weights(weights, save_directory / BACKBONE, overwrite=True)
        timm = {}
        if fits_timm(self.encoder):
            arguments = export_timm(self.encoder, save_directory / WEIGHTS, overwrite=True)
            timm = self._timm_config(arguments)
        record = dict(library_name=LIBRARY, version=__version__, encoder=self.config,
                      mean=self.mean.flatten().tolist(), std=self.std.flatten().tolist(),
                      files={BACKBONE: file_hash(save_directory / BACKBONE)}, **timm)
        write_json(save_directory / CONFIG, record)

    def _timm_config(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """What timm's ``config.json`` holds; it pools the patches, as CLS was not trained."""
        sizes = {name: value for name, value in arguments.items()
                 if name not in ('num_classes', 'global_pool')}
        mean, std = ((values / 255).flatten().tolist() for values in (self.mean, self.std))
        return dict(
            architecture='vit_base_patch16_224', num_classes=0,
            num_features=arguments['embed_dim'], model_args=dict(
                sizes, fc_norm=False, global_pool='avg'),
            pretrained_cfg=dict(input_size=[3, *arguments['img_size']], fixed_input_size=True,
                                interpolation='bicubic', crop_pct=1., mean=mean, std=std,
                                num_classes=0, pool_size=None, first_conv='patch_embed.proj',
                                classifier='head'))

    @classmethod
    def _from_pretrained(cls, *, model_id: str, revision: str | None = None,
                         cache_dir: str | Path | None = None, force_download: bool = False,
                         local_files_only: bool = False, token: str | bool | None = None,
                         **options: Any) -> ADDPEncoder:
        """See ``from_pretrained`` of huggingface_hub."""
        folder = folder_of(
            model_id, revision=revision, cache_dir=cache_dir, force_download=force_download,
            local_files_only=local_files_only, token=token)
        record = read_record(folder, 'encoder')
        check_types(record['encoder'], folder / CONFIG)
        check_file(folder, BACKBONE, record['files'][BACKBONE])
        new = cls(record['encoder'], record['mean'], record['std'])
        load_encoder(new.encoder, str(folder / BACKBONE))
        new.weights = folder / BACKBONE
        return new

    def generate_model_card(self, **about: Any) -> ModelCard:
        """The card of this encoder, see :func:`model_card`."""
        arguments = ',\n    '.join(f'{k}={v!r}' for k, v in self._library_config().items())
        timm = _USE_TIMM.format(dims=self.encoder.embed_dims, name='{name}') if fits_timm(
            self.encoder) else ''
        use = timm + _USE.replace('{arguments}', arguments)
        return model_card(self.encoder, self.weights, use=use, **about)

    def _library_config(self) -> dict[str, Any]:
        """The encoder for mmpretrain's configs, of mmpretrain's own class where that will do."""
        own = {name: value for name, value in self.config.items() if name != 'drop_rate'}
        if fits_timm(self.encoder):
            pre_norm = isinstance(self.encoder.pre_norm, nn.LayerNorm)
            return dict(own, type='VisionTransformer', pre_norm=pre_norm, **_AS_IN_ADDP)
        return own

