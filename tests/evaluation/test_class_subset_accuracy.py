"""ClassSubsetAccuracy against values made by hand."""
from __future__ import annotations

import pytest
import torch

from addp_mm.evaluation import ClassSubsetAccuracy
from addp_mm.evaluation.class_subset_accuracy import (
    ALEXNET_ERRORS,
    CORRUPTIONS,
    SEVERITIES,
    corruption_error,
    subset_hits,
)

# Five classes, of which 1, 3 and 4 are in the subset. The largest of all is never in it but once.
SCORES = torch.tensor([
    [9., 2., 0., 1., 0.],       # 1 in the subset
    [9., 2., 8., 1., 3.],       # 4
    [0., 2., 0., 7., 3.],       # 3
    [5., -4., 5., -3., -9.],    # 3
])
LABELS = torch.tensor([1, 4, 4, 3])      # right, right, wrong, right


def samples(scores=SCORES, labels=LABELS) -> list[dict]:
    return [dict(pred_score=s, gt_label=label[None])
            for s, label in zip(scores, labels, strict=True)]


def test_by_hand():
    assert subset_hits(SCORES, LABELS, [4, 1, 3]).tolist() == [True, True, False, True]
    metric = ClassSubsetAccuracy([1, 3, 4])
    metric.process({}, samples()[:3])
    metric.process({}, samples()[3:])
    assert metric.evaluate(4) == {'accuracy/top1': 75.0}


def test_all_classes_is_usual_accuracy():
    assert subset_hits(SCORES, LABELS, range(5)).tolist() == [False] * 4


def test_classes_come_from_the_data_set():
    metric = ClassSubsetAccuracy()
    metric.dataset_meta = dict(class_indices=(1, 3, 4))
    metric.process({}, samples())
    assert metric.evaluate(4) == {'accuracy/top1': 75.0}


def test_no_classes():
    with pytest.raises(ValueError, match='set class_indices, or take a ClassSubsetFolder'):
        ClassSubsetAccuracy().process({}, samples())


def test_wrong_width_and_foreign_labels():
    with pytest.raises(ValueError, match=r'\[1\] to \[5\], but the classifier gives 5 scores'):
        subset_hits(SCORES, LABELS, [1, 3, 5])
    with pytest.raises(ValueError, match='2 of 4 labels are of none of the 2 classes, .* is 4'):
        subset_hits(SCORES, LABELS, [1, 3])
    with pytest.raises(ValueError, match='gives 5 scores'):
        subset_hits(SCORES, LABELS, [])


def accuracies(top1: dict[str, float] | None = None) -> dict[tuple[str, int], float]:
    """Right are 100 - 20 x severity percent, or what is given for a corruption: 40 on average."""
    return {(c, s): (top1 or {}).get(c, 100 - 20 * s) for c in CORRUPTIONS for s in SEVERITIES}


def test_corruption_error_by_hand():
    error = corruption_error(accuracies(dict(fog=100)))
    # 60 % of errors against AlexNet's 88.6428 %.
    assert error.by_corruption['gaussian_noise'] == pytest.approx(67.6873925)
    assert error.by_corruption['fog'] == 0
    assert error.mean == pytest.approx(72.7250141)      # the 14 others, over 15


def test_alexnet_itself_has_100():
    error = corruption_error(accuracies({c: 100 - e for c, e in ALEXNET_ERRORS.items()}))
    assert list(error.by_corruption.values()) == pytest.approx([100] * 15)
    # The mean of AlexNet's errors, which other papers print as 78.9.
    assert sum(ALEXNET_ERRORS.values()) / 15 == pytest.approx(78.9, abs=0.01)


def test_nothing_is_missing_or_unknown():
    some = accuracies()
    del some['fog', 3]
    with pytest.raises(ValueError, match=r'74 accuracies: 1 missing \(fog/3\)'):
        corruption_error(some)
    with pytest.raises(ValueError, match=r'1 unknown \(mist/1\)'):
        corruption_error({**accuracies(), ('mist', 1): 5.})
