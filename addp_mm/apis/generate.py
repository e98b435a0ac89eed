"""Many generated images as files: in several processes, and going on where a run stopped."""
from __future__ import annotations

import datetime
import math
import os
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import mmengine.dist as dist
import torch
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmpretrain.utils import track_on_main_process

from ..checkpoints.weight_files import sha256_of
from ..generation import to_pixels
from ..visualization import spread_steps
from .freed_memory import keep_freed_memory
from .generation_pictures import draw_generation, draw_steps
from .inferencer import ADDPInferencer, check_positive
from .launch import rank_environment
from .load_model import DTYPES
from .output_folder import OutputFolder, save_image

# The flags of the sampler's options, and their names.
SAMPLER_FLAGS = dict(steps='num_steps', schedule='schedule', temperature='temperature',
                     top_p='top_p', rounding='rounding', final='final')
_PATIENCE = datetime.timedelta(days=7)      # the fastest process waits for the slowest


def add_model_arguments(parser: ArgumentParser) -> None:
    """Add what every tool needs that runs a trained model."""
    parser.add_argument('config', help='config of a training of type ADDP or MAGETraining')
    parser.add_argument('checkpoint', help='its checkpoint, or a converted file')
    parser.add_argument('--device', help='where to run, for example cpu or cuda:1 (default: a GPU '
                                         'if there is one)')
    parser.add_argument('--dtype', choices=DTYPES, default='float32',
                        help='precision; float64 for pixels that do not depend on the machine '
                             '(default: %(default)s)')
    parser.add_argument('--cuda-graphs', action='store_true',
                        help='on a GPU, start the kernels of a network as one: faster for small '
                             'batches')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction,
                        help='change settings of the config: key=value')


def add_sampler_arguments(parser: ArgumentParser) -> None:
    """Add the options of the sampler."""
    parser.add_argument('--seed', type=int, default=0, help='(default: %(default)s)')
    parser.add_argument('--batch-size', type=int, default=16,
                        help='images at a time; they do not depend on it (default: %(default)s)')
    parser.add_argument('--steps', type=int, help='number of steps (default: 20, at most one for '
                                                  'each token)')
    parser.add_argument('--schedule', choices=['cosine', 'linear'], help='(default: cosine)')
    parser.add_argument('--temperature', type=float, help='of the confidence (default: 6.0)')
    parser.add_argument('--static-temperature', action='store_true',
                        help='do not lower the temperature over the steps')
    parser.add_argument('--top-p', type=float, help='draw from the likeliest codes with this '
                                                    'probability together (default: 1.0, all)')
    parser.add_argument('--rounding', choices=['ceil', 'floor'],
                        help='of the number of masked tokens; floor as MAGE (default: ceil)')
    parser.add_argument('--final', choices=['soft', 'hard'],
                        help='whether a token of the last image stays a mixture (default: soft, '
                             'as the reference release)')


def sampler_options(args: Namespace) -> dict[str, Any]:
    """The options of the sampler that the command line names."""
    options = {name: getattr(args, flag) for flag, name in SAMPLER_FLAGS.items()}
    given = {name: value for name, value in options.items() if value is not None}
    return {**given, 'dynamic': not args.static_temperature}


def build_inferencer(args: Namespace) -> ADDPInferencer:
    """The inferencer of a command line, on the GPU of this process if there is one."""
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    device = args.device or get_device()
    if device == 'cuda':
        device = f'cuda:{int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count()}'
    if device == 'cpu':
        keep_freed_memory()
    return ADDPInferencer(cfg, args.checkpoint, device, args.dtype, args.cuda_graphs)


def generate(args: Namespace) -> OutputFolder:
    """Generate images with the flags of ``tools/generate.py``.

    Raises:
        FileNotFoundError: If config, checkpoint or tokenizer do not exist.
        ValueError: If an option is out of range, the checkpoint does not fit the config, or the
            folder holds images of another run.
    """
    check_positive(num_images=args.num_images, batch_size=args.batch_size)
    connect_processes(args.launcher)
    inferencer, sampler = build_inferencer(args), sampler_options(args)
    generator = inferencer.generator(**sampler)
    settings = dict(
        checkpoint_sha256=sha256_of(args.checkpoint),
        tokenizer_sha256=inferencer.model.data_preprocessor.tokenizer.sha256,
        image_size=list(inferencer.image_size), seed=args.seed, dtype=args.dtype,
        **generator.sampler.options(generator.num_tokens))
    out = OutputFolder(args.out, settings, args.overwrite)
    write_images(inferencer, out, args.num_images, args.seed, args.batch_size, args.save_steps,
                 sampler)
    return out


def connect_processes(launcher: str = 'none') -> None:
    """Connect the processes of a launcher; those of torchrun are also seen without a flag.

    Only messages are exchanged, no tensors, so that gloo does on GPUs too.
    """
    if launcher == 'none' and int(os.environ.get('WORLD_SIZE', 1)) > 1:
        launcher = 'pytorch'
    if launcher != 'none' and not torch.distributed.is_initialized():
        os.environ.update(rank_environment(launcher))
        torch.distributed.init_process_group('gloo', timeout=_PATIENCE)


def write_images(inferencer: ADDPInferencer, out: OutputFolder, num_images: int, seed: int,
                 batch_size: int, save_steps: bool, sampler: dict[str, Any]) -> None:
    """Generate the images that the folder lacks, each process its share of them.

    Args:
        inferencer: The model.
        out: Where the images go.
        num_images: Wanted number of images, from index 0.
        seed: See :meth:`ADDPInferencer.generate`.
        batch_size: Images at a time.
        save_steps: Draw the steps of each image too.
        sampler: Options of the sampler.
    """
    files = [out.image_path, *([out.steps_path] if save_steps else [])]
    for file in files:
        file(0).parent.mkdir(parents=True, exist_ok=True)
    missing = [i for i in range(num_images) if not all(file(i).exists() for file in files)]
    dist.barrier()      # No process may begin before all have seen the same files.
    share = missing[dist.get_rank()::dist.get_world_size()]
    num_steps = inferencer.generator(**sampler).schedule.num_steps
    batches = inferencer.generate_batches(
        share, seed, batch_size, record=save_steps and spread_steps(num_steps), **sampler)
    total = math.ceil(len(share) / batch_size)
    for indices, result in track_on_main_process(batches, 'Generating', total=total):
        pixels = to_pixels(result.images).numpy()
        for i, index in enumerate(indices):
            if save_steps:
                save_image(draw_steps(result, i, num_steps), out.steps_path(index))
            save_image(pixels[i], out.image_path(index))
    place = out.finish(num_images)
    MMLogger.get_current_instance().info(f'{num_images} images are in {place}')


def draw(args: Namespace) -> list[Path]:
    """Draw generated images with the flags of ``tools/visualization/view_generation.py``.

    Returns:
        The written pictures.

    Raises:
        FileNotFoundError: If config, checkpoint or tokenizer do not exist.
        ValueError: If an option is out of range, or the checkpoint does not fit the config.
    """
    pictures = draw_generation(build_inferencer(args), args.num_images, args.seed,
                               args.batch_size, **sampler_options(args))
    args.out.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        save_image(picture, args.out / f'{name}.png')
    MMLogger.get_current_instance().info(f'The pictures {", ".join(pictures)} are in {args.out}')
    return [args.out / f'{name}.png' for name in pictures]
