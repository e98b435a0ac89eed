"""Trainings and tests from configs, with what OpenMMLab's tools set on their command lines.

Importing this module imports ``addp_mm``, so that configs of other scopes know its parts as well.
"""
from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from mmengine.config import Config, ConfigDict
from mmengine.dataset import InfiniteSampler
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.registry import RUNNERS
from mmengine.runner import EpochBasedTrainLoop, FlexibleRunner, Runner
from torch import nn
from torch.utils.data import DataLoader

from ..atomic_write import write_whole
from ..checkpoints import read_pointer
from ..config_errors import errors_explained
from ..config_file import read_config_file
from ..datasets.coco_file import read_coco
from ..engine.hooks import CheckpointFitHook
from ..error_origin import places
from ..generation import ImageGenerator
from .check_config import check_custom_keys, check_settings, set_options
from .check_numbers import check_numbers, look_at_other_schedules
from .freed_memory import keep_freed_memory
from .library_scopes import (
    add_test_time_augmentation,
    check_scope,
    draw_predictions,
    dump_whole,
    loader_defaults,
    prediction_dump,
)
from .machine import adapt_to_machine, optim_wrappers, rank_environment

_PREDICTIONS, _METRICS = ('.pkl', '.pickle'), ('.json', '.yaml', '.yml', '.pkl', '.pickle')


def train(config: str | Path | Config, **options: Any) -> Runner | FlexibleRunner:
    """Train.

    Args:
        config: Config file, or config.
        **options: See :func:`train_config`.

    Returns:
        The runner.

    Raises:
        FileNotFoundError: If the checkpoint to resume or the training data does not exist.
        ValueError: If the training data does not fill one batch, or a batch norm has but one value.
        KeyboardInterrupt: After Ctrl-C; the log then says how to go on.

    Example:
        >>> train('configs/digits/addp.py', work_dir='work_dirs/mine', resume=True)
    """
    cfg = train_config(config, **options)
    with _config_kept(cfg):
        return _train(cfg)


def _train(cfg: Config) -> Runner | FlexibleRunner:
    runner = build_runner(cfg)
    check_custom_keys(runner.cfg, runner.model)
    _check_sampler(runner.model)
    check_data(runner, 'train', 'val')
    for warning in look_at_other_schedules(runner.cfg, len(runner.train_dataloader)):
        runner.logger.warning(warning)
    if isinstance(runner, FlexibleRunner):      # it loads before any hook is called
        runner.call_hook('choose_checkpoint')
    try:
        with errors_explained(runner.cfg, lambda error: _trouble(runner, error)):
            runner.train()
    except KeyboardInterrupt:
        last = read_pointer(runner.work_dir)
        runner.logger.warning(
            f'Interrupted in iteration {runner.iter + 1}. ' +
            (f'The last checkpoint is {last}; the same command with --resume goes on from there.'
             if last else 'There is no checkpoint yet: --resume would start anew.'))
        raise
    except ValueError as error:
        if 'more than 1 value per channel' not in str(error):       # of torch's batch norm
            raise
        raise ValueError('A batch norm saw one value for each channel: a batch of one image per '
                         'process, in a layer that pools the whole map. Set train_dataloader.'
                         'batch_size to 2 or more, or a norm that needs no batch (GN, or SyncBN '
                         'on several processes).') from error
    return runner


