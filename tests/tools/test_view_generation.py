"""The command line that draws what a model generates."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from addp_mm.apis.inferencer import ADDPInferencer
from addp_mm.visualization import sample_grid
from tests.helpers.tiny import build_model, tiny_addp_cfg, tiny_mage_training_cfg
from tests.helpers.tools import run_tool


@pytest.mark.parametrize('make_cfg', [tiny_addp_cfg, tiny_mage_training_cfg])
def test_pictures(make_cfg, tmp_path: Path) -> None:
    cfg = make_cfg(tmp_path)
    Config(dict(model=cfg, default_scope='mmpretrain')).dump(tmp_path / 'model.py')
    torch.save(dict(state_dict=build_model(cfg).state_dict()), tmp_path / 'model.pth')
    files = tmp_path / 'model.py', tmp_path / 'model.pth'
    words = [*files, '--out', tmp_path / 'out', '--num-images', 5, '--steps', 6, '--seed',
             2, '--device', 'cpu']
    assert run_tool('visualization/view_generation', *words) == 0
    found = {path.stem: np.asarray(Image.open(path)) for path in (tmp_path / 'out').iterdir()}
    assert sorted(found) == ['embeddings', 'samples', 'steps']
    images = ADDPInferencer(*files, device='cpu').generate(5, seed=2, num_steps=6)
    wanted = sample_grid(torch.from_numpy(images).permute(0, 3, 1, 2) / 255)
    assert np.array_equal(found['samples'], wanted)
    assert all(found[name].shape[1] > 6 * 96 for name in ('steps', 'embeddings'))
