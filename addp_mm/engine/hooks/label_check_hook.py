"""Whether the labels of a detection or segmentation data set fit the model."""
from __future__ import annotations

from collections.abc import Iterator, Sequence

from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from ...registry import HOOKS
from ..unwrapped import unwrapped

IGNORED = 255       # mmseg's value of pixels without a label


@HOOKS.register_module()
class LabelCheckHook(Hook):
    """Stops a run whose data have other classes than the model's heads or the annotation file.

    Without it mmdet drops classes that the annotation file does not know without a word, and a
    label that no output stands for ends in an index out of bounds, on a GPU in a failed assertion
    of a kernel.

    Raises:
        ValueError: Before the first iteration; for an annotated pixel, in the iteration it is in.
    """

    def before_train(self, runner: Runner) -> None:
        """Check the training data, and the validation data if there are any."""
        _check(runner.train_dataloader.dataset, runner.model)
        if runner.val_loop is not None:
            _check(runner.val_dataloader.dataset, runner.model)

    def before_test(self, runner: Runner) -> None:
        """Check the test data."""
        _check(runner.test_dataloader.dataset, runner.model)

    def before_train_iter(self, runner: Runner, batch_idx: int,
                          data_batch: dict | None = None) -> None:
        """Check the annotated pixels of a batch, if it has such.

        Args:
            runner: The runner.
            batch_idx: Number of the batch.
            data_batch: ``data_samples`` as mmseg's data sets give them.
        """
        classes = runner.train_dataloader.dataset.metainfo.get('classes', ())
        for sample in (data_batch or {}).get('data_samples', ()):
            if 'gt_sem_seg' in sample:
                _check_pixels(sample, classes)


def _check(dataset: BaseDataset, model: nn.Module) -> None:
    classes = dataset.metainfo.get('classes') or ()
    known = len(getattr(dataset, 'cat_ids', classes))
    if known != len(classes):
        raise ValueError(
            f'{_source(dataset)} knows {known} of the {len(classes)} classes '
            f'{_shorten(classes)}: correct the names in the dataset\'s metainfo.classes.')
    for name, head in _heads(unwrapped(model)):
        if classes and head.num_classes != len(classes):
            raise ValueError(
                f'model.{name} has {head.num_classes} classes, {_source(dataset)} has '
                f'{len(classes)} ({_shorten(classes)}): set num_classes={len(classes)} there.')


def _check_pixels(sample: dict, classes: Sequence[str]) -> None:
    labels = sample.gt_sem_seg.data
    labels = labels[labels != IGNORED]
    if len(labels) and int(labels.max()) >= len(classes):
        raise ValueError(
            f'The annotation {sample.get("seg_map_path")} has label {int(labels.max())}, expected '
            f'0 to {len(classes) - 1} for {len(classes)} classes, or {IGNORED} for ignored. (With '
            'reduce_zero_label=True, labels are the values of the file less one.)')


def _heads(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The parts that tell the classes of the data apart; a region proposal head does not."""
    for name, module in model.named_modules():
        last = name.rpartition('.')[2]
        is_head = 'head' in last or last.isdecimal() and 'head' in name
        if is_head and 'rpn_head' not in name and isinstance(
                getattr(module, 'num_classes', None), int):
            yield name, module


def _source(dataset: BaseDataset) -> str:
    """Where the labels of a data set come from."""
    dataset = getattr(dataset, 'dataset', dataset)      # of a wrapper
    prefix = getattr(dataset, 'data_prefix', None) or {}
    return (getattr(dataset, 'ann_file', None) or prefix.get('seg_map_path')
            or f'The {type(dataset).__name__}')


def _shorten(names: Sequence[str]) -> str:
    shown = ', '.join(names[:4])
    return f'{shown}, ...' if len(names) > 4 else shown
