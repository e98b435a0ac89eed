"""What is measured for the robustness table, on which images, and what the row says."""
from __future__ import annotations

import json
import sys
from pathlib import Path

import mmengine
import pytest
import torch
from torch.nn.functional import one_hot

from addp_mm.datasets.class_subset_folder import class_list
from addp_mm.evaluation.class_subset_accuracy import CORRUPTIONS, SEVERITIES
from addp_mm.studies.robustness.report import (
    PAPER_ROW,
    records_of_predictions,
    report_notes,
    table_row,
    table_text,
    write_robustness_report,
)
from addp_mm.studies.robustness.robustness import CLASSES_OF, part_names, part_pipeline, plan_parts

NAMES = ['ant', 'bee', 'cow']
PIPELINE = [
    dict(type='LoadRobustImage'),
    dict(type='ResizeEdge', scale=256, edge='short', backend='pillow', interpolation='bicubic'),
    dict(type='mmpretrain.CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]


def make(root: Path, classes=NAMES) -> Path:
    for name in classes:
        (root / name).mkdir(parents=True)
    return root


@pytest.fixture
def corrupted(tmp_path: Path) -> Path:
    for corruption in CORRUPTIONS:
        for severity in SEVERITIES:
            make(tmp_path / 'c' / corruption / str(severity))
    return tmp_path / 'c'


def test_parts(corrupted: Path, tmp_path: Path):
    parts = plan_parts({'imagenet-c': corrupted, 'imagenet-a': make(tmp_path / 'a')}, NAMES)
    assert len(parts) == 76 and {part.name for part in parts} < set(part_names())
    assert parts[0].name == 'imagenet-a' and parts[0].folder == tmp_path / 'a'
    names = {part.name: part for part in parts}
    assert names['imagenet-c_motion_blur_4'].folder == corrupted / 'motion_blur' / '4'
    assert {part.data_set for part in parts} == {'imagenet-a', 'imagenet-c'}
    assert len(part_names()) == 78


def test_imagenets_lists_are_used(tmp_path: Path):
    root = make(tmp_path / 'a', class_list('imagenet-a'))
    assert len(plan_parts({'imagenet-a': root})) == 1
    with pytest.raises(ValueError, match='do not match the classes of imagenet-r'):
        plan_parts({'imagenet-r': root})
    with pytest.raises(ValueError, match='do not match the classes of imagenet-1k'):
        plan_parts({'imagenet-sketch': root})


def test_folders_that_do_not_fit(corrupted: Path, tmp_path: Path):
    (corrupted / 'snow' / '2' / 'bee').rmdir()
    (corrupted / 'snow' / '2' / 'eel').mkdir()
    with pytest.raises(ValueError, match=r'snow/2 do not match .*\(eel\)'):
        plan_parts({'imagenet-c': corrupted}, NAMES)
    (corrupted / 'fog' / '3').rename(corrupted / 'fog' / 'three')
    with pytest.raises(FileNotFoundError, match=r'1 of the 75 folders .*: fog/3. Unpack noise.tar'):
        plan_parts({'imagenet-c': corrupted}, NAMES)
    with pytest.raises(FileNotFoundError, match='Expected imagenet-r at .*nowhere'):
        plan_parts({'imagenet-r': tmp_path / 'nowhere'}, NAMES)
    with pytest.raises(ValueError, match='at least one data set'):
        plan_parts({}, NAMES)
    with pytest.raises(ValueError, match='not both'):
        plan_parts({'imagenet-c': corrupted, 'imagenet-val': corrupted}, NAMES)


def test_corruptions_on_the_fly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip('imagecorruptions', reason='imagecorruptions-imaug is not installed')
    root = make(tmp_path / 'val')
    parts = plan_parts({'imagenet-val': root}, NAMES)
    assert len(parts) == 75 and parts[-1].corrupt == dict(
        corruption='jpeg_compression', severity=5)
    assert [step['type'] for step in part_pipeline(PIPELINE, parts[0])] == [
        'LoadRobustImage', 'ResizeEdge', 'CenterCrop', 'CorruptImage', 'ResizeEdge',
        'mmpretrain.CenterCrop', 'PackInputs']
    monkeypatch.setitem(sys.modules, 'imagecorruptions', None)
    with pytest.raises(ImportError, match='pip install imagecorruptions-imaug'):
        plan_parts({'imagenet-val': root}, NAMES)


def test_no_margin_is_cut_off_twice(corrupted: Path, tmp_path: Path):
    parts = plan_parts({'imagenet-c': corrupted, 'imagenet-a': make(tmp_path / 'a')}, NAMES)
    assert part_pipeline(PIPELINE, parts[0]) == PIPELINE
    steps = part_pipeline(PIPELINE, parts[-1])
    assert steps[1] == dict(PIPELINE[1], scale=224) and steps[2:] == PIPELINE[2:]
    assert PIPELINE[1]['scale'] == 256, 'the classifier\'s own pipeline was changed'


def records(**top1: float) -> dict[str, dict]:
    """Of all parts; in ImageNet-C, 100 - 20 x severity percent are right."""
    values = {name: 100 - 20 * int(name[-1]) if '_' in name else top1[name.split('-')[1]]
              for name in part_names()}
    return {name: dict(top1=value, num_images=10, folder='x', corrupted_on_the_fly=None)
            for name, value in values.items()}


def test_row_by_hand(tmp_path: Path):
    row = table_row(records(a=10., r=20., sketch=30.))
    # 60 % of errors on each corruption, against AlexNet's: mCE 77.6071.
    assert row == pytest.approx({
        'imagenet-a': 10, 'imagenet-r': 20, 'imagenet-sketch': 30, 'imagenet-c': 22.3929,
        'average': 20.5982}, abs=1e-4)
    assert list(row)[:4] == list(CLASSES_OF)


def test_row_of_some_data_sets():
    done = records(a=10., r=20., sketch=30.)
    assert table_row({'imagenet-r': done['imagenet-r']}) == {'imagenet-r': 20}
    del done['imagenet-c_fog_1']
    with pytest.raises(ValueError, match='74 accuracies: 1 missing'):
        table_row(done)


def test_the_papers_row_is_named_so():
    text = table_text({'imagenet-a': 12.34})
    assert "| ADDP ViT-B (the paper's, Tab. 9) | 35.2 | 54.4 | 40.9 | 57.3 | 47.0 |" in text
    assert '| this model (measured) | 12.3 | - | - | - | - |' in text
    values = list(PAPER_ROW.values())
    assert sum(values[:4]) / 4 == pytest.approx(values[4], abs=0.06)


def test_report(tmp_path: Path):
    path = write_robustness_report(records(a=10., r=20., sketch=30.), tmp_path, dict(amp=False))
    text = path.read_text()
    assert '| fog | 80.0 | 60.0 | 40.0 | 20.0 | 0.0 | 73.2 |' in text
    assert 'IN-A: 10 images, where the published data set has 7500.' in text
    content = json.loads((tmp_path / 'robustness.json').read_text())
    assert content['mean_corruption_error'] == pytest.approx(77.6071, abs=1e-4)
    assert content['about'] == dict(amp=False) and len(content['parts']) == 78


def test_notes():
    record = dict(num_images=7500, corrupted_on_the_fly=None)
    assert report_notes({'imagenet-a': record}) == []
    made = dict(num_images=50000, corrupted_on_the_fly=dict(corruption='fog', severity=1))
    assert 'official JPEG files' in ' '.join(report_notes({'imagenet-c_fog_1': made}))
    assert 'other data' in ' '.join(report_notes({'imagenet-a': record}, own_classes=True))


def store(path: Path, labels: list[int], predicted: list[int], num_classes: int = 1000) -> None:
    """A file as tools/test.py writes it."""
    mmengine.dump([
        dict(pred_score=one_hot(torch.tensor(p), num_classes), gt_label=torch.tensor([label]))
        for label, p in zip(labels, predicted, strict=True)], str(path))


def test_stored_predictions_by_hand(tmp_path: Path):
    # Columns 6 and 11 are classes of ImageNet-A, 0 is not: where only it has a score, the first
    # class of the subset is taken.
    store(tmp_path / 'imagenet-a.pkl', [6, 6, 11, 13], [6, 0, 0, 13])
    for corruption in CORRUPTIONS:
        for severity in SEVERITIES:     # `severity` of 5 images are wrong
            predicted = [7] * severity + [3] * (5 - severity)
            store(tmp_path / f'imagenet-c_{corruption}_{severity}.pkl', [3] * 5, predicted)
    row = table_row(records_of_predictions(tmp_path))
    assert row == pytest.approx({'imagenet-a': 75, 'imagenet-c': 22.3929}, abs=1e-4)


def test_stored_predictions_of_own_classes(tmp_path: Path):
    store(tmp_path / 'imagenet-r.pkl', [1, 2, 2], [1, 0, 2], num_classes=3)
    # Class 0 has no image, so it is not in the subset: its prediction becomes class 1.
    row = table_row(records_of_predictions(tmp_path, NAMES))
    assert row == pytest.approx({'imagenet-r': 200 / 3})


def test_stored_predictions_that_do_not_fit(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match='imagenet-a.pkl or .*jpeg_compression_5.pkl'):
        records_of_predictions(tmp_path)
    store(tmp_path / 'imagenet-a.pkl', [6], [6], num_classes=900)
    with pytest.raises(ValueError, match='imagenet-a.pkl: .*gives 900 scores'):
        records_of_predictions(tmp_path)
    store(tmp_path / 'imagenet-a.pkl', [7], [6])
    with pytest.raises(ValueError, match='1 of 1 labels are of none of the 200 classes'):
        records_of_predictions(tmp_path)
    store(tmp_path / 'imagenet-c.pkl', [7], [6])
    with pytest.raises(ValueError, match='imagenet-c.pkl, which is the name of no part'):
        records_of_predictions(tmp_path)
