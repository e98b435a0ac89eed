"""Writes the complete configs of the stages for the images and the machine at hand."""
from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from ..apis.machine import optim_wrappers
from ..apis.model_source import find_shipped
from ..atomic_write import write_whole
from ..checkpoints.weight_files import sha256_of
from ..config_file import read_config_file
from ..registry import MODELS
from .images import ImageSet
from .length import batches_per_epoch, measure_seconds_per_iter, minutes_at_least, set_length
from .presets import GIGABYTE, PRESETS, Preset, memory_at_hand, memory_need
from .trainings import INPUTS, TITLES, Stage, StageError, get_setting

# So many batches make an epoch at least: fewer images are gone through several times.
MIN_BATCHES = 25
MAX_WORKERS = 8
# What the starting configs define on the way, and what tests.
_LEFTOVERS = ('data_root', 'tokenizer', 'token_predictor', 'network', 'image_size', 'max_epochs',
              'warmup_epochs', 'train_pipeline', 'test_dataloader', 'test_cfg', 'test_evaluator')


def choose_preset(name: str | None, image_size: int | None) -> tuple[str, dict[str, int], str]:
    """The preset to take and the batch of each stage that fits into the memory at hand.

    Args:
        name: The preset; None takes the largest one whose stages fit with their ``min_batch``, and
            without a GPU the small one.
        image_size: Side of the crops in pixels; None takes the preset's.

    Returns:
        Name, batches, and a sentence on how the memory was divided.

    Raises:
        ValueError: If the preset is unknown or does not fit.
    """
    if name is not None and name not in PRESETS:
        raise ValueError(f'preset must be one of {sorted(PRESETS)}, got {name!r}.')
    memory, device = memory_at_hand()
    names = [name] if name else ['small'] if device == 'CPU' else list(reversed(PRESETS))
    for candidate in names:
        preset = PRESETS[candidate]
        cfgs = starting_configs(preset, image_size or preset.image_size)
        needs = {stage: memory_need(cfg) for stage, cfg in cfgs.items()}
        batches = {stage: need.largest_batch(memory, preset.max_batch[stage])
                   for stage, need in needs.items()}
        if min(batches.values()) >= (1 if name else preset.min_batch):
            most = max(need.at(batches[stage]) for stage, need in needs.items())
            return candidate, batches, (
                f'Preset {candidate}: {memory / GIGABYTE:.1f} GB of memory are free ({device}); '
                f'batches of {", ".join(f"{b} ({TITLES[s]})" for s, b in batches.items())} take up '
                f'to about {most / GIGABYTE:.1f} GB.')
    raise ValueError(
        f'{memory / GIGABYTE:.1f} GB of free memory ({device}) are not enough for preset '
        f'{names[-1]} at {image_size or preset.image_size} pixels. Take a smaller --size or '
        '--preset small, or end other programs.')


def starting_configs(preset: Preset, image_size: int) -> dict[str, Config]:
    """The configs of the stages, made to fit each other at ``image_size``.

    Raises:
        ValueError: If the tokenizer's stride does not divide ``image_size``.
    """
    cfgs = {}
    for stage, path in preset.configs.items():
        cfgs[stage] = Config.fromfile(find_shipped('configs') / path)
        cfgs[stage].merge_from_dict(dict(preset.changes.get(stage, {})))
    tokenizer = cfgs['vqgan'].model.tokenizer
    tokenizer.image_size = image_size
    with DefaultScope.overwrite_default_scope('mmpretrain'), torch.device('meta'):
        grid_size = MODELS.build(tokenizer).grid_size   # raises where the size does not fit
    for stage in ('mage', 'addp'):
        cfgs[stage].model.data_preprocessor.tokenizer.model = copy.deepcopy(tokenizer)
    tokens = math.prod(grid_size)
    sampler = cfgs['addp'].model.get('sampler')
    if sampler:
        sampler.num_steps = min(sampler.num_steps, tokens)
    if 'mae' in cfgs:
        patches = image_size // cfgs['mae'].model.backbone.patch_size
        cfgs['mae'].merge_from_dict({'model.backbone.img_size': image_size,
                                     'model.neck.num_patches': patches**2})
    predictor = copy.deepcopy(cfgs['mage'].model.token_predictor)
    cfgs['addp'].model.data_preprocessor.token_predictor.model = predictor
    return cfgs


def stage_config(stage: str, preset: Preset, images: ImageSet, batch: int, out: Path,
                 flip: bool = True, turn: bool = False) -> Config:
    """The config of a stage, but for the length of its training.

    Args:
        stage: One of ``preset.configs``.
        preset: The sizes.
        images: The images.
        batch: Images of an iteration.
        out: The stage works in ``out/<stage>``.
        flip: Mirror half of the images.
        turn: Mirror them both ways, and turn them by quarters.
    """
    cfg = starting_configs(preset, images.image_size)[stage]
    cfg.work_dir = str(out / stage)
    _set_data(cfg, images, batch, augmentation(flip, turn))
    for wrapper in optim_wrappers(cfg):
        wrapper.optimizer.lr = preset.lr[stage]
        wrapper.pop('accumulative_counts', None)
    cfg.pop('auto_scale_lr', None)
    hooks = [hook for hook in cfg.custom_hooks if hook.type != 'EffectiveBatchHook']
    cfg.custom_hooks = [*hooks, dict(type='EffectiveBatchHook', expected=batch)]
    perceptual = cfg.model.get('perceptual_loss')
    if perceptual and not Path(perceptual.weights).is_file():
        cfg.model.perceptual_loss = None
    return cfg


