"""From images to bytes."""
from __future__ import annotations

import torch

from addp_mm.generation import to_pixels


def test_cut_off_not_rounded() -> None:
    values = torch.tensor([-0.2, 0., 0.9999 / 255, 1 / 255, 128.7 / 255, 1., 1.3])
    pixels = to_pixels(values[None, None, None].expand(2, 3, 5, 7))
    assert pixels.shape == (2, 5, 7, 3) and pixels.dtype == torch.uint8
    assert pixels[1, 4, :, 2].tolist() == [0, 0, 0, 1, 128, 255, 255]


def test_bytes_of_a_picture_stay_the_same() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    images = (levels.float() / 255)[None, None, None].expand(1, 3, 2, 256)
    assert torch.equal(to_pixels(images)[0, 1, :, 2], levels)
