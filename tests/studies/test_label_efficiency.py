"""Recognition from a few labels: what is run, kept, repeated and reported."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from addp_mm.checkpoints.weight_files import save_weights
from addp_mm.studies import label_efficiency
from addp_mm.studies.label_efficiency import (
    TUNING_SEED,
    LabelEfficiency,
    Method,
    fingerprint,
    method_config,
    summarise,
    write_table,
)
from tests.helpers.tiny_recognition import (
    ARCH,
    NUM_CLASSES,
    save_encoder,
    unformatted,
    write_classes,
)

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'digits'


@pytest.fixture(scope='module')
def configs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits' configs for an encoder of 2 layers, one epoch, and 6 classes of colours."""
    tmp_path = tmp_path_factory.mktemp('digits')
    images = write_classes(tmp_path / 'images', per_class=4)
    init_default_scope('mmpretrain')
    backbone = dict(type='ADDPViT', img_size=32, patch_size=8, arch=ARCH)
    checkpoint = save_encoder(tmp_path / 'encoder.pth', backbone)
    folder = tmp_path / 'configs'
    folder.mkdir()
    for name in ('finetune', 'knn'):
        cfg = unformatted(Config.fromfile(CONFIGS / f'{name}.py'))
        loaders = [cfg[key] for key in ('train_dataloader', 'test_dataloader') if cfg.get(key)]
        for loader in [*loaders, *([cfg.model.gallery] if name == 'knn' else [])]:
            loader.batch_size = 6
            loader.dataset.update(data_root=str(images), num_classes=NUM_CLASSES)
            if 'labels_per_class' in loader.dataset:
                loader.dataset.labels_per_class = 2
            loader.dataset.pipeline.insert(2, dict(type='Resize', scale=32))
        cfg.model.backbone.arch = ARCH
        cfg.model.data_preprocessor.num_classes = NUM_CLASSES
        if name == 'finetune':
            cfg.model.backbone.init_cfg.checkpoint = str(checkpoint)
            cfg.model.head.update(num_classes=NUM_CLASSES, in_channels=ARCH['embed_dims'])
            cfg.model.head.loss.num_classes = NUM_CLASSES
            cfg.train_cfg.update(max_epochs=1, val_interval=1)
        else:
            cfg.model.update(num_classes=NUM_CLASSES, num_neighbors=2)
        cfg.dump(folder / f'{name}.py')
    return folder


@pytest.fixture
def runs(configs: Path, tmp_path: Path) -> LabelEfficiency:
    made = []
    runs = LabelEfficiency(configs, tmp_path / 'out', lambda name, record: made.append(name))
    object.__setattr__(runs, 'made', made)
    return runs


FINETUNE = Method('fine-tuned', 'finetune.py', rates=(1e-3, 1e-2))


def test_a_rate_is_chosen_then_the_seeds_are_run_once(runs: LabelEfficiency):
    records = runs.run('ft', FINETUNE, range(1))
    assert runs.made == ['ft, tuning_0.001', 'ft, tuning_0.01', 'ft, seed_0']
    assert records[0]['rate'] in FINETUNE.rates

    again = runs.run('ft', FINETUNE, range(2))
    assert runs.made[3:] == ['ft, seed_1']
    assert again[:1] == records
    assert [record['seed'] for record in again] == [0, 1]


@pytest.mark.parametrize('best', FINETUNE.rates)
def test_the_rate_with_the_best_trial_is_taken(best: float, runs: LabelEfficiency,
                                               monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(label_efficiency, '_accuracy', lambda cfg, checkpoint: (
        90. if cfg.optim_wrapper.optimizer.lr == best else 80.))
    assert runs.run('ft', FINETUNE, [0])[0]['rate'] == best


def test_neighbours_need_no_rate(runs: LabelEfficiency, configs: Path):
    method = Method('k-NN', 'knn.py', checkpoint=str(configs.parent / 'encoder.pth'))
    records = runs.run('knn', method, range(2))
    assert runs.made == ['knn, seed_0', 'knn, seed_1']
    assert records[0]['accuracy'] > 50      # the classes differ in colour


def test_a_record_of_another_config_is_not_taken(runs: LabelEfficiency):
    runs.run('ft', Method('fine-tuned', 'finetune.py', rates=(1e-3, )), [])
    changed = Method('fine-tuned', 'finetune.py', {'model.backbone.drop_path_rate': 0.3}, (1e-3, ))
    with pytest.raises(ValueError, match=r'made with other settings \(inputs '):
        runs.run('ft', changed, [])


def test_labels_seed_rate_and_scored_images(configs: Path):
    tuning = method_config(configs, FINETUNE, TUNING_SEED, 0.5, tuning=True)
    final = method_config(configs, FINETUNE, 3, 0.5, tuning=False)
    assert (tuning.test_dataloader.dataset.data_prefix,
            final.test_dataloader.dataset.data_prefix) == ('train', 'val')
    assert final.train_dataloader.dataset.labels_seed == final.randomness.seed == 3
    assert final.optim_wrapper.optimizer.lr == 0.5
    gallery = method_config(configs, Method('k-NN', 'knn.py'), 3, None, tuning=False).model.gallery
    assert gallery.dataset.labels_seed == 3


def test_other_weights_are_other_inputs(configs: Path, tmp_path: Path):
    cfg = method_config(configs, FINETUNE, 0, 0.5, tuning=False)
    cfg.model.backbone.init_cfg.checkpoint = str(tmp_path / 'encoder.pth')
    with pytest.raises(FileNotFoundError, match='make digits'):
        fingerprint(cfg, None)
    digests = set()
    for value in (1., 2., 2.):
        save_weights(dict(weight=torch.tensor(value)), tmp_path / 'encoder.pth', overwrite=True)
        digests.add(fingerprint(cfg, None))
    assert len(digests) == 2


def test_table(tmp_path: Path):
    records = [dict(accuracy=value, rate=1e-2, seconds=4.) for value in (80., 90.)]
    row = summarise(FINETUNE, records)
    assert row['top-1, %'] == '85.0 ± 7.1'
    assert row['learning rate'] == '0.01 (edge)'
    text = write_table([row], tmp_path)
    assert '| 85.0 ± 7.1 | 80.0 90.0 |' in text
    assert (tmp_path / 'recognition.md').read_text() == text
    assert json.loads((tmp_path / 'recognition.json').read_text()) == [row]
