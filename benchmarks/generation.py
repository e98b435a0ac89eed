"""Unconditional generation: the plain formulation against this toolbox's, part by part.

The variants generate in turns with the same noise (see variants.py). Peak memory is that of
two steps, the second of them with the longest sequence, on a CPU in a process of its own.

    OMP_NUM_THREADS=2 python benchmarks/generation.py --out generation.json
    python benchmarks/generation.py --device cuda --arch large --batch-size 64 --rounds 5
    python benchmarks/generation.py --device cuda --arch large --variants plain ours graphs
"""
from __future__ import annotations

import argparse
import contextlib
import dataclasses
from typing import Any

import measuring
import torch
import variants

from addp_mm.apis.generation_speed import Stopwatch
from addp_mm.generation import (
    DenoisingSampler,
    ImageNoise,
    SamplingState,
    capture_networks,
    networks_of,
)

GRAPHS = 'graphs'       # ours, with CUDA graphs


def parse_args(args: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    # A CPU is no faster with more: it decodes the images one by one.
    variants.add_arguments(parser, batch_size=1, further=[GRAPHS])
    parser.add_argument('--num-steps', type=int, default=20, help='default: %(default)s')
    args = parser.parse_args(args)
    if GRAPHS in args.variants and torch.device(args.device).type != 'cuda':
        parser.error(f'the variant {GRAPHS} needs a GPU: --device cuda')
    if GRAPHS in args.variants and 'ours' not in args.variants:
        parser.error(f'the variant {GRAPHS} computes what ours does: name both')
    return args


class Generation:
    """Generates one batch and takes the time part by part.

    Args:
        variant: Name of the variant.
        args: The command line.
    """

    def __init__(self, variant: str, args: argparse.Namespace) -> None:
        self.args = args
        self.variant = variant
        self.watch = Stopwatch(torch.device(args.device))
        # The reference release trains in float16 on a GPU, but generates in float32.
        dtype = 'float32' if variant == 'plain' else variants.dtype_of(variant, args)
        self.dtype = getattr(torch, dtype)
        networks = networks_of(variants.build(variant, args, dtype).eval())
        if variant == GRAPHS:
            networks = capture_networks(networks)
        self.networks = dataclasses.replace(
            networks,
            pixel_to_token=self.watch.timed('network', networks.pixel_to_token),
            token_to_latent=self.watch.timed('VQ decoding', networks.token_to_latent),
            latent_to_pixel=self.watch.timed('VQ decoding', networks.latent_to_pixel))

    def __call__(self, num_steps: int | None = None) -> measuring.Parts:
        """Run it.

        Args:
            num_steps: Number of steps, if not that of the command line.

        Returns:
            Seconds of each part.
        """
        networks, num_images = self.networks, self.args.batch_size
        sampler = DenoisingSampler(num_steps or min(
            self.args.num_steps, networks.grid_size[0] * networks.grid_size[1]))
        start = SamplingState.all_masked(
            num_images, networks.image_size, networks.grid_size, networks.device)
        self.watch.seconds.clear()
        begin = self.watch.now()
        with self._precision():
            result = sampler.sample(networks, start, ImageNoise(0, range(num_images)))
        total = self.watch.now() - begin
        self.brightness = float(result.images.mean())
        parts = dict(self.watch.seconds)
        return {**parts, 'sampling': total - sum(parts.values())}

    def warm_up(self) -> None:
        """Take two steps. Graphs take all of them as they are, then captured, then replayed."""
        if self.variant == GRAPHS:
            self(), self(), self()
        else:
            self(num_steps=2)

    def _precision(self) -> contextlib.AbstractContextManager:
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.watch.device.type, dtype=self.dtype)


def measure(args: argparse.Namespace, arguments: list[str]) -> dict[str, Any]:
    """Everything about each variant; see :func:`pretraining_step.measure`."""
    runs, memory = variants.built_with_peaks(
        __file__, args, arguments, lambda variant: Generation(variant, args))
    # A graph that is replayed cannot be counted: it does what ours does.
    counted = {v: measuring.CountedOnce(run) for v, run in runs.items() if v != GRAPHS}
    times = measuring.in_turns(runs | counted, args.rounds)
    results = {}
    for variant, run in runs.items():
        dtype = str(run.dtype).removeprefix('torch.')
        ceiling = measuring.ceiling_rate(dtype, args.device)
        operations = counted['ours' if variant == GRAPHS else variant].operations
        results[variant] = measuring.summarize(
            times[variant], args.batch_size, operations, ceiling)
        results[variant].update(dtype=dtype, ceiling=ceiling, peak_memory_gb=memory[variant],
                                brightness=run.brightness)
    return dict(machine=measuring.describe_machine(args.device), arch=args.arch,
                batch_size=args.batch_size, num_steps=args.num_steps, rounds=args.rounds,
                results=results)


def main(arguments: list[str] | None = None) -> dict[str, Any] | None:
    """Measure, print, and write what --out names."""
    return variants.run_benchmark(
        parse_args, measure, lambda args: Generation(args.peak_of, args).warm_up(), arguments)


if __name__ == '__main__':
    main()
