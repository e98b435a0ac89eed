"""What a GPU makes of this toolbox: the benchmarks that matter there, in one call of nine minutes.

The parts run one after the other, each in a process of its own that has its own time: one that
fails, is out of memory or takes too long leaves the rest. All weights and images are random. The
numbers are written after each part; `gpu_tables.py` makes tables of them.

    python benchmarks/gpu_report.py --out gpu_report.json
    python benchmarks/gpu_report.py --out gpu_profile.json --parts top-kernels frozen-parts
    python benchmarks/gpu_report.py --out tiny.json --tiny --device cpu --minutes 60     # try it
"""
from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import measuring

HERE = Path(__file__).parent
TAIL = 1500             # characters of the output of a part that failed
LEAST_SECONDS = 15.     # a part is not begun with less


@dataclass(frozen=True)
class Part:
    """One benchmark.

    Attributes:
        name: Its name in the report.
        words: The script and its arguments.
        seconds: When it is stopped.
    """

    name: str
    words: Sequence[str]
    seconds: float


def report_parts(device: str, tiny: bool) -> list[Part]:
    """The parts of the report, the most important ones first.

    Args:
        device: Where they run.
        tiny: Take the smallest sizes, to see that all of it runs.
    """
    where = ['--device', device]
    graphs = ['graphs'] if device != 'cpu' else []
    base, large = (['--arch', 'tiny' if tiny else arch] for arch in ('base', 'large'))

    def step(name: str, arch: list[str], batch: int, seconds: float, *variants: str) -> Part:
        return Part(name, ['pretraining_step.py', *where, *arch, '--batch-size', _size(batch, tiny),
                           '--rounds', _size(10, tiny), '--variants', *variants], seconds)

    def generation(name: str, batch: int, seconds: float) -> Part:
        return Part(name, ['generation.py', *where, *large, '--batch-size', _size(batch, tiny),
                           '--num-steps', _size(20, tiny), '--variants', 'plain', 'ours', *graphs],
                    seconds)

    def batches(name: str, arch: list[str], *sizes: int) -> Part:
        return Part(name, ['batch_size.py', *where, *arch, '--batches',
                           *dict.fromkeys(_size(size, tiny) for size in sizes)], 60)

    detector, segmentor = (('configs/digits/mask-rcnn.py', 'configs/digits/upernet.py') if tiny else
                           ('configs/mmdet/mask-rcnn_vitdet-b_100e.py',
                            'configs/mmseg/upernet_vit-b_80k.py'))
    trunk = ['--image-size', '64', '--variants', 'vitsam', 'fused'] if tiny else []
    iterations = ['--iterations', _size(10, tiny), '--batch-size', _size(4, tiny)]
    parts = [
        step('step-base', base, 64, 75, 'plain', 'ours'),
        step('step-large', large, 32, 90, 'plain', 'ours'),
        generation('generation-1', 1, 60),
        generation('generation-64', 64, 110),
        Part('dense-trunk', ['dense_trunk.py', *where, '--dtype', 'bfloat16', '--rounds',
                             _size(10, tiny), *trunk], 60),
        Part('detector', ['dense_iteration.py', detector, *iterations], 60),
        Part('segmentor', ['dense_iteration.py', segmentor, *iterations], 60),
        step('compiled-large', large, 32, 150, 'ours', 'compiled'),
        batches('batches-base', base, 64, 128, 256, 512),
        batches('batches-large', large, 32, 64, 128, 256, 512),
        Part('train-loop', ['train_loop.py', *where, *base, '--batch-size', _size(64, tiny),
                            '--iterations', _size(20, tiny)], 60),
        step('compiled-base', base, 64, 100, 'ours', 'compiled'),
        Part('top-kernels', ['top_kernels.py', *where, *large, '--batch-size', _size(32, tiny),
                             '--variants', 'ours', 'compiled'], 200),
        Part('frozen-parts', ['frozen_parts.py', *where, *base, '--batch-size', _size(64, tiny),
                              '--rounds', _size(10, tiny)], 200),
    ]
    # A CPU on which it is tried may have much else to do.
    return [replace(part, seconds=10 * part.seconds) if tiny else part for part in parts]


PROFILE = ('top-kernels', 'frozen-parts')       # only where they are named


def parse_args(args: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    names = [part.name for part in report_parts('cuda', tiny=False)]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, required=True, help='JSON file for the numbers')
    parser.add_argument('--device', default='cuda', help='default: %(default)s')
    parser.add_argument('--tiny', action='store_true', help='the smallest sizes, to try it')
    parser.add_argument('--minutes', type=float, default=8.8,
                        help='no part runs longer than until then (default: %(default)s)')
    parser.add_argument('--parts', nargs='+', choices=names, metavar='PART',
                        default=[name for name in names if name not in PROFILE],
                        help=f'of {", ".join(names)} (default: all but {" and ".join(PROFILE)})')
    return parser.parse_args(args)


def run_part(part: Part, seconds: float) -> dict[str, Any]:
    """Run one part in a process of its own.

    Args:
        part: The part.
        seconds: When it is stopped, at the latest.

    Returns:
        ``seconds``; ``result``, what it wrote, if anything; ``error``, the end of its output, if it
        did not end well.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, open(f'{folder}/log', 'w+') as log:
        out = Path(folder, 'out.json')
        process = subprocess.Popen(
            [sys.executable, str(HERE / part.words[0]), *part.words[1:], '--out', str(out)],
            cwd=HERE.parent, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = process.wait(min(part.seconds, seconds))
        except subprocess.TimeoutExpired:
            code = f'stopped after {time.monotonic() - started:.0f} s'
        finally:                # with the processes it has started
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        record: dict[str, Any] = dict(seconds=time.monotonic() - started)
        if out.is_file():
            record['result'] = json.loads(out.read_text())
        if code != 0:
            log.seek(0)
            record['error'] = f'{code}: ...{log.read()[-TAIL:]}'
    return record


def run_parts(parts: Sequence[Part], out: Path, seconds: float,
              machine: dict[str, Any]) -> dict[str, Any]:
    """Run parts one after the other, as long as there is time, and write what there is after each.

    Args:
        parts: The parts.
        out: JSON file for the numbers.
        seconds: For all of them.
        machine: Goes into the file.

    Returns:
        What is written: ``machine``, and ``parts`` by name, see :func:`run_part`.
    """
    end = time.monotonic() + seconds
    report: dict[str, Any] = dict(machine=machine, parts={})
    for part in parts:
        left = end - time.monotonic()
        record = (run_part(part, left) if left > LEAST_SECONDS
                  else dict(seconds=0., error='not begun: no time was left'))
        report['parts'][part.name] = record
        measuring.write_json(report, out)
        how = record['error'].partition(':')[0] if 'error' in record else 'done'
        print(f'{part.name}: {how}, {record["seconds"]:.0f} s', flush=True)
    return report


def main(args: list[str] | None = None) -> dict[str, Any]:
    """Run the parts that were chosen."""
    args = parse_args(args)
    parts = [part for part in report_parts(args.device, args.tiny) if part.name in args.parts]
    return run_parts(parts, args.out, 60 * args.minutes, measuring.describe_machine(args.device))


def _size(number: int, tiny: bool) -> str:
    return str(min(number, 2) if tiny else number)


if __name__ == '__main__':
    report = main()
    sys.exit(any('error' in record for record in report['parts'].values()))
