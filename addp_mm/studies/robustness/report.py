"""The row of the paper's Tab. 9 for a classifier."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from ...atomic_write import write_json, write_whole
from ...datasets.class_subset_folder import class_list
from ...evaluation.class_subset_accuracy import (
    CORRUPTIONS,
    SEVERITIES,
    CorruptionError,
    corruption_error,
    subset_hits,
)
from ...evaluation.stored_predictions import load_predictions
from ...name_lists import listed
from ..tables import markdown_table
from .robustness import CLASSES_OF, CORRUPTED, corrupted_name, part_names, subset_of

AVERAGE = 'average'
# Paper Tab. 9: ViT-B, fine-tuned on ImageNet-1k.
PAPER_ROW = {'imagenet-a': 35.2, 'imagenet-r': 54.4, 'imagenet-sketch': 40.9, 'imagenet-c': 57.3,
             AVERAGE: 47.0}
# Images of the published data sets, each part of ImageNet-C by itself.
NUM_IMAGES = {'imagenet-a': 7500, 'imagenet-r': 30000, 'imagenet-sketch': 50889,
              'imagenet-c': 50000}
_COLUMNS = {'imagenet-a': 'IN-A', 'imagenet-r': 'IN-R', 'imagenet-sketch': 'IN-Sketch',
            'imagenet-c': 'IN-C (100 - mCE)', AVERAGE: 'average'}

Records = Mapping[str, Mapping[str, Any]]


def records_of_predictions(folder: Path,
                           class_names: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
    """Compute the records of stored predictions.

    Args:
        folder: Holds ``<part>.pkl`` files of ``test.py --out``, for example
            ``imagenet-a.pkl`` and ``imagenet-c_fog_3.pkl``. Labels are places among all classes.
        class_names: The classes of the classifier, if they are not ImageNet's. The subset is then
            the classes that have an image.

    Returns:
        A record by the name of each part.

    Raises:
        FileNotFoundError: If the folder has no such file.
        ValueError: If a file has another name, or its content does not fit.
    """
    files, names = sorted(folder.glob('*.pkl')), part_names()
    if not files:
        raise FileNotFoundError(f'Expected files of predictions in {folder}, such as '
                                f'{names[0]}.pkl or {names[-1]}.pkl, found none.')
    unknown = [file.name for file in files if file.stem not in names]
    if unknown:
        raise ValueError(f'{folder} holds {unknown[0]}, which is the name of no part: expected '
                         f'{listed(names)}, and .pkl.')
    records = {}
    for name in sorted((file.stem for file in files), key=names.index):
        path = folder / f'{name}.pkl'
        scores, labels = load_predictions(path)
        try:
            hits = subset_hits(scores, labels, _columns(name, labels.tolist(), class_names))
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error
        records[name] = dict(top1=100 * float(hits.double().mean()), num_images=len(hits),
                             folder=str(folder), corrupted_on_the_fly=None)
    return records


def _columns(name: str, labels: Sequence[int], class_names: Sequence[str] | None) -> list[int]:
    """The columns of the classes of a part."""
    subset = subset_of(name.partition('_')[0], class_names)
    if subset is None:
        return sorted(set(labels))
    places = {wnid: place for place, wnid in enumerate(class_list('imagenet-1k'))}
    return [places[wnid] for wnid in class_list(subset)]


def corruption_error_of(records: Records) -> CorruptionError | None:
    """The corruption errors of the parts of ImageNet-C; None if no part is there.

    Raises:
        ValueError: If some parts are there and some are not.
    """
    names = {(c, s): corrupted_name(c, s) for c in CORRUPTIONS for s in SEVERITIES}
    top1 = {key: records[name]['top1'] for key, name in names.items() if name in records}
    return corruption_error(top1) if top1 else None


def table_row(records: Records) -> dict[str, float]:
    """The row of the table: top-1 accuracies in percent, and 100 - mCE for ImageNet-C.

    Args:
        records: Of each part by its name.

    Returns:
        The value of each data set that was measured; if all four were, also 'average'.
    """
    row = {name: records[name]['top1'] for name in CLASSES_OF if name in records}
    error = corruption_error_of(records)
    if error is not None:
        row[CORRUPTED] = 100 - error.mean
    return {**row, AVERAGE: fmean(row.values())} if len(row) == len(CLASSES_OF) else row


def table_text(row: Mapping[str, float]) -> str:
    """The measured row beside the paper's, in Markdown."""
    rows = {'this model (measured)': row, "ADDP ViT-B (the paper's, Tab. 9)": PAPER_ROW}
    return markdown_table([
        dict(model=name, **{column: f'{values[key]:.1f}' if key in values else '-'
                            for key, column in _COLUMNS.items()})
        for name, values in rows.items()
    ])


def write_robustness_report(records: Records, out: Path, about: Mapping[str, Any]) -> Path:
    """Write ``robustness.json`` and ``robustness.md``.

    Args:
        records: Of each part by its name.
        out: The folder.
        about: What the results depend on, for the JSON file.

    Returns:
        The Markdown file.
    """
    row, error = table_row(records), corruption_error_of(records)
    notes = report_notes(records, own_classes=about.get('class_names') is not None)
    text = [table_text(row), ''.join(f'- {note}\n' for note in notes)]
    if error is not None:
        text.append('ImageNet-C by corruption, in percent: accuracy at each severity, and the '
                    'error relative to AlexNet (CE)\n\n' + _corruption_table(records, error))
    write_json(out / 'robustness.json', dict(
        row=row, mean_corruption_error=error and error.mean,
        corruption_errors=error and dict(error.by_corruption), paper_row=PAPER_ROW,
        notes=notes, about=dict(about), parts={k: dict(v) for k, v in records.items()}))
    write_whole(out / 'robustness.md', '\n'.join(text).encode())
    return out / 'robustness.md'


def report_notes(records: Records, own_classes: bool = False) -> list[str]:
    """Why the scores must not be compared with published ones."""
    notes = []
    if own_classes:
        notes.append("The classes are not ImageNet's: the paper's row is of other data.")
    if any(record['corrupted_on_the_fly'] for record in records.values()):
        notes.append('ImageNet-C was made on the fly by imagecorruptions-imaug. Published mean '
                     'corruption errors are of the official JPEG files, and differ.')
    for data_set, count in NUM_IMAGES.items():
        found = {record['num_images'] for name, record in records.items()
                 if name.partition('_')[0] == data_set} - {count}
        if found:
            notes.append(f'{_COLUMNS[data_set].split()[0]}: '
                         f'{", ".join(map(str, sorted(found)))} images, where the published data '
                         f'set has {count}{" in each part" if data_set == CORRUPTED else ""}.')
    return notes


def _corruption_table(records: Records, error: CorruptionError) -> str:
    return markdown_table([
        dict({'corruption': corruption},
             **{f'severity {s}': f'{records[corrupted_name(corruption, s)]["top1"]:.1f}'
                for s in SEVERITIES}, CE=f'{error.by_corruption[corruption]:.1f}')
        for corruption in CORRUPTIONS
    ])
