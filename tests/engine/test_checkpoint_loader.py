"""mmengine reads local checkpoints without running what is in them."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.model import BaseModule
from mmengine.runner import load_checkpoint
from torch import nn

from addp_mm import engine  # noqa: F401  (replaces mmengine's loader)
from addp_mm.weights import TRUST_VARIABLE, save_weights


class _Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return (Path.mkdir, (self.folder, ))


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trap, file = tmp_path / 'trap', str(tmp_path / 'checkpoint.pth')
    torch.save(dict(state_dict=nn.Linear(2, 2).state_dict(), extra=_Payload(trap)), file)
    with pytest.raises(ValueError, match=f'any program.*{TRUST_VARIABLE}=1'):
        load_checkpoint(nn.Linear(2, 2), file)
    assert not trap.exists()
    monkeypatch.setenv(TRUST_VARIABLE, '1')
    load_checkpoint(nn.Linear(2, 2), file)
    assert trap.exists()


class _Owner(BaseModule):

    def __init__(self, init_cfg: dict) -> None:
        super().__init__(init_cfg)
        self.layer = nn.Linear(2, 2)


def test_init_cfg_reads_safetensors(tmp_path: Path) -> None:
    file = tmp_path / 'weights.safetensors'
    weights = {f'backbone.layer.{k}': v for k, v in nn.Linear(2, 2).state_dict().items()}
    save_weights(weights, file)
    model = _Owner(dict(type='Pretrained', checkpoint=str(file), prefix='backbone.'))
    model.init_weights()
    assert torch.equal(model.layer.weight, weights['backbone.layer.weight'])
