"""Training of a VQGAN tokenizer (stage 1 of one's own images).

Shapes: N images of H x W pixels, RGB in [0, 1]; K codes of C dims; (h, w) token grid.
"""
from __future__ import annotations

from mmengine.logging import MessageHub, MMLogger
from mmengine.model import BaseModel, ImgDataPreprocessor
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor

from ...registry import MODELS
from ..layers import check_range
from .codebook_training import CodebookTraining, straight_through

TO_UNIT_RANGE = dict(type='SelfSupDataPreprocessor', mean=[0, 0, 0], std=[255, 255, 255],
                     to_rgb=True)
DISCRIMINATOR_LOSS = 'loss_discriminator'


@MODELS.register_module()
class VQGANTraining(BaseModel):
    """Reconstruction through a codebook, with a discriminator if wanted.

    The losses are those of taming-transformers on MaskGIT's architecture and value range. With a
    discriminator, both networks take their gradients from one pass over the batch: take a
    ``JointOptimWrapperConstructor`` in the config, with one optimizer for ``tokenizer`` and one
    for ``discriminator``. Its checkpoints hold the tokenizer under ``tokenizer.``, where a
    ``FrozenModule`` finds it.

    Args:
        tokenizer: Config of the tokenizer, for example ``dict(type='VQGAN')``.
        codebook: Arguments of :class:`CodebookTraining`; codes and dims come from the tokenizer.
        vq_loss: Config of the codebook and commitment loss.
        pixel_loss: Config of the loss between reconstruction and image.
        perceptual_loss: Config of the perceptual loss; None: none.
        discriminator: Config of the discriminator; None: none, and one optimizer.
        adversarial_loss: Config of the adversarial loss; not read without a discriminator.
        data_preprocessor: Config; by default pixels in 0 to 255, BGR, become RGB in [0, 1]. The
            later stages give the tokenizer no other range.
        init_cfg: Config of the start values.
    """

    def __init__(self, tokenizer: dict, codebook: dict | None = None, vq_loss: dict | None = None,
                 pixel_loss: dict | None = None, perceptual_loss: dict | None = None,
                 discriminator: dict | None = None, adversarial_loss: dict | None = None,
                 data_preprocessor: dict | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(data_preprocessor=MODELS.build(data_preprocessor or TO_UNIT_RANGE),
                         init_cfg=init_cfg)
        self._warn_of_order(data_preprocessor)
        self._checked_modes: set[str] = set()
        self.tokenizer = MODELS.build(tokenizer)
        self.codebook_training = CodebookTraining(
            self.tokenizer.num_codes, self.tokenizer.code_dims, **(codebook or {}))
        if self.codebook_training.ema_decay is not None:
            self.tokenizer.quantize.requires_grad_(False)
        self.vq_loss = MODELS.build(vq_loss or dict(type='VQLoss'))
        self.pixel_loss = MODELS.build(
            pixel_loss or dict(type='PixelReconstructionLoss', criterion='L1'))
        self.perceptual_loss = MODELS.build(perceptual_loss) if perceptual_loss else None
        self.discriminator = MODELS.build(discriminator) if discriminator else None
        if self.discriminator is not None:
            self.adversarial_loss = MODELS.build(adversarial_loss or dict(type='AdversarialLoss'))

    def init_weights(self) -> None:
        """Set the start values and read the weights of the perceptual loss."""
        super().init_weights()
        if self.perceptual_loss is not None:
            self.perceptual_loss.load()

    def train_step(self, data: dict,
                   optim_wrapper: OptimWrapper | OptimWrapperDict) -> dict[str, Tensor]:
        """One iteration, see mmengine's ``BaseModel``.

        Raises:
            ValueError: If there is a discriminator but no optimizer of its own.
        """
        if self.discriminator is not None and not isinstance(optim_wrapper, OptimWrapperDict):
            raise ValueError(
                'The discriminator needs an optimizer of its own: optim_wrapper=dict('
                "constructor='JointOptimWrapperConstructor', tokenizer=dict(optimizer=...), "
                'discriminator=dict(optimizer=...)).')
        return super().train_step(data, optim_wrapper)

    def forward(self, inputs: Tensor, data_samples: list | None = None,
                mode: str = 'tensor') -> dict[str, Tensor] | list[dict] | Tensor:
        """Run one of the modes.

        Args:
            inputs: Images (N, 3, H, W), RGB in [0, 1].
            data_samples: Not read.
            mode: 'loss': a dict of losses and of the codebook's use; 'predict': what the metrics
                take, see :meth:`predict`; 'tensor': token ids (N, h, w).

        Raises:
            ValueError: If the mode is unknown, the images are no one batch, or those of the first
                batch are not in [0, 1].
        """
        if not isinstance(inputs, Tensor):
            raise ValueError("Expected one tensor of images, got a list. Set collate_fn=dict("
                             "type='default_collate') in the dataloader, and crop to one size.")
        if mode not in self._checked_modes:     # of the first batch: later ones are made alike
            check_range(inputs)
            self._checked_modes.add(mode)
        if mode == 'loss':
            return self.loss(inputs)
        if mode == 'predict':
            return self.predict(inputs)
        if mode == 'tensor':
            return self.tokenizer.encode(inputs)[0]
        raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}.")

    def loss(self, images: Tensor) -> dict[str, Tensor]:
        """Quantise, reconstruct and score images (N, 3, H, W).

        Returns:
            The losses, weighted; ``loss_discriminator`` is the discriminator's own, the others
            are the tokenizer's. Beside them, for the log: ``codebook_perplexity``, ``dead_codes``
            and, with a discriminator, ``adaptive_weight``.
        """
        self.tokenizer.check_size(images)
        self._check_size(images)
        latents = self.tokenizer.encoder(images)
        codes = self.codebook_training(self.tokenizer.quantize, latents)
        reconstructions = self.tokenizer.decode(straight_through(latents, codes)).float()
        losses = dict(loss_pixel=self.pixel_loss(reconstructions, images))
        if self.perceptual_loss is not None:
            losses.update(self.perceptual_loss(reconstructions, images))
        if self.discriminator is not None:
            losses.update(self._adversarial_losses(images, reconstructions, losses))
        losses.update(self.vq_loss(latents, codes, self.tokenizer.quantize))
        losses.update(self.codebook_training.use())
        return losses

    def _warn_of_order(self, config: dict | None) -> None:
        if config and isinstance(self.data_preprocessor, ImgDataPreprocessor) and not (
                config.get('to_rgb') or config.get('bgr_to_rgb')):
            MMLogger.get_current_instance().warning(
                'model.data_preprocessor has no to_rgb=True, and data loaders give BGR. The later '
                'stages give the tokenizer RGB: leave it so only if the pipeline loads RGB.')

    def _check_size(self, images: Tensor) -> None:
        size, wanted = tuple(images.shape[2:]), self.tokenizer.image_size
        if size != wanted:      # the later stages learn the grid of this size
            raise ValueError(f'Expected images of {wanted} pixels (the tokenizer\'s image_size), '
                             f'got {size}. Make the crop of the pipeline and the image_size '
                             'agree.')

    def predict(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Reconstruct images (N, 3, H, W).

        Returns:
            For each image ``image`` and ``reconstruction``, both (3, H, W) in [0, 1], ``token_ids``
            (h, w) and ``num_codes``.
        """
        token_ids, codes = self.tokenizer.encode(images)
        reconstructions = self.tokenizer.decode(codes).float().clamp(0, 1)
        num_codes = self.tokenizer.num_codes
        return [
            dict(image=image, reconstruction=reconstruction, token_ids=ids, num_codes=num_codes)
            for image, reconstruction, ids in zip(images, reconstructions, token_ids, strict=True)
        ]

    def parse_losses(self, losses: dict[str, Tensor]
                     ) -> tuple[Tensor | dict[str, Tensor], dict[str, Tensor]]:
        """Sum the losses, of each network by itself.

        Returns:
            What the optimizer takes, and what is logged: one sum, or with a discriminator one for
            ``tokenizer`` and one for ``discriminator``.
        """
        own = {name: value for name, value in losses.items() if name != DISCRIMINATOR_LOSS}
        total, log_vars = super().parse_losses(own)
        if self.discriminator is None:
            return total, log_vars
        log_vars[DISCRIMINATOR_LOSS] = losses[DISCRIMINATOR_LOSS]
        return dict(tokenizer=total, discriminator=losses[DISCRIMINATOR_LOSS]), log_vars

    def _adversarial_losses(self, images: Tensor, reconstructions: Tensor,
                            losses: dict[str, Tensor]) -> dict[str, Tensor]:
        iteration = MessageHub.get_current_instance().get_info('iter', 0)
        return self.adversarial_loss(
            self.discriminator, images, reconstructions, similarity_loss=sum(losses.values()),
            last_weight=self.tokenizer.decoder.conv_out.weight, iteration=iteration)
