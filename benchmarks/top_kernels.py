"""What a training step spends its time on: the kernels of a GPU, or the operators of a CPU.

torch's profiler adds up what runs under one name in some steps of pretraining_step.py. The busy
share is the sum of all kernels over the time of a step that is not profiled.

    python benchmarks/top_kernels.py --device cuda --arch large --batch-size 32 \
        --variants ours compiled
"""
from __future__ import annotations

import argparse
from typing import Any

import measuring
import pretraining_step
import torch
import variants
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

STEPS = 3
NAME_WIDTH = 90


def parse_args(args: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    variants.add_arguments(parser, batch_size=4)
    parser.add_argument('--top', type=int, default=10, help='default: %(default)s')
    args = parser.parse_args(args)
    args.mask_ratio = variants.MEAN_MASK_RATIO
    return args


def measure(variant: str, args: argparse.Namespace) -> dict[str, Any]:
    """The parts of a step in seconds, the busy share, and the kernels that take the most time."""
    step = pretraining_step.Step(variant, args)
    step.warm_up()
    parts = measuring.in_turns(dict(step=step), args.rounds)['step']
    on_gpu = torch.device(args.device).type == 'cuda'
    activity = ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU
    with profile(activities=[activity]) as profiler:
        for _ in range(STEPS):
            step()
    kernels = sorted(map(_kernel, _events(profiler, on_gpu)), key=lambda k: -k['seconds'])
    busy = sum(kernel['seconds'] for kernel in kernels)
    for kernel in kernels:
        kernel['share'] = kernel['seconds'] / busy
    return dict(parts=parts, seconds=sum(parts.values()), busy_share=busy / sum(parts.values()),
                kernels=kernels[:args.top])


def main(args: list[str] | None = None) -> dict[str, Any]:
    """Measure, print, and write what --out names."""
    args = parse_args(args)
    torch.backends.cudnn.allow_tf32 = False
    result = dict(machine=measuring.describe_machine(args.device), arch=args.arch,
                  batch_size=args.batch_size, results={})
    print(result['machine'])
    with variants.frozen_weights(args):
        for variant in args.variants:
            found = result['results'][variant] = measure(variant, args)
            print(f'{variant}: {1e3 * found["seconds"]:.1f} ms a step, '
                  f'busy {100 * found["busy_share"]:.0f} %')
            for kernel in found['kernels']:
                print(f'{100 * kernel["share"]:5.1f} % {1e3 * kernel["seconds"]:9.2f} ms '
                      f'{kernel["calls"]:6.0f} x  {kernel["name"]}', flush=True)
            measuring.write_json(result, args.out)
    return result


def _events(profiler: profile, on_gpu: bool) -> list:
    """The kernels; on a GPU without the spans that carry the names of operators."""
    kind = DeviceType.CUDA if on_gpu else DeviceType.CPU
    return [event for event in profiler.key_averages()
            if event.device_type == kind and not event.is_user_annotation]


def _kernel(event: Any) -> dict[str, Any]:
    micros = event.self_device_time_total or event.self_cpu_time_total
    return dict(name=event.key[:NAME_WIDTH], calls=event.count / STEPS,
                seconds=micros / 1e6 / STEPS)


if __name__ == '__main__':
    main()
