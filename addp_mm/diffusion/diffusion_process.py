"""From images and their tokens to noisy images and what is to be learned (paper Sec. 3.1, 3.2).

Shapes: N images of H x W pixels, K codes, (h, w) token grid.
"""
from __future__ import annotations

import torch
from einops import repeat
from torch import Tensor, nn

from ..registry import TASK_UTILS
from .mapping import check_mapping, map_to_latents
from .token_mask import Generators, Masks, nested_masks, num_masked, uniform_noise

CONDITIONS = ('z_t', 'z_t+d')


@TASK_UTILS.register_module()
class DiffusionProcess:
    """Masks tokens, fills the masked places with distributions, and decodes the mixture.

    The places of m_t are filled with f(q(. | z_{t+d})), what the token predictor says given the
    larger mask; to be learned is q(. | z_t), what it says given m_t (paper Eq. 4 to 7).

    Args:
        mask_ratio: Config of the distribution of mask ratios.
        mapping: f of Eq. 7: 'sampling', 'argmax' or 'weighted_sum' (paper Tab. 4).
        condition: 'z_t+d' fills given the larger mask, 'z_t' given m_t (paper Tab. 3).
        per_image: Draw a ratio for each image; False draws one for the batch of the process, as
            the reference release does.

    Raises:
        ValueError: If the mapping or the condition is unknown.
    """

    def __init__(self, mask_ratio: dict | None = None, mapping: str = 'weighted_sum',
                 condition: str = 'z_t+d', per_image: bool = False) -> None:
        check_mapping(mapping)
        if condition not in CONDITIONS:
            raise ValueError(f'condition must be one of {CONDITIONS}, got {condition!r}.')
        self.mask_ratio = TASK_UTILS.build(mask_ratio or dict(type='MaskRatioDistribution'))
        self.mapping = mapping
        self.condition = condition
        self.per_image = per_image

    def draw_masks(self, shape: tuple[int, int, int], device: torch.device,
                   ratio: float | None = None, generator: Generators = None) -> Masks:
        """Draw m_t and, around it, m_{t+d}.

        The ratios are drawn on the host from torch's default generator: they need no wait for the
        device. The places are drawn on the device.

        Args:
            shape: (N, h, w).
            device: Where the masks are wanted.
            ratio: The ratio of m_t, for scoring held-out images; drawn if None.
            generator: Generator on ``device`` for the places, or one on the CPU for each image.

        Returns:
            The two masks, and how many places m_t leaves.
        """
        num_tokens = shape[1] * shape[2]
        counts = [[num_masked(r, num_tokens) for r in pair]
                  for pair in self._ratios(shape[0], ratio)]
        left = tuple(num_tokens - small for small, _ in counts)
        noise = uniform_noise(shape, device, generator)
        if len(counts) == 1:
            now, later = nested_masks(noise, *counts[0])
            return Masks(now, later, left[0])
        counts_there = torch.tensor(counts).to(device, non_blocking=True)
        now, later = nested_masks(noise, *counts_there.unbind(1))
        return Masks(now, later, left)

    def _ratios(self, num_images: int, ratio: float | None) -> list[tuple[float, float]]:
        """The ratios of m_t and m_{t+d}: one pair for all images, or one for each."""
        if ratio is not None:
            return [(ratio, self.mask_ratio.next_ratio(ratio))]
        return [self.mask_ratio.sample() for _ in range(num_images if self.per_image else 1)]

    def predict(self, token_ids: Tensor, masks: Masks,
                token_predictor: nn.Module) -> tuple[Tensor, Tensor]:
        """Ask the token predictor for the distributions of the masked places, both in one batch.

        Args:
            token_ids: z_0, (N, h, w).
            masks: m_t and m_{t+d}.
            token_predictor: Gives probabilities (N, K, h, w) for ids and a mask.

        Returns:
            The distributions that fill the image, and those to be learned; each (N, K, h, w).
        """
        if self.condition == 'z_t':
            target_probs = token_predictor.predict_probs(token_ids, masks.now)
            return target_probs, target_probs
        both = token_predictor.predict_probs(repeat(token_ids, 'n h w -> (2 n) h w'),
                                             torch.cat((masks.later, masks.now)))
        filling, target_probs = both.chunk(2)
        return filling, target_probs

    def synthesize(self, latents: Tensor, mask: Tensor, unreliable_probs: Tensor,
                   tokenizer: nn.Module, generator: Generators = None) -> Tensor:
        """Token-to-pixel decoding: reliable latents, mapped distributions elsewhere, decoded.

        Args:
            latents: Code embeddings of z_0, (N, C, h, w).
            mask: m_t, (N, h, w) bool, True = unreliable.
            unreliable_probs: (N, K, h, w).
            tokenizer: Decodes latents and owns the codebook.
            generator: Generator of the mapping's draw.

        Returns:
            x_t, (N, 3, H, W), not clamped.
        """
        filling = map_to_latents(unreliable_probs, tokenizer.quantize, self.mapping, generator)
        return tokenizer.decode(torch.where(mask[:, None], filling, latents))
