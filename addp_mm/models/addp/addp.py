"""ADDP as a self-supervised algorithm of mmpretrain.

Shapes: N images of H x W pixels, V rows of the vocabulary, (h, w) token grid.
"""
from __future__ import annotations

from mmcv.cnn.bricks import DropPath
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.models.selfsup.base import BaseSelfSupervisor
from torch import Tensor

from ...checkpoints import demand_fit
from ...diffusion import NoisySample
from ...registry import MODELS
from ..layers import VAL_RATIOS, score_masked_tokens, val_generators
from .masked_pixel_head import MaskedPixelHead


@MODELS.register_module()
class ADDP(BaseSelfSupervisor):
    """Alternating denoising diffusion process (arXiv 2306.05423, Fig. 4).

    The data preprocessor owns the frozen tokenizer and token predictor and draws noisy images; the
    backbone reads them; the neck (token decoder) and the head predict the tokens. Sizes that the
    tokenizer or an earlier part knows need not stand in the config again: the image size of a
    ``VisionTransformer``, codes and grid of the neck, and the widths between a ViT, neck and head.

    Args:
        data_preprocessor: Config of an ``ADDPDataPreprocessor``.
        backbone: Config of the encoder; its last output must be a feature map.
        neck: Config of the token decoder.
        head: Config of the token head.
        pixel_head: Config of a second loss, on the clean pixels, a :class:`PixelHead` or a
            :class:`MaskedPixelHead`; sizes that a ViT knows need not stand in it. None: the loss on
            tokens alone (the paper's).
        val_ratios: Mask ratios at which held-out images are scored.
        compile_cfg: Arguments of ``torch.compile`` for the encoder, the layers of the token decoder
            and the projection on tokens; None compiles nothing. Name a ``bucket`` in the neck with
            it. What differs in length from step to step is put together outside of these parts.
        sampler: Options of the ``DenoisingSampler`` that every tool generates with, unless it is
            told otherwise; its defaults where they are silent.
        init_cfg: Config of the start values, for example pre-trained weights.

    Raises:
        ValueError: If the parts do not fit each other.
    """

    def __init__(self, data_preprocessor: dict, backbone: dict, neck: dict,
                 head: dict | None = None, pixel_head: dict | None = None,
                 val_ratios: tuple[float, ...] = VAL_RATIOS, compile_cfg: dict | None = None,
                 sampler: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        preprocessor = MODELS.build(data_preprocessor)
        if _is_a(backbone['type'], VisionTransformer):
            backbone = {'img_size': preprocessor.image_size, **backbone}
        encoder = MODELS.build(backbone)
        demand_fit(encoder)
        sizes = dict(num_codes=preprocessor.num_codes, grid_size=preprocessor.grid_size)
        if isinstance(encoder, VisionTransformer):
            sizes['in_channels'] = encoder.embed_dims
        elif 'in_channels' not in neck:
            raise ValueError('Set neck.in_channels to the channels of the last feature map of the '
                             f'{type(encoder).__name__}: only a ViT tells them by itself.')
        decoder = MODELS.build({**sizes, **neck})
        super().__init__(
            backbone=encoder, neck=decoder, head=decoder.build_head(head or {}),
            data_preprocessor=preprocessor, init_cfg=init_cfg)
        self.pixel_head = None
        if pixel_head is not None:
            self.pixel_head = MODELS.build(self._sized({'type': 'PixelHead', **pixel_head}))
            self.data_preprocessor.keeps_images = True
        self.val_ratios = tuple(val_ratios)
        self.sampler = dict(sampler or {})
        self._check_parts()
        if compile_cfg is not None:
            self._compile(compile_cfg)

    def init_weights(self) -> None:
        """Set the start values and read the frozen parts' weights."""
        super().init_weights()
        self.data_preprocessor.load_frozen()

    def loss(self, inputs: Tensor, data_samples: NoisySample) -> dict[str, Tensor]:
        """Predict the tokens of noisy images and score them (paper Eq. 6), and pixels, if asked.

        Args:
            inputs: Noisy images, normalised, (N, 3, H, W).
            data_samples: The tokens behind them.

        Returns:
            ``loss_token``: a scalar, in nats per masked token; with a pixel head ``loss_pixel``.
        """
        encoded = self.encode(inputs, data_samples)
        features = self.neck(encoded, data_samples)
        embedding = self.neck.token_embed.weight
        losses = dict(loss_token=self.head.loss(features, embedding, data_samples))
        if self.pixel_head is not None:
            images = self.data_preprocessor.normalize(data_samples.images)
            losses['loss_pixel'] = self.pixel_head.loss(encoded, images, self.backbone)
        return losses

    def predict_tokens(self, noisy_images: Tensor, noisy_sample: NoisySample) -> Tensor:
        """Pixel-to-token: logits (N, V, h, w) from noisy images (N, 3, H, W), normalised."""
        features = self.neck(self.encode(noisy_images, noisy_sample), noisy_sample)
        return self.head(features, self.neck.token_embed.weight)

    def encode(self, noisy_images: Tensor, noisy_sample: NoisySample) -> Tensor:
        """The encoder's last feature map of noisy images (N, 3, H, W), normalised."""
        if getattr(self.backbone, 'takes_tokens', False):
            return self.backbone(noisy_images, noisy_sample)[-1]
        return self.backbone(noisy_images)[-1]

    def val_step(self, data: dict) -> list[dict]:
        """Score held-out images: cross-entropy of their tokens at each of ``val_ratios``.

        The masks of an image are the same in every call, whatever batch it is in, and no draw of
        training is touched.

        Args:
            data: A batch of the data loader.

        Returns:
            What ``MaskedTokenCrossEntropy`` takes: for each ratio, of each image the summed
            cross-entropy, the number of masked tokens, and the tokens.
        """
        images, data_samples = self.data_preprocessor.to_images(data)
        return [self._score(images, data_samples, ratio) for ratio in self.val_ratios]

    def test_step(self, data: dict) -> list[dict]:
        """As :meth:`val_step`."""
        return self.val_step(data)

    def _score(self, images: Tensor, data_samples: list | None, ratio: float) -> dict:
        generators = val_generators(ratio, data_samples, len(images))
        noisy_images, sample = self.data_preprocessor.diffuse(images, ratio, generators)
        logits = self.predict_tokens(noisy_images, sample)
        return score_masked_tokens(logits[:, :self.neck.num_codes], sample, ratio)

    def _compile(self, options: dict) -> None:
        for module in self.backbone.modules():
            if isinstance(module, DropPath):        # a number of NumPy would split the graph
                module.drop_prob = float(module.drop_prob)
        for part in (self.backbone, self.neck.layers, self.head.token_projection):
            part.compile(**options)

    def _sized(self, pixel_head: dict) -> dict:
        """The config of a pixel head with the sizes of the encoder, which of a ViT are known."""
        hides = _is_a(pixel_head['type'], MaskedPixelHead)
        if hides and not hasattr(self.backbone, 'encode_visible'):
            raise ValueError('A MaskedPixelHead needs an encoder that can leave patches out, an '
                             f'ADDPViT, got a {type(self.backbone).__name__}: take PixelHead.')
        if isinstance(self.backbone, VisionTransformer):
            grid_size = tuple(self.backbone.patch_resolution)
            sizes = dict(in_channels=self.backbone.embed_dims,
                         patch_size=self.backbone.img_size[0] // grid_size[0])
            return sizes | (dict(grid_size=grid_size) if hides else {}) | pixel_head
        if not {'in_channels', 'patch_size'} <= pixel_head.keys():
            raise ValueError('Set in_channels and patch_size of the pixel head to the channels and '
                             f'the stride of the last feature map of the '
                             f'{type(self.backbone).__name__}: only a ViT tells them by itself.')
        return pixel_head

    def _check_parts(self) -> None:
        preprocessor = self.data_preprocessor
        wanted = preprocessor.num_codes, preprocessor.grid_size
        if (self.neck.num_codes, self.neck.grid_size) != wanted:
            raise ValueError(
                f'The tokenizer gives {wanted[0]} codes on the grid {wanted[1]}, the neck is made '
                f'for {self.neck.num_codes} on {self.neck.grid_size}. Leave num_codes and '
                'grid_size out of the neck to follow the tokenizer.')


def _is_a(kind: str | type, wanted: type) -> bool:
    """Whether the type of a config, with or without scope, is a class or a subclass of it."""
    found = MODELS.get(kind) if isinstance(kind, str) else kind
    return isinstance(found, type) and issubclass(found, wanted)
