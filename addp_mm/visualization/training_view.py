"""What ADDP's training sees: noisy images along t (paper Fig. 9 to 11).

Shapes: N images of H x W pixels, (h, w) token grid, T mask ratios.
"""
from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..diffusion import MAPPINGS
from .canvas import GAP, LINE_HEIGHT, cover, fit, frame, join, text_box, to_uint8
from .mask_ratios import evenly_spaced_ratios

MASK_COLOR = (0.93, 0.55, 0.13)
ROW_LABELS = {
    'masks': 'reconstruction,\nmasked tokens\norange',
    'sampling': 'noisy, sampling',
    'argmax': 'noisy, argmax',
    'weighted_sum': 'noisy,\nweighted sum',
}


@dataclass
class NoisyChain:
    """Images and what the diffusion process makes of them at growing mask ratios.

    Attributes:
        images: (N, 3, H, W), RGB in [0, 1].
        reconstructions: What the tokenizer makes of them, (N, 3, H, W), clamped to [0, 1].
        ratios: The T shares of masked tokens, ascending.
        masks: (T, N, h, w) bool, True = unreliable; each inside the next.
        noisy_images: For each mapping function (T, N, 3, H, W), clamped to [0, 1].
    """

    images: Tensor
    reconstructions: Tensor
    ratios: list[float]
    masks: Tensor
    noisy_images: dict[str, Tensor]


def noisy_chain(preprocessor: nn.Module, images: Tensor, num_ratios: int = 6,
                seed: int = 0) -> NoisyChain:
    """Run the diffusion process of training at several mask ratios, with every mapping function.

    The ratios are spread over those that training draws from. The same noise places the masks of
    all ratios, so that they grow.

    Args:
        preprocessor: An ``ADDPDataPreprocessor``; its weights are read at the latest here.
        images: (N, 3, H, W), RGB in [0, 1], on the preprocessor's device.
        num_ratios: Number T of mask ratios; fewer are drawn where the distribution has fewer.
        seed: Seed of the masks and of the sampling.

    Returns:
        Reconstructions, masks and noisy images.
    """
    ratios = evenly_spaced_ratios(preprocessor.diffusion.mask_ratio, num_ratios)
    token_ids, latents = preprocessor.tokenize(images)
    with preprocessor.tokenizer.running() as tokenizer:
        reconstructions = tokenizer.decode(latents)
    masks: list[Tensor] = []
    noisy_images: dict[str, list[Tensor]] = {mapping: [] for mapping in MAPPINGS}
    for ratio in ratios:
        generator = torch.Generator(images.device).manual_seed(seed)
        mask, noisy = _noisy_images(preprocessor, token_ids, latents, ratio, generator)
        masks.append(mask)
        for mapping in MAPPINGS:
            noisy_images[mapping].append(noisy[mapping])
    return NoisyChain(
        images, reconstructions.float().clamp(0, 1), ratios, torch.stack(masks),
        {mapping: torch.stack(steps) for mapping, steps in noisy_images.items()})


def _noisy_images(preprocessor: nn.Module, token_ids: Tensor, latents: Tensor, ratio: float,
                  generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
    """The mask of one ratio, and the noisy images (N, 3, H, W) of each mapping function."""
    process = copy.copy(preprocessor.diffusion)
    masks = process.draw_masks(token_ids.shape, latents.device, ratio, generator)
    with preprocessor.token_predictor.running() as predictor:
        unreliable_probs, _ = process.predict(token_ids, masks, predictor)
    noisy = {}
    with preprocessor.tokenizer.running() as tokenizer:
        for process.mapping in MAPPINGS:
            pixels = process.synthesize(latents, masks.now, unreliable_probs, tokenizer, generator)
            noisy[process.mapping] = pixels.float().clamp(0, 1)
    return masks.now, noisy


def draw_training_view(chain: NoisyChain) -> np.ndarray:
    """Draw one block for each image.

    On the left the image and its reconstruction. On the right the mask ratios from left to right,
    and from top to bottom the masks and the noisy images of each mapping function. Small images
    are enlarged without blur.

    Args:
        chain: What :func:`noisy_chain` returns.

    Returns:
        (height, width, 3) uint8, RGB.
    """
    side = 96 if max(chain.images.shape[2:]) < 128 else 128
    blocks = []
    for i in range(len(chain.images)):
        noisy = {name: steps[:, i] for name, steps in chain.noisy_images.items()}
        repeated = chain.reconstructions[i].expand(len(chain.ratios), -1, -1, -1)
        rows = {'masks': cover(repeated, chain.masks[:, i], MASK_COLOR), **noisy}
        left = _originals(chain.images[i], chain.reconstructions[i], 2 * side)
        blocks.append(join([left, _chain_rows(rows, chain.ratios, side)], axis=1, gap=4 * GAP))
    return frame(join(blocks, axis=0, gap=6 * GAP))


def training_view(preprocessor: nn.Module, images: Tensor, num_ratios: int = 6,
                  seed: int = 0) -> np.ndarray:
    """Picture of what training sees: :func:`noisy_chain`, drawn by :func:`draw_training_view`.

    Args:
        preprocessor: An ``ADDPDataPreprocessor``.
        images: (N, 3, H, W), RGB in [0, 1], on the preprocessor's device.
        num_ratios: Number of mask ratios from left to right.
        seed: Seed of the masks and of the sampling.

    Returns:
        (height, width, 3) uint8, RGB.
    """
    return draw_training_view(noisy_chain(preprocessor, images, num_ratios, seed))


def _originals(image: Tensor, reconstruction: Tensor, side: int) -> np.ndarray:
    """An image above its reconstruction, each of about ``side`` pixels."""
    pixels = to_uint8(fit(torch.stack([image, reconstruction]), side))
    titles = text_box('image'), text_box('tokenizer reconstruction')
    return join([titles[0], pixels[0], titles[1], pixels[1]], axis=0, gap=0)


def _chain_rows(rows: dict[str, Tensor], ratios: list[float], side: int) -> np.ndarray:
    """Labelled rows of images (T, 3, H, W) below a line with the mask ratios."""
    pixels = {name: to_uint8(fit(images, side)) for name, images in rows.items()}
    height, width = pixels['masks'].shape[1:3]
    label_width = max(text_box(ROW_LABELS[name]).shape[1] for name in rows)
    header = [text_box('share of\nmasked tokens', label_width)]
    header += [text_box(f'{ratio:.2f}', width, 2 * LINE_HEIGHT, 'center') for ratio in ratios]
    lines = [join(header, axis=1)]
    for name, images in pixels.items():
        lines.append(join([text_box(ROW_LABELS[name], label_width, height), *images], axis=1))
    return join(lines, axis=0)
