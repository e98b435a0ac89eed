"""What a small tokenizer's norm, shortcut, stem, codebook and crops give in the same time.

    OMP_NUM_THREADS=1 python benchmarks/tokenizers.py train.txt val.txt --out tokenizers.json

The lists hold one path a line. Each variant trains for the same processor time on one core, from
the same seed, and is scored on the same held-out images at their own scale.
"""
from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from PIL import Image
from torch import Tensor, nn

from addp_mm.evaluation import psnr, ssim, variation_kept
from addp_mm.models.vqgan import VQGANTraining
from addp_mm.registry import MODELS
from addp_mm.visualization.image_grid import image_grid

CODES = dict(num_codes=128, code_dims=32, num_res_blocks=1)
FINE = dict(channels=32, channel_mult=(1, 1, 2, 2), **CODES)
PATCHES = dict(channels=32, channel_mult=(1, 2, 2), patch_size=2, **CODES)
LAYER_NORM = dict(norm=dict(type='timm.layers.LayerNorm2d'), shortcut='input')
GROUPS_OF_16 = dict(norm=dict(type='GN', channels_per_group=16))
VARIANTS: dict[str, dict[str, Any]] = {
    'released, resized crops': dict(tokenizer=FINE, resize=True),
    'released': dict(tokenizer=FINE),
    'groups of 16': dict(tokenizer=FINE | GROUPS_OF_16),
    'layer norm, shortcut from input': dict(tokenizer=FINE | LAYER_NORM),
    'and patches of 2': dict(tokenizer=PATCHES | LAYER_NORM),
    'and patches of 2, resized crops': dict(tokenizer=PATCHES | LAYER_NORM, resize=True),
    'and a continuous start': dict(tokenizer=PATCHES | LAYER_NORM, continuous=0.3),
    'and scalar codes': dict(tokenizer=PATCHES | LAYER_NORM, levels=(8, 4, 4)),
}
WARMUP, LEARNING_RATE, BATCH = 0.05, 2e-3, 32


