"""Convert released ADDP, MAGE and VQGAN files for addp_mm, and ADDP back; export an encoder alone.

VQGANs of taming-transformers become a VQModel of diffusers, which is the same network.

Examples:
    python tools/convert_checkpoint.py addp-vit-large-16.pth weights/addp_vit-l.pth
    python tools/convert_checkpoint.py mage-vitl-1600.pth weights/mage_vit-l.safetensors
    python tools/convert_checkpoint.py vqgan_jax_strongaug.ckpt weights/vqgan.safetensors
    python tools/convert_checkpoint.py taming/last.ckpt weights/taming_16384.safetensors
    python tools/convert_checkpoint.py work_dirs/vit-l_800e/epoch_800.pth encoder.pth --to backbone
"""
from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path

from torch import Tensor

from addp_mm.checkpoints.converters import (
    DEFAULT_TARGETS,
    KINDS,
    TABLES,
    Conversion,
    convert,
    detect_kind,
    vq_model_config,
)
from addp_mm.checkpoints.finite_weights import check_finite
from addp_mm.checkpoints.weight_files import check_target, load_weights, save_weights, sha256_of
from addp_mm.cli.run import run

USAGE = {
    'vqgan': "data_preprocessor=dict(tokenizer=dict(model=dict(type='VQGAN'), checkpoint='{dst}'))",
    'diffusers': "data_preprocessor=dict(tokenizer=dict(model=dict(type='DiffusersVQModel', "
                 "config={config}), checkpoint='{dst}'))",
    'mage': "data_preprocessor=dict(token_predictor=dict(model=dict(type='MAGE', arch={arch}, "
            "vocab_size=2025, class_id=1100, mask_id=2024), checkpoint='{dst}'))",
    'addp': "load_from = '{dst}'",
    'backbone': "backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='{dst}'))",
}
ARCHS = {768: "'base'", 1024: "'large'"}    # width of a released MAGE -> its arch


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('src', type=Path, help='the file to convert')
    parser.add_argument('dst', type=Path, help='the file to write: .safetensors, else a torch file')
    parser.add_argument('--to', choices=list(TABLES), help='what it becomes; default: addp for a '
                        'released ADDP, an encoder alone for ours, else the same model')
    parser.add_argument('--kind', choices=list(KINDS), help='what SRC is; default: told from its '
                        'names ("reference" is a released ADDP, "addp" is ours)')
    grid = parser.add_mutually_exclusive_group()
    grid.add_argument('--image-size', type=int, help='resize the position tables for square '
                      'images of so many pixels')
    grid.add_argument('--grid', type=int, nargs=2, metavar=('H', 'W'),
                      help='resize the position tables to this grid')
    parser.add_argument('--patch-size', type=int, default=16,
                        help='pixels of a patch, for --image-size (default 16)')
    parser.add_argument('--keep-pre-norm', action='store_true', help='keep the encoder\'s norm '
                        'after the position table (with --to backbone)')
    parser.add_argument('--trust-checkpoint', action='store_true', help='let SRC run code while '
                        'it is read; only for a file from a source you trust')
    parser.add_argument('--overwrite', action='store_true', help='replace DST if it exists')
    return parser.parse_args(words)


def wanted_grid(args: argparse.Namespace) -> tuple[int, int] | None:
    """The grid that the flags name, or None."""
    if args.grid:
        if min(args.grid) < 1:
            raise ValueError(f'--grid must be two positive numbers, got {args.grid}.')
        return tuple(args.grid)
    if args.image_size is None:
        return None
    if args.patch_size < 1 or args.image_size < 1 or args.image_size % args.patch_size:
        raise ValueError(f'--image-size must be a multiple of --patch-size {args.patch_size}, got '
                         f'{args.image_size}.')
    return (args.image_size // args.patch_size, ) * 2


def report(kind: str, to: str, conversion: Conversion, dst: Path) -> str:
    """What was done, and how to use the result."""
    weights = conversion.weights
    renamed = sum(new != old for new, old in conversion.sources.items())
    lines = [
        f'{kind} -> {to}: {len(weights)} tensors taken, {renamed} of them renamed, '
        f'{len(conversion.resized)} position tables resized, {len(conversion.dropped)} dropped.',
        *dropped_lines(conversion.dropped),
        f'{sum(w.numel() for w in weights.values()):,} parameters.',
        f'Written to {dst} (sha256 {sha256_of(dst)[:8]}).',
    ]
    if to in USAGE:
        arch = ARCHS.get(weights['pos_embed'].shape[-1], 'dict(...)') if to == 'mage' else ''
        config = _config_of(kind, weights) if to == 'diffusers' else ''
        lines.append('In a config: ' + USAGE[to].format(dst=dst, arch=arch, config=config))
    if to in ('addp', 'backbone') and dst.suffix == '.safetensors':
        lines.append('Programs that do not import addp_mm need a .pth file for that line: '
                     'mmengine by itself reads no .safetensors.')
    return '\n'.join(lines)


def _config_of(kind: str, weights: dict[str, Tensor]) -> str:
    """The arguments of a VQModel as Python; those of diffusers stand beside the file."""
    if kind == 'diffusers':
        return "'FOLDER/config.json'"
    return f'dict({", ".join(f"{key}={value}" for key, value in vq_model_config(weights).items())})'


def dropped_lines(dropped: dict[str, str]) -> list[str]:
    """A line for each reason."""
    names = defaultdict(list)
    for name, reason in dropped.items():
        names[reason].append(name)
    return [f'  dropped {len(group)} ({", ".join(group[:2])}{", ..." * (len(group) > 2)}): {reason}'
            for reason, group in names.items()]


def main(words: list[str] | None = None) -> None:
    """Convert, and say what was done."""
    args = parse_args(words)
    check_target(args.dst, args.overwrite, args.src)
    grid_size = wanted_grid(args)
    weights = load_weights(args.src, trust=args.trust_checkpoint)
    kind = args.kind or detect_kind(weights)
    to = args.to or DEFAULT_TARGETS[kind]
    conversion = convert(weights, to, kind, grid_size, args.keep_pre_norm)
    check_finite(conversion.weights, args.src)
    meta = dict(source=args.src.name, source_sha256=sha256_of(args.src), kind=kind,
                converted_to=to)
    save_weights(conversion.weights, args.dst, meta, args.overwrite)
    print(report(kind, to, conversion, args.dst))


if __name__ == '__main__':
    sys.exit(run(main))
