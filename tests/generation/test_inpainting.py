"""Images and masks of any size as a start of the sampler, and results put back into them."""
from __future__ import annotations

import pytest
import torch
from torch import Tensor

from addp_mm.generation import Inpainting, blend_weights, extend, fill_masked, uncrop_margins

MODEL = dict(image_size=(32, 32), grid_size=(4, 4))
SIZES = [(32, 32), (96, 96), (20, 20), (50, 31), (31, 90), (200, 64)]


def task(size: tuple[int, int] = (32, 32), rows: slice = slice(0, 9),
         columns: slice = slice(0, 5), **arguments: Tensor) -> Inpainting:
    mask = torch.zeros(size, dtype=torch.bool)
    mask[rows, columns] = True
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    return Inpainting(image, mask, **{**MODEL, **arguments})


def test_a_token_is_masked_if_any_of_its_pixels_is() -> None:
    expected = torch.zeros(4, 4, dtype=torch.bool)
    expected[:2, 0] = True            # 9 rows and 5 columns, tokens of 8 x 8 pixels
    assert torch.equal(task().token_mask, expected)
    one = torch.zeros(4, 4, dtype=torch.bool)
    one[3, 2] = True
    assert torch.equal(task(rows=slice(31, 32), columns=slice(16, 17)).token_mask, one)


def test_mean_fill() -> None:
    inpainting = task()
    mean = inpainting.image[:, ~inpainting.mask].mean(dim=1)
    assert torch.allclose(inpainting.canvas[:, :9, :5], mean[:, None, None].expand(-1, 9, 5))
    assert torch.equal(inpainting.canvas[:, ~inpainting.mask],
                       inpainting.image[:, ~inpainting.mask])


def test_prior() -> None:
    prior = torch.rand(3, 32, 32)
    inpainting = task(prior=prior)
    assert torch.equal(inpainting.canvas[:, :9, :5], prior[:, :9, :5])
    assert torch.equal(fill_masked(inpainting.image, inpainting.mask, prior), inpainting.canvas)


def test_the_tokens_of_an_image_are_those_that_cover_it() -> None:
    inpainting = task((64, 32), rows=slice(60, 64))
    expected = torch.zeros(4, 2, dtype=torch.bool)
    expected[3, 0] = True
    assert torch.equal(inpainting.image_tokens, expected) and inpainting.token_mask[:, 0].all()


@pytest.mark.parametrize('size, rows, columns', [
    ((32, 32), (0, 4), (0, 4)), ((64, 32), (0, 4), (1, 3)), ((10, 30), (1, 2), (0, 4)),
    ((100, 75), (0, 4), (0, 3)), ((20, 1000), (1, 2), (0, 4))
])
def test_the_rest_of_the_canvas_counts_as_masked(size: tuple[int, int], rows: tuple[int, int],
                                                 columns: tuple[int, int]) -> None:
    mask = torch.zeros(size, dtype=torch.bool)
    mask[0, 0] = True
    inpainting = Inpainting(torch.rand(3, *size), mask, **MODEL)
    expected = torch.ones(4, 4, dtype=torch.bool)
    expected[slice(*rows), slice(*columns)] = False
    expected[rows[0], columns[0]] = True
    assert torch.equal(inpainting.token_mask, expected)


