"""Where a model runs, and how precisely."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch

from addp_mm.apis.precision import check_device, set_dtype, without_tf32
from tests.helpers.tiny import build_model, tiny_addp_cfg


def test_dtypes(tmp_path: Path) -> None:
    model, cpu = build_model(tiny_addp_cfg(tmp_path)), torch.device('cpu')
    tokenizer = model.data_preprocessor.tokenizer
    assert set_dtype(model, 'float16', cpu) == torch.bfloat16
    assert tokenizer.dtype == torch.float16
    assert set_dtype(model, 'float16', torch.device('cuda')) == torch.float16
    assert set_dtype(model, 'float32', cpu) is None and tokenizer.dtype == torch.float32
    assert set_dtype(model, 'float64', cpu) is None
    parts = (model, tokenizer.description)
    assert all(p.dtype == torch.float64 for part in parts for p in part.parameters())
    with pytest.raises(ValueError, match="dtype must be one of .* got 'int8'"):
        set_dtype(model, 'int8', cpu)


@pytest.mark.parametrize('device', ['meta', 'cpu:3'])
def test_bad_device(device: str) -> None:
    with pytest.raises(ValueError, match=f'{device} cannot be used: name cpu, cuda'):
        check_device(device)


@pytest.mark.parametrize('earlier', [True, False])
def test_tf32_is_as_before_afterwards(earlier: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', earlier)
    with pytest.raises(KeyError), without_tf32():
        assert not torch.backends.cudnn.allow_tf32
        raise KeyError
    assert torch.backends.cudnn.allow_tf32 == earlier
