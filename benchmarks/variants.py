"""The variants that the benchmarks compare, on random weights.

- plain: as the reference release computes it, float32 on a CPU, float16 autocast on a GPU;
- float32: this toolbox's formulation in float32;
- ours: as the configs have it, in bfloat16 where the processor has it;
- compiled: the same with ``torch.compile`` of student and frozen parts.
"""
from __future__ import annotations

import argparse
import contextlib
import copy
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import measuring
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import DefaultScope
from plain import plain_config, use_plain_attention
from torch import nn

import addp_mm  # noqa: F401  (registers)
from addp_mm.apis.freed_memory import keep_freed_memory
from addp_mm.checkpoints.weight_files import save_weights
from addp_mm.models.addp import ADDP
from addp_mm.models.layers import FrozenModule, cpu_has_bfloat16
from addp_mm.registry import MODELS

CONFIGS = Path(__file__).parents[1] / 'configs/addp'
FILES = {'base': 'vit-b_1600e.py', 'large': 'vit-l_800e.py', 'tiny': 'vit-b_1600e.py'}
MEAN_MASK_RATIO = 0.745     # of m_t in training
VARIANTS = ('plain', 'float32', 'ours', 'compiled')
# Seconds instead of minutes, to try a benchmark.
TINY = dict(
    data_preprocessor=dict(
        tokenizer=dict(model=dict(image_size=64, num_codes=64, channels=32)),
        token_predictor=dict(model=dict(
            arch=dict(_delete_=True, embed_dims=48, depth=2, num_heads=4), decoder_depth=1,
            decoder_heads=4, vocab_size=80, class_id=70, mask_id=79))),
    backbone=dict(arch=dict(_delete_=True, embed_dims=48, num_layers=2, num_heads=4,
                            feedforward_channels=192)),
    neck=dict(vocab_size=80, embed_dims=48, depth=1, num_heads=4))


def add_model_arguments(parser: argparse.ArgumentParser, batch_size: int) -> None:
    """Add which model is measured and how often."""
    parser.add_argument('--arch', default='base', choices=list(FILES),
                        help='encoder of the config (default: %(default)s)')
    parser.add_argument('--batch-size', type=int, default=batch_size, help='default: %(default)s')
    parser.add_argument('--dtype', choices=['float32', 'bfloat16', 'float16'],
                        help='of what is not plain; default: bfloat16 where it is fast')
    parser.add_argument('--rounds', type=int, default=2,
                        help='timed repetitions, in turns; the fastest counts')
    parser.add_argument('--out', type=Path, help='JSON file for the numbers')


def add_device_argument(parser: argparse.ArgumentParser) -> None:
    """Add where the model is measured."""
    parser.add_argument('--device', default='cpu', help='default: %(default)s')


def add_arguments(parser: argparse.ArgumentParser, batch_size: int,
                  further: Sequence[str] = ()) -> None:
    """Add what benchmarks of several variants have in common, ``further`` ones included."""
    add_model_arguments(parser, batch_size)
    add_device_argument(parser)
    names = [*VARIANTS, *further]
    parser.add_argument('--variants', nargs='+', default=['plain', 'ours'], choices=names,
                        help='the others are compared with the first (default: plain ours)')
    parser.add_argument('--frozen', type=Path, help=argparse.SUPPRESS)
    parser.add_argument('--peak-of', choices=names, help=argparse.SUPPRESS)


