"""Time and memory of the ViTDet trunk at 1024 pixels, against mmpretrain's ``ViTSAM``.

Forward and backward pass of the encoder alone, with the same windows, global layers and relative
positions. On a CPU each variant runs in a process of its own, so that its peak memory is its own:

    vitsam      mmpretrain's ViTSAM without its neck
    plain       ADDPViTDet(fused=False), which computes the definition
    fused       ADDPViTDet as the configs have it
    checkpoint  the same with with_cp=True

Times are of the fastest round: processor time on a CPU, so use one thread, else wall-clock time.
The memory is what a pass adds to that of the model, its gradients included.

    OMP_NUM_THREADS=1 python benchmarks/dense_trunk.py --out dense_trunk.json
    python benchmarks/dense_trunk.py --device cuda --dtype bfloat16 --rounds 10
"""
from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import measuring
import torch
from mmpretrain.models.backbones import ViTSAM
from torch import Tensor, nn

from addp_mm.dense import ADDPViTDet

VARIANTS = {
    'vitsam': lambda image_size, arch: ViTSAM(arch, image_size, out_channels=0),
    'plain': lambda image_size, arch: ADDPViTDet(image_size, arch=arch, fused=False),
    'fused': lambda image_size, arch: ADDPViTDet(image_size, arch=arch),
    'checkpoint': lambda image_size, arch: ADDPViTDet(image_size, arch=arch, with_cp=True),
}


def parse_args(args: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--arch', default='base', help='architecture (default: %(default)s)')
    parser.add_argument('--image-size', type=int, default=1024, help='default: %(default)s')
    parser.add_argument('--batch-size', type=int, default=1, help='default: %(default)s')
    parser.add_argument('--device', default='cpu', help='default: %(default)s')
    parser.add_argument('--dtype', default='float32', choices=['float32', 'bfloat16', 'float16'],
                        help='type under autocast (default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=2, help='passes (default: %(default)s)')
    parser.add_argument('--variants', nargs='+', default=list(VARIANTS), choices=list(VARIANTS),
                        help='the first is what the others are compared with')
    parser.add_argument('--out', type=Path, help='JSON file for the numbers')
    parser.add_argument('--here', action='store_true',
                        help='measure the one variant in this process and print its numbers')
    return parser.parse_args(args)


def now(device: str) -> float:
    """Seconds on the clock that counts for a device."""
    if torch.device(device).type == 'cuda':
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def run_pass(model: nn.Module, images: Tensor, dtype: torch.dtype) -> dict[str, float]:
    """Run one forward and backward pass.

    Returns:
        Seconds of each, and their peak memory in MiB.
    """
    device = images.device.type
    model.zero_grad(set_to_none=True)
    with measuring.PeakMemory(device) as memory:
        start = now(device)
        with torch.autocast(device, dtype, enabled=dtype != torch.float32):
            features, = model(images)
        middle = now(device)
        features.float().square().mean().backward()
        end = now(device)
    return dict(forward=middle - start, backward=end - middle, mib=memory.bytes / 2**20)


def measure(args: argparse.Namespace) -> dict[str, float]:
    """Measure the one variant that is named, in this process."""
    torch.manual_seed(0)
    model = VARIANTS[args.variants[0]](args.image_size, args.arch).to(args.device)
    images = torch.randn(args.batch_size, 3, args.image_size, args.image_size, device=args.device)
    passes = [run_pass(model, images, getattr(torch, args.dtype)) for _ in range(args.rounds)]
    best = min(passes, key=lambda numbers: numbers['forward'] + numbers['backward'])
    # On a CPU the first pass is the one that starts from nothing. On a GPU each does, and the first
    # one also takes the work space of the libraries, which later variants find there.
    mib = passes[0 if torch.device(args.device).type == 'cpu' else -1]['mib']
    return dict(forward=best['forward'], backward=best['backward'],
                seconds=best['forward'] + best['backward'], mib=mib)


def measure_apart(args: argparse.Namespace, variant: str) -> dict[str, float]:
    """Measure a variant by itself, on a CPU in a process of its own."""
    if torch.device(args.device).type == 'cuda':      # whose allocator tells them apart
        return measure(argparse.Namespace(**vars(args) | dict(variants=[variant])))
    command = [sys.executable, __file__, '--here', '--variants', variant]
    for name in ('arch', 'image_size', 'batch_size', 'device', 'dtype', 'rounds'):
        command += [f'--{name.replace("_", "-")}', str(getattr(args, name))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main(args: argparse.Namespace) -> None:
    """Measure all variants, print and write the numbers."""
    if args.here:
        print(json.dumps(measure(args)))
        return
    print(f'{"":12}{"forward s":>12}{"backward s":>12}{"times faster":>14}{"MiB":>8}{"of it":>8}')
    numbers = {}
    for variant in args.variants:
        own = numbers[variant] = measure_apart(args, variant)
        base = numbers[args.variants[0]]
        own |= dict(speedup=base['seconds'] / own['seconds'], memory=own['mib'] / base['mib'])
        print(f'{variant:12}{own["forward"]:12.3f}{own["backward"]:12.3f}{own["speedup"]:14.2f}'
              f'{own["mib"]:8.0f}{own["memory"]:8.2f}', flush=True)
    settings = {k: v for k, v in vars(args).items() if k not in ('out', 'here', 'variants')}
    measuring.write_json(dict(machine=measuring.describe_machine(args.device), settings=settings,
                              results=numbers), args.out)


if __name__ == '__main__':
    main(parse_args())
