"""What the buttons of the web page do; nothing here needs Gradio."""
from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from addp_mm.apis.image_input import read_image, read_mask
from addp_mm.apis.inferencer import ADDPInferencer
from addp_mm.apis.pictures import draw_steps
from addp_mm.generation import (
    Inpainting,
    SamplingResult,
    SamplingState,
    extend,
    to_pixels,
    uncrop_margins,
)
from addp_mm.visualization import redrawn_tokens, spread_steps

SHOWN_SIDE = 256                # smaller images are enlarged, so that a brush can hit their pixels
MAX_IMAGES = 16
MAX_SEED = 2**32 - 1
MAX_UPLOAD = '20mb'
MAX_PIXELS = 24_000_000         # of an upload: a photograph of a phone
MAX_RESULT_PIXELS = 4 * MAX_PIXELS      # of all results of one edit together: 1.2 GB as float32
SAMPLER = ('num_steps', 'schedule', 'temperature', 'top_p')


@dataclass
class Progress:
    """What the page shows after a step.

    Attributes:
        images: The images so far, each (H, W, 3) uint8; the results after the last step.
        steps: The steps of the first image so far, with its unreliable tokens, as one picture.
        status: How far it is, and the seed.
        seed: The seed that is used.
    """

    images: list[np.ndarray]
    steps: np.ndarray
    status: str
    seed: int


class DemoActions:
    """Generates and edits images with the values of the page's controls.

    The last arguments of the actions, ``sampler``, are the values of :data:`SAMPLER`. What they do
    not name is as in the model's own sampler.

    Args:
        models: The models to choose from by their names.
    """

    def __init__(self, models: Mapping[str, ADDPInferencer]) -> None:
        self.models = dict(models)

    def sampler(self, model: str) -> dict[str, Any]:
        """The values of :data:`SAMPLER` that a model generates with by itself, and ``max_steps``.

        Raises:
            ValueError: If there is no such model.
        """
        generator = self._model(model).generator()
        options = generator.sampler.options(generator.num_tokens)
        return {name: options[name] for name in SAMPLER} | dict(max_steps=generator.num_tokens)

    def generate(self, model: str, num_images: int, seed: int | None, *sampler: Any,
                 ) -> Iterator[Progress]:
        """New images.

        Args:
            model: Name of the model.
            num_images: How many.
            seed: Seed of the images; None: a random one.
            *sampler: See the class.

        Yields:
            The images after each step, at least 256 pixels wide and high.

        Raises:
            ValueError: If a value is out of range.
        """
        count, seed = check_count(num_images), choose_seed(seed)
        inferencer = self._model(model)
        generator = inferencer.generator(**dict(zip(SAMPLER, sampler, strict=True)))
        states = _run(inferencer, generator.generate_steps(range(count), seed))
        yield from _shown(states, generator.schedule.num_steps, seed)

    def example(self, model: str, seed: int | None, *sampler: Any) -> np.ndarray:
        """A generated image (H, W, 3) to paint a mask on."""
        *_, last = self.generate(model, 1, seed, *sampler)
        return last.images[0]

    def inpaint(self, model: str, painted: Mapping[str, Any] | None, num_images: int,
                seed: int | None, *sampler: Any) -> Iterator[Progress]:
        """Replace what was painted over.

        Args:
            model: Name of the model.
            painted: Value of the page's image editor, see :func:`read_editor`.
            num_images: Number of results.
            seed: See :meth:`generate`.
            *sampler: See the class.

        Yields:
            The model's images after each step; at the end results (H, W, 3) uint8 of the size of
            the image in the editor.

        Raises:
            ValueError: If there is no image, nothing is painted or all of it, the results are too
                large, or a value is out of range.
        """
        image, mask = read_editor(painted)
        region = read_image(image), read_mask(mask, mask.shape)
        yield from self._edit(model, *region, num_images, seed, *sampler)

    def extend(self, model: str, image: np.ndarray | None, margins: Mapping[str, float],
               num_images: int, seed: int | None, *sampler: Any) -> Iterator[Progress]:
        """Continue an image beyond its borders: outpainting and uncropping.

        Args:
            model: Name of the model.
            image: (H, W, 3) uint8.
            margins: See :func:`read_margins`.
            num_images: See :meth:`inpaint`, also for the rest.
            seed: See :meth:`generate`.
            *sampler: See the class.
        """
        yield from self._edit(model, *read_margins(image, margins), num_images, seed, *sampler)

    def preview_mask(self, model: str, painted: Mapping[str, Any] | None) -> np.ndarray | None:
        """The editor's image with the tokens that would be redrawn; None if nothing is painted.

        Whole tokens are redrawn: the picture shows what the brush really does.
        """
        try:
            image, mask = read_editor(painted)
            return self._preview(model, read_image(image), read_mask(mask, mask.shape))
        except ValueError:
            return None

    def preview_margins(self, model: str, image: np.ndarray | None,
                        margins: Mapping[str, float]) -> np.ndarray | None:
        """The larger image with the tokens that would be drawn; None if nothing is added."""
        try:
            return self._preview(model, *read_margins(image, margins))
        except ValueError:
            return None

    def _model(self, name: str) -> ADDPInferencer:
        if name not in self.models:
            raise ValueError(f'model must be one of {list(self.models)}, got {name!r}.')
        return self.models[name]

    def _task(self, model: str, image: Tensor, mask: Tensor) -> Inpainting:
        networks = self._model(model).networks
        return Inpainting(image, mask, networks.image_size, networks.grid_size)

    def _preview(self, model: str, image: Tensor, mask: Tensor) -> np.ndarray:
        task = self._task(model, image, mask)
        return redrawn_tokens(task.image, task.image_tokens)

    def _edit(self, model: str, image: Tensor, mask: Tensor, num_images: int, seed: int | None,
              *sampler: Any) -> Iterator[Progress]:
        count, seed = check_count(num_images), choose_seed(seed)
        check_result_size(count, mask.numel())
        inferencer, task = self._model(model), self._task(model, image, mask)
        generator = inferencer.generator(**dict(zip(SAMPLER, sampler, strict=True)))
        with inferencer.precision():
            states = generator.edit_steps(
                task.canvas[None], task.token_mask[None], range(count), seed)
        yield from _shown(_run(inferencer, states), generator.schedule.num_steps, seed, task)