def run_benchmark(parse_args: Callable[[list[str] | None], argparse.Namespace],
                  measure: Callable[[argparse.Namespace, list[str]], dict[str, Any]],
                  run_once: Callable[[argparse.Namespace], object],
                  arguments: list[str] | None = None) -> dict[str, Any] | None:
    """Measure, print, and write what --out names; with --peak-of run one variant for its memory.

    Args:
        parse_args: Reads the command line.
        measure: Gives the numbers, from the arguments read and as they are.
        run_once: Runs the variant ``peak_of`` once.
        arguments: The command line, if not that of the process.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    args = parse_args(arguments)
    if args.device == 'cpu':
        keep_freed_memory()     # as the tools do; see freed_memory.py
    torch.backends.cudnn.allow_tf32 = False     # as the tools, and the reference release
    if args.peak_of:
        run_once(args)
        measuring.print_peak_memory()
        return None
    with frozen_weights(args):
        result = measure(args, arguments)
    print(result['machine'])
    print(measuring.table(result['results']))
    measuring.write_json(result, args.out)
    return result


def built_with_peaks(script: str, args: argparse.Namespace, arguments: list[str],
                     make: Callable[[str], Any]) -> tuple[dict[str, Any], dict[str, float]]:
    """Make what runs each variant, and measure its peak memory in GB.

    On a GPU that is what making it and its ``warm_up`` take above what there was. On a CPU it is
    that of a process that runs ``script`` with --peak-of.

    Args:
        script: The benchmark.
        args: Its command line.
        arguments: The same as it was given.
        make: Makes what runs the variant of a name.
    """
    runs, peaks = {}, {}
    for variant in args.variants:
        if torch.device(args.device).type == 'cpu':
            peaks[variant] = measuring.peak_memory(
                script, [*arguments, '--frozen', str(args.frozen), '--peak-of', variant])
            runs[variant] = make(variant)
            continue
        with measuring.PeakMemory(args.device) as memory:
            runs[variant] = make(variant)
            runs[variant].warm_up()
        peaks[variant] = memory.bytes / 1e9
    return runs, peaks


def dtype_of(variant: str, args: argparse.Namespace) -> str:
    """Name of the dtype that a variant multiplies in."""
    if variant == 'plain':
        return 'float32' if args.device == 'cpu' else 'float16'
    if variant == 'float32':
        return 'float32'
    if args.dtype:
        return args.dtype
    return 'bfloat16' if args.device != 'cpu' or cpu_has_bfloat16() else 'float32'


def read_config_file(args: argparse.Namespace) -> Config:
    """The training config of an architecture; its frozen parts read the folder ``frozen``."""
    cfg = Config.fromfile(CONFIGS / FILES[args.arch], import_custom_modules=False)
    if args.arch == 'tiny':
        cfg.merge_from_dict(dict(model=copy.deepcopy(TINY)))
    for name in ('tokenizer', 'token_predictor'):
        cfg.model.data_preprocessor[name].checkpoint = str(args.frozen / f'{name}.safetensors')
    return cfg


@contextlib.contextmanager
def frozen_weights(args: argparse.Namespace) -> Iterator[None]:
    """Random weights of the frozen parts in a folder ``frozen``, inside a ``with``."""
    with tempfile.TemporaryDirectory() as folder:
        args.frozen = Path(folder)
        write_frozen_weights(args)
        yield


def write_frozen_weights(args: argparse.Namespace) -> None:
    """Write random weights of the frozen parts to the folder ``frozen``."""
    write_random_weights(read_config_file(args).model.data_preprocessor)


def write_random_weights(preprocessor: dict) -> None:
    """Write the files that the config of an ``ADDPDataPreprocessor`` names, with random weights."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        preprocessor = MODELS.build(preprocessor)
    for module in preprocessor.modules():
        if isinstance(module, FrozenModule):
            names = module.description.state_dict()
            save_weights({k: _random(k, v) for k, v in names.items()}, module.checkpoint)


def build(variant: str, args: argparse.Namespace, dtype: str) -> ADDP:
    """The model of a variant, its frozen parts in a dtype; the same weights in each."""
    cfg = read_config_file(args).model.to_dict()
    preprocessor = cfg['data_preprocessor']
    if variant == 'plain':
        cfg = plain_config(cfg, dtype)
    else:
        for name in ('tokenizer', 'token_predictor'):
            preprocessor[name]['dtype'] = dtype
    if variant == 'compiled':
        options = dict(dynamic=False)
        cfg['neck']['bucket'] = 32
        cfg['compile_cfg'] = options
        for name in ('tokenizer', 'token_predictor'):
            preprocessor[name]['compile_cfg'] = options
    torch.manual_seed(0)
    MMLogger.get_current_instance().setLevel('WARNING')     # a line for every start value
    # A GPU draws the start values of ViT-L in a second, a CPU in a quarter of a minute.
    with DefaultScope.overwrite_default_scope('mmpretrain'), torch.device(args.device):
        model = MODELS.build(cfg)
    model.init_weights()
    if variant == 'plain':
        use_plain_attention(model)
    return model.to(args.device)


def build_optimizer(model: nn.Module, variant: str, args: argparse.Namespace) -> OptimWrapper:
    """The optimizer of the config; for the plain variant torch's AdamW as it is by default."""
    cfg = copy.deepcopy(read_config_file(args).optim_wrapper)
    cfg.pop('accumulative_counts', None)
    cfg.dtype = cfg.cpu_dtype = dtype_of(variant, args)
    if cfg.cpu_dtype == 'float16':
        cfg.cpu_dtype = 'float32'
    if variant == 'plain':
        cfg.optimizer.pop('fused', None)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return build_optim_wrapper(model, cfg)


def _random(name: str, like: torch.Tensor) -> torch.Tensor:
    if like.ndim > 1:
        return torch.randn(like.shape) * like[0].numel()**-0.5
    is_scale = name.endswith('.weight')
    return torch.ones(like.shape) if is_scale else torch.zeros(like.shape)
