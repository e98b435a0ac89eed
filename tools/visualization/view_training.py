"""Draw what ADDP's training sees: noisy images along t, and how often each mask ratio is drawn."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed
from PIL import Image

import addp_mm  # noqa: F401  registers what the config names
from addp_mm.apis.check_config import set_options
from addp_mm.cli.arguments import Options
from addp_mm.cli.run import run
from addp_mm.config_file import read_config_file
from addp_mm.models.addp import ADDPDataPreprocessor
from addp_mm.registry import DATASETS, MODELS
from addp_mm.visualization import draw_mask_ratios, training_view


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config of a training of type ADDP')
    parser.add_argument('--out', help='folder (default: the work folder of the config)')
    parser.add_argument('--num-images', type=int, default=6, help='(default: 6)')
    parser.add_argument('--split', choices=['train', 'val'], default='train')
    parser.add_argument('--seed', type=int, default=0, help='of images and masks (default: 0)')
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, help='key=value')
    return parser.parse_args(words)


def build_preprocessor(cfg: Config) -> ADDPDataPreprocessor:
    """The data preprocessor of a config with its weights; the trained networks are not built."""
    part = cfg.get('model', {}).get('data_preprocessor')
    preprocessor = part and MODELS.build(part)
    if not isinstance(preprocessor, ADDPDataPreprocessor):
        raise ValueError(f'The model of {cfg.filename} has no ADDPDataPreprocessor.')
    preprocessor.load_frozen()
    return preprocessor.to(get_device())


def read_images(cfg: Config, split: str, count: int) -> dict:
    """A batch of random images of a split, through its pipeline."""
    loader = cfg.get(f'{split}_dataloader')
    if loader is None or count < 1:
        raise ValueError(f'Expected a {split}_dataloader in {cfg.filename} and at least 1 image.')
    dataset = DATASETS.build(loader.dataset)
    places = torch.randperm(len(dataset))[:count].tolist()
    return dict(inputs=[dataset[place]['inputs'] for place in places])


def main(words: list[str] | None = None) -> None:
    """Write the pictures and print where they are."""
    args = parse_args(words)
    cfg = read_config_file(args.config)
    set_options(cfg, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    set_random_seed(args.seed)
    try:
        preprocessor = build_preprocessor(cfg)
        data = read_images(cfg, args.split, args.num_images)
    except (KeyError, TypeError) as error:      # of a registry, and of what it builds
        raise ValueError(f'{args.config} cannot be built: {error}') from error
    view = training_view(preprocessor, preprocessor.to_images(data)[0], seed=args.seed)
    out = Path(args.out or cfg.get('work_dir') or f'work_dirs/{Path(args.config).stem}')
    out.mkdir(parents=True, exist_ok=True)
    Image.fromarray(view).save(out / 'training_view.png')
    draw_mask_ratios(preprocessor.diffusion.mask_ratio).savefig(out / 'mask_ratios.png')
    print(f'{out / "training_view.png"}\n{out / "mask_ratios.png"}')


if __name__ == '__main__':
    sys.exit(run(main))
