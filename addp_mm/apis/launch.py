"""What ``tools/train.py`` and ``tools/test.py`` share: from command-line arguments to a runner.

Importing this module imports ``addp_mm``, so that configs of other scopes know its parts as well.
"""
from __future__ import annotations

import os
import re
import subprocess
import sys
import traceback
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

import mmengine
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.device import get_device
from mmengine.registry import RUNNERS
from mmengine.runner import EpochBasedTrainLoop, FlexibleRunner, Runner
from torch import distributed

from ..checkpoints import read_pointer
from .freed_memory import keep_freed_memory
from .launch_scopes import (
    add_test_time_augmentation,
    check_scope,
    draw_predictions,
    loader_defaults,
    prediction_dump,
)

PACKAGE = Path(__file__).resolve().parents[1]
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130      # what shells report after Ctrl-C
LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')
# Of a process under Slurm and MPI: number, count, and number on its machine.
_RANK_VARIABLES = {
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'),
}


def add_common_arguments(parser: ArgumentParser) -> None:
    """Add the flags that all of OpenMMLab's training and test tools know."""
    parser.add_argument('--work-dir', help='folder of logs, checkpoints and results')
    parser.add_argument('--amp', action='store_true', help='use mixed precision')
    parser.add_argument('--no-pin-memory', action='store_true',
                        help='turn off pin_memory in the data loaders')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction,
                        help='change settings of the config: key=value; lists as key=a,b or '
                             'key="[a,b]", nested ones as key="[(a,b),(c,d)]", without spaces')
    parser.add_argument('--launcher', choices=LAUNCHERS, default='none',
                        help='what started the processes of a distributed run')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0,
                        help='number of the process on its machine')


