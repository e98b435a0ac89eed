from __future__ import annotations

import torch

from addp_mm.own_images.temperature import nearest


def test_the_set_that_varies_as_the_images_do_is_found():
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    candidates = [torch.zeros_like(images), 0.2 * images, 0.9 * images, 3 * images]
    assert nearest(candidates, images) == 2
    assert nearest(candidates[:2], images) == 1         # empty images are never the nearest
    assert nearest(candidates[2:], images) == 0


def test_half_as_much_is_as_far_as_twice_as_much():
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert nearest([0.6**0.5 * images, 1.9**0.5 * images], images) == 0
    assert nearest([0.5**0.5 * images, 1.9**0.5 * images], images) == 1
