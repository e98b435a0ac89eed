from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from addp_mm.apis import ADDPInferencer
from addp_mm.apis.pictures import draw_lower_halves
from addp_mm.visualization import edit_rows
from tests.helpers.tiny import build_model, tiny_addp_cfg


def test_lower_halves_are_inpainted(tmp_path: Path):
    inferencer = ADDPInferencer(build_model(tiny_addp_cfg(tmp_path)), device='cpu')
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    picture = draw_lower_halves(inferencer, images, num_samples=2, seed=3, num_steps=2)
    mask = np.arange(32)[:, None].repeat(32, axis=1) >= 16
    rows = []
    for image in images:
        results = inferencer.edit(image, torch.from_numpy(mask), 2, seed=3, num_steps=2)
        rows.append((image, torch.from_numpy(mask), torch.from_numpy(results).permute(0, 3, 1, 2)
                     .float() / 255))
    assert np.array_equal(picture, edit_rows(rows))
    assert not torch.equal(rows[0][2][0], rows[0][2][1])
