"""The command line of the robustness table, with a tiny classifier of four classes."""
from __future__ import annotations

import json
from pathlib import Path

import mmengine
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain import ImageClassificationInferencer
from PIL import Image
from torch.nn.functional import one_hot

import addp_mm  # noqa: F401  (registers)
from addp_mm.apis.load_model import build_model
from addp_mm.checkpoints.weight_files import save_weights
from addp_mm.evaluation.class_subset_accuracy import ALEXNET_ERRORS, CORRUPTIONS, SEVERITIES
from addp_mm.registry import MODELS
from addp_mm.result_folder import try_lock
from addp_mm.studies.robustness.robustness import RobustnessRun, plan_parts
from addp_mm.studies.robustness.robustness import test_pipeline as pipeline_of
from tests.helpers.tools import run_tool

NAMES = ['ant', 'bee', 'cow', 'dog']
CONFIG = """
default_scope = 'mmpretrain'
data_preprocessor = dict(mean=[90., 120., 150.], std=[50., 60., 70.], to_rgb=True)
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet_CIFAR', depth=18, stem_channels=4, base_channels=4),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=4, in_channels=32))
test_dataloader = dict(dataset=dict(type='CustomDataset', pipeline=[
    dict(type='LoadImageFromFile'), dict(type='ResizeEdge', scale=32),
    dict(type='CenterCrop', crop_size=32), dict(type='PackInputs')]))
"""


@pytest.fixture
def classifier(tmp_path: Path) -> tuple[Path, Path]:
    """Config and checkpoint of a classifier whose predictions are of several classes."""
    config, checkpoint = tmp_path / 'tiny.py', tmp_path / 'tiny.pth'
    config.write_text(CONFIG)
    cfg = Config.fromfile(config)
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    torch.nn.init.normal_(model.head.fc.weight, std=3.)
    save_weights(model.state_dict(), checkpoint)
    return config, checkpoint


@pytest.fixture
def class_names(tmp_path: Path) -> Path:
    path = tmp_path / 'names.txt'
    path.write_text('\n'.join(NAMES))
    return path


def write(root: Path, classes: list[str], count: int, seed: int = 0) -> Path:
    """Images of 32 x 32 pixels, each of another colour."""
    rng = np.random.default_rng(seed)
    for name in classes:
        (root / name).mkdir(parents=True)
        for index in range(count):
            coarse = rng.integers(0, 256, (2, 2, 3))
            pixels = np.kron(coarse, np.ones((16, 16, 1))).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f'{index}.png')
    return root


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Path]:
    """The four data sets; each has some of the classes."""
    folders = {'imagenet-a': write(tmp_path / 'a', ['ant', 'cow', 'dog'], 4),
               'imagenet-r': write(tmp_path / 'r', ['bee', 'cow'], 3, seed=1),
               'imagenet-sketch': write(tmp_path / 's', NAMES, 2, seed=2),
               'imagenet-c': tmp_path / 'c'}
    for number, corruption in enumerate(CORRUPTIONS):
        for severity in SEVERITIES:
            write(tmp_path / 'c' / corruption / str(severity), ['ant', 'dog'], 1,
                  seed=10 * number + severity)
    return folders


@pytest.fixture
def tool(capsys: pytest.CaptureFixture, tmp_path: Path):
    """Run the tool in this process; gives its exit code, output and errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code = run_tool('evaluate_robustness', *arguments, '--out', tmp_path / 'out', '--device',
                        'cpu', '--num-workers', 0, '--batch-size', 5)
        return code, *capsys.readouterr()

    return run


def flags(data: dict[str, Path]) -> list[object]:
    return [word for name, folder in data.items() for word in (f'--{name}', folder)]


def expected_top1(classify: ImageClassificationInferencer, root: Path) -> float:
    """By mmpretrain's own inferencer, one image at a time, and the definition."""
    files = sorted(root.rglob('*.png'))
    subset = sorted({NAMES.index(file.parent.name) for file in files})
    hits = 0
    for file in files:
        scores = classify(str(file))[0]['pred_scores']
        best = max(subset, key=lambda label: scores[label])
        hits += best == NAMES.index(file.parent.name)
    return 100 * hits / len(files)


