"""How long it takes until something happens: the import, and a training's first step.

The import is that of ``addp_mm`` after ``mmpretrain``, each time in a new process. Most of it is
``mmpretrain.models``, which imports mmdet where that is installed; "without mmdet" hides it, as in
an environment for pre-training alone. The training is the small one of
configs/digits/addp.py on random frozen parts, from the command's start to the log's first line of a
step.

    OMP_NUM_THREADS=2 python benchmarks/start_up.py --out start_up.json
"""
from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import measuring
import variants
from mmengine.config import Config

from addp_mm.datasets.digits import write_digits

REPO = Path(__file__).resolve().parents[1]
CONFIG = REPO / 'configs/digits/addp.py'
HIDE = 'import sys; sys.modules["mmdet"] = None'
IMPORTS = {
    'mmpretrain.models': ('mmpretrain.models', ''),
    'addp_mm': ('addp_mm', ''),
    'addp_mm without mmdet': ('addp_mm', HIDE),
}
PROGRAM = """
import time, mmpretrain
{}
start = time.perf_counter()
import {}
print(time.perf_counter() - start)
"""


def parse_args(args: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=5,
                        help='imports of each kind, in turns; the fastest counts')
    parser.add_argument('--out', type=Path, help='JSON file for the numbers')
    return parser.parse_args(args)


def time_imports(rounds: int) -> dict[str, float]:
    """Seconds that each of :data:`IMPORTS` adds to ``import mmpretrain``."""

    def seconds(module: str, before: str) -> dict[str, float]:
        done = subprocess.run([sys.executable, '-c', PROGRAM.format(before, module)], check=True,
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              cwd=REPO)
        return dict(seconds=float(done.stdout.split()[-1]))

    functions = {name: partial(seconds, *what) for name, what in IMPORTS.items()}
    times = measuring.in_turns(functions, rounds)
    return {name: parts['seconds'] for name, parts in times.items()}


def time_first_step(folder: Path) -> float:
    """Seconds from the start of ``tools/train.py`` to the log's line of the first step.

    Args:
        folder: Where the digits, the weights of the frozen parts and the log are written.
    """
    preprocessor = Config.fromfile(CONFIG, import_custom_modules=False).model.data_preprocessor
    data = write_digits(folder / 'data')
    options = {f'{part}_dataloader.dataset.data_root': data for part in ('train', 'val')}
    for name in ('tokenizer', 'token_predictor'):
        preprocessor[name].checkpoint = str(folder / f'{name}.safetensors')
        options[f'model.data_preprocessor.{name}.checkpoint'] = preprocessor[name].checkpoint
    variants.write_random_weights(preprocessor)
    options['default_hooks.logger.interval'] = 1
    command = [sys.executable, 'tools/train.py', str(CONFIG), '--work-dir', str(folder / 'work'),
               '--cfg-options', *(f'{key}={value}' for key, value in options.items())]
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=REPO, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as training:
        lines = []
        for line in training.stdout:
            lines.append(line)
            if 'Epoch(train)' in line:
                seconds = time.perf_counter() - start
                training.kill()
                return seconds
    raise SystemExit('The training took no step. It said:\n' + ''.join(lines[-30:]))


def main(args: list[str] | None = None) -> dict[str, Any]:
    """Measure, print, and write what --out names."""
    args = parse_args(args)
    imports = time_imports(args.rounds)
    with tempfile.TemporaryDirectory() as folder:
        first_step = time_first_step(Path(folder))
    result = dict(machine=measuring.describe_machine('cpu'), rounds=args.rounds, imports=imports,
                  mmdet_installed=importlib.util.find_spec('mmdet') is not None,
                  first_step_seconds=first_step)
    print(result['machine'], f'mmdet installed: {result["mmdet_installed"]}')
    for name, seconds in imports.items():
        print(f'import of {name}, after mmpretrain: {seconds:.2f} s')
    print(f'first step of {CONFIG.relative_to(REPO)}: {first_step:.1f} s after the command')
    measuring.write_json(result, args.out)
    return result


if __name__ == '__main__':
    main()
