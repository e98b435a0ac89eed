"""Editing: an image and a pixel mask of any size as a start of the sampler (paper App. E).

Shapes: (H0, W0) the image, (H, W) the model's images, (h, w) its token grid, N results.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..whole_numbers import check_whole

BLENDINGS = ('soft', 'hard')
MAX_PIXELS = 178_956_970      # of an enlarged image; Pillow refuses files of twice as many


class Inpainting:
    """What is to be replaced in an image, and its place on the model's canvas.

    Nothing of a masked pixel is kept: masked pixels become the mean colour of the visible ones, or
    those of a prior image, before anything else is done. Then the image is enlarged or shrunk to
    fit the model's canvas, in its middle, its sides rounded to whole tokens. What it leaves free
    of the canvas counts as masked. A token is masked if any of its pixels is.

    Args:
        image: (3, H0, W0), RGB in [0, 1].
        mask: (H0, W0) bool, True = to be replaced.
        image_size: The model's (H, W).
        grid_size: The model's (h, w).
        prior: (3, H0, W0) in [0, 1]: what the masked pixels are filled with at the start, as a
            hint to the first step; None: the mean colour (paper).
        blend: 'soft': results fade into the image around the masked pixels (MaskGIT's release);
            'hard': no pixel outside of the mask changes.
        blend_width: Standard deviation of the fading in pixels of the model's images, see
            :func:`blend_weights`; None: 1/16 of the shorter side less 1.

    Attributes:
        image: The image.
        mask: The pixel mask.
        canvas: The start image of the model, (3, H, W).
        token_mask: (h, w) bool.

    Raises:
        ValueError: If shapes differ, nothing is masked, no token stays visible, or the blending
            is unknown, or its width not positive or longer than the images.
    """

    def __init__(self, image: Tensor, mask: Tensor, image_size: tuple[int, int],
                 grid_size: tuple[int, int], prior: Tensor | None = None, blend: str = 'soft',
                 blend_width: float | None = None) -> None:
        _check_input(image, mask, prior)
        _check_blending(blend, blend_width, max(image_size))
        self._is_hard = blend == 'hard'
        self._blend_width = blend_width or max(1, min(image_size) // 16 - 1)
        self.image, self.mask = image, mask
        rows, columns = _place(image.shape[1:], image_size, grid_size)
        height, width = image_size[0] // grid_size[0], image_size[1] // grid_size[1]
        self._cells = rows, columns
        self._pixels = _scaled(rows, height), _scaled(columns, width)
        size = (_length(self._pixels[0]), _length(self._pixels[1]))
        self.canvas = visible_mean(image, mask).expand(-1, *image_size).clone()
        self.canvas[:, self._pixels[0], self._pixels[1]] = _resize(
            fill_masked(image, mask, prior)[None], size)[0]
        self.token_mask = torch.ones(grid_size, dtype=torch.bool, device=mask.device)
        self.token_mask[self._cells] = _any_pixel(
            _any_pixel(mask, size), (_length(rows), _length(columns)))
        if self.token_mask.all():
            raise ValueError(
                'The mask leaves no token of the image visible (one token is an area of '
                f'{height} x {width} pixels of the model\'s {image_size}), so the result would '
                'not depend on the image. Mask less of it.')

    @property
    def image_tokens(self) -> Tensor:
        """The tokens that cover the image, a part of ``token_mask``, (h', w') bool."""
        return self.token_mask[self._cells]

    def blend(self, results: Tensor) -> Tensor:
        """Put results back into the image.

        The weight of a result is 1 on masked pixels and falls to 0 around them, at once or as
        :func:`blend_weights` says; where it is 0 the image stays as it is.

        Args:
            results: Images of the model, (N, 3, H, W) in [0, 1].

        Returns:
            (N, 3, H0, W0) in [0, 1].
        """
        size = tuple(self.image.shape[1:])
        results = results[:, :, self._pixels[0], self._pixels[1]]
        if self._is_hard:
            return torch.where(self.mask, _resize(results, size), self.image)
        weights = blend_weights(self.image_tokens, results.shape[2:],
                                sigma=self._blend_width)
        weights = F.interpolate(weights[None, None], size, mode='bilinear')[0, 0]
        weights = (weights / weights[self.mask].min()).clamp(max=1)
        return torch.lerp(self.image, _resize(results, size), weights)


def fill_masked(image: Tensor, mask: Tensor, prior: Tensor | None = None) -> Tensor:
    """Replace the masked pixels by the mean colour of the visible ones, or by a prior image.

    Args:
        image: (3, H0, W0).
        mask: (H0, W0) bool, True = replaced.
        prior: (3, H0, W0) or None.

    Returns:
        (3, H0, W0).
    """
    return torch.where(mask, visible_mean(image, mask) if prior is None else prior, image)


def visible_mean(image: Tensor, mask: Tensor) -> Tensor:
    """Mean colour (3, 1, 1) of the pixels of (3, H0, W0) where the mask (H0, W0) is False."""
    return image[:, ~mask].double().mean(dim=1)[:, None, None].to(image)


def extend(image: Tensor, left: int = 0, top: int = 0, right: int = 0,
           bottom: int = 0) -> tuple[Tensor, Tensor]:
    """Outpainting as inpainting: a larger image, of which the new margins are masked (App. E).

    Args:
        image: (3, H0, W0).
        left: Pixels to add on the left, at least 0.
        top: Pixels to add at the top.
        right: Pixels to add on the right.
        bottom: Pixels to add at the bottom.

    Returns:
        The larger image, black in its margins, and the mask.

    Raises:
        ValueError: If a margin is negative or not whole, all are 0, or the image becomes too large.
    """
    check_whole(left=left, top=top, right=right, bottom=bottom)
    margins = (left, right, top, bottom)
    if min(margins) < 0 or max(margins) == 0:
        raise ValueError('Outpainting needs margins of at least 0 pixels, not all of them 0, got '
                         f'{left=}, {top=}, {right=}, {bottom=}.')
    height, width = image.shape[1] + top + bottom, image.shape[2] + left + right
    if height * width > MAX_PIXELS:
        raise ValueError(f'The margins make an image of {width} x {height} pixels, expected at '
                         f'most {MAX_PIXELS // 10**6} megapixels: name smaller ones.')
    mask = torch.zeros(image.shape[1:], dtype=torch.bool, device=image.device)
    return F.pad(image, margins), F.pad(mask, margins, value=True)


def uncrop_margins(size: tuple[int, int], scale: float) -> dict[str, int]:
    """The margins of uncropping, which is outpainting on every side (App. E).

    Args:
        size: (H0, W0) of the image.
        scale: How much longer the sides become, above 1 and at most 16.

    Returns:
        Arguments of :func:`extend`.

    Raises:
        ValueError: If the scale is out of range.
    """
    if not 1 < scale <= 16:
        raise ValueError(f'Uncropping needs a scale above 1 and at most 16, got {scale}.')
    added = [round(side * (scale - 1)) for side in size]
    top, left = added[0] // 2, added[1] // 2
    return dict(left=left, top=top, right=added[1] - left, bottom=added[0] - top)


def _check_input(image: Tensor, mask: Tensor, prior: Tensor | None) -> None:
    for name, other in (('mask', mask), ('prior image', prior)):
        if other is not None and other.shape[-2:] != image.shape[1:]:
            raise ValueError(f'The {name} has {tuple(other.shape[-2:])} pixels, the image '
                             f'{tuple(image.shape[1:])}: bring it to the size of the image.')
    if not mask.any():
        raise ValueError('The mask is black: it marks nothing to be replaced. White (above 127) '
                         'is replaced, black is kept; invert the mask if it is meant otherwise.')
    if mask.all():
        raise ValueError('The mask is white: nothing of the image would be kept. Generate a new '
                         'image instead, or invert the mask; white (above 127) is replaced.')


def _check_blending(blend: str, width: float | None, side: int) -> None:
    if blend not in BLENDINGS:
        raise ValueError(f'blend must be one of {", ".join(BLENDINGS)}, got {blend!r}.')
    if width is not None and (blend == 'hard' or not 0 < width <= side):
        raise ValueError(f'blend_width must be a positive number of pixels, at most {side}, the '
                         f'longer side of the model\'s images, got {width}.'
                         if blend == 'soft' else
                         'blend_width is that of a soft edge: leave it out with blend=\'hard\'.')


def _place(size: tuple[int, int], image_size: tuple[int, int],
           grid_size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the token grid that an image covers."""
    scale = min(canvas / side for canvas, side in zip(image_size, size, strict=True))
    rows, columns = (
        _centered(round(side * scale * tokens / canvas), tokens)
        for side, canvas, tokens in zip(size, image_size, grid_size, strict=True))
    return rows, columns


def _centered(count: int, tokens: int) -> slice:
    """The middle ``count`` of some tokens, at least one."""
    count = min(tokens, max(1, count))
    start = (tokens - count) // 2
    return slice(start, start + count)


def _scaled(part: slice, factor: int) -> slice:
    return slice(part.start * factor, part.stop * factor)


def _length(part: slice) -> int:
    return part.stop - part.start


def _resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, 3, H, W) to another size, in [0, 1]; unchanged where it has the size already."""
    if tuple(images.shape[2:]) == tuple(size):
        return images
    return F.interpolate(images, size, mode='bicubic', antialias=True).clamp(0, 1)


def _any_pixel(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Shrink or enlarge a bool mask; True where any of the pixels below is True."""
    return F.adaptive_max_pool2d(mask[None, None].float(), size)[0, 0].bool()


def blend_weights(token_mask: Tensor, image_size: tuple[int, int], sigma: float) -> Tensor:
    """MaskGIT's weights of an edited image: the masked tokens, one more around them, blurred.

    They are below 1 also on masked pixels near the edge: divide by the smallest weight among the
    masked pixels and clip at 1, so that nothing of these shows through.

    Args:
        token_mask: (h, w) bool, True = was replaced.
        image_size: (H, W).
        sigma: Standard deviation of the Gaussian blur in pixels. MaskGIT's release takes 1/16 of
            the shorter side less 1 pixel, 15 at 256 pixels.

    Returns:
        (H, W) in [0, 1], positive wherever a token was replaced.
    """
    grown = F.max_pool2d(token_mask[None, None].float(), 3, stride=1, padding=1)
    return _blur(F.interpolate(grown, image_size, mode='nearest'), sigma)[0, 0]


def _blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (1, 1, H, W); the border is repeated outwards."""
    radius = round(3 * sigma)
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma)**2)
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    padded = F.pad(images, [radius] * 4, mode='replicate')
    return F.conv2d(F.conv2d(padded, kernel), kernel.transpose(2, 3))
