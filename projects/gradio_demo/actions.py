"""What the buttons of the web page do; nothing here needs Gradio."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from addp_mm.apis.inferencer import ADDPInferencer

SHOWN_SIDE = 256                # smaller images are enlarged, so that a brush can hit their pixels
MAX_IMAGES = 16
MAX_UPLOAD = '20mb'
MAX_PIXELS = 24_000_000         # of an upload: a photograph of a phone


class DemoActions:
    """Generates and edits images with the values of the page's controls.

    Args:
        inferencer: The model.
    """

    def __init__(self, inferencer: ADDPInferencer) -> None:
        self.inferencer = inferencer
        self.max_steps = inferencer.generator().num_tokens
        self.default_steps = min(20, self.max_steps)

    def generate(self, num_images: int, seed: int, num_steps: int, schedule: str,
                 temperature: float, top_p: float) -> list[np.ndarray]:
        """New images.

        Returns:
            Images (H, W, 3) uint8, at least 256 pixels wide and high.
        """
        images = self.inferencer.generate(
            int(num_images), int(seed), num_steps=int(num_steps), schedule=schedule,
            temperature=temperature, top_p=top_p)
        return [enlarge(image) for image in images]

    def example(self, seed: int, num_steps: int, schedule: str, temperature: float,
                top_p: float) -> np.ndarray:
        """A generated image (H, W, 3) to paint a mask on."""
        return self.generate(1, seed, num_steps, schedule, temperature, top_p)[0]

    def inpaint(self, painted: Mapping[str, Any] | None, num_images: int, seed: int,
                num_steps: int, schedule: str, temperature: float,
                top_p: float) -> list[np.ndarray]:
        """Replace what was painted over.

        Args:
            painted: Value of the page's image editor, see :func:`read_editor`.
            num_images: Number of results.
            seed: Seed of the images.
            num_steps: Number of steps of the sampler.
            schedule: 'cosine' or 'linear'.
            temperature: Of the sampler.
            top_p: Of the sampler.

        Returns:
            Results (H, W, 3) uint8, of the size of the image in the editor.

        Raises:
            ValueError: If there is no image, nothing is painted, or all of it.
        """
        image, mask = read_editor(painted)
        return list(self.inferencer.inpaint(
            image, mask, int(num_images), int(seed), num_steps=int(num_steps), schedule=schedule,
            temperature=temperature, top_p=top_p))


def read_editor(painted: Mapping[str, Any] | None) -> tuple[np.ndarray, np.ndarray]:
    """Image and mask of Gradio's image editor.

    Args:
        painted: ``background`` (H, W, 4) uint8 and ``layers``, a list of the same shape whose
            opaque pixels were painted.

    Returns:
        Image (H, W, 3) uint8, transparent places white, and mask (H, W) bool, True = painted.

    Raises:
        ValueError: If there is no image.
    """
    background = None if painted is None else painted.get('background')
    if background is None or not np.asarray(background)[..., 3].any():
        raise ValueError('There is no image: upload one, or take a generated one.')
    background = Image.fromarray(np.asarray(background))
    white = Image.new('RGBA', background.size, 'white')
    image = np.asarray(Image.alpha_composite(white, background).convert('RGB'))
    mask = np.zeros(image.shape[:2], bool)
    for layer in painted['layers']:
        mask |= np.asarray(layer)[..., 3] > 127
    if not mask.any():
        raise ValueError('Nothing is painted: paint over what shall be replaced.')
    return image, mask


def limit_pixels() -> None:
    """Let Pillow refuse larger uploads in this process, before it decodes them."""
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2        # it warns here, and raises at twice as many


def enlarge(image: np.ndarray) -> np.ndarray:
    """Enlarge (H, W, 3) by a whole number until both sides have 256 pixels."""
    factor = max(1, -(-SHOWN_SIDE // min(image.shape[:2])))
    return image.repeat(factor, axis=0).repeat(factor, axis=1)
