"""The ``VQModel`` of diffusers as a tokenizer.

Shapes: N images of H x W pixels, RGB in [0, 1]; K codes of C dims; (h, w) token grid.
"""
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ...registry import MODELS
from .token_grid import TokenGrid
from .vqgan import Codebook

CONFIG = 'config.json'


@MODELS.register_module()
class DiffusersVQModel(TokenGrid):
    """Encoder, codebook and decoder of diffusers' ``VQModel``, with the methods of :class:`VQGAN`.

    The parameter names are those of diffusers, so its weight files are read as they are. A VQGAN of
    taming-transformers is the same network: ``convert_checkpoint.py`` renames its file.

    Args:
        config: The arguments of ``VQModel``, the ``config.json`` that diffusers saves beside the
            weights, or its folder.
        image_size: Height and width of the images, or one number for both.
        pixel_range: Least and greatest value of the pixels that the network was trained on:
            (-1, 1) for taming-transformers and latent diffusion, (0, 1) for aMUSEd.

    Raises:
        ModuleNotFoundError: If diffusers is missing.
        FileNotFoundError: If there is no such config.
        ValueError: If the config is of another model, the stride does not divide the image size,
            or the range is empty.
    """

    def __init__(self, config: str | Mapping[str, Any], image_size: int | tuple[int, int] = 256,
                 pixel_range: Sequence[float] = (-1., 1.)) -> None:
        model = _build(_read(config))
        settings = model.config
        super().__init__(image_size, 2**(len(settings.block_out_channels) - 1))
        self.low, self.high = (float(value) for value in pixel_range)
        if not self.low < self.high:
            raise ValueError(f'pixel_range must be two growing numbers, got {tuple(pixel_range)}.')
        self.num_codes = settings.num_vq_embeddings
        self.code_dims = settings.vq_embed_dim or settings.latent_channels
        self.encoder, self.decoder = model.encoder, model.decoder
        self.quant_conv, self.post_quant_conv = model.quant_conv, model.post_quant_conv
        self.quantize = Codebook(self.num_codes, self.code_dims)
        self._norms_read_codes = settings.norm_type == 'spatial'

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Tokenize images.

        Args:
            images: (N, 3, H, W), RGB in [0, 1].

        Returns:
            Token ids (N, h, w) and their embeddings (N, C, h, w).

        Raises:
            ValueError: If the stride does not divide the images' height or width.
        """
        self.check_size(images)
        pixels = self.low + (self.high - self.low) * images
        token_ids = self.quantize.assign(self.quant_conv(self.encoder(pixels)))
        return token_ids, self.quantize.lookup(token_ids)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (N, C, h, w), of codes or of mixtures, to images (N, 3, H, W), not clamped."""
        codes = latents if self._norms_read_codes else None
        pixels = self.decoder(self.post_quant_conv(latents), codes)
        return (pixels - self.low) / (self.high - self.low)


def _build(config: dict[str, Any]) -> nn.Module:
    try:
        from diffusers import VQModel
    except ImportError as error:
        raise ModuleNotFoundError(
            'DiffusersVQModel needs diffusers: pip install "diffusers>=0.30"') from error
    known = signature(VQModel.__init__).parameters
    unknown = sorted(name for name in config if name not in known and not name.startswith('_'))
    if config.get('_class_name', 'VQModel') != 'VQModel' or unknown:
        raise ValueError(
            f'Expected the config of a VQModel of diffusers, got one of '
            f'{config.get("_class_name", "another model")} with {unknown}. Name the config.json '
            'beside the weights of a VQModel; continuous autoencoders have no tokens.')
    return VQModel.from_config(config)


def _read(config: str | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(config, Mapping):
        return dict(config)
    path = Path(config, CONFIG) if Path(config).is_dir() else Path(config)
    if not path.is_file():
        raise FileNotFoundError(f'Expected the config of a VQModel at {path}, there is none: name '
                                'the config.json that diffusers saved beside its weights.')
    return json.loads(path.read_text(encoding='utf-8'))
