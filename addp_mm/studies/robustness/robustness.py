"""Accuracy of a classifier on ImageNet-A, -R, -Sketch and -C (paper Sec. C.3, Tab. 9)."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.runner.amp import autocast

from ...cli.progress import progress_bar
from ...datasets.class_subset_folder import class_folders, class_list
from ...datasets.transforms import CorruptImage
from ...evaluation.class_subset_accuracy import CORRUPTIONS, SEVERITIES
from ...name_lists import listed
from ...result_folder import ResultFolder

# The list of classes of each data set.
CLASSES_OF = {
    'imagenet-a': 'imagenet-a', 'imagenet-r': 'imagenet-r', 'imagenet-sketch': 'imagenet-1k',
    'imagenet-c': 'imagenet-1k',
}
CORRUPTED = 'imagenet-c'
CLEAN = 'imagenet-val'      # what ImageNet-C can be made of


@dataclass(frozen=True)
class RobustnessPart:
    """Images that are measured together.

    Attributes:
        name: 'imagenet-a', 'imagenet-r', 'imagenet-sketch', or for ImageNet-C
            'imagenet-c_fog_3' and so on.
        folder: The folder of the class folders.
        corrupt: Arguments of ``CorruptImage`` where the images are corrupted on the fly.
    """

    name: str
    folder: Path
    corrupt: Mapping[str, Any] | None = None

    @property
    def data_set(self) -> str:
        """The data set, such as 'imagenet-c'."""
        return self.name.partition('_')[0]

    @property
    def source(self) -> dict[str, Any]:
        """What the images are, for the records."""
        return dict(folder=str(self.folder.resolve()),
                    corrupted_on_the_fly=self.corrupt and dict(self.corrupt))


def part_names() -> list[str]:
    """The names of all parts, in the order of the table."""
    return [name for data_set in CLASSES_OF for name in (
        [corrupted_name(c, s) for c in CORRUPTIONS for s in SEVERITIES]
        if data_set == CORRUPTED else [data_set])]


def corrupted_name(corruption: str, severity: int) -> str:
    """The name of a part of ImageNet-C."""
    return f'{CORRUPTED}_{corruption}_{severity}'


def subset_of(data_set: str, class_names: Sequence[str] | None) -> str | None:
    """The list that a data set's classes must be those of; None for a classifier of own classes."""
    return CLASSES_OF[data_set] if class_names is None else None


def plan_parts(folders: Mapping[str, Path],
               class_names: Sequence[str] | None = None) -> list[RobustnessPart]:
    """Find what there is to measure, and see that all class folders are there.

    Args:
        folders: Folders by 'imagenet-a', 'imagenet-r', 'imagenet-sketch', 'imagenet-c' (with
            ``<corruption>/<severity>/<class>/``) and 'imagenet-val' (to be corrupted on the fly).
        class_names: The classes of the classifier, if they are not ImageNet's.

    Returns:
        The parts, at least one.

    Raises:
        FileNotFoundError: If a folder, or one of a corruption, does not exist.
        ImportError: If images are to be corrupted, and the package for it is not installed.
        ValueError: If none is named, ImageNet-C is named in both ways, or class folders do not
            match.
    """
    if not folders:
        raise ValueError('Name at least one data set: --imagenet-a, --imagenet-r, '
                         '--imagenet-sketch, and --imagenet-c or --imagenet-val.')
    if CORRUPTED in folders and CLEAN in folders:
        raise ValueError('Name the corrupted images (--imagenet-c) or the clean ones to corrupt '
                         '(--imagenet-val), not both.')
    for name, folder in folders.items():
        if not folder.is_dir():
            raise FileNotFoundError(f'Expected {name} at {folder}, there is no such folder.')
    parts = [RobustnessPart(name, folders[name])
             for name in CLASSES_OF if name in folders and name != CORRUPTED]
    if CORRUPTED in folders:
        parts += _corrupted_parts(folders[CORRUPTED])
    if CLEAN in folders:
        parts += [RobustnessPart(corrupted_name(c, s), folders[CLEAN],
                                 dict(corruption=c, severity=s))
                  for c in CORRUPTIONS for s in SEVERITIES]
        for part in parts:      # what is wrong with it stops before anything is measured
            if part.corrupt is not None:
                CorruptImage(**part.corrupt)
    for data_set, folder in dict.fromkeys((part.data_set, part.folder) for part in parts):
        class_folders(folder, class_names or class_list('imagenet-1k'),
                      subset_of(data_set, class_names))
    return parts