def write_config(cfg: Config, path: Path) -> None:
    """Write a config without bases, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_whole(path, cfg.pretty_text.encode())
    except OSError as error:
        raise StageError(f'Cannot write {path}: {error.strerror}. Make room, then run the same '
                         'command again.') from error


def write_missing_config(stage: str, preset: Preset, images: ImageSet, batch: int, out: Path,
                         minutes: float, say: Callable[[str], None], flip: bool = True,
                         turn: bool = False) -> Path:
    """Write ``out/configs/<stage>.py`` unless it is there, possibly with changes of the user.

    The earlier stages must be finished: an iteration is measured with their weights.

    Args:
        stage: One of ``preset.configs``.
        preset: The sizes.
        images: The images.
        batch: Images of an iteration.
        out: Folder of the whole training.
        minutes: Time for all stages.
        say: Takes a line on the length of the training, or a warning.
        flip: Mirror half of the images.
        turn: Mirror them both ways, and turn them by quarters.

    Returns:
        The path.
    """
    path = out / 'configs' / f'{stage}.py'
    if path.is_file():
        _say_other_inputs(path, out, say)
        return path
    cfg = stage_config(stage, preset, images, batch, out, flip, turn)
    cfg.merge_from_dict({key: str(source.checkpoint) for key, source in _inputs(cfg, out)})
    probe = path.with_name(f'probe_{stage}.py')
    write_config(cfg, probe)
    seconds = measure_seconds_per_iter(probe)
    probe.unlink()
    minutes *= preset.shares[stage]
    set_length(cfg, seconds, minutes)
    write_config(cfg, path)
    say(f'{TITLES[stage]}: {seconds:.2f} s for {cfg.train_dataloader.batch_size} images, '
        f'{cfg.train_cfg.max_epochs} epochs of {batches_per_epoch(cfg)} batches in '
        f'{minutes:.1f} minutes; config: {path}')
    if (shortest := minutes_at_least(cfg, seconds)) > minutes:
        say(f'WARNING: {TITLES[stage]}: even the shortest training takes about {shortest:.1f} '
            f'minutes, more than its {minutes:.1f} of the --time-budget.')
    return path


def _inputs(cfg: Config, out: Path) -> Iterator[tuple[str, Stage]]:
    """The keys that name the checkpoints of earlier stages, and these stages of the folder."""
    for key, source in INPUTS.items():
        if get_setting(cfg, key) is not None:
            yield key, Stage(source, out / 'configs' / f'{source}.py', out / source)


def _say_other_inputs(path: Path, out: Path, say: Callable[[str], None]) -> None:
    """Warn of an earlier stage's checkpoint that is another one than that of the folder.

    The user may have wished it; or the folder is a copy, whose configs name the first one's files.
    """
    cfg = read_config_file(path)
    for key, stage in _inputs(cfg, out):
        named = Path(get_setting(cfg, key))
        if named.is_file() and stage.config.is_file() and stage.is_finished and (
                sha256_of(named) != sha256_of(stage.checkpoint)):
            say(f'WARNING: {path} names {named}, another {stage.title} than {stage.checkpoint}, '
                f'which the report shows. Unless that is wanted, remove {path}: it is written '
                'anew.')


def augmentation(flip: bool, turn: bool) -> list[dict]:
    """The steps of a pipeline that mirror images and, all eight ways alike, turn them."""
    if not turn:
        return [dict(type='RandomFlip', prob=0.5)] * flip
    return [
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        dict(type='RandomFlip', prob=0.5, direction='vertical'),
        dict(type='Rotate', angle=90., prob=0.5, random_negative_prob=0.)
    ]


def _pipelines(images: ImageSet, moves: list[dict]) -> tuple[list[dict], list[dict]]:
    """The steps that load an image to train with and one that is held out."""
    size = images.image_size
    resize: list[dict] = []
    if images.scale == 'native':
        loading: list[dict] = [dict(type='LoadRobustImage'),
                               dict(type='RandomCrop', crop_size=size)]
    else:
        crop = dict(type='RandomResizedCrop', scale=size, crop_ratio_range=(0.2, 1.0),
                    backend='pillow', interpolation='bicubic')
        loading = [dict(type='LoadRobustImage', crop=crop)]
        resize = [dict(type='ResizeEdge', scale=size, backend='pillow', interpolation='bicubic')]
    pack: dict = dict(type='PackInputs')
    return ([dict(type='SeedTransforms'), *loading, *moves, pack],
            [dict(type='LoadRobustImage'), *resize, dict(type='CenterCrop', crop_size=size), pack])


def _set_data(cfg: Config, images: ImageSet, batch: int, moves: list[dict]) -> None:
    """Replace the data loaders."""
    train_pipeline, val_pipeline = _pipelines(images, moves)
    workers = min(MAX_WORKERS, max(1, (os.cpu_count() or 1) // 2))
    common: dict = dict(num_workers=workers, persistent_workers=workers > 0,
                  collate_fn=dict(type='default_collate'))
    train: dict = dict(type='ImageFolder', ann_file=images.train, pipeline=train_pipeline)
    times = math.ceil(MIN_BATCHES * batch / images.num_train)
    if times > 1:
        train = dict(type='RepeatDataset', times=times, dataset=train)
    val = dict(type='ImageFolder', ann_file=images.val, test_mode=True, pipeline=val_pipeline)
    cfg.train_dataloader = dict(
        batch_size=batch, drop_last=True, sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=train, **common)
    cfg.val_dataloader = dict(
        batch_size=min(batch, images.num_val), dataset=val,
        sampler=dict(type='DefaultSampler', shuffle=False), **common)
    cfg.val_cfg = dict()
    for key in _LEFTOVERS:
        cfg.pop(key, None)
    if 'val_evaluator' not in cfg:
        cfg.val_evaluator = dict(type='MaskedTokenCrossEntropy')