class ScalarCodes(nn.Module):
    """Finite scalar quantisation (Mentzer et al. 2023, arXiv 2309.15505) beside a codebook.

    Args:
        levels: Number of values of each dimension.
        code_dims: Channels of the latents.
    """

    def __init__(self, levels: tuple[int, ...], code_dims: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(code_dims, len(levels), 1)
        self.up = nn.Conv2d(len(levels), code_dims, 1)
        self.register_buffer('levels', torch.tensor(levels).view(1, -1, 1, 1))

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (N, C, h, w) to what the decoder reads, and ids (N, h, w)."""
        half = (self.levels - 1) * (1 - 1e-3) / 2
        offset = (self.levels % 2 == 0) * 0.5
        bounded = (self.down(latents) + (offset / half).tan()).tanh() * half - offset
        values = bounded + (bounded.round() - bounded).detach()
        digits = bounded.round() + self.levels // 2
        bases = torch.cumprod(torch.cat([torch.ones_like(self.levels[:, :1]),
                                         self.levels[:, :-1]], dim=1), dim=1)
        return self.up(values / (self.levels // 2)), (digits * bases).sum(dim=1).long()


def build(variant: dict[str, Any], size: int) -> VQGANTraining:
    """The training of one variant."""
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(dict(
            type='VQGANTraining',
            tokenizer=dict(type='VQGAN', image_size=size, **variant['tokenizer']),
            codebook=dict(ema_decay=0.98, revive_after=20, init_from_data=True),
            vq_loss=dict(type='VQLoss', commitment_weight=0.05),
            pixel_loss=dict(type='PixelReconstructionLoss', criterion='L2')))
    if 'levels' in variant:
        model.scalar_codes = ScalarCodes(variant['levels'], model.tokenizer.code_dims)
    return model


def batches(paths: list[str], size: int, resize: bool, seed: int) -> Iterator[Tensor]:
    """Crops (N, 3, size, size) in [0, 1] without end."""
    crop = (dict(type='RandomResizedCrop', scale=size, crop_ratio_range=(0.2, 1.0),
                 backend='pillow', interpolation='bicubic') if resize
            else dict(type='RandomCrop', crop_size=size, pad_if_needed=True,
                      padding_mode='reflect'))
    flips = [dict(type='RandomFlip', prob=0.5, direction=way)
             for way in ('horizontal', 'vertical')[:1 if resize else 2]]
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        pipeline = Compose([crop, *flips])
    images = [np.asarray(Image.open(path).convert('RGB')) for path in paths]
    np.random.seed(seed)
    while True:
        for part in np.array_split(np.random.permutation(len(images)), len(images) // BATCH):
            crops = [pipeline(dict(img=images[i], img_shape=images[i].shape[:2]))['img']
                     for i in part]
            yield to_batch(crops)


def to_batch(crops: list[np.ndarray]) -> Tensor:
    """(H, W, 3) of 8 bits to (N, 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float().contiguous() / 255


def held_out(paths: list[str], size: int) -> Tensor:
    """The middle of each image at its own scale, (N, 3, size, size)."""
    crops = []
    for path in paths:
        image = np.asarray(Image.open(path).convert('RGB'))
        top, left = ((side - size) // 2 for side in image.shape[:2])
        crops.append(image[top:top + size, left:left + size])
    return to_batch(crops)


def losses(model: VQGANTraining, images: Tensor, variant: dict[str, Any], progress: float
           ) -> Tensor:
    """The sum that is minimised."""
    if 'levels' in variant:
        codes, _ = model.scalar_codes(model.tokenizer.encoder(images))
        return model.pixel_loss(model.tokenizer.decode(codes), images)
    if progress < variant.get('continuous', 0):
        decoded = model.tokenizer.decode(model.tokenizer.encoder(images))
        return model.pixel_loss(decoded, images)
    return sum(value for name, value in model.loss(images).items() if 'loss' in name)


def train(variant: dict[str, Any], data: Iterator[Tensor], size: int, seconds: float
          ) -> tuple[VQGANTraining, int]:
    """Train for some processor time; the rate follows the share that has passed."""
    torch.manual_seed(0)
    model = build(variant, size)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=1e-4)
    spent, iterations = 0., 0
    while spent < seconds:
        images = next(data)
        started, progress = time.process_time(), spent / seconds
        rate = LEARNING_RATE * min(1, progress / WARMUP + 0.01) * (1 + math.cos(
            math.pi * progress)) / 2
        optimizer.param_groups[0]['lr'] = rate
        optimizer.zero_grad()
        losses(model, images, variant, progress).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 3.0)
        optimizer.step()
        spent += time.process_time() - started
        iterations += 1
    return model, iterations


@torch.no_grad()
def score(model: VQGANTraining, images: Tensor) -> tuple[dict[str, float], Tensor]:
    """The numbers of the table, and the reconstructions."""
    model.eval()
    if hasattr(model, 'scalar_codes'):
        codes, ids = model.scalar_codes(model.tokenizer.encoder(images))
        decoded = model.tokenizer.decode(codes).clamp(0, 1)
        num_codes = int(model.scalar_codes.levels.prod())
    else:
        ids, codes = model.tokenizer.encode(images)
        decoded = model.tokenizer.decode(codes).clamp(0, 1)
        num_codes = model.tokenizer.num_codes
    kept = variation_kept(decoded, images)
    kept = kept[~kept.isnan()]
    probs = ids.flatten().bincount(minlength=num_codes).double() / ids.numel()
    return dict(
        psnr=float(psnr(decoded, images).mean()), ssim=float(ssim(decoded, images).mean()),
        kept=float(kept.quantile(0.5)), kept_p10=float(kept.quantile(0.1)),
        perplexity=float((-torch.special.xlogy(probs, probs).sum()).exp())), decoded


def run(args: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Train and score the variants that have no result yet."""
    results = json.loads(args.out.read_text()) if args.out.is_file() else {}
    train_paths, val_paths = (path.read_text().split('\n')[:-1] for path in (args.train, args.val))
    images = held_out(val_paths, args.size)
    for name in args.variants or VARIANTS:
        if name in results:
            continue
        variant = VARIANTS[name]
        data = batches(train_paths, args.size, variant.get('resize', False), seed=0)
        model, iterations = train(variant, data, args.size, 60 * args.minutes)
        scores, decoded = score(model, images)
        results[name] = dict(scores, iterations=iterations,
                             parameters=sum(p.numel() for p in model.parameters()))
        args.out.write_text(json.dumps(results, indent=2))
        grid = image_grid([images[::10], decoded[::10]], ['image', 'reconstruction'])
        Image.fromarray(grid).save(args.out.with_name(f'{name}.png'))
        say(f'{name}: {results[name]}')


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('train', type=Path, help='list of the images to train with')
    parser.add_argument('val', type=Path, help='list of held-out images')
    parser.add_argument('--size', type=int, default=64, help='side of the crops in pixels')
    parser.add_argument('--minutes', type=float, default=5., help='processor time of a variant')
    parser.add_argument('--variants', nargs='+', choices=list(VARIANTS), help='default: all')
    parser.add_argument('--out', type=Path, default=Path('tokenizers.json'))
    torch.set_num_threads(1)
    run(parser.parse_args(), lambda line: print(line, flush=True))


if __name__ == '__main__':
    main()
