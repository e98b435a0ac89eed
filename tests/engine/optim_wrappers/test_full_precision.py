"""Parts that stay in float32 under autocast."""
from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from addp_mm.engine.optim_wrappers.full_precision import keep_full_precision


class Detector(nn.Module):
    """A trunk, a head with weights, and a part without, as RoIAlign is."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Linear(3, 3)
        self.align = nn.Identity()
        self.head = nn.Linear(3, 3)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.trunk(images)
        aligned = self.align(features)
        return dict(features=features, aligned=aligned, scores=self.head(aligned),
                    after=self.trunk(images))


def test_named_parts_leave_autocast_and_only_they() -> None:
    model = Detector()
    for _ in range(2):
        keep_full_precision(model, ('align', 'head'))
        with torch.autocast('cpu', dtype=torch.bfloat16):
            found = model(torch.ones(2, 3))
        assert {name: out.dtype for name, out in found.items()} == dict(
            features=torch.bfloat16, aligned=torch.float32, scores=torch.float32,
            after=torch.bfloat16)
    sum(out.float().sum() for out in found.values()).backward()
    assert model.trunk.weight.grad.isfinite().all()


def test_autocast_comes_back_after_an_error() -> None:
    model = Detector()
    keep_full_precision(model, ('head', ))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        with pytest.raises(RuntimeError, match='shapes'):
            model.head(torch.ones(2, 5))
        assert model.trunk(torch.ones(2, 3)).dtype == torch.bfloat16


def test_unknown_part_is_named() -> None:
    with pytest.raises(ValueError, match=r"full_precision names \['neck'\].*Detector does not"):
        keep_full_precision(Detector(), ('neck', 'head'))
