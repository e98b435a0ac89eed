"""Whether a model learns from the labels of its data, and is scored on the same classes."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from torch import Tensor, nn

from ...datasets.coco_file import read_coco
from ...datasets.labelled_pictures import check_pictures
from ...datasets.labels import (
    check_pixels,
    classes_of,
    count_instances,
    file_categories,
    label_names,
    leaves,
    loads_masks,
    read_maps,
    source_of,
)
from ...datasets.metric_annotations import check_ids, check_same_pictures, warn_of_left_out
from ...dense.strides import check_strides
from ...name_lists import listed
from ...registry import HOOKS
from ..unwrapped import unwrapped

_REDUCES = 'reduce_zero_label'
IGNORED = 255       # mmseg's value of pixels without a label
MAPS_READ = 200     # of each data set, before a run
ZERO_ITERATIONS = 100
LARGE_FILE = 100_000_000        # bytes
# The heads that are given the labels of the data, by the names that the libraries give them; those
# of proposals, of a second kind of map (HTC's semantic head) and of others have their own classes.
_JUDGED = ('head', 'decode_head', 'auxiliary_head', 'bbox_head', 'mask_head', 'mask_iou_head',
           'point_head', 'query_head', 'segm_head')
_OF_PIXELS = ('decode_head', 'auxiliary_head')
_LATE_LOSSES = ('loss_adversarial', 'loss_discriminator')     # of the tokenizer: from `start` on
# What a head has whose outputs are not one for each class: text, or the borders of classes.
_OTHER_OUTPUTS = ('max_text_len', 'boundary_threshold')


@HOOKS.register_module()
class LabelCheckHook(Hook):
    """Stops a run that would learn from nothing, or for other classes than it is scored on.

    It looks at the data sets of mmpretrain, mmdet and mmseg, also inside of wrappers. Names of
    classes are compared between the data of training and of validation, with the annotation files
    of COCO's format and, in a test, with the checkpoint and with the labelled images of
    :class:`KNNClassifier`. Instances are counted, pixels of annotations looked at, heads compared
    with the classes, and with the strides of the maps that they read. A loss that is exactly zero
    in each of the first 100 iterations is warned of, and so are another ``reduce_zero_label`` than
    that of the training, and labelled pictures that only the metric knows.

    Raises:
        ValueError: Before the first iteration; for an annotated pixel of which the file was not
            among the 200 that are looked at, in the iteration it is in.
    """

    def __init__(self) -> None:
        self._trained_classes: tuple[str, ...] = ()
        self._trained_reductions: set[bool] = set()
        self._largest: dict[str, Tensor] = {}
        self._num_iterations = 0

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Remember the classes of a checkpoint that is to be tested."""
        meta = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
        if isinstance(meta, dict):
            self._trained_classes = tuple(meta.get('classes') or ())
            self._trained_reductions = {bool(meta[_REDUCES])} if _REDUCES in meta else set()

    def before_train(self, runner: Runner) -> None:
        """Check the training data, and the validation data if there are any."""
        model, dataset = unwrapped(runner.model), runner.train_dataloader.dataset
        _check_heads(dataset, model)
        check_strides(model)
        names = _check_data(dataset, model, is_training=True)
        if runner.val_loop is not None:
            val_dataset = runner.val_dataloader.dataset
            _check_heads(val_dataset, model)
            metrics = _metrics(runner.val_loop)
            val_names = _check_data(val_dataset, model, metrics=metrics)
            _compare(val_names, _where(val_dataset), names, _where(dataset))
            _compare_reductions(val_dataset, _reductions(dataset), _where(dataset))

    def before_test(self, runner: Runner) -> None:
        """Check the test data."""
        model, dataset = unwrapped(runner.model), runner.test_dataloader.dataset
        _check_heads(dataset, model)
        check_strides(model)
        metrics = _metrics(getattr(runner, 'test_loop', None))
        names = _check_data(dataset, model, metrics=metrics)
        _compare(names, _where(dataset), self._trained_classes, 'the checkpoint')
        _compare_reductions(dataset, self._trained_reductions, 'the data of the checkpoint')
        for part in model.modules():
            if (gallery := getattr(part, 'gallery_loader', None)) is not None:
                known = _check_data(gallery.dataset, model)
                _compare(names, _where(dataset), known, _where(gallery.dataset))

    def before_train_iter(self, runner: Runner, batch_idx: int,
                          data_batch: dict | None = None) -> None:
        """Check the annotated pixels of a batch, if it has such.

        Args:
            runner: The runner.
            batch_idx: Number of the batch.
            data_batch: ``data_samples`` as mmseg's data sets give them.
        """
        samples = data_batch.get('data_samples') if isinstance(data_batch, dict) else None
        for sample in samples if isinstance(samples, (list, tuple)) else ():
            if 'gt_sem_seg' in sample and 'gt_instances' not in sample:
                classes = classes_of(next(leaves(runner.train_dataloader.dataset)))
                check_pixels(sample.gt_sem_seg.data, sample.get('seg_map_path'), classes,
                             _ignored(unwrapped(runner.model)))

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Note the losses, without waiting for a GPU; after 100 iterations, see which were zero.

        Args:
            runner: The runner.
            batch_idx: Number of the batch.
            data_batch: The batch.
            outputs: The losses, of which the names contain 'loss'.
        """
        if self._num_iterations >= ZERO_ITERATIONS:
            return
        self._num_iterations += 1
        for name, value in (outputs or {}).items():
            if 'loss' in name and name not in _LATE_LOSSES:
                size = torch.as_tensor(value).detach().abs().max()
                self._largest[name] = torch.maximum(self._largest.get(name, size), size)
        if self._num_iterations == ZERO_ITERATIONS:
            self._warn_of_zeros()

    def after_train(self, runner: Runner) -> None:
        """Look at the losses of a training of fewer than 100 iterations."""
        if self._num_iterations < ZERO_ITERATIONS:
            self._warn_of_zeros()

    def _warn_of_zeros(self) -> None:
        zeros = [name for name, size in self._largest.items() if size.item() == 0]
        if zeros:
            MMLogger.get_current_instance().warning(
                f'Nothing is learned from {", ".join(zeros)}: exactly 0 in each of the first '
                f'{self._num_iterations} iterations. Look at the labels of the data '
                '(the browse_dataset.py of the library draws them), at the weight of the '
                'loss and at num_classes.')


def _check_heads(dataset: Any, model: nn.Module) -> None:
    for leaf in leaves(dataset):
        classes = classes_of(leaf)
        known = len(getattr(leaf, 'cat_ids', classes))
        if known != len(classes):
            raise ValueError(
                f'{source_of(leaf)} knows {known} of the {len(classes)} classes '
                f'{listed(classes)}: correct the names in the dataset\'s metainfo.classes.')
        for name, head in _heads(model):
            if classes and head.num_classes != len(classes):
                raise ValueError(
                    f'model.{name} has {head.num_classes} classes, {source_of(leaf)} has '
                    f'{len(classes)} ({listed(classes)}): set num_classes={len(classes)} there.')
    for name, head in _heads(model):
        _check_outputs(name, head)


def _check_outputs(name: str, head: nn.Module) -> None:
    """A softmax over one output is 1 whatever the model does."""
    num_outputs = getattr(head, 'out_channels', head.num_classes)
    loss = getattr(head, 'loss_decode', getattr(head, 'loss_module', None))
    losses = loss if isinstance(loss, nn.ModuleList) else [loss]
    if num_outputs == 1 and any(getattr(x, 'use_sigmoid', None) is False for x in losses):
        raise ValueError(
            f'model.{name} has one output and a loss with softmax, which is 0 for ever: name the '
            'background as a class too (num_classes=2), or set use_sigmoid=True in the loss.')


def _check_data(dataset: Any, model: nn.Module, is_training: bool = False,
                metrics: Sequence[Any] = ()) -> tuple[str, ...]:
    """Check the labels of a data set; the names of its classes."""
    names: tuple[str, ...] = ()
    for leaf in leaves(dataset):
        found = label_names(leaf)
        _compare(found, source_of(leaf), classes_of(leaf),
                 'the metainfo.classes of its data set')
        _compare(found, source_of(leaf), names, _where(dataset))
        names = names or found
        for metric in metrics:
            _check_metric(metric, found, leaf)
        if is_main_process():
            if is_training:
                _check_file(leaf)
            check_pictures(leaf, MAPS_READ)
            _check_instances(leaf, found, is_training, model)
            _check_maps(leaf, found, is_training, _ignored(model, metrics))
    if is_main_process():
        for api in filter(None, (getattr(metric, '_coco_api', None) for metric in metrics)):
            warn_of_left_out(api, names, dataset)
            check_ids(api)
    return names


def _check_file(leaf: Any) -> None:
    """Look for what mmdet passes over in a file of COCO's format; for large ones it takes long."""
    path = Path(str(getattr(leaf, 'ann_file', '')))
    is_small = path.is_file() and path.stat().st_size < LARGE_FILE
    if is_small and path.suffix == '.json' and hasattr(leaf, 'cat_ids'):
        read_coco(path)