def test(config: str | Path | Config, checkpoint: str | Path, out: str | None = None,
         out_item: str | None = None, **options: Any) -> dict[str, float]:
    """Test a checkpoint.

    Args:
        config: Config file, or config.
        checkpoint: The weights, a file or a URL.
        out: File for the results.
        out_item: What goes there: 'metrics' or 'pred', the predictions; these by default.
        **options: See :func:`test_config`.

    Returns:
        The metrics.

    Raises:
        FileNotFoundError: If the checkpoint does not exist.
        ValueError: If options do not fit each other or the config.
    """
    if out is None and out_item is not None:
        raise ValueError('--out-item says what to write, expected --out FILE as well.')
    endings = _METRICS if out_item == 'metrics' else _PREDICTIONS
    if out and not str(out).endswith(endings):
        raise ValueError(f'--out must end in {" or ".join(endings)} for {out_item or "pred"}, got '
                         f'{out}. --out-item says what is written.')
    cfg = test_config(config, checkpoint, **options)
    runner = build_runner(cfg)
    check_data(runner, 'test')
    if out and out_item in ('pred', None):
        runner.test_evaluator.metrics.append(prediction_dump(cfg, out))
    with errors_explained(cfg, 'The test fails'):
        metrics = runner.test()
    if out and out_item == 'metrics' and is_main_process():
        dump_whole(metrics, out)
    return metrics


def train_config(config: str | Path | Config, work_dir: str | Path | None = None,
                 amp: bool = False, resume: bool | str | Path | None = None,
                 validate: bool = True, auto_scale_lr: bool = False, pin_memory: bool = True,
                 persistent_workers: bool = True, launcher: str = 'none',
                 cfg_options: Mapping[str, Any] | None = None) -> Config:
    """A config of a training as OpenMMLab's training tools change it.

    Args:
        config: Config file, or config, which is changed.
        work_dir: Folder of logs, checkpoints and results; None: that of the config, or else one of
            its name in ``work_dirs``.
        amp: Use mixed precision.
        resume: True or 'auto': go on from the last whole checkpoint in the folder, if there is one,
            with the settings of this config; or a checkpoint to go on from. None: go on if the
            folder holds a run with the same settings.
        validate: Validate in between.
        auto_scale_lr: Scale the learning rate with the actual batch.
        pin_memory: False turns it off in the data loaders.
        persistent_workers: False: start new processes of the data loaders in every epoch.
        launcher: What started the processes of a distributed run: 'none', 'pytorch', 'slurm' or
            'mpi'.
        cfg_options: Settings by dotted key; they come last.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If the learning rate is to be scaled, and the config does not say its batch.
    """
    cfg = _with_common(config, work_dir, launcher)
    if not validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if amp:
        for wrapper in optim_wrappers(cfg):
            if 'Amp' not in str(wrapper.get('type')):
                wrapper.type = 'AmpOptimWrapper'
                wrapper.setdefault('loss_scale', 'dynamic')
            elif str(wrapper.get('dtype')) in ('float32', 'torch.float32'):
                del wrapper.dtype       # the default of the wrapper is a half precision
    if resume:
        _set_resume(cfg, resume)
    if auto_scale_lr:
        if not cfg.get('auto_scale_lr'):
            raise ValueError('--auto-scale-lr needs auto_scale_lr.base_batch_size in the config: '
                             'the images per iteration that its learning rate is made for.')
        cfg.auto_scale_lr.enable = True
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        _set_loader_defaults(cfg, name, pin_memory, persistent_workers=True)
        if cfg.get(name) and not persistent_workers:
            cfg[name].persistent_workers = False
    set_options(cfg, cfg_options)
    return cfg


def _set_resume(cfg: Config, resume: Literal[True] | str | Path) -> None:
    """Have a run go on. At its first start, `load_from` in the config means its start values."""
    if resume is not True and resume != 'auto':
        cfg.resume, cfg.load_from = True, _existing_checkpoint(resume)
    elif cfg.get('load_from') is None or read_pointer(cfg.work_dir):
        cfg.resume, cfg.load_from = True, None