def run_tool(main: Callable[[Namespace], object], args: Namespace) -> int:
    """Call the main function of a tool and turn what stops it into an exit code.

    Returns:
        0, or 2 after an error that the user can mend, which stands on stderr as one line; 130
        after Ctrl-C. Everything else is raised.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    try:
        main(args)
    except KeyboardInterrupt:
        sys.stderr.write('Interrupted.\n')
        return EXIT_INTERRUPTED
    except (ValueError, FileNotFoundError) as error:
        if not is_meant_for_user(error):
            raise
        # The last part is all of it, but for an error of a data loader's worker process.
        message = str(error).rpartition(f'\n{type(error).__name__}: ')[2]
        sys.stderr.write(f'{type(error).__name__}: {" ".join(message.split())}\n')
        return EXIT_USER_ERROR
    if distributed.is_initialized():
        distributed.destroy_process_group()
    return 0


def train(args: Namespace) -> None:
    """Train with the config ``args.config`` and the flags of ``tools/train.py``.

    Raises:
        FileNotFoundError: If the checkpoint to resume or the training data does not exist.
        ValueError: If the training data does not fill one batch.
        KeyboardInterrupt: After Ctrl-C; the log then says how to go on.
    """
    cfg = merge_train_args(Config.fromfile(args.config), args)
    runner = build_runner(cfg)
    check_data(runner, 'train', 'val')
    if isinstance(runner, FlexibleRunner):      # it loads before any hook is called
        runner.call_hook('choose_checkpoint')
    try:
        runner.train()
    except KeyboardInterrupt:
        last = read_pointer(runner.work_dir)
        runner.logger.warning(
            f'Interrupted in iteration {runner.iter + 1}. ' +
            (f'The last checkpoint is {last}; the same command with --resume goes on from there.'
             if last else 'There is no checkpoint yet: --resume would start anew.'))
        raise


def test(args: Namespace) -> None:
    """Test ``args.checkpoint`` with ``args.config`` and the flags of ``tools/test.py``.

    Raises:
        FileNotFoundError: If the checkpoint does not exist.
        ValueError: If flags do not fit each other or the config.
    """
    if args.out is None and args.out_item is not None:
        raise ValueError('--out-item says what to write, expected --out FILE as well.')
    cfg = merge_test_args(Config.fromfile(args.config), args)
    runner = build_runner(cfg)
    check_data(runner, 'test')
    if args.out and args.out_item in ('pred', None):
        runner.test_evaluator.metrics.append(prediction_dump(cfg, args.out))
    metrics = runner.test()
    if args.out and args.out_item == 'metrics':
        mmengine.dump(metrics, args.out)


def merge_train_args(cfg: Config, args: Namespace) -> Config:
    """Put the flags of ``tools/train.py`` into a config; ``--cfg-options`` come last."""
    _merge_common_args(cfg, args)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        for wrapper in _optim_wrappers(cfg):
            if 'Amp' not in str(wrapper.get('type')):
                wrapper.type = 'AmpOptimWrapper'
                wrapper.setdefault('loss_scale', 'dynamic')
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else _existing_checkpoint(args.resume)
    if args.auto_scale_lr:
        if not cfg.get('auto_scale_lr'):
            raise ValueError('--auto-scale-lr needs auto_scale_lr.base_batch_size in the config: '
                             'the images per iteration that its learning rate is made for.')
        cfg.auto_scale_lr.enable = True
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        _set_loader_defaults(cfg, name, args, persistent_workers=True)
        if cfg.get(name) and args.no_persistent_workers:
            cfg[name].persistent_workers = False
    cfg.merge_from_dict(args.cfg_options or {})
    return cfg


def merge_test_args(cfg: Config, args: Namespace) -> Config:
    """Put the flags of ``tools/test.py`` into a config; ``--cfg-options`` come last."""
    _merge_common_args(cfg, args)
    cfg.load_from = _existing_checkpoint(args.checkpoint)
    cfg.resume = False
    if args.amp:
        cfg.test_cfg.fp16 = True
    if args.show or args.show_dir is not None:
        draw_predictions(cfg, args)
    _set_loader_defaults(cfg, 'test_dataloader', args)
    cfg.merge_from_dict(args.cfg_options or {})
    if args.tta:        # wraps the model that the options are about
        add_test_time_augmentation(cfg)
    return cfg


def build_runner(cfg: Config) -> Runner | FlexibleRunner:
    """Build the runner of a config, changed where this machine needs it; the log says how.

    Raises:
        ValueError: If the library that the config is for does not work, or the runner would pass
            over a setting.
    """
    check_scope(cfg)
    if 'FlexibleRunner' in cfg.get('runner_type', '') and cfg.get('activation_checkpointing'):
        raise ValueError('FlexibleRunner does not read activation_checkpointing: move it to '
                         'strategy.activation_checkpointing.')
    notes = adapt_to_machine(cfg)
    if get_device() == 'cpu' and keep_freed_memory():
        notes.append('There is no GPU: the memory of freed tensors is kept for the next ones.')
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    for note in notes:
        runner.logger.info(note)
    return runner


def adapt_to_machine(cfg: Config) -> list[str]:
    """Change a config where mmengine would stop: no worker processes, or no GPU.

    Without a GPU, distributed processes are connected here, with gloo: mmengine's launchers ask
    for CUDA.

    Returns:
        What was changed, in sentences.
    """
    notes = []
    has_gpu = get_device() not in ('cpu', 'mps')
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(name) or {}
        if not loader.get('num_workers', 0) and loader.get('persistent_workers'):
            loader.persistent_workers = False
            loader.pop('prefetch_factor', None)
            notes.append(f'{name}: num_workers=0, so persistent_workers is off.')
        if not has_gpu and loader.get('pin_memory'):
            loader.pin_memory = False
            notes.append(f'{name}: there is no GPU, so pin_memory is off.')
    if has_gpu:
        return notes
    for wrapper in _optim_wrappers(cfg):
        if wrapper.get('type') == 'AmpOptimWrapper':
            wrapper.type = 'mmpretrain.PortableAmpOptimWrapper'
            notes.append('AmpOptimWrapper needs a GPU: PortableAmpOptimWrapper is used instead.')
    if cfg.get('launcher', 'none') != 'none':
        _connect_without_gpu(cfg)
        notes.append(f'There is no GPU: {distributed.get_world_size()} processes are connected '
                     'with gloo.')
        if cfg.get('sync_bn'):
            cfg.sync_bn = None
            notes.append('There is no GPU: batch statistics are those of each process (sync_bn).')
    return notes


def check_data(runner: Runner, *phases: str) -> None:
    """Build the data sets before the run starts, and see that they have images.

    Args:
        runner: The runner.
        phases: 'train', 'val', 'test'; what the config leaves out is passed over.

    Raises:
        ValueError: If a data set is empty, or an epoch of training has no batch.
    """
    for phase in phases:
        try:
            loop = getattr(runner, f'{phase}_loop')
        except ValueError as error:
            if 'need at least one array' not in str(error):    # of mmengine, to serialize them
                raise
            raise ValueError(
                f'{_source(runner.cfg[f"{phase}_dataloader"].dataset)} has no image with a label: '
                f'expected at least one for {phase}_dataloader. Labels of classes that are not in '
                'its metainfo.classes do not count.') from error
        if isinstance(loop, EpochBasedTrainLoop) and len(loop.dataloader) == 0:
            loader = loop.dataloader
            raise ValueError(
                f'{len(loader.dataset)} training images on {runner.world_size} processes do not '
                f'fill one batch of {loader.batch_size}: lower train_dataloader.batch_size, or set '
                'train_dataloader.drop_last=False.')


def _source(dataset: ConfigDict) -> str:
    """Where the labels of a data set are, by its config."""
    place = dataset.get('ann_file') or dataset.get('data_prefix') or ''
    if isinstance(place, dict):
        place = place.get('seg_map_path') or next(iter(place.values()), '')
    return os.path.join(dataset.get('data_root') or '', place) or dataset.type


def is_meant_for_user(error: Exception) -> bool:
    """Whether an error was raised on purpose, about the user's input.

    That is one of a ``raise`` in this package, and a missing file before the training loop runs.
    """
    path, line = _origin(error)
    if PACKAGE in Path(path).resolve().parents and line.startswith('raise'):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    runs = any(Path(f.filename).name == 'loops.py' and f.name == 'run' for f in frames)
    return isinstance(error, FileNotFoundError) and not runs


def _origin(error: Exception) -> tuple[str, str]:
    """File and source line where an error was raised, be it in a data loader's worker process."""
    if 'in DataLoader worker process' in str(error):    # it holds the worker's traceback as text
        return re.findall(r'File "(.+)", line \d+, in .+\n +(.*)', str(error))[-1]
    last = traceback.extract_tb(error.__traceback__)[-1]
    return last.filename, last.line or ''