def _check_metric(metric: Any, names: tuple[str, ...], leaf: Any) -> None:
    """The categories of the file that a metric of COCO's kind reads."""
    api = getattr(metric, '_coco_api', None)
    if api is None or not getattr(leaf, 'cat_ids', None):
        return
    check_same_pictures(api, leaf)
    categories = {number: category['name'] for number, category in api.cats.items()}
    numbers = api.getCatIds(catNms=list(names))
    _compare(tuple(categories[number] for number in numbers), 'The annotation file of the metric',
             names, source_of(leaf))


def _check_instances(leaf: Any, names: tuple[str, ...], is_training: bool,
                     model: nn.Module) -> None:
    count = count_instances(leaf)
    if count is None:
        return
    logger, source = MMLogger.get_current_instance(), source_of(leaf)
    if not count.usable:
        message = (f'{source} has no instance to learn from: {count.crowds} are crowds '
                   '(iscrowd=1), the others have empty boxes or lie outside of their images. '
                   'Correct iscrowd and bbox (x, y, width, height) in it.')
        if is_training:
            raise ValueError(message)
        logger.warning(f'{message} Scores on it mean nothing.')
        return
    logger.info(f'{source}: {count.usable} usable instances in {len(leaf)} images'
                f'{f", besides {count.crowds} crowds" if count.crowds else ""}.')
    missing = [name for label, name in enumerate(names) if not count.by_label[label]]
    if missing and is_training:
        logger.warning(f'{source} has no usable instance of {len(missing)} of {len(names)} '
                       f'classes: {listed(missing)}. They will not be learned.')
    _check_unused_categories(leaf, names, logger)
    has_mask_head = any(
        name.rpartition('.')[2] == 'mask_head' for name, _ in model.named_modules())
    if count.without_mask and (loads_masks(leaf) or is_training and has_mask_head):
        raise ValueError(f'{source} has no outline (segmentation) of {count.without_mask} of '
                         f'{count.usable} instances, which masks are learned from and scored by: '
                         'add them; or set model.roi_head.mask_head=None, with_mask=False in the '
                         'pipeline and metric=bbox in the evaluator.')
    if count.too_few_points and loads_masks(leaf):
        message = (f'{source} has outlines (segmentation) of fewer than three points, of '
                   f'{count.too_few_points} of {count.usable} instances: mmdet leaves them out.')
        if is_training and count.too_few_points == count.usable:
            raise ValueError(f'{message} Write polygons as x1, y1, x2, y2, x3, y3, ...')
        logger.warning(message)


