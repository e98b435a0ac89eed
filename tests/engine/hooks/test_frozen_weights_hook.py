"""FrozenWeightsHook: a run does not go on with another tokenizer."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModule
from mmengine.runner import Runner
from torch import nn

from addp_mm.checkpoints.weight_files import load_checkpoint, sha256_of
from addp_mm.registry import MODELS
from tests.helpers.tiny_training import TinyModel, make_config, write_images


@MODELS.register_module()
class TinyTeacher(nn.Linear):
    """Something to freeze."""

    def __init__(self) -> None:
        super().__init__(2, 2)


class Replace(Hook):
    """Writes another file in the place of the frozen one while the run goes on."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def before_train_epoch(self, runner: Runner) -> None:
        torch.save(dict(state_dict=TinyTeacher().state_dict()), self.path)


@pytest.fixture
def config(tmp_path: Path) -> dict:
    torch.save(dict(state_dict=TinyTeacher().state_dict()), tmp_path / 'teacher.pth')
    config = make_config(tmp_path / 'run', write_images(tmp_path / 'images', count=2))
    config['model']['frozen'] = dict(
        model=dict(type='TinyTeacher'), checkpoint=str(tmp_path / 'teacher.pth'))
    config['custom_hooks'] = [dict(type='FrozenWeightsHook')]
    config['train_cfg']['max_epochs'] = 1
    Runner(**config).train()
    config['train_cfg']['max_epochs'] = 2
    config.update(resume=True, experiment_name='again')
    return config


def test_checkpoint_names_the_hash_and_holds_no_frozen_weight(config, tmp_path):
    checkpoint = load_checkpoint(tmp_path / 'run' / 'epoch_1.pth')
    assert checkpoint['meta']['frozen_weights'] == {'frozen': sha256_of(tmp_path / 'teacher.pth')}
    assert not [name for name in checkpoint['state_dict'] if 'frozen' in name]


def test_same_file_resumes(config):
    runner = Runner(**config)
    runner.train()
    assert runner.epoch == 2


def test_another_file_stops_with_both_hashes(config, tmp_path):
    saved = sha256_of(tmp_path / 'teacher.pth')
    torch.save(dict(state_dict=TinyTeacher().state_dict()), tmp_path / 'teacher.pth')
    present = sha256_of(tmp_path / 'teacher.pth')
    with pytest.raises(ValueError, match=r'teacher\.pth.*' + saved + '.*' + present):
        Runner(**config).train()


def test_loading_without_resuming_is_free(config, tmp_path):
    torch.save(dict(state_dict=TinyTeacher().state_dict()), tmp_path / 'teacher.pth')
    config.update(resume=False, load_from=str(tmp_path / 'run' / 'epoch_1.pth'),
                  work_dir=str(tmp_path / 'new'))
    Runner(**config).train()


def test_hash_is_of_what_the_run_has_read(config, tmp_path):
    before = sha256_of(tmp_path / 'teacher.pth')
    runner = Runner(**config | dict(resume=False))
    runner.register_hook(Replace(tmp_path / 'teacher.pth'))
    runner.train()
    checkpoint = load_checkpoint(tmp_path / 'run' / 'epoch_2.pth')
    assert checkpoint['meta']['frozen_weights'] == {'frozen': before}
    assert sha256_of(tmp_path / 'teacher.pth') != before


@MODELS.register_module()
class TinyStart(BaseModule):
    """Something with start values of a file."""

    def __init__(self, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.weight = nn.Parameter(torch.zeros(2))


@MODELS.register_module()
class TinyStarted(TinyModel):
    """With such a part."""

    def __init__(self, backbone: dict, frozen: dict) -> None:
        super().__init__(frozen)
        self.backbone = MODELS.build(backbone)


def test_start_values_are_noted_and_stay_those_of_the_first_start(config, tmp_path):
    path = tmp_path / 'start.pth'
    torch.save(dict(state_dict=TinyStart().state_dict()), path)
    start = dict(type='Pretrained', checkpoint=str(path))
    config['model'].update(type='TinyStarted', backbone=dict(type='TinyStart', init_cfg=start))
    config.update(resume=False, work_dir=str(tmp_path / 'new'))
    config['train_cfg']['max_epochs'] = 1
    Runner(**config).train()
    first = sha256_of(path)
    meta = load_checkpoint(tmp_path / 'new' / 'epoch_1.pth')['meta']
    assert meta['start_values'] == {'backbone': first}
    torch.save(dict(state_dict=dict(weight=torch.ones(2))), path)
    config['train_cfg']['max_epochs'] = 2
    Runner(**config | dict(resume=True, experiment_name='third')).train()
    meta = load_checkpoint(tmp_path / 'new' / 'epoch_2.pth')['meta']
    assert meta['start_values'] == {'backbone': first} != {'backbone': sha256_of(path)}