def _corrupted_parts(root: Path) -> list[RobustnessPart]:
    wanted = {f'{c}/{s}': corrupted_name(c, s) for c in CORRUPTIONS for s in SEVERITIES}
    missing = [path for path in wanted if not (root / path).is_dir()]
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of the {len(wanted)} folders CORRUPTION/SEVERITY of ImageNet-C are '
            f'not in {root}: {listed(missing)}. Unpack '
            'noise.tar, blur.tar, weather.tar and digital.tar into this one folder.')
    return [RobustnessPart(name, root / path) for path, name in wanted.items()]


def part_pipeline(pipeline: Sequence[dict], part: RobustnessPart) -> list[dict]:
    """Fit the test pipeline of a classifier to the images of a part.

    The images of ImageNet-C are what is left after a resize and a crop. So their shorter side
    becomes the size of the classifier's crop, and no margin is cut off a second time.

    Args:
        pipeline: The classifier's own one; the first step loads the image.
        part: The images.

    Returns:
        The pipeline for them.
    """
    if part.data_set != CORRUPTED:
        return list(pipeline)
    crop = next((step['crop_size'] for step in pipeline if _kind(step) == 'CenterCrop'), None)
    load, *steps = [
        dict(step, scale=crop) if crop is not None and _kind(step) == 'ResizeEdge' else step
        for step in pipeline
    ]
    if part.corrupt is None:
        return [load, *steps]
    made = [        # as ImageNet-C was made (Hendrycks and Dietterich 2019)
        dict(type='ResizeEdge', scale=256, backend='pillow', interpolation='bilinear'),
        dict(type='CenterCrop', crop_size=224),
        dict(type='CorruptImage', **part.corrupt),
    ]
    return [load, *made, *steps]


def _kind(step: Mapping[str, Any]) -> str:
    return getattr(step['type'], '__name__', str(step['type'])).rpartition('.')[-1]


def test_pipeline(cfg: Config) -> list[dict]:
    """The test pipeline of a config, or else the one of its validation.

    Raises:
        ValueError: If the config has none.
    """
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader') or {}
    pipeline = loader.get('dataset', {}).get('pipeline')
    if not pipeline:
        raise ValueError(f'The config {cfg.filename} has no test_dataloader with a pipeline, which '
                         'says how images are prepared: choose the config of a classifier.')
    return list(pipeline)


@dataclass
class RobustnessRun:
    """Measures parts one after the other, and keeps what is done.

    Several processes may work in one folder: each takes what no other works on.

    Attributes:
        model: The classifier, on its device.
        pipeline: Its test pipeline.
        out: Folder of the results.
        class_names: Its classes, if they are not ImageNet's.
        batch_size: Images at a time.
        num_workers: Processes that load images.
        amp: Whether to run in mixed precision.
        about: What else the results depend on.
        results: What is measured, by ``parts/<name>``.

    Raises:
        ValueError: If the folder holds results of another model or other settings.
    """

    model: BaseModel
    pipeline: Sequence[dict]
    out: Path
    class_names: Sequence[str] | None = None
    batch_size: int = 64
    num_workers: int = 4
    amp: bool = False
    about: dict[str, Any] = field(default_factory=dict)
    results: ResultFolder = field(init=False)

    def __post_init__(self) -> None:
        """Make the folder, or see that it holds results of the same model and settings."""
        self.results = ResultFolder(self.out, dict(
            self.about, amp=self.amp, pipeline=self.pipeline, class_names=self.class_names))

    def run_part(self, part: RobustnessPart) -> dict[str, Any] | None:
        """Measure a part, unless that is done.

        Returns:
            Its record with ``top1`` in percent; None where another process works on it.

        Raises:
            ValueError: If the folder holds the result of other images, or the model does not fit.
        """
        return self.results.make(f'parts/{part.name}', lambda: self._measure(part), part.source)

    def _measure(self, part: RobustnessPart) -> dict[str, Any]:
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            loader = Runner.build_dataloader(self._loader(part))
            evaluator = Evaluator(dict(type='ClassSubsetAccuracy'))
        evaluator.dataset_meta = loader.dataset.metainfo
        self.model.eval()
        with progress_bar(part.name) as bar, torch.no_grad(), autocast(enabled=self.amp):
            for step, batch in enumerate(loader, 1):
                evaluator.process(self.model.test_step(batch), batch)
                bar(step, len(loader))
        num_images = len(loader.dataset)
        return dict(top1=evaluator.evaluate(num_images)['accuracy/top1'], num_images=num_images)

    def _loader(self, part: RobustnessPart) -> dict[str, Any]:
        return dict(
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate'),
            pin_memory=torch.cuda.is_available(),
            dataset=dict(
                type='ClassSubsetFolder', data_root=str(part.folder), test_mode=True,
                serialize_data=False,   # would save little memory, and costs a second
                subset=subset_of(part.data_set, self.class_names), class_names=self.class_names,
                pipeline=part_pipeline(self.pipeline, part)))