def _check_unused_categories(leaf: Any, names: tuple[str, ...], logger: MMLogger) -> None:
    if not getattr(leaf, 'cat_ids', None) or not str(leaf.ann_file).endswith('.json'):
        return
    categories = file_categories(leaf.ann_file, getattr(leaf, 'backend_args', None))
    unused = [name for name in categories.values() if name not in names]
    if unused and set(names) <= set(categories.values()):
        logger.warning(f'{source_of(leaf)} also has {len(unused)} categories that are not in '
                       f'metainfo.classes: {listed(unused)}. Their instances are left out.')


def _check_maps(leaf: Any, names: tuple[str, ...], is_training: bool, ignored: set[int]) -> None:
    present: set[int] = set()
    number = 0
    for path, labels in read_maps(leaf, MAPS_READ):
        check_pixels(labels, path, names, ignored)
        present |= set(torch.from_numpy(labels).unique().tolist()) - ignored
        number += 1
    if number and not present:
        message = (f'{source_of(leaf)} has no labelled pixel in {number} annotations, all are '
                   f'ignored ({", ".join(map(str, sorted(ignored)))}). With reduce_zero_label=True '
                   'the value 0 is ignored too.')
        if is_training:
            raise ValueError(message)
        MMLogger.get_current_instance().warning(f'{message} Scores on it mean nothing.')
    elif is_training and len(present) == 1 < len(names):
        MMLogger.get_current_instance().warning(
            f'All labelled pixels of {number} annotations in {source_of(leaf)} are '
            f'{names[present.pop()]!r}: nothing else will be learned.')


