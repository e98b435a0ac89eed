"""Write an encoder for programs without this package, after comparing it with the model.

A detector's or segmentor's neck goes along. Images are RGB, normalised with the mean and standard
deviation of the config.

Examples:
    python tools/export.py configs/addp/vit-l_800e.py addp.pth encoder.onnx --to onnx
    python tools/export.py configs/mmdet/mask-rcnn_vitdet-b_100e.py det.pth maps.pt2 --to pt2
    python tools/export.py configs/addp/vit-l_800e.py addp.pth encoder.safetensors --to timm
    python tools/export.py configs/addp/vit-l_800e.py epoch_800.pth addp.pth --to checkpoint
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from addp_mm.apis.export import (
    build_feature_maps,
    export_feature_maps,
    export_timm,
    patch_sizes,
    publish_checkpoint,
)
from addp_mm.checkpoints.weight_files import check_target
from addp_mm.cli.run import run
from addp_mm.models.addp.vit import check_tiles

FORMATS = {
    'onnx': 'an ONNX program', 'torchscript': 'a traced TorchScript program',
    'pt2': 'a program of torch.export', 'timm': 'weights for timm\'s VisionTransformer',
    'checkpoint': 'the checkpoint without optimizer, schedules and logs',
}


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', type=Path, help='config of the training, or the name of '
                        'a released model')
    parser.add_argument('checkpoint', type=Path, help='file with the encoder, or addp://NAME')
    parser.add_argument('out', type=Path, help='the file to write')
    parser.add_argument('--to', choices=list(FORMATS), required=True,
                        help='; '.join(f'{name}: {text}' for name, text in FORMATS.items()))
    parser.add_argument('--image-size', type=int, nargs='+', metavar='PIXELS',
                        help='height and width of the images, or one number for both; default: '
                             'the img_size of the encoder')
    parser.add_argument('--free-size', action='store_true',
                        help='leave height and width free too, in whole patches')
    parser.add_argument('--overwrite', action='store_true', help='replace OUT if it exists')
    return parser.parse_args(words)


def image_size(args: argparse.Namespace, encoder: object) -> tuple[int, int]:
    """The size that the flags or the encoder name."""
    sizes = args.image_size or getattr(encoder, 'img_size', None)
    if sizes is None:
        raise ValueError(f'A {type(encoder).__name__} has images of any size: name one to compare '
                         'the program with, --image-size 224.')
    if len(sizes) > 2 or min(sizes) < 1:
        raise ValueError(f'--image-size takes one or two positive numbers, got {sizes}.')
    size = tuple(sizes) if len(sizes) == 2 else (sizes[0], sizes[0])
    check_tiles(encoder, size)
    return size


def main(words: list[str] | None = None) -> None:
    """Export, and say what was done."""
    args = parse_args(words)
    check_target(args.out, args.overwrite, args.checkpoint)
    if args.to == 'checkpoint':
        publish_checkpoint(args.config, args.checkpoint, args.out, args.overwrite)
        print(f'Written to {args.out}: weights and meta data of {args.checkpoint}.')
        return
    model = build_feature_maps(args.config, args.checkpoint)
    if args.to == 'timm':
        arguments = export_timm(model.encoder, args.out, args.overwrite)
        words = ', '.join(f'{name}={value!r}' for name, value in arguments.items())
        print(f'Written to {args.out}. Load it into timm.models.VisionTransformer({words}).')
        return
    size = image_size(args, model.encoder)
    error = export_feature_maps(model, args.out, args.to, size, args.free_size, args.overwrite)
    if args.free_size:
        sizes = ('any size in whole patches of {} x {} pixels (one of very few patches may be '
                 'refused)').format(*patch_sizes(model.encoder))
    else:
        sizes = f'{size[0]} x {size[1]} pixels'
    print(f'Written to {args.out}: feature maps of any number of images of {sizes}. It was run on '
          f'other images: its largest difference to the model is {error:.1g} of the largest value.')


if __name__ == '__main__':
    sys.exit(run(main))
