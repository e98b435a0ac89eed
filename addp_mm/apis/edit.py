"""Edited images as files."""
from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import MMLogger

from ..generation import extend, uncrop_margins
from ..visualization import edits
from .generate import build_inferencer, sampler_options
from .image_input import read_image, read_mask
from .inferencer import check_positive
from .output_folder import save_image


def edit(args: Namespace) -> list[Path]:
    """Edit an image with the flags of ``tools/inpaint.py``.

    Returns:
        The written files: the results, then the overview.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If the mask does not fit the image, a file exists already, or an option is out
            of range.
    """
    check_positive(num_samples=args.num_samples, batch_size=args.batch_size)
    image, mask = _edited_region(args)
    prior = None if args.prior is None else read_image(args.prior)
    names = [*map(str, range(args.num_samples)), 'edits']
    paths = [args.out / f'{Path(args.image).stem}_{name}.png' for name in names]
    existing = [path for path in paths if path.exists()]
    if existing and not args.overwrite:
        raise ValueError(f'{existing[0]} exists already. Choose another --out, or allow it to be '
                         'replaced with --overwrite.')
    results = build_inferencer(args).edit(
        image, mask, args.num_samples, args.seed, prior, args.rescale, args.batch_size,
        **sampler_options(args))
    args.out.mkdir(parents=True, exist_ok=True)
    for path, result in zip(paths, results, strict=False):
        save_image(result, path)
    save_image(_overview(image, mask, results), paths[-1])
    MMLogger.get_current_instance().info(f'The results are in {args.out}; all on one picture: '
                                         f'{paths[-1]}')
    return paths


def _edited_region(args: Namespace) -> tuple[torch.Tensor, torch.Tensor]:
    """The image (3, H, W), larger where it is to be continued, and the mask (H, W)."""
    image = read_image(args.image)
    size = tuple(image.shape[1:])
    if args.mask is not None:
        return image, read_mask(args.mask, size)
    if args.uncrop is not None:
        return extend(image, **uncrop_margins(size, args.uncrop))
    return extend(image, *args.outpaint)


def _overview(image: torch.Tensor, mask: torch.Tensor, results: np.ndarray) -> np.ndarray:
    return edits(image, mask, torch.from_numpy(results).permute(0, 3, 1, 2).float() / 255)