def _merge_common_args(cfg: Config, args: Namespace) -> None:
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = os.path.join('work_dirs', Path(args.config).stem)


def _set_loader_defaults(cfg: Config, name: str, args: Namespace, **defaults: bool) -> None:
    """What the library's tools set where the config is silent: configs rely on it."""
    if cfg.get(name) is None:
        return
    cfg[name] = ConfigDict({**loader_defaults(cfg), **defaults, **cfg[name]})
    if args.no_pin_memory:
        cfg[name].pin_memory = False


def _optim_wrappers(cfg: Config) -> Iterator[ConfigDict]:
    """The config of the optimizer wrapper, or of each one if there are several by name."""
    wrapper = cfg.get('optim_wrapper')
    if wrapper is None:
        return
    several = [part for part in wrapper.values() if isinstance(part, dict) and 'optimizer' in part]
    yield from several or [wrapper]


def _existing_checkpoint(path: str) -> str:
    if '://' not in path and not Path(path).expanduser().is_file():
        raise FileNotFoundError(f'Expected a checkpoint at {path}, there is no such file (from the '
                                f'working folder {os.getcwd()}).')
    return path


def _connect_without_gpu(cfg: Config) -> None:
    if not distributed.is_initialized():
        os.environ.update(rank_environment(cfg.launcher))
        distributed.init_process_group('gloo')
    defaults = dict(type='MMDistributedDataParallel', broadcast_buffers=False,
                    find_unused_parameters=cfg.get('find_unused_parameters', False))
    # Without `device_ids=None` mmengine would ask for the GPU of the process's number.
    cfg.model_wrapper_cfg = ConfigDict(
        {**defaults, **(cfg.get('model_wrapper_cfg') or {}), 'device_ids': None})


def rank_environment(launcher: str) -> dict[str, str]:
    """The variables that torch.distributed reads; torchrun has set them itself."""
    if launcher == 'pytorch':
        return {}
    names = dict(zip(('RANK', 'WORLD_SIZE', 'LOCAL_RANK'), _RANK_VARIABLES[launcher], strict=True))
    missing = [source for source in names.values() if source not in os.environ]
    if missing:
        raise ValueError(f'--launcher {launcher} expects the variables {", ".join(missing)}: start '
                         f'the processes with {"srun" if launcher == "slurm" else "mpirun"}.')
    found = {name: os.environ[source] for name, source in names.items()}
    found['MASTER_PORT'] = os.environ.get('MASTER_PORT', '29500')
    if 'MASTER_ADDR' in os.environ:
        return found
    if launcher == 'mpi':
        raise ValueError('--launcher mpi expects MASTER_ADDR, the address of the first machine.')
    hosts = subprocess.run(['scontrol', 'show', 'hostnames', os.environ['SLURM_NODELIST']],
                           capture_output=True, text=True, check=True).stdout
    return {**found, 'MASTER_ADDR': hosts.split()[0]}
