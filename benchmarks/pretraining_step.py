"""One step of ADDP's pre-training: the plain formulation against this toolbox's, part by part.

The variants run in turns on the same images and masks (see variants.py). Peak memory on a CPU
is that of a process of its own. The share of the ceiling is the rate of the operations over that
of a large matrix product or convolution in the same dtype, measured in the same run.

    OMP_NUM_THREADS=2 python benchmarks/pretraining_step.py --out pretraining_step.json
    python benchmarks/pretraining_step.py --device cuda --arch large --batch-size 64 \
        --variants plain ours compiled --rounds 10
"""
from __future__ import annotations

import argparse
from typing import Any

import measuring
import torch
import variants
from mmengine.optim import OptimWrapper
from torch import Tensor

from addp_mm.apis.generation_speed import Stopwatch
from addp_mm.diffusion import Masks, NoisySample
from addp_mm.models.addp import ADDP


def parse_args(args: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    variants.add_arguments(parser, batch_size=4)
    parser.add_argument('--mask-ratio', type=float, default=variants.MEAN_MASK_RATIO,
                        help='of m_t; default: the mean of the training, %(default)s')
    return parser.parse_args(args)


class Step:
    """A training step that takes its time part by part.

    Args:
        variant: Name of the variant.
        args: The command line.
    """

    def __init__(self, variant: str, args: argparse.Namespace) -> None:
        self.args = args
        self.watch = Stopwatch(torch.device(args.device))
        self.model: ADDP = variants.build(
            variant, args, variants.dtype_of(variant, args)).train()
        self.optim: OptimWrapper = variants.build_optimizer(self.model, variant, args)
        self.preprocessor = self.model.data_preprocessor
        self.use_batch(args.batch_size)

    def use_batch(self, size: int) -> None:
        """Take random images, the first of them the same for every size."""
        generator = torch.Generator().manual_seed(0)
        shape = size, 3, *self.preprocessor.image_size
        self.images = torch.rand(shape, generator=generator).to(self.args.device)

    def __call__(self) -> measuring.Parts:
        """Run it.

        Returns:
            Seconds of each part.
        """
        self.watch.seconds.clear()
        with self.optim.optim_context(self.model):
            token_ids, latents = self.watch.timed('VQ encoding', self._encode)()
            masks = self._masks(token_ids)
            probs = self.watch.timed('predictor', self._predict)(token_ids, masks)
            noisy = self.watch.timed('VQ decoding', self._decode)(latents, masks, probs)
            sample = NoisySample(token_ids, masks.now, probs[1], masks.num_reliable)
            loss = self.watch.timed('student forward', self.model.loss)(noisy, sample)
        self.watch.timed('backward', self.optim.backward)(loss['loss_token'])
        self.watch.timed('optimizer', self._update)()
        self.loss = loss['loss_token'].detach()
        return dict(self.watch.seconds)

    def warm_up(self) -> None:
        """Take two steps: from the second on there is the state of the optimizer."""
        self(), self()

    def _encode(self) -> tuple[Tensor, Tensor]:
        return self.preprocessor.tokenize(self.images)

    def _masks(self, token_ids: Tensor) -> Masks:
        generator = torch.Generator(token_ids.device).manual_seed(0)
        return self.preprocessor.diffusion.draw_masks(
            token_ids.shape, token_ids.device, self.args.mask_ratio, generator)

    def _predict(self, token_ids: Tensor, masks: Masks) -> tuple[Tensor, Tensor]:
        with self.preprocessor.token_predictor.running() as predictor:
            return self.preprocessor.diffusion.predict(token_ids, masks, predictor)

    def _decode(self, latents: Tensor, masks: Masks, probs: tuple) -> Tensor:
        with self.preprocessor.tokenizer.running() as tokenizer:
            noisy = self.preprocessor.diffusion.synthesize(latents, masks.now, probs[0], tokenizer)
        return self.preprocessor.normalize(noisy.float().clamp(0, 1))

    def _update(self) -> None:
        self.optim.step()
        self.optim.zero_grad()


def measure(args: argparse.Namespace, arguments: list[str]) -> dict[str, Any]:
    """Everything about each variant.

    Args:
        args: The command line.
        arguments: The same as it was given, for the processes that measure memory.
    """
    steps, memory = variants.built_with_peaks(
        __file__, args, arguments, lambda variant: Step(variant, args))
    operations = {v: measuring.count_operations(step) for v, step in steps.items()}  # warms up
    times = measuring.in_turns(steps, args.rounds)
    results = {}
    for variant in args.variants:
        dtype = variants.dtype_of(variant, args)
        ceiling = measuring.ceiling_rate(dtype, args.device)
        results[variant] = measuring.summarize(
            times[variant], args.batch_size, operations[variant], ceiling)
        results[variant].update(dtype=dtype, ceiling=ceiling, peak_memory_gb=memory[variant],
                                loss=float(steps[variant].loss))
    return dict(machine=measuring.describe_machine(args.device), arch=args.arch,
                batch_size=args.batch_size, rounds=args.rounds, results=results)


def main(arguments: list[str] | None = None) -> dict[str, Any] | None:
    """Measure, print, and write what --out names."""
    return variants.run_benchmark(
        parse_args, measure, lambda args: Step(args.peak_of, args)(), arguments)


if __name__ == '__main__':
    main()
