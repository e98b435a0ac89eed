from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

import pytest

# The benchmarks import each other as scripts of one folder do.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'benchmarks'))


@pytest.fixture(scope='session')
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Namespace:
    """The command line of a benchmark at tiny size, with the frozen parts' weights written."""
    import variants
    args = Namespace(arch='tiny', batch_size=2, device='cpu', dtype='bfloat16', mask_ratio=0.7,
                     num_steps=3, rounds=1, variants=['plain', 'ours'],
                     frozen=tmp_path_factory.mktemp('frozen'))
    variants.write_frozen_weights(args)
    return args
