"""The command line that measures generation."""
from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from tests.helpers.tiny import build_model, tiny_addp_cfg, tiny_mage_training_cfg
from tests.helpers.tools import run_tool


@pytest.mark.parametrize('make_cfg', [tiny_addp_cfg, tiny_mage_training_cfg])
def test_shares(make_cfg, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    cfg = make_cfg(tmp_path)
    Config(dict(model=cfg, default_scope='mmpretrain')).dump(tmp_path / 'model.py')
    torch.save(dict(state_dict=build_model(cfg).state_dict()), tmp_path / 'model.pth')

    def run(*arguments: object) -> tuple[int, str, str]:
        words = [tmp_path / 'model.py', tmp_path / 'model.pth', '--device', 'cpu', *arguments]
        capsys.readouterr()
        return run_tool('benchmark_generation', *words), *capsys.readouterr()

    code, printed, _ = run('--num-steps', 2, 4, '--batch-size', 2, '--repeats', 1)
    lines = [line.split() for line in printed.splitlines()[-2:]]
    assert code == 0 and [line[0] for line in lines] == ['2', '4']
    for line in lines:
        shares = [float(share.rstrip('%')) for share in line[2:]]
        assert len(shares) == 4 and abs(sum(shares) - 100) < 0.3 and float(line[1]) > 0
        assert all(share > 0 for share in shares[1:])
        assert (shares[0] > 0) == (make_cfg is tiny_addp_cfg)
    code, printed, error = run('--num-steps', 2, 17)
    assert code == 2 and 'got 17' in error and not re.search(r'images/s', printed)
