"""Loss curves of the plain and of the fast formulation of a small ADDP, on the same draws.

In float32 the two differ by rounding alone. For bfloat16 the bound comes from plain float32 runs
whose start weights and images are moved by as much as rounding to bfloat16 may move them (a share
of at most 2**-8, drawn anew for each run and step): their largest distance from the plain curve at
any step is what such noise does to this training. The fast run rounds in every product besides, so
that its curve may lie ``--factor`` times as far from the plain one.

    OMP_NUM_THREADS=2 python benchmarks/equality.py --out equality.json
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import measuring
import torch
import variants
from torch import Tensor, nn

FLOAT32_BOUND = 1e-4
HALF_STEP = 2**-8       # of bfloat16, which keeps 8 bits


def parse_args(args: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--steps', type=int, default=50, help='default: %(default)s')
    parser.add_argument('--batch-size', type=int, default=8, help='default: %(default)s')
    parser.add_argument('--lr', type=float, default=1e-3, help='default: %(default)s')
    parser.add_argument('--noisy-runs', type=int, default=3, help='plain runs that give the bound')
    parser.add_argument('--factor', type=float, default=3., help='default: %(default)s')
    parser.add_argument('--out', type=Path, help='JSON file for the curves')
    args = parser.parse_args(args)
    args.device, args.arch, args.dtype = 'cpu', 'tiny', 'bfloat16'
    return args


def loss_curve(variant: str, args: argparse.Namespace, noise: int | None = None) -> list[float]:
    """Train a variant.

    Args:
        variant: One of ``variants.VARIANTS``.
        args: The command line.
        noise: Seed of what rounding to bfloat16 could do to start weights and images; None: none.

    Returns:
        The loss of each step.
    """
    model = variants.build(variant, args, variants.dtype_of(variant, args)).train()
    _turn_dropout_off(model)
    optim = variants.build_optimizer(model, variant, args)
    optim.optimizer.param_groups[0]['lr'] = args.lr
    generator = None if noise is None else torch.Generator().manual_seed(noise)
    if generator:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(_rounding(parameter, generator))
    losses = []
    for step in range(args.steps):
        torch.manual_seed(step)
        images = _images(args.batch_size, model.data_preprocessor.image_size)
        if generator:
            images = images * _rounding(images, generator)
        losses.append(_step(model, optim, images))
    return losses


def compare(args: argparse.Namespace) -> dict[str, Any]:
    """All curves, their distances from the plain one, and the bounds."""
    curves = {v: loss_curve(v, args) for v in ('plain', 'float32', 'ours')}
    noisy = [loss_curve('plain', args, noise) for noise in range(args.noisy_runs)]
    far = {name: _distance(curve, curves['plain']) for name, curve in curves.items()}
    noise = max(_distance(curve, curves['plain']) for curve in noisy)
    bounds = dict(float32=FLOAT32_BOUND, ours=args.factor * noise)
    return dict(curves=curves, noisy=noisy, distance=far, noise=noise, bounds=bounds,
                within={name: far[name] <= bound for name, bound in bounds.items()})


def main(args: list[str] | None = None) -> dict[str, Any]:
    """Train, print, and write what --out names."""
    args = parse_args(args)
    with variants.frozen_weights(args):
        result = compare(args)
    curve = result['curves']['plain']
    print(f'plain: loss {curve[0]:.4f} at the first, {curve[-1]:.4f} at the last of {args.steps} '
          f'steps; noise of bfloat16: {result["noise"]:.5f}')
    for name, bound in result['bounds'].items():
        print(f'{name}: at most {result["distance"][name]:.2g} from it, '
              f'{"within" if result["within"][name] else "OUTSIDE"} the bound {bound:.2g}')
    measuring.write_json(result, args.out)
    return result


def _step(model: nn.Module, optim: Any, images: Tensor) -> float:
    """As ``BaseModel.train_step``, from images that are not rounded to bytes."""
    with optim.optim_context(model):
        noisy_images, sample = model.data_preprocessor.diffuse(images)
        loss = model.loss(noisy_images, sample)['loss_token']
    optim.update_params(loss)
    return float(loss.detach())


def _images(count: int, size: tuple[int, int]) -> Tensor:
    """Smooth pictures in [0, 1]."""
    coarse = torch.rand(count, 3, 5, 5)
    return nn.functional.interpolate(coarse, size, mode='bicubic').clamp(0, 1)


def _rounding(like: Tensor, generator: torch.Generator) -> Tensor:
    return 1 + HALF_STEP * (2 * torch.rand(like.shape, generator=generator) - 1)


def _distance(curve: list[float], other: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(curve, other, strict=True))


def _turn_dropout_off(model: nn.Module) -> None:
    """Its draws would depend on the order of the computation."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.
        if hasattr(module, 'attn_drop'):
            module.attn_drop = 0.


if __name__ == '__main__':
    main()