def test_config(config: str | Path | Config, checkpoint: str | Path,
                work_dir: str | Path | None = None, amp: bool = False, show: bool = False,
                show_dir: str | None = None, interval: int = 1, wait_time: float = 2.,
                tta: bool = False, pin_memory: bool = True, launcher: str = 'none',
                cfg_options: Mapping[str, Any] | None = None) -> Config:
    """A config of a test as OpenMMLab's test tools change it.

    Args:
        config: Config file, or config, which is changed.
        checkpoint: The weights, a file or a URL.
        work_dir: See :func:`train_config`.
        amp: Use mixed precision.
        show: Show the predictions in a window.
        show_dir: Folder for pictures of the predictions.
        interval: Show every n-th sample.
        wait_time: Seconds to show each window.
        tta: Average over augmented images.
        pin_memory: False turns it off in the data loader.
        launcher: See :func:`train_config`.
        cfg_options: Settings by dotted key; they come last.

    Raises:
        FileNotFoundError: If the checkpoint does not exist.
        ValueError: If the config lacks what draws, or the views of an image cannot be merged.
    """
    cfg = _with_common(config, work_dir, launcher)
    cfg.load_from = _existing_checkpoint(checkpoint)
    cfg.resume = False
    if amp:
        cfg.test_cfg.fp16 = True
    if show or show_dir is not None:
        draw_predictions(cfg, show, show_dir, interval, wait_time)
    _set_loader_defaults(cfg, 'test_dataloader', pin_memory)
    set_options(cfg, cfg_options)
    if tta:             # wraps the model that the options are about
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
    check_settings(cfg)
    warnings = check_numbers(cfg)
    notes = adapt_to_machine(cfg)
    if get_device() == 'cpu' and keep_freed_memory():
        notes.append('There is no GPU: the memory of freed tensors is kept for the next ones.')
    with errors_explained(cfg, 'The runner of the config cannot be built'):
        runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    if not any(isinstance(hook, CheckpointFitHook) for hook in runner.hooks):
        runner.register_hook(CheckpointFitHook(), priority='LOWEST')
    for note in notes:
        runner.logger.info(note)
    for warning in warnings:
        runner.logger.warning(warning)
    return runner


def check_data(runner: Runner, *phases: str) -> None:
    """Build the data sets before the run starts, and see that they have images.

    Args:
        runner: The runner.
        phases: 'train', 'val', 'test'; what the config leaves out is passed over.

    Raises:
        ValueError: If a data set is empty, an epoch of training has no batch or no end, or no
            batch is scored.
    """
    for phase in phases:
        try:
            with errors_explained(runner.cfg, f'{phase}_dataloader cannot be built'):
                loop = getattr(runner, f'{phase}_loop')
        except ValueError as error:
            source = _source(runner.cfg[f'{phase}_dataloader'].dataset)
            if source.endswith('.json'):
                read_coco(source)       # says what is wrong in it
            if 'need at least one array' not in str(error):    # of mmengine, to serialize them
                raise
            raise ValueError(
                f'{source} has no image with a label: '
                f'expected at least one for {phase}_dataloader. Labels of classes that are not in '
                f'its metainfo.classes do not count.{_suffix_hint(runner, phase)}') from error
        if isinstance(loop, EpochBasedTrainLoop) and _never_ends(loop.dataloader):
            raise ValueError(
                'train_dataloader.sampler is an InfiniteSampler, whose epochs never end, and '
                'train_cfg counts epochs: take sampler=dict(type=\'DefaultSampler\', '
                'shuffle=True), or train_cfg=dict(by_epoch=False, max_iters=...).')
        if isinstance(loop, EpochBasedTrainLoop) and len(loop.dataloader) == 0:
            loader = loop.dataloader
            raise ValueError(
                f'{len(loader.dataset)} training images on {runner.world_size} processes do not '
                f'fill one batch of {loader.batch_size}: lower train_dataloader.batch_size, or set '
                'train_dataloader.drop_last=False.')
        if phase != 'train' and getattr(getattr(loop, 'dataloader', None), 'drop_last', False):
            _check_dropped(runner, phase, loop.dataloader)


def _check_dropped(runner: Runner, phase: str, loader: DataLoader) -> None:
    """Say what a last batch that is not full would be missing in the scores."""
    share = len(loader.sampler)
    dropped = runner.world_size * (share - len(loader) * loader.batch_size)
    remedy = f'Set {phase}_dataloader.drop_last=False.'
    if len(loader) == 0:
        raise ValueError(f'{share} images for each process do not fill one batch of '
                         f'{loader.batch_size}, and {phase}_dataloader.drop_last leaves them out: '
                         f'nothing is scored. {remedy}')
    if dropped:
        runner.logger.warning(f'{phase}_dataloader.drop_last leaves {dropped} of '
                              f'{len(loader.dataset)} images out of the scores. {remedy}')