def _compare(names: tuple[str, ...], source: str, others: tuple[str, ...], other: str) -> None:
    """See that two lists name the same classes in the same order, where both name some.

    Raises:
        ValueError: If they differ and have classes in common.
    """
    if not names or not others or names == others:
        return
    pairs = list(zip_longest(names, others, fillvalue='nothing'))
    number = next(i for i, (first, second) in enumerate(pairs) if first != second)
    first, second = pairs[number]
    message = (f'{source} and {other} do not name the same classes in the same order: label '
               f'{number} is {first!r} in the one, {second!r} in the other')
    if set(names) & set(others):
        raise ValueError(f'{message}. Write the categories in one order (in COCO\'s format that of '
                         'the annotation files), or set the same metainfo.classes.')
    MMLogger.get_current_instance().warning(f'{message}. Make sure that they mean the same.')


def _reductions(dataset: Any) -> set[bool]:
    """The values of ``reduce_zero_label`` in data sets of segmentation; none in others."""
    return {bool(getattr(leaf, _REDUCES)) for leaf in leaves(dataset) if hasattr(leaf, _REDUCES)}


def _compare_reductions(dataset: Any, others: set[bool], other: str) -> None:
    """Warn where label 0 is left out in the one and not in the other, where both have it."""
    found = _reductions(dataset)
    if found and others and found != others:
        values = [' and '.join(map(str, sorted(x))) for x in (found, others)]
        MMLogger.get_current_instance().warning(
            f'{_where(dataset)} has {_REDUCES}={values[0]}, {other} {values[1]}. Unless the values '
            'of their files are one apart, the labels of the one are those of the other less one: '
            f'set the same {_REDUCES} in all data sets.')


def _heads(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The parts that tell the classes of the data apart."""
    for name, module in model.named_modules():
        parts = [part for part in name.split('.') if not part.isdecimal()]
        if (parts and parts[-1] in _JUDGED and 'rpn_head' not in parts
                and isinstance(getattr(module, 'num_classes', None), int)
                and not getattr(module, 'class_agnostic', False)
                and not any(hasattr(module, attribute) for attribute in _OTHER_OUTPUTS)):
            yield name, module


def _ignored(model: nn.Module, metrics: Sequence[Any] = ()) -> set[int]:
    """Labels of pixels that all heads pass over; in a validation, that the metrics do."""
    judges = [metric for metric in metrics if hasattr(metric, 'ignore_index')] or [
        head for name, head in _heads(model)
        if any(part in _OF_PIXELS for part in name.split('.')) and hasattr(head, 'ignore_index')]
    found = [{judge.ignore_index} - {None} for judge in judges]
    return set.intersection(*found) if found else {IGNORED}


def _metrics(loop: Any) -> Sequence[Any]:
    """The metrics of all data; those that see one of several data sets each are left out."""
    evaluator = getattr(loop, 'evaluator', None)
    is_of_parts = hasattr(evaluator, 'dataset_prefixes')    # mmdet's MultiDatasetsEvaluator
    return () if is_of_parts else getattr(evaluator, 'metrics', ())


def _where(dataset: Any) -> str:
    return source_of(next(leaves(dataset)))
