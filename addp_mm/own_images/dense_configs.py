"""Writes complete configs of a detector and a segmentor for one's own images and labels."""
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from ..apis.model_source import find_shipped
from ..atomic_write import write_whole
from ..config_file import read_config_file
from ..result_folder import read_json
from .labels import LabelledImages

# The configs that each encoder starts from. What is written is of the images at hand.
STARTS = {
    'small': ('nuclei/mask-rcnn_nuclei-128.py', 'nuclei/upernet_nuclei-128.py'),
    'base': ('nuclei/mask-rcnn_vitdet-b_nuclei-512.py', 'nuclei/upernet_vit-b_nuclei-512.py'),
}
_LOADERS = dict(train_dataloader='train', val_dataloader='val', test_dataloader='val')
_COLOURS = 0x9E3779


def write_dense_configs(found: LabelledImages, annotations: Path, pretrained: Path,
                        stretch: bool = False) -> list[Path]:
    """Write ``annotations/mask-rcnn.py`` and ``annotations/upernet.py``, unless they are there.

    Args:
        found: The labelled images.
        annotations: What ``write_annotations`` wrote.
        pretrained: What the command ``train_from_folder.py`` wrote, with a finished ADDP.
        stretch: Stretch grey images to their range, also where the pre-training did not.

    Returns:
        The two paths.

    Raises:
        FileNotFoundError: If ``pretrained`` holds no finished ADDP.
        ValueError: If its encoder has a size without a config to start from, or a config that is
            there starts from another checkpoint or does not stretch.
    """
    config = pretrained / 'configs' / 'addp.py'
    if not config.is_file():
        raise FileNotFoundError(f'Expected the config of a pre-training at {config}, there is '
                                'none: name the --out of train_from_folder.py.')
    encoder = read_config_file(config, import_custom_modules=False)
    checkpoint = pretrained / 'addp' / f'epoch_{encoder.train_cfg.max_epochs}.pth'
    if not checkpoint.is_file():
        raise FileNotFoundError(f'{checkpoint} is not there yet: let the pre-training end first.')
    starts = _starts(encoder.model.backbone.arch, config)
    changes = (_detection_changes(found, annotations), _segmentation_changes(found, annotations))
    paths = [annotations / 'mask-rcnn.py', annotations / 'upernet.py']
    for path in filter(Path.is_file, paths):
        _check_kept(path, checkpoint, stretch)
    for path, cfg, change in zip(paths, starts, changes, strict=True):
        if path.is_file():
            continue
        cfg.merge_from_dict(change)
        cfg.merge_from_dict({
            'model.backbone.init_cfg.checkpoint': str(checkpoint.absolute()),
            'work_dir': str(path.with_suffix('').absolute())})
        if hasattr(cfg.model.backbone, 'pretrain_img_size'):
            size = encoder.model.data_preprocessor.tokenizer.model.image_size
            cfg.model.backbone.pretrain_img_size = size
        if stretch or _was_stretched(pretrained):
            for transform in _loading(cfg):
                transform.backend_args.stretch = True
        write_whole(path, cfg.pretty_text.encode())
    return paths


def _starts(arch: str | dict, config: Path) -> list[Config]:
    """The configs that an encoder of this architecture starts from; ValueError without such."""
    kind = arch if isinstance(arch, str) else 'small'
    cfgs = [Config.fromfile(find_shipped('configs') / name, import_custom_modules=False)
            for name in STARTS.get(kind, ())]
    is_other = isinstance(arch, dict) and any(
        cfg.model.backbone.arch.get(name) != size for cfg in cfgs for name, size in arch.items())
    if not cfgs or is_other:
        raise ValueError(f'The encoder of {config} is {arch!r}, and there are configs for '
                         f'{list(STARTS)}: change those of configs/mmdet and configs/mmseg.')
    return cfgs


def _check_kept(path: Path, checkpoint: Path, stretch: bool) -> None:
    """Raise ValueError if a config, which the user may have changed, is not what is asked for."""
    cfg = read_config_file(path, import_custom_modules=False)
    init_cfg = cfg.get('model', {}).get('backbone', {}).get('init_cfg')
    named = init_cfg.get('checkpoint') if isinstance(init_cfg, dict) else None
    if named is not None and os.path.realpath(named) != os.path.realpath(checkpoint):
        raise ValueError(f'{path} starts from {named}, not from {checkpoint}, and nothing is '
                         'replaced: name another --out, or remove this config.')
    stretches = [(transform.get('backend_args') or {}).get('stretch')
                 for transform in _loading(cfg)]
    if stretch and not (stretches and all(stretches)):
        raise ValueError(f'{path} does not stretch grey images, and nothing is replaced: name '
                         'another --out, or remove this config.')


def _was_stretched(pretrained: Path) -> bool:
    """Whether the encoder has seen grey images stretched to their range."""
    record = pretrained / 'images.json'
    return record.is_file() and read_json(record).get('stretch', False)


def _loading(cfg: Config) -> Iterator[ConfigDict]:
    """The transforms of a config that load an image."""
    pipelines = [cfg[loader].dataset.pipeline for loader in _LOADERS if loader in cfg]
    pipelines += [cfg[name] for name in ('train_pipeline', 'test_pipeline') if name in cfg]
    for pipeline in pipelines:
        yield from (transform for transform in pipeline if transform.type == 'LoadImageFromFile')


def _detection_changes(found: LabelledImages, annotations: Path) -> dict[str, Any]:
    classes = tuple(category['name'] for category in found.categories)
    changes: dict[str, Any] = {f'model.roi_head.{head}_head.num_classes': len(classes)
                               for head in ('bbox', 'mask')}
    for loader, part in _LOADERS.items():
        changes.update({f'{loader}.dataset.{key}': value for key, value in dict(
            data_root='', ann_file=str(annotations.absolute() / f'{part}.json'),
            data_prefix=dict(img=str(found.root.absolute())),
            metainfo=dict(classes=classes)).items()})
    evaluated = str(annotations.absolute() / 'val.json')
    return {**changes, 'data_root': '', 'metainfo': dict(classes=classes),
            'val_evaluator.ann_file': evaluated, 'test_evaluator.ann_file': evaluated}


def _segmentation_changes(found: LabelledImages, annotations: Path) -> dict[str, Any]:
    classes = ('background', *(category['name'] for category in found.categories))
    metainfo = dict(classes=classes, palette=[_colour(i) for i in range(len(classes))])
    changes: dict[str, Any] = {f'model.{head}.num_classes': len(classes)
                               for head in ('decode_head', 'auxiliary_head')}
    for loader, part in _LOADERS.items():
        changes.update({f'{loader}.dataset.{key}': value for key, value in dict(
            data_root='', ann_file=str(annotations.absolute() / f'{part}.txt'),
            data_prefix=dict(img_path=str(found.root.absolute()),
                             seg_map_path=str(annotations.absolute() / 'maps')),
            metainfo=metainfo).items()})
    return {**changes, 'data_root': '', 'metainfo': metainfo}


def _colour(index: int) -> list[int]:
    """Black for the background, and colours that differ."""
    code = index * _COLOURS % 2**24
    return [code >> 16, code >> 8 & 255, code & 255]