def test_all_four_data_sets(tool, classifier, data, class_names, tmp_path: Path):
    command = (*classifier, *flags(data), '--class-names', class_names)
    code, printed, errors = tool(*command)
    assert code == 0, errors
    row = json.loads((tmp_path / 'out' / 'robustness.json').read_text())['row']
    classify = ImageClassificationInferencer(*map(str, classifier), device='cpu')
    for name in ('imagenet-a', 'imagenet-r', 'imagenet-sketch'):
        assert row[name] == pytest.approx(expected_top1(classify, data[name])), name
    ratios = [
        sum(100 - expected_top1(classify, data['imagenet-c'] / c / str(s)) for s in SEVERITIES)
        / 5 / ALEXNET_ERRORS[c] for c in CORRUPTIONS
    ]
    assert row['imagenet-c'] == pytest.approx(100 - 100 * sum(ratios) / 15)
    assert row['average'] == pytest.approx(sum(list(row.values())[:4]) / 4)
    assert len(set(row.values())) > 2, 'the classifier predicts one class only'
    assert f'| this model (measured) | {row["imagenet-a"]:.1f} |' in printed
    assert "ADDP ViT-B (the paper's, Tab. 9) | 35.2" in printed


def test_goes_on_and_does_not_repeat(tool, classifier, data, class_names, tmp_path: Path):
    three = {name: data[name] for name in list(data)[:3]}
    command = (*classifier, '--class-names', class_names)
    assert tool(*command, *flags({'imagenet-a': data['imagenet-a']}))[0] == 0
    path = tmp_path / 'out' / 'parts' / 'imagenet-a.json'
    record = json.loads(path.read_text())
    path.write_text(json.dumps(dict(record, top1=12.5)))
    code, printed, _ = tool(*command, *flags(three))
    assert code == 0 and 'imagenet-a: 12.50 % of 12 images' in printed
    assert (tmp_path / 'out' / 'parts' / 'imagenet-sketch.json').is_file()

    other = write(tmp_path / 'other', ['ant'], 2)
    code, _, errors = tool(*command, '--imagenet-a', other)
    assert code == 2 and 'imagenet-a.json was made with other settings (folder ' in errors
    code, _, errors = tool(*command, *flags(three), '--amp')
    assert code == 2 and 'other settings (amp False, now True; ' in errors


def test_another_process_has_a_part(tool, classifier, data, class_names, tmp_path: Path):
    command = (*classifier, '--class-names', class_names)
    assert tool(*command, '--imagenet-a', data['imagenet-a'])[0] == 0
    command += ('--imagenet-r', data['imagenet-r'])
    with try_lock(tmp_path / 'out' / 'parts' / '.imagenet-r.lock'):
        code, printed, _ = tool(*command)
    assert code == 0 and 'another process works on imagenet-r' in printed
    assert 'once the other processes are done' in printed and '| this model' not in printed
    assert '| this model' in tool(*command)[1]


def test_corrupts_on_the_fly(classifier, data, tmp_path: Path):
    pytest.importorskip('imagecorruptions', reason='imagecorruptions-imaug is not installed')
    cfg = Config.fromfile(classifier[0])
    run = RobustnessRun(build_model(cfg, classifier[1]), pipeline_of(cfg), tmp_path / 'out', NAMES,
                        batch_size=5, num_workers=0)
    parts = plan_parts({'imagenet-val': data['imagenet-a']}, NAMES)
    record = run.run_part(parts[4])
    assert record['corrupted_on_the_fly'] == dict(corruption='gaussian_noise', severity=5)
    assert record['num_images'] == 12 and 0 <= record['top1'] <= 100


def test_stored_predictions(tool, tmp_path: Path):
    (tmp_path / 'stored').mkdir()
    mmengine.dump([
        dict(pred_score=one_hot(torch.tensor(6), 1000), gt_label=torch.tensor([label]))
        for label in (6, 11, 6, 6)], str(tmp_path / 'stored' / 'imagenet-a.pkl'))
    code, printed, _ = tool('--predictions', tmp_path / 'stored')
    assert code == 0 and '| this model (measured) | 75.0 | - |' in printed
    assert (tmp_path / 'out' / 'robustness.md').is_file()
    code, _, errors = tool('--predictions', tmp_path / 'stored', '--imagenet-a', tmp_path)
    assert code == 2 and 'not both' in errors


def test_user_errors(tool, classifier, data, class_names, tmp_path: Path):
    names = ('--class-names', class_names)
    code, _, errors = tool(*flags(data))
    assert code == 2 and 'Expected CONFIG CHECKPOINT' in errors
    code, _, errors = tool(*classifier, *names)
    assert code == 2 and 'at least one data set' in errors
    code, _, errors = tool(*classifier, '--imagenet-a', data['imagenet-a'])
    assert code == 2 and 'do not match the classes of imagenet-a' in errors
    code, _, errors = tool(classifier[0], tmp_path / 'no.pth', *names, *flags(data))
    assert code == 2 and 'no.pth' in errors
    five = tmp_path / 'five.txt'
    five.write_text('\n'.join(['aaa', *NAMES]))
    code, _, errors = tool(*classifier, '--class-names', five, '--imagenet-a', data['imagenet-a'])
    assert code == 2 and 'but the classifier gives 4 scores' in errors
    assert not (tmp_path / 'out' / 'robustness.md').exists()