@pytest.mark.parametrize('size', SIZES)
def test_masked_pixels_do_not_leak(size: tuple[int, int]) -> None:
    mask = torch.zeros(size, dtype=torch.bool)
    mask[-1, -1] = True
    mask[:size[0] // 2 if size[0] >= size[1] else None, :size[1] // 2] = True
    image, results = torch.rand(3, *size), torch.rand(2, 3, 32, 32)
    other = torch.where(mask, torch.rand(3, *size), image)
    first, second = (Inpainting(i, mask, **MODEL) for i in (image, other))
    assert torch.equal(first.canvas, second.canvas)
    assert torch.equal(first.token_mask, second.token_mask)
    assert torch.equal(first.blend(results), second.blend(results))


@pytest.mark.parametrize('size', SIZES)
def test_blending(size: tuple[int, int]) -> None:
    inpainting = task(size, slice(0, size[0] // 4), slice(0, size[1] // 4))
    black, white = torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32)
    dark, bright = inpainting.blend(black)[0], inpainting.blend(white)[0]
    assert dark.shape == inpainting.image.shape
    weight = bright - dark
    # Up to the rounding of the resize, masked pixels show the result alone.
    assert weight[:, inpainting.mask].min() > 1 - 1e-6
    untouched = weight[0] == 0
    assert untouched[size[0] // 8 * 7:, size[1] // 8 * 7:].all()
    assert torch.equal(dark[:, untouched], inpainting.image[:, untouched])
    # No hard edge: from one pixel to the next the weight changes by little.
    steps = max(weight.diff(dim=1).abs().max(), weight.diff(dim=2).abs().max())
    assert steps < (0.6 if min(size) < 25 else 0.45 if min(size) < 64 else 0.2)


def test_a_result_of_the_right_size_is_not_resampled() -> None:
    inpainting, results = task(), torch.rand(1, 3, 32, 32)
    blended = inpainting.blend(results)
    assert torch.equal(blended[0][:, inpainting.mask], results[0][:, inpainting.mask])


def test_only_the_image_is_blended_not_the_rest_of_the_canvas() -> None:
    """The free canvas beside a narrow image is generated, but softens no edge of the image."""
    mask = torch.zeros(64, 32, dtype=torch.bool)
    mask[:8] = True
    image = torch.rand(3, 64, 32)
    blended = Inpainting(image, mask, **MODEL).blend(torch.zeros(1, 3, 32, 32))
    assert torch.equal(blended[0, :, 48:], image[:, 48:])


@pytest.mark.parametrize('value, message', [(False, 'mask is black'), (True, 'mask is white')])
def test_nothing_or_everything_masked(value: bool, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Inpainting(torch.rand(3, 8, 8), torch.full((8, 8), value), **MODEL)


def test_no_whole_token_left() -> None:
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[::4] = True
    with pytest.raises(ValueError, match='no token of the image visible .* 8 x 8 pixels'):
        Inpainting(torch.rand(3, 32, 32), mask, **MODEL)


def test_other_sizes_are_refused() -> None:
    image, mask = torch.rand(3, 8, 8), torch.eye(9).bool()
    with pytest.raises(ValueError, match=r'The mask has \(9, 9\) pixels, the image \(8, 8\)'):
        Inpainting(image, mask, **MODEL)
    with pytest.raises(ValueError, match=r'The prior image has \(9, 9\) pixels'):
        Inpainting(image, mask[:8, :8], **MODEL, prior=torch.rand(3, 9, 9))


def test_extend() -> None:
    image = torch.rand(3, 5, 6)
    larger, mask = extend(image, left=1, top=2, right=3, bottom=4)
    assert larger.shape == (3, 11, 10) and mask.shape == (11, 10)
    assert torch.equal(larger[:, 2:7, 1:7], image)
    assert not mask[2:7, 1:7].any() and mask.sum() == 110 - 30
    with pytest.raises(ValueError, match='at least 0 pixels, not all of them 0, got left=0'):
        extend(image)
    with pytest.raises(ValueError, match='left=-1'):
        extend(image, left=-1, top=3)


def test_uncrop_margins() -> None:
    assert uncrop_margins((10, 21), 1.5) == dict(left=5, top=2, right=5, bottom=3)
    for scale in (1., 0.5, 17., float('nan')):
        with pytest.raises(ValueError, match='scale above 1 and at most 16'):
            uncrop_margins((10, 10), scale)


def test_weights_fall_around_the_masked_tokens() -> None:
    token_mask = torch.zeros(16, 16, dtype=torch.bool)
    token_mask[:, :4] = True
    weights = blend_weights(token_mask, (256, 256), sigma=15)
    assert weights.shape == (256, 256) and weights.min() >= 0 and weights.max() <= 1 + 1e-6
    # Grown by one token of 16 pixels: half at its edge, what a Gaussian says at the mask's.
    assert abs(weights[:, 79:81].mean() - 0.5) < 0.01
    normal = torch.special.ndtr(torch.tensor(16 / 15))
    assert abs(weights[:, 63:65].mean() - normal) < 0.01
    assert (weights[0].diff() <= 1e-6).all() and (weights[:, 130:] == 0).all()
    # The image's border does not count as kept.
    assert torch.allclose(weights[:, 0], torch.ones(256), atol=1e-3)


def test_a_blur_wider_than_the_image() -> None:
    token_mask = torch.tensor([[True, False], [False, False]])
    assert blend_weights(token_mask, (8, 8), sigma=4).isfinite().all()


@pytest.mark.parametrize('size', SIZES)
def test_a_hard_edge_changes_no_pixel_outside_of_the_mask(size: tuple[int, int]) -> None:
    inpainting = task(size, slice(0, size[0] // 4), slice(0, size[1] // 4), blend='hard')
    for value in (0., 1.):
        blended = inpainting.blend(torch.full((1, 3, 32, 32), value))[0]
        assert torch.equal(blended[:, ~inpainting.mask], inpainting.image[:, ~inpainting.mask])
        assert torch.allclose(blended[:, inpainting.mask], torch.tensor(value), atol=1e-5)


def test_a_narrow_soft_edge_changes_fewer_pixels() -> None:
    changed = [(task((64, 64), blend_width=width).blend(torch.zeros(1, 3, 32, 32))
                != task((64, 64)).image).any(dim=1).sum() for width in (0.5, None, 4.)]
    assert changed[0] < changed[1] < changed[2]


@pytest.mark.parametrize('options, message', [
    (dict(blend='sharp'), "one of soft, hard, got 'sharp'"),
    (dict(blend_width=0.), 'positive number of pixels.*got 0'),
    (dict(blend_width=float('nan')), 'positive number of pixels.*got nan'),
    (dict(blend_width=33.), 'at most 32, .*got 33'),
    (dict(blend='hard', blend_width=3), 'leave it out')])
def test_unknown_blending_is_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task(**options)


def test_margins_of_any_memory_are_refused() -> None:
    with pytest.raises(ValueError, match='100000008 x 8 pixels, expected at most'):
        extend(torch.zeros(3, 8, 8), right=10**8)
