"""From a batch of pictures to noisy images and the tokens behind them, on the device.

Shapes: N images of H x W pixels, K codes, (h, w) token grid.
"""
from __future__ import annotations

from torch import Tensor

from ...diffusion import Generators, NoisySample
from ...registry import MODELS, TASK_UTILS
from ..layers import FrozenModule, compare_tokenizer
from ..mage.tokens import TokenizingPreprocessor


@MODELS.register_module()
class ADDPDataPreprocessor(TokenizingPreprocessor):
    """VQ tokenization and noisy-image synthesis (paper Alg. 1, Fig. 4).

    In training it draws noisy images x_t and hands them over, normalised, with the tokens behind
    them. Otherwise it only normalises the pictures, so that features can be extracted without the
    frozen parts.

    Args:
        tokenizer: Arguments of :class:`FrozenModule` for the tokenizer.
        token_predictor: Arguments of :class:`FrozenModule` for the token predictor. Its model
            takes number of codes and grid from the tokenizer unless they are named.
        diffusion: Config of the diffusion process.
        **kwargs: ``mean``, ``std`` and ``to_rgb`` of :class:`TokenizingPreprocessor`.

    Attributes:
        keeps_images: Hand over the clean images with the tokens: a loss on pixels sets it.

    Raises:
        ValueError: If tokenizer and token predictor differ in codes or grid.
    """

    def __init__(self, tokenizer: dict, token_predictor: dict, diffusion: dict | None = None,
                 **kwargs) -> None:
        super().__init__(tokenizer, **kwargs)
        self.keeps_images = False
        sizes = dict(num_codes=self.num_codes, grid_size=self.grid_size)
        token_predictor = {**token_predictor, 'model': {**sizes, **token_predictor['model']}}
        self.token_predictor = FrozenModule(**token_predictor)
        self.diffusion = TASK_UTILS.build(diffusion or dict(type='DiffusionProcess'))
        predictor = self.token_predictor.description
        if (predictor.num_codes, predictor.grid_size) != (self.num_codes, self.grid_size):
            raise ValueError(
                f'The token predictor is made for {predictor.num_codes} codes on the grid '
                f'{predictor.grid_size}, the tokenizer gives {self.num_codes} codes on '
                f'{self.grid_size}. Take the pair that was trained together.')

    def load_frozen(self) -> None:
        """As the parent; warn of a token predictor that was trained with another tokenizer."""
        super().load_frozen()
        predictor = self.token_predictor
        compare_tokenizer(self.tokenizer, predictor.meta, str(predictor.checkpoint))

    def forward(self, data: dict, training: bool = False) -> dict:
        """Prepare a batch.

        Args:
            data: See :meth:`to_images`. A batch that was prepared here for training is returned as
                it is: a loop may prepare batches ahead.
            training: Whether to draw noisy images.

        Returns:
            ``inputs``: normalised images (N, 3, H, W), noisy ones in training; ``data_samples``:
            the :class:`NoisySample` in training, what the loader gave otherwise.
        """
        if isinstance(data.get('data_samples'), NoisySample):
            return data
        images, data_samples = self.to_images(data)
        if not training:
            return dict(inputs=self.normalize(images), data_samples=data_samples)
        noisy_images, noisy_sample = self.diffuse(images)
        return dict(inputs=noisy_images, data_samples=noisy_sample)

    def diffuse(self, images: Tensor, ratio: float | None = None,
                generator: Generators = None) -> tuple[Tensor, NoisySample]:
        """Draw noisy images.

        Args:
            images: (N, 3, H, W), RGB in [0, 1].
            ratio: Mask ratio of m_t; drawn from the distribution of training if None.
            generator: Generator on the images' device, or one on the CPU for each image; the
                default one if None.

        Returns:
            Noisy images (N, 3, H, W), clamped to [0, 1] and normalised, and their tokens.
        """
        token_ids, latents = self.tokenize(images)
        masks = self.diffusion.draw_masks(token_ids.shape, images.device, ratio, generator)
        with self.token_predictor.running() as predictor:
            filling, target = self.diffusion.predict(token_ids, masks, predictor)
        with self.tokenizer.running() as tokenizer:
            noisy = self.diffusion.synthesize(latents, masks.now, filling, tokenizer, generator)
        noisy_sample = NoisySample(token_ids, masks.now, target, masks.num_reliable,
                                   images if self.keeps_images else None)
        return self.normalize(noisy.float().clamp(0, 1)), noisy_sample
