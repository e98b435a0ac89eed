from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch

# The plain formulation and the real sizes are those of the benchmarks, scripts of one folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'benchmarks'))


@pytest.fixture
def real_size(gpu: torch.device, tmp_path: Path) -> Namespace:
    """The command line of a benchmark for ViT-B, with the frozen parts' weights; tiny on a CPU."""
    import variants
    args = Namespace(arch='tiny' if gpu.type == 'cpu' else 'base', batch_size=2, device='cpu',
                     dtype=None, frozen=tmp_path)
    variants.write_frozen_weights(args)
    return args