def _never_ends(loader: DataLoader) -> bool:
    return isinstance(getattr(loader.batch_sampler, 'sampler', None), InfiniteSampler)


@contextmanager
def _config_kept(cfg: Config) -> Iterator[None]:
    """Put the config of an earlier run in the folder back, if this one is refused at its start.

    mmengine writes it anew as soon as it builds a runner.
    """
    path = Path(str(cfg.work_dir), Path(cfg.filename or '').name)
    earlier = path.read_bytes() if path.is_file() else None
    try:
        yield
    except Exception as error:
        is_under_way = any(Path(place.file).name == 'loops.py' for place in places(error))
        if earlier is not None and not is_under_way:
            write_whole(path, earlier)
        raise


def _check_sampler(model: nn.Module) -> None:
    """A model keeps the options of its sampler until it generates; see now that they are right."""
    if getattr(model, 'sampler', None):
        ImageGenerator(model)


def _trouble(runner: Runner, error: Exception) -> str:
    """What an error in a training means; after what has gone well once it may be one of the code.

    Of the loops, that of training calls that of validation.
    """
    loops = [place for place in places(error) if (Path(place.file).name, place.function) == (
        'loops.py', 'run')]
    names = [name for name in runner.message_hub.log_scalars if not name.endswith('time')]
    part, sign = ('validation', 'val/') if len(loops) > 1 else ('iteration', 'loss')
    has_gone_well = any(sign in name for name in names)
    return '' if has_gone_well else f'The training fails in its first {part}'


def _suffix_hint(runner: Runner, phase: str) -> str:
    """For mmseg, which finds pictures by their ending."""
    dataset = runner.cfg[f'{phase}_dataloader'].dataset
    prefix = dataset.get('data_prefix')
    pictures = prefix.get('img_path') if isinstance(prefix, dict) else None
    if pictures is None or dataset.get('ann_file'):
        return ''
    ending = dataset.get('img_suffix', '.jpg')
    return (f' Only pictures in {os.path.join(dataset.get("data_root") or "", pictures)} that end '
            f'in img_suffix={ending!r} are looked for.')


def _source(dataset: ConfigDict) -> str:
    """Where the labels of a data set are, by its config."""
    place = dataset.get('ann_file') or dataset.get('data_prefix') or ''
    if isinstance(place, dict):
        place = place.get('seg_map_path') or next(iter(place.values()), '')
    return os.path.join(dataset.get('data_root') or '', place) or dataset.type


def _with_common(config: str | Path | Config, work_dir: str | Path | None,
                 launcher: str) -> Config:
    cfg = config if isinstance(config, Config) else read_config_file(config)
    cfg.launcher = launcher
    if launcher != 'none':
        rank_environment(launcher)      # stops where the processes were not started by it
    if work_dir is not None:
        cfg.work_dir = str(work_dir)
    elif cfg.get('work_dir') is None:
        cfg.work_dir = os.path.join('work_dirs', Path(cfg.filename).stem)
    return cfg


def _set_loader_defaults(cfg: Config, name: str, pin_memory: bool, **defaults: bool) -> None:
    """What the library's tools set where the config is silent: configs rely on it."""
    if cfg.get(name) is None:
        return
    cfg[name] = ConfigDict({**loader_defaults(cfg), **defaults, **cfg[name]})
    if not pin_memory:
        cfg[name].pin_memory = False


def _existing_checkpoint(path: str | Path) -> str:
    if '://' not in str(path) and not Path(path).expanduser().is_file():
        raise FileNotFoundError(f'Expected a checkpoint at {path}, there is no such file (from the '
                                f'working folder {os.getcwd()}).')
    return str(path)