def _run(inferencer: ADDPInferencer, states: Iterator[SamplingState]) -> Iterator[SamplingState]:
    """Take each step in the inferencer's precision, whichever thread asks for it."""
    while True:
        with inferencer.precision():
            state = next(states, None)
        if state is None:
            return
        yield state.to_cpu()


def _shown(states: Iterator[SamplingState], num_steps: int, seed: int,
           task: Inpainting | None = None) -> Iterator[Progress]:
    """What is shown after each step."""
    kept, columns = [], set(spread_steps(num_steps))
    for state in states:
        is_last = state.step == num_steps - 1
        if state.step in columns or not kept:       # an edit may start in between
            kept.append(state)
        images = state.images.clamp(0, 1)
        if task is not None and is_last:
            pixels = list(to_pixels(task.blend(images.float())).numpy())
        else:
            pixels = [enlarge(image) for image in to_pixels(images).numpy()]
        strip = draw_steps(SamplingResult(images, state.token_ids, kept), 0, num_steps)
        yield Progress(pixels, strip, f'Step {state.step + 1} of {num_steps}, seed {seed}', seed)


def read_editor(painted: Mapping[str, Any] | None) -> tuple[np.ndarray, np.ndarray]:
    """Image and mask of Gradio's image editor.

    Args:
        painted: ``background`` (H, W, 4) uint8 and ``layers``, a list of the same shape whose
            opaque pixels were painted.

    Returns:
        Image (H, W, 3) uint8, transparent places white, and mask (H, W) bool, True = painted.

    Raises:
        ValueError: If there is no image, or nothing is painted.
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


def read_margins(image: np.ndarray | None,
                 margins: Mapping[str, float]) -> tuple[Tensor, Tensor]:
    """The larger image of outpainting or uncropping, and what of it is new.

    Args:
        image: (H, W, 3) uint8.
        margins: ``left``, ``top``, ``right`` and ``bottom``, in percent of the width or height; or
            ``scale``, how many times as long all sides become.

    Returns:
        Image (3, H', W') in [0, 1], black where it is new, and mask (H', W') bool, True = new.

    Raises:
        ValueError: If there is no image, nothing is added, or the larger image is too large.
    """
    if image is None:
        raise ValueError('There is no image: upload one.')
    height, width = image.shape[:2]
    if 'scale' in margins:
        pixels = uncrop_margins((height, width), margins['scale'])
    else:
        sides = dict(left=width, top=height, right=width, bottom=height)
        pixels = {name: round(sides[name] * margins[name] / 100) for name in sides}
    check_result_size(1, (height + max(0, pixels['top']) + max(0, pixels['bottom']))
                      * (width + max(0, pixels['left']) + max(0, pixels['right'])))
    return extend(read_image(image), **pixels)


def choose_seed(seed: int | None) -> int:
    """The seed given, or a random one.

    Raises:
        ValueError: If it is not in [0, 2**32).
    """
    if seed is None:
        return random.SystemRandom().randint(0, MAX_SEED)
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f'The seed must lie between 0 and {MAX_SEED}, got {seed}.')
    return int(seed)


def check_count(num_images: int) -> int:
    """The number of images, or ValueError unless it lies between 1 and :data:`MAX_IMAGES`."""
    if not 1 <= num_images <= MAX_IMAGES:
        raise ValueError(f'The number of images must lie between 1 and {MAX_IMAGES}, got '
                         f'{num_images}.')
    return int(num_images)


def check_result_size(num_images: int, pixels: int) -> None:
    """Raise ValueError if so many results of so many pixels are more than the page makes."""
    if num_images * pixels > MAX_RESULT_PIXELS:
        raise ValueError(f'{num_images} results of {pixels / 1e6:.1f} million pixels are too much: '
                         f'at most {MAX_RESULT_PIXELS // 10**6} million together. Ask for fewer '
                         'results, smaller margins, or take a smaller image.')


def limit_pixels() -> None:
    """Let Pillow refuse larger uploads in this process, before it decodes them."""
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2        # it warns here, and raises at twice as many


def enlarge(image: np.ndarray) -> np.ndarray:
    """Enlarge (H, W, 3) by a whole number until both sides have 256 pixels."""
    factor = max(1, -(-SHOWN_SIDE // min(image.shape[:2])))
    return image.repeat(factor, axis=0).repeat(factor, axis=1)
