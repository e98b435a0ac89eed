"""benchmarks/dense_trunk.py measures each variant in a process of its own."""
from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[2] / 'benchmarks/dense_trunk.py'
ARCH = dict(embed_dims=32, num_layers=4, num_heads=2, feedforward_channels=64)
VITSAM_ARCH = dict(ARCH, global_attn_indexes=[0, 1, 2, 3])   # arguments of ADDPViTDet


@pytest.fixture
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location('dense_trunk', FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize('variant', ['vitsam', 'plain', 'fused', 'checkpoint'])
def test_variants_run(benchmark: ModuleType, variant: str):
    args = benchmark.parse_args(['--image-size', '64', '--rounds', '1', '--variants', variant])
    args.arch = VITSAM_ARCH if variant == 'vitsam' else ARCH
    numbers = benchmark.measure(args)
    assert min(numbers['forward'], numbers['backward']) > 0 and numbers['mib'] >= 0
    assert numbers['seconds'] == numbers['forward'] + numbers['backward']


def test_variants_are_compared_with_the_first(benchmark: ModuleType, tmp_path: Path, monkeypatch):
    given = iter([dict(forward=2., backward=4., seconds=6., mib=100.),
                  dict(forward=1., backward=2., seconds=3., mib=25.)])
    monkeypatch.setattr(benchmark, 'measure_apart', lambda args, variant: next(given))
    out = tmp_path / 'trunk.json'
    benchmark.main(benchmark.parse_args(['--variants', 'vitsam', 'fused', '--out', str(out)]))
    fused = json.loads(out.read_text())['results']['fused']
    assert (fused['speedup'], fused['memory']) == (2, 0.25)


def test_peak_memory_is_that_of_the_block():
    """In a process of its own: trainings of other tests keep freed memory for the next tensors."""
    code = (f'import sys; sys.path.insert(0, {str(FILE.parent)!r})\n'
            'import torch, measuring\n'
            "with measuring.PeakMemory('cpu') as memory:\n"
            '    pages = torch.ones(2**26)\n'                                    # 256 MiB
            '    del pages\n'
            'print(memory.bytes / 2**20)')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert 200 < float(done.stdout.split()[-1]) < 400
